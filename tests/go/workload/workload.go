// Package workload is what a cluster's users do while the test does its worst: eight official
// clients at a steady rate, watchers, and leases that are kept alive. Every operation goes into a
// history; Finish holds the cluster to it.
//
// Clients do not wait for one answer before the next call: a member that hangs must not hide what
// the others do. Bounds: calls under way per client, operations in a run.
package workload

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"holdfast/tests/go/cluster"
	"holdfast/tests/go/history"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

const (
	clients = 8
	// callsPerSecond is each client's rate; seven in ten are writes, so together 250 writes a second.
	callsPerSecond = 45
	registers      = 64
	// CallTimeout ends a call; what it came to is then unknown.
	CallTimeout = 5 * time.Second
	// maxCallsUnderWay is more than a client's rate makes of calls that all time out.
	maxCallsUnderWay = 2 * callsPerSecond * int(CallTimeout/time.Second)
	// maxOperations bounds a run's memory.
	maxOperations = 2_000_000
)

// Workload is the clients of one run.
type Workload struct {
	cluster *cluster.Cluster
	began   time.Time
	clients []*clientv3.Client
	stop    chan struct{}
	issuers sync.WaitGroup
	calls   sync.WaitGroup

	watchers []*watcher
	keeper   *keeper
	machine  *metronome

	mu           sync.Mutex
	operations   []*history.Operation
	ledger       *history.Ledger
	acknowledged []time.Time // of writes
	answers      int
	errors       map[string]int // by text
	failure      error
	highest      int64
	compacted    int64
}

// Start lets the clients loose on the cluster, whose voters they follow, until Finish.
func Start(c *cluster.Cluster, seed uint64) (*Workload, error) {
	w := &Workload{
		cluster: c, began: time.Now(), stop: make(chan struct{}), ledger: history.NewLedger(), errors: map[string]int{},
	}
	endpoints := c.Endpoints()
	for range clients {
		client, err := cluster.Client(endpoints)
		if err != nil {
			return nil, err
		}
		w.clients = append(w.clients, client)
	}
	c.OnChange(func(endpoints []string) {
		for _, client := range w.clients {
			client.SetEndpoints(endpoints...)
		}
	})
	w.machine = startMetronome(w.stop)
	if err := w.startKeeper(); err != nil {
		return nil, err
	}
	w.startWatchers()
	for i := range w.clients {
		dice := rand.New(rand.NewPCG(seed, uint64(i)))
		w.issuers.Go(func() { w.issue(i, dice) })
	}
	return w, nil
}

// issue makes calls at a client's rate.
func (w *Workload) issue(client int, dice *rand.Rand) {
	underWay := make(chan struct{}, maxCallsUnderWay)
	for number := 0; ; number++ {
		pause := time.Duration(dice.Int64N(int64(2 * time.Second / callsPerSecond)))
		select {
		case <-w.stop:
			return
		case <-time.After(pause):
		}
		if number == maxOperations/clients {
			w.mu.Lock()
			w.fail(fmt.Errorf("more than %d operations in one run", maxOperations))
			w.mu.Unlock()
			return
		}
		select {
		case underWay <- struct{}{}:
		default:
			continue // as many calls hang as may
		}
		o := w.choose(client, number, dice)
		w.calls.Go(func() {
			defer func() { <-underWay }()
			ctx, cancel := context.WithTimeout(context.Background(), CallTimeout)
			defer cancel()
			w.call(ctx, w.clients[client], o)
		})
	}
}

// choose decides on a client's next operation. Each written value is there once in a run.
func (w *Workload) choose(client, number int, dice *rand.Rand) *history.Operation {
	o := &history.Operation{
		Client: client, Value: fmt.Sprintf("c%d-%d", client, number), Keys: []string{fmt.Sprintf("register/%d", dice.IntN(registers))},
	}
	switch n := dice.IntN(100); {
	case n < 30:
		o.Kind, o.Value = history.Read, ""
	case n < 75:
		o.Kind = history.Write
	case n < 82:
		o.Kind, o.Keys = history.Write, []string{"pair/a", "pair/b"}
	case n < 94:
		o.Kind = history.Guarded
	default:
		o.Kind = history.Remove
	}
	return o
}

