package client

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/concurrency"
)

func session(t *testing.T, c *clientv3.Client, seconds int) *concurrency.Session {
	t.Helper()
	s := must[*concurrency.Session](t)(concurrency.NewSession(c, concurrency.WithTTL(seconds)))
	t.Cleanup(func() { s.Close() })
	return s
}

func TestLockIsHeldByOneAtATime(t *testing.T) {
	t.Parallel()
	m, _ := start(t)
	const clients, turns = 6, 20
	var holders, taken atomic.Int32
	var group sync.WaitGroup
	for range clients {
		group.Add(1)
		go func() {
			defer group.Done()
			mutex := concurrency.NewMutex(session(t, connect(t, m.ClientAddr()), 30), "lock")
			for range turns {
				if err := mutex.Lock(testContext(t)); err != nil {
					t.Error(err)
					return
				}
				if holders.Add(1) != 1 {
					t.Error("two clients hold the lock")
				}
				taken.Add(1)
				holders.Add(-1)
				if err := mutex.Unlock(testContext(t)); err != nil {
					t.Error(err)
					return
				}
			}
		}()
	}
	group.Wait()
	if taken.Load() != clients*turns {
		t.Fatalf("taken %d times, want %d", taken.Load(), clients*turns)
	}
}

func TestLockOfALostSessionIsFreed(t *testing.T) {
	t.Parallel()
	m, c := start(t)
	owner := connect(t, m.ClientAddr())
	held := concurrency.NewMutex(session(t, owner, 2), "lock")
	mustDo(t, held.Lock(testContext(t)))
	waiting := concurrency.NewMutex(session(t, c, 30), "lock")
	if err := waiting.TryLock(testContext(t)); !errors.Is(err, concurrency.ErrLocked) {
		t.Fatalf("TryLock of a held lock: %v", err)
	}
	owner.Close() // no more keep-alives: only expiry can free the lock
	mustDo(t, waiting.Lock(testContext(t)))
}

func TestLocksSurviveARestartOfTheServer(t *testing.T) {
	t.Parallel()
	m, c := start(t)
	held := concurrency.NewMutex(session(t, c, 60), "lock")
	mustDo(t, held.Lock(testContext(t)))
	m.Kill()
	mustDo(t, m.Restart())
	other := concurrency.NewMutex(session(t, connect(t, m.ClientAddr()), 60), "lock")
	if err := other.TryLock(testContext(t)); !errors.Is(err, concurrency.ErrLocked) {
		t.Fatalf("TryLock after a restart: %v", err)
	}
	mustDo(t, held.Unlock(testContext(t)))
	mustDo(t, other.Lock(testContext(t)))
}

func TestElectionPassesFromLeaderToLeader(t *testing.T) {
	t.Parallel()
	m, c := start(t)
	observed := concurrency.NewElection(session(t, c, 60), "election").Observe(testContext(t))
	const candidates = 4
	resign := make(chan struct{})
	var group sync.WaitGroup
	for i := range candidates {
		group.Add(1)
		go func() {
			defer group.Done()
			election := concurrency.NewElection(session(t, connect(t, m.ClientAddr()), 60), "election")
			if err := election.Campaign(testContext(t), fmt.Sprint(i)); err != nil {
				t.Error(err)
				return
			}
			if err := election.Proclaim(testContext(t), fmt.Sprintf("%d again", i)); err != nil {
				t.Error(err)
			}
			<-resign
			if err := election.Resign(testContext(t)); err != nil {
				t.Error(err)
			}
		}()
	}
	leaders := map[string]bool{}
	for len(leaders) < candidates {
		response, open := <-observed
		if !open {
			t.Fatal("the observation ended")
		}
		if value := string(response.Kvs[0].Value); len(value) > 1 && !leaders[value] { // "N again"
			leaders[value] = true
			resign <- struct{}{}
		}
	}
	group.Wait()
}

func TestSTMKeepsTheSumOfAccounts(t *testing.T) {
	t.Parallel()
	m, c := start(t)
	for name, isolation := range map[string]concurrency.Isolation{
		"serializable snapshot": concurrency.SerializableSnapshot,
		"serializable":          concurrency.Serializable,
		"repeatable reads":      concurrency.RepeatableReads,
	} {
		t.Run(name, func(t *testing.T) {
			const accounts, clients, transfers = 6, 5, 40
			account := func(i int) string { return fmt.Sprintf("%s/%d", name, i) }
			for i := range accounts {
				put(t, c, account(i), "100")
			}
			var group sync.WaitGroup
			for worker := range clients {
				group.Add(1)
				go func() {
					defer group.Done()
					own := connect(t, m.ClientAddr())
					dice := rand.New(rand.NewPCG(uint64(worker), 1))
					for range transfers {
						from, to := dice.IntN(accounts), dice.IntN(accounts)
						_, err := concurrency.NewSTM(own, func(stm concurrency.STM) error {
							return transfer(stm, account(from), account(to), 1+from)
						}, concurrency.WithIsolation(isolation), concurrency.WithAbortContext(context.Background()))
						if err != nil {
							t.Error(err)
							return
						}
					}
				}()
			}
			group.Wait()
			sum := 0
			for _, kv := range get(t, c, name+"/", clientv3.WithPrefix()).Kvs {
				n, _ := strconv.Atoi(string(kv.Value))
				sum += n
			}
			if sum != 100*accounts {
				t.Fatalf("the accounts hold %d, want %d", sum, 100*accounts)
			}
		})
	}
}

func transfer(stm concurrency.STM, from, to string, amount int) error {
	if from == to {
		return nil
	}
	a, err := strconv.Atoi(stm.Get(from))
	if err != nil {
		return err
	}
	b, err := strconv.Atoi(stm.Get(to))
	if err != nil {
		return err
	}
	stm.Put(from, strconv.Itoa(a-amount))
	stm.Put(to, strconv.Itoa(b+amount))
	return nil
}
