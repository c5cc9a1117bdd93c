package workload

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"holdfast/tests/go/cluster"

	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// watcherCount is how many clients also watch everything; every second one asks for a leader.
const watcherCount = 4

// watcher follows everything from the first revision on. A revision that does not follow the one
// before is a failure: the keys of all writes are watched.
type watcher struct {
	name   string
	cancel context.CancelFunc
	ended  chan struct{}

	mu       sync.Mutex
	events   []*mvccpb.Event
	revision int64
	restarts int
	failure  error
}

func (w *Workload) startWatchers() {
	for i := range watcherCount {
		ctx, cancel := context.WithCancel(context.Background())
		watcher := &watcher{name: fmt.Sprintf("watcher %d", i), cancel: cancel, ended: make(chan struct{}), revision: 1}
		w.watchers = append(w.watchers, watcher)
		if i%2 == 1 {
			ctx = clientv3.WithRequireLeader(ctx)
		}
		go func() {
			defer close(watcher.ended)
			for ctx.Err() == nil && watcher.follow(ctx, w.clients[i]) {
			}
		}()
	}
}

// follow watches until the stream of answers ends; false if there is no use in beginning again.
func (w *watcher) follow(ctx context.Context, client *clientv3.Client) bool {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	for response := range client.Watch(ctx, "", clientv3.WithPrefix(), clientv3.WithRev(w.seen()+1)) {
		if err := response.Err(); err != nil && !errors.Is(err, rpctypes.ErrNoLeader) && ctx.Err() == nil {
			w.fail(fmt.Errorf("the watch after revision %d was refused: %w (compacted %d)", w.seen(), err, response.CompactRevision))
			return false
		}
		if err := w.take(response.Events); err != nil {
			w.fail(err)
			return false
		}
	}
	w.mu.Lock()
	w.restarts++
	w.mu.Unlock()
	return true
}

// take holds the events to their order. Those of one revision come together.
func (w *watcher) take(events []*clientv3.Event) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	previous := w.revision
	for _, e := range events {
		revision := e.Kv.ModRevision
		if revision != w.revision+1 && (revision != w.revision || revision == previous) {
			return fmt.Errorf("%s: revision %d follows %d: a gap, a repetition or disorder", w.name, revision, w.revision)
		}
		w.revision = revision
		w.events = append(w.events, (*mvccpb.Event)(e))
	}
	return nil
}

func (w *watcher) fail(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.failure = err
}

func (w *watcher) seen() int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.revision
}

// awaitRevision returns an error until the watcher has seen a revision.
func (w *watcher) awaitRevision(revision int64) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.failure != nil {
		return cluster.Final{Err: w.failure}
	}
	if w.revision < revision {
		return fmt.Errorf("%s has come to revision %d of %d", w.name, w.revision, revision)
	}
	return nil
}
