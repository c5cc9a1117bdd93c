package workload

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sort"
	"strings"
	"time"

	"holdfast/tests/go/cluster"
	"holdfast/tests/go/history"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/protobuf/proto"
)

// Report is what a run came to.
type Report struct {
	Operations, Answers, Writes, Unknown int
	Revisions                            int64
	WritesPerSecond                      float64
	Renewals                             map[string]int
	WatchRestarts                        int
	Errors                               map[string]int
}

// Finish ends the load on a healed cluster and checks everything: all that was acknowledged is
// there, once and in order, every watcher saw the same, the history is linearizable, all members
// hold the same state, no lease ended.
func (w *Workload) Finish(ctx context.Context) (Report, error) {
	close(w.stop)
	w.issuers.Wait()
	w.calls.Wait()
	w.cluster.OnChange(nil)
	defer func() {
		for _, watcher := range w.watchers {
			watcher.cancel()
			<-watcher.ended
		}
		for _, client := range w.clients {
			client.Close()
		}
	}()
	loaded := time.Since(w.began)
	err := w.check(ctx)
	report := Report{
		Operations: len(w.operations), Answers: w.answers, Writes: len(w.acknowledged), Revisions: w.ledger.Revision,
		WritesPerSecond: float64(len(w.acknowledged)) / loaded.Seconds(),
		Renewals:        w.keeper.renewals, Errors: w.errors,
	}
	for _, o := range w.operations {
		if !o.Known {
			report.Unknown++
		}
	}
	for _, watcher := range w.watchers {
		watcher.mu.Lock()
		report.WatchRestarts += watcher.restarts
		watcher.mu.Unlock()
	}
	return report, err
}

func (w *Workload) check(ctx context.Context) error {
	if w.failure != nil {
		return w.failure
	}
	if err := w.cluster.WaitHealthy(ctx); err != nil {
		return err
	}
	revision, err := w.cluster.Serving()[0].Revision(ctx, false)
	if err != nil {
		return err
	}
	if revision < w.highest {
		return fmt.Errorf("the store is at revision %d, an answer told of %d: it went back", revision, w.highest)
	}
	ended := w.now()
	for _, watcher := range w.watchers {
		if err := cluster.Until(ctx, func() error { return watcher.awaitRevision(revision) }); err != nil {
			return fmt.Errorf("a watcher did not see everything: %w", err)
		}
	}
	if err := w.compareWatchers(); err != nil {
		return err
	}
	if err := w.ledger.Replay(w.watchers[0].events); err != nil {
		return fmt.Errorf("history: %w", err)
	}
	if err := w.ledger.Settle(); err != nil {
		return err
	}
	for _, n := range w.cluster.Serving() {
		if err := w.checkMember(ctx, n, revision); err != nil {
			return fmt.Errorf("%s: %w", n.Name(), err)
		}
	}
	history.Close(w.operations, ended)
	var disorder *history.Disorder
	if err := history.Linearizable(nil, w.operations); errors.As(err, &disorder) {
		return fmt.Errorf("%w:\n%s", err, w.around(disorder.Key))
	}
	_, err = w.cluster.CheckEqual(ctx)
	return err
}

// compareWatchers expects that all watchers saw the same events.
func (w *Workload) compareWatchers() error {
	first := w.watchers[0].events
	for _, other := range w.watchers[1:] {
		for i, e := range other.events {
			if i >= len(first) || !proto.Equal(e.Kv, first[i].Kv) || e.Type != first[i].Type {
				return fmt.Errorf("%s and %s differ at revision %d", w.watchers[0].name, other.name, e.Kv.ModRevision)
			}
		}
	}
	return nil
}

// checkMember compares one member's own keys and leases with what history makes.
func (w *Workload) checkMember(ctx context.Context, n *cluster.Node, revision int64) error {
	kv := pb.NewKVClient(n.Conn())
	var answer *pb.RangeResponse
	err := cluster.Until(ctx, func() (err error) {
		answer, err = kv.Range(ctx, &pb.RangeRequest{Key: []byte{0}, RangeEnd: []byte{0}, Serializable: true})
		if err == nil && answer.Header.Revision < revision {
			err = fmt.Errorf("at revision %d of %d", answer.Header.Revision, revision)
		}
		return err
	})
	if err != nil {
		return err
	}
	if err := w.ledger.CheckState(answer.Kvs); err != nil {
		return err
	}
	for _, id := range w.keeper.leases {
		t, err := pb.NewLeaseClient(n.Conn()).LeaseTimeToLive(ctx, &pb.LeaseTimeToLiveRequest{ID: id})
		if err != nil {
			return fmt.Errorf("lease %d: %w", id, err)
		}
		if t.TTL < 0 || t.GrantedTTL != leaseSeconds {
			return fmt.Errorf("lease %d has %d s of %d, it was granted %d", id, t.TTL, t.GrantedTTL, leaseSeconds)
		}
	}
	return nil
}

// around shows a key's history, to find out by eye what has no order.
func (w *Workload) around(key string) string {
	var lines []string
	for _, o := range w.operations {
		if slices.Contains(o.Keys, key) && (o.Known || o.Applied) {
			lines = append(lines, fmt.Sprintf("%12.3f to %12.3f ms client %d kind %d value %q expected %d applied %v revision %d known %v",
				float64(o.Call)/1e6, float64(o.Done)/1e6, o.Client, o.Kind, o.Value, o.Expected, o.Applied, o.Revision, o.Known))
		}
	}
	sort.Strings(lines)
	return strings.Join(lines[:min(len(lines), 200)], "\n")
}

// String is the report in a few lines.
func (r Report) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d operations: %d answered, %d of unknown outcome; %d writes acknowledged (%.0f/s), %d revisions\n",
		r.Operations, r.Answers, r.Unknown, r.Writes, r.WritesPerSecond, r.Revisions)
	fmt.Fprintf(&b, "histories: linearizable, nothing lost, nothing twice; %d watchers in order without gap (%d resumed by hand); leases renewed %v",
		watcherCount, r.WatchRestarts, r.Renewals)
	for _, text := range sortedKeys(r.Errors) {
		fmt.Fprintf(&b, "\n  %6d × %s", r.Errors[text], text)
	}
	return b.String()
}

func sortedKeys(m map[string]int) []string {
	keys := make([]string, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	sort.Strings(keys)
	return keys
}
