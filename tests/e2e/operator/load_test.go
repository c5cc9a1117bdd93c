package operator

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"holdfast/tests/go/history"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
)

const (
	clients = 8
	// callsPerSecond is each client's: together they write well over 200 times a second.
	callsPerSecond = 40
	callDeadline   = 5 * time.Second
	registers      = 40
)

// load is what applications do to a cluster while its operator works: eight official clients write
// and read through the client Service, and one watches everything.
type load struct {
	t       *testing.T
	began   time.Time
	stop    chan struct{}
	issuers sync.WaitGroup
	clients []*clientv3.Client
	bulks   int // values of bulk so far

	mu           sync.Mutex // guards all below
	ledger       *history.Ledger
	operations   []*history.Operation
	acknowledged []time.Time
	errors       map[string]int
	highest      int64
	events       []*mvccpb.Event
	seen         int64
	disorder     error
}

func startLoad(t *testing.T, endpoint string) *load {
	t.Helper()
	return startSecuredLoad(t, endpoint, nil)
}

func startSecuredLoad(t *testing.T, endpoint string, secured *tls.Config) *load {
	t.Helper()
	l := &load{t: t, began: time.Now(), stop: make(chan struct{}), ledger: history.NewLedger(), errors: map[string]int{}, seen: 1}
	for i := range clients + 1 {
		client, err := clientv3.New(clientv3.Config{
			Endpoints: strings.Split(endpoint, ","), TLS: secured, DialTimeout: 2 * time.Second, DialKeepAliveTime: 2 * time.Second, DialKeepAliveTimeout: 2 * time.Second,
		})
		if err != nil {
			t.Fatal(err)
		}
		l.clients = append(l.clients, client)
		if i < clients {
			l.issuers.Go(func() { l.issue(i, client) })
		}
	}
	go l.watch(l.clients[clients])
	return l
}

func (l *load) issue(number int, client *clientv3.Client) {
	dice := rand.New(rand.NewPCG(uint64(number), 1))
	for call := 0; ; call++ {
		select {
		case <-l.stop:
			return
		case <-time.After(time.Duration(dice.Int64N(int64(2 * time.Second / callsPerSecond)))):
		}
		o := &history.Operation{Client: number, Keys: []string{fmt.Sprintf("register/%d", dice.IntN(registers))}}
		if dice.IntN(100) < 85 {
			o.Kind, o.Value = history.Write, fmt.Sprintf("c%d-%d", number, call)
		}
		_ = l.call(client, o) // noted
	}
}

// call issues the operation and keeps what became of it.
func (l *load) call(client *clientv3.Client, o *history.Operation) error {
	ctx, cancel := context.WithTimeout(context.Background(), callDeadline)
	defer cancel()
	l.begin(o)
	if o.Kind == history.Read {
		response, err := client.Get(ctx, o.Keys[0])
		if err != nil {
			l.note(err)
			return err
		}
		for _, kv := range response.Kvs {
			o.Value, o.Revision = string(kv.Value), kv.ModRevision
		}
		l.end(o, response.Header.Revision)
		return nil
	}
	response, err := client.Put(ctx, o.Keys[0], o.Value)
	if err != nil {
		l.note(err)
		return err
	}
	o.Applied, o.Revision = true, response.Header.Revision
	l.end(o, response.Header.Revision)
	return nil
}

func (l *load) begin(o *history.Operation) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if o.Kind == history.Write {
		l.ledger.ByValue[o.Value] = o
	}
	o.Call = int64(time.Since(l.began))
	l.operations = append(l.operations, o)
}

func (l *load) end(o *history.Operation, at int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	o.Done, o.Known, o.At = int64(time.Since(l.began)), true, at
	l.highest = max(l.highest, at)
	if o.Kind == history.Write {
		l.acknowledged = append(l.acknowledged, time.Now())
	}
}

func (l *load) note(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.errors[err.Error()]++
}

// watch follows everything from the beginning; a revision that does not follow the one before is
// a failure.
func (l *load) watch(client *clientv3.Client) {
	for {
		l.mu.Lock()
		from := l.seen + 1
		l.mu.Unlock()
		ctx, cancel := context.WithCancel(context.Background())
		for response := range client.Watch(ctx, "", clientv3.WithPrefix(), clientv3.WithRev(from)) {
			l.take(response)
		}
		cancel()
		select {
		case <-l.stop:
			return
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func (l *load) take(response clientv3.WatchResponse) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if response.CompactRevision != 0 {
		l.disorder = fmt.Errorf("the watch after %d was compacted away", l.seen)
	}
	for _, e := range response.Events {
		if e.Kv.ModRevision != l.seen+1 && l.disorder == nil {
			l.disorder = fmt.Errorf("revision %d follows %d", e.Kv.ModRevision, l.seen)
		}
		l.seen = e.Kv.ModRevision
		l.events = append(l.events, (*mvccpb.Event)(e))
	}
}

// longestGap is the longest time without an acknowledged write since then.
func (l *load) longestGap(since time.Time) time.Duration {
	l.mu.Lock()
	times := slices.Clone(l.acknowledged)
	l.mu.Unlock()
	slices.SortFunc(times, time.Time.Compare)
	longest, previous := time.Duration(0), since
	for _, at := range append(times, time.Now()) {
		if at.Before(since) {
			continue
		}
		longest, previous = max(longest, at.Sub(previous)), at
	}
	return longest
}

// finish ends the load and checks all that it saw: every acknowledged write is there, once and in
// order, the watcher missed nothing, and the history is linearizable.
func (l *load) finish() {
	l.t.Helper()
	close(l.stop)
	l.issuers.Wait()
	within(l.t, time.Minute, "the watcher sees everything", func() error {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.disorder != nil || l.seen >= l.highest {
			return nil
		}
		return fmt.Errorf("at %d of %d", l.seen, l.highest)
	})
	for _, client := range l.clients {
		client.Close()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	ended := int64(time.Since(l.began))
	err := l.disorder
	if err == nil {
		err = l.ledger.Replay(l.events)
	}
	if err == nil {
		err = l.ledger.Settle()
	}
	if err == nil {
		history.Close(l.operations, ended)
		err = history.Linearizable(nil, l.operations)
	}
	var disorder *history.Disorder
	if errors.As(err, &disorder) {
		l.t.Errorf("the history has no order: %v", err)
	} else if err != nil {
		l.t.Error(err)
	}
	rate := float64(len(l.acknowledged)) / time.Since(l.began).Seconds()
	l.t.Logf("%d operations, %d writes acknowledged, %.0f a second; errors: %v", len(l.operations), len(l.acknowledged), rate, l.errors)
}