// call makes one call and files what came of it.
func (w *Workload) call(ctx context.Context, client *clientv3.Client, o *history.Operation) {
	if o.Kind == history.Read {
		w.read(ctx, client, o)
		return
	}
	request := clientv3.OpTxn(nil, nil, nil)
	switch o.Kind {
	case history.Write:
		if len(o.Keys) == 1 {
			request = clientv3.OpPut(o.Keys[0], o.Value)
			break
		}
		var puts []clientv3.Op
		for _, key := range o.Keys {
			puts = append(puts, clientv3.OpPut(key, o.Value))
		}
		request = clientv3.OpTxn(nil, puts, nil)
	case history.Guarded:
		// What is expected comes from a read that may be stale: then the guard refuses.
		seen, err := client.Get(ctx, o.Keys[0], clientv3.WithSerializable())
		if err != nil {
			w.note(err)
			return
		}
		for _, kv := range seen.Kvs {
			o.Expected = kv.ModRevision
		}
		guard := clientv3.Compare(clientv3.ModRevision(o.Keys[0]), "=", o.Expected)
		request = clientv3.OpTxn([]clientv3.Cmp{guard}, []clientv3.Op{clientv3.OpPut(o.Keys[0], o.Value)}, nil)
	case history.Remove:
		marker := clientv3.OpPut(fmt.Sprintf("marker/%d", o.Client), o.Value)
		request = clientv3.OpTxn(nil, []clientv3.Op{marker, clientv3.OpDelete(o.Keys[0])}, nil)
	}
	w.begin(o)
	response, err := client.Do(ctx, request)
	if err != nil {
		w.note(err)
		return
	}
	applied, revision := true, int64(0)
	if txn := response.Txn(); txn != nil {
		applied, revision = txn.Succeeded, txn.Header.Revision
	} else {
		revision = response.Put().Header.Revision
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	o.Done, o.Known, o.Applied, o.Revision, o.At = w.now(), true, applied, revision, revision
	w.highest = max(w.highest, revision)
	w.answers++
	if applied {
		w.acknowledged = append(w.acknowledged, time.Now())
	}
}

func (w *Workload) read(ctx context.Context, client *clientv3.Client, o *history.Operation) {
	w.begin(o)
	response, err := client.Get(ctx, o.Keys[0])
	if err != nil {
		w.note(err)
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	o.Done, o.Known, o.At = w.now(), true, response.Header.Revision
	for _, kv := range response.Kvs {
		o.Value, o.Revision = string(kv.Value), kv.ModRevision
	}
	w.highest = max(w.highest, response.Header.Revision)
	w.answers++
}

// begin files an operation before it is sent: from then on the server's history may show it.
func (w *Workload) begin(o *history.Operation) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if o.Kind != history.Read {
		w.ledger.ByValue[o.Value] = o
	}
	o.Call = w.now()
	w.operations = append(w.operations, o)
}

func (w *Workload) now() int64 { return int64(time.Since(w.began)) }

// note files an error. Those that a faulty cluster may give leave open what the call came to.
func (w *Workload) note(err error) {
	text := rpctypes.ErrorDesc(err)
	if head, _, found := strings.Cut(text, ": dial tcp"); found {
		text = head
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.errors[text]++
	if !mayHappen(err) {
		w.fail(fmt.Errorf("an operation was refused: %w", err))
	}
}

// mayHappen tells if a healthy client must be ready for the error while members come and go.
func mayHappen(err error) bool {
	code := status.Code(err)
	if e, ok := err.(rpctypes.EtcdError); ok {
		code = e.Code()
	}
	switch code {
	case codes.Unavailable, codes.DeadlineExceeded, codes.Canceled, codes.ResourceExhausted:
		return true
	case codes.Unknown: // the official client's own, without a status
		text := err.Error()
		return err == context.DeadlineExceeded || err == context.Canceled || strings.Contains(text, "no leader") ||
			strings.Contains(text, "raft proposal dropped") // while leadership is moved; etcd gives it no code
	case codes.FailedPrecondition:
		return strings.Contains(err.Error(), "learner") // a client that has not heard of a promotion yet
	}
	return false
}

// fail notes what must not be; w.mu is held.
func (w *Workload) fail(err error) {
	if w.failure == nil {
		w.failure = err
	}
}

// Failure returns what went wrong so far, if anything has.
func (w *Workload) Failure() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.failure
}

// --- the longest time without a write ------------------------------------------------------------

// Gap is the longest time in which no write was acknowledged.
type Gap struct {
	Length time.Duration
	// Machine is how long the machine itself stood still during it, as far as the test can tell.
	Machine time.Duration
}

// LongestGap returns the longest gap that overlaps [since, now).
func (w *Workload) LongestGap(since time.Time) Gap {
	w.mu.Lock()
	times := slices.Clone(w.acknowledged)
	w.mu.Unlock()
	begin, end := longestGap(times, since, time.Now())
	return Gap{Length: end.Sub(begin), Machine: w.machine.stoodStill(begin, end)}
}

// longestGap returns the longest stretch without any of the times that overlaps [since, until).
func longestGap(times []time.Time, since, until time.Time) (begin, end time.Time) {
	slices.SortFunc(times, time.Time.Compare)
	first, _ := slices.BinarySearchFunc(times, since, time.Time.Compare)
	previous := since
	if first > 0 {
		previous = times[first-1]
	}
	begin, end = previous, previous
	for _, at := range append(times[first:], until) {
		if at.Sub(previous) > end.Sub(begin) {
			begin, end = previous, at
		}
		previous = at
	}
	return begin, end
}

// AwaitWrites waits until so many writes more are acknowledged.
func (w *Workload) AwaitWrites(ctx context.Context, count int) error {
	w.mu.Lock()
	want := len(w.acknowledged) + count
	w.mu.Unlock()
	return cluster.Until(ctx, func() error {
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.failure != nil {
			return cluster.Final{Err: w.failure}
		}
		if len(w.acknowledged) >= want {
			return nil
		}
		return fmt.Errorf("%d acknowledged writes, want %d", len(w.acknowledged), want)
	})
}

// Compact drops the history that all watchers have seen, but for the last keep revisions.
func (w *Workload) Compact(ctx context.Context, keep int64) error {
	target := int64(1 << 62)
	for _, watcher := range w.watchers {
		target = min(target, watcher.seen())
	}
	if target -= keep; target <= w.compacted {
		return nil
	}
	_, err := w.clients[0].Compact(ctx, target)
	if err != nil && !mayHappen(err) && err != rpctypes.ErrCompacted {
		return err
	}
	w.compacted = target
	return nil
}
