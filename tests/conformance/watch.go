package conformance

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
)

// watchTimeout bounds the wait for anything a watch stream owes.
const watchTimeout = 15 * time.Second

// watchStream is one side's end of a watch stream. A goroutine sorts what arrives; the driver waits
// for what it knows must come.
type watchStream struct {
	stream pb.Watch_WatchClient
	cancel context.CancelFunc

	mu        sync.Mutex
	arrived   *sync.Cond
	created   []*pb.WatchResponse         // answers to create requests
	canceled  []*pb.WatchResponse         // answers to cancel requests
	compacted map[int64]*pb.WatchResponse // by watch ID: ended because history is gone
	events    map[int64][]*mvccpb.Event   // by watch ID, since the driver last took them
	progress  []*pb.WatchResponse         // answers to progress requests
	notified  int                         // periodic progress notifications seen
	partial   map[int64]bool              // by watch ID: a fragment came, more must follow
	lastRev   map[int64]int64             // by watch ID: newest header revision
	fragments int                         // responses that announced more
	violation string                      // first broken promise seen in a response by itself
	ended     error
}

func openWatchStream(conn *grpc.ClientConn) (*watchStream, error) {
	ctx, cancel := context.WithCancel(context.Background())
	stream, err := pb.NewWatchClient(conn).Watch(ctx)
	if err != nil {
		cancel()
		return nil, err
	}
	w := &watchStream{
		stream: stream, cancel: cancel,
		compacted: map[int64]*pb.WatchResponse{},
		events:    map[int64][]*mvccpb.Event{},
		partial:   map[int64]bool{},
		lastRev:   map[int64]int64{},
	}
	w.arrived = sync.NewCond(&w.mu)
	go w.receive()
	return w, nil
}

func (w *watchStream) close() {
	w.stream.CloseSend()
	w.cancel()
}

func (w *watchStream) receive() {
	for {
		response, err := w.stream.Recv()
		w.mu.Lock()
		if err != nil {
			w.ended = err
			w.arrived.Broadcast()
			w.mu.Unlock()
			return
		}
		w.sort(response)
		w.arrived.Broadcast()
		w.mu.Unlock()
	}
}

// sort files one response; mu is held.
func (w *watchStream) sort(r *pb.WatchResponse) {
	id := r.WatchId
	switch {
	case r.Created:
		w.created = append(w.created, r)
	case r.Canceled && r.CompactRevision != 0:
		w.compacted[id] = r
	case r.Canceled:
		w.canceled = append(w.canceled, r)
		delete(w.compacted, id) // the ID may be used again
		delete(w.lastRev, id)
	case len(r.Events) > 0:
		w.checkEvents(r)
		w.events[id] = append(w.events[id], r.Events...)
	case id == -1:
		w.progress = append(w.progress, r)
	default:
		w.notified++
		w.checkRevision(r)
	}
}

// checkRevision holds every response of a watch to the order of its header revisions.
func (w *watchStream) checkRevision(r *pb.WatchResponse) {
	if r.Header.GetRevision() < w.lastRev[r.WatchId] {
		w.violate("watch %d: header revision %d after %d", r.WatchId, r.Header.GetRevision(), w.lastRev[r.WatchId])
	}
	w.lastRev[r.WatchId] = r.Header.GetRevision()
}

// checkEvents checks what every response with events promises: it is not before its events, a
// revision is whole within a response unless that is a fragment, and fragments stay below the limit.
func (w *watchStream) checkEvents(r *pb.WatchResponse) {
	w.checkRevision(r)
	last := r.Events[len(r.Events)-1].Kv.ModRevision
	if r.Header.GetRevision() < last {
		w.violate("watch %d: header revision %d precedes an event at %d", r.WatchId, r.Header.GetRevision(), last)
	}
	if previous := w.events[r.WatchId]; len(previous) > 0 && !w.partial[r.WatchId] {
		if previous[len(previous)-1].Kv.ModRevision == r.Events[0].Kv.ModRevision {
			w.violate("watch %d: revision %d is split over two responses that are no fragments", r.WatchId, r.Events[0].Kv.ModRevision)
		}
	}
	if r.Fragment {
		w.fragments++
	}
	if (r.Fragment || w.partial[r.WatchId]) && len(r.Events) > 1 && proto.Size(r) > maxFragmentBytes {
		w.violate("watch %d: a fragment of %d events has %d bytes", r.WatchId, len(r.Events), proto.Size(r))
	}
	w.partial[r.WatchId] = r.Fragment
}

func (w *watchStream) violate(format string, args ...any) {
	if w.violation == "" {
		w.violation = fmt.Sprintf(format, args...)
	}
}

// await waits until ready, called with mu held, says true. It fails at the deadline or when the
// stream has ended.
func (w *watchStream) await(what string, timeout time.Duration, ready func() bool) error {
	timer := time.AfterFunc(timeout, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.arrived.Broadcast()
	})
	defer timer.Stop()
	deadline := time.Now().Add(timeout)
	w.mu.Lock()
	defer w.mu.Unlock()
	for !ready() {
		if w.ended != nil {
			return fmt.Errorf("%s: the stream ended: %v", what, w.ended)
		}
		if !time.Now().Before(deadline) {
			return fmt.Errorf("%s: nothing within %v", what, timeout)
		}
		w.arrived.Wait()
	}
	return nil
}

// awaitProgress waits for the answer to a progress request that has been sent. A server does not
// answer while a watch is still being brought up to date, so the request is repeated.
func (w *watchStream) awaitProgress(request *pb.WatchRequest) (proto.Message, error) {
	var err error
	for deadline := time.Now().Add(watchTimeout); time.Now().Before(deadline); {
		err = w.await("progress", 100*time.Millisecond, func() bool { return len(w.progress) > 0 })
		if err == nil {
			w.mu.Lock()
			defer w.mu.Unlock()
			newest := w.progress[len(w.progress)-1]
			w.progress = nil
			return newest, nil
		}
		if err := w.stream.Send(request); err != nil {
			return nil, err
		}
	}
	return nil, err
}

// watcher is what the driver knows of a watch that both sides have created.
type watcher struct {
	stream    int
	id        int64
	key, end  []byte
	filters   []pb.WatchCreateRequest_FilterType
	prevKV    bool
	next      int64 // events below this revision are not wanted, or have been compared
	start     int64 // as requested; 0 for now
	gone      bool  // ended by compaction: lingers in the stream until canceled
	atCompact int64 // compact revision when it was created
}

// wants says whether the watcher must deliver an event.
func (w *watcher) wants(e *mvccpb.Event) bool {
	if e.Kv.ModRevision < w.next || !inRange(e.Kv.Key, w.key, w.end) {
		return false
	}
	if e.Type == mvccpb.Event_PUT {
		return !slices.Contains(w.filters, pb.WatchCreateRequest_NOPUT)
	}
	return !slices.Contains(w.filters, pb.WatchCreateRequest_NODELETE)
}

// shape gives an event of the reference log the form this watcher must deliver it in.
func (w *watcher) shape(e *mvccpb.Event) *mvccpb.Event {
	if w.prevKV && e.Kv.ModRevision > w.atCompact {
		return e
	}
	return &mvccpb.Event{Type: e.Type, Kv: e.Kv}
}

// inRange tells whether a key is in [begin, end) as the API writes it: no end, the key alone; a
// zero byte, everything from begin on.
func inRange(key, begin, end []byte) bool {
	switch {
	case len(end) == 0:
		return bytes.Equal(key, begin)
	case len(end) == 1 && end[0] == 0:
		return bytes.Compare(key, begin) >= 0
	default:
		return bytes.Compare(key, begin) >= 0 && bytes.Compare(key, end) < 0
	}
}

// take returns a watcher's collected events and forgets them.
func (w *watchStream) take(id int64) []*mvccpb.Event {
	w.mu.Lock()
	defer w.mu.Unlock()
	events := w.events[id]
	delete(w.events, id)
	return events
}

// eventsDifference compares what a watcher delivered with what it had to. withoutPrev drops the
// previous values first: see README, "What is excused".
func eventsDifference(want, got []*mvccpb.Event, withoutPrev bool) string {
	for i := range min(len(want), len(got)) {
		g := got[i]
		if withoutPrev {
			g = &mvccpb.Event{Type: g.Type, Kv: g.Kv}
		}
		if d := firstDifference(fmt.Sprintf("event[%d]", i), want[i].ProtoReflect(), g.ProtoReflect()); d != "" {
			return d + fmt.Sprintf(" (event %s %q at revision %d)", want[i].Type, want[i].Kv.Key, want[i].Kv.ModRevision)
		}
	}
	if len(want) != len(got) {
		return fmt.Sprintf("event: %d, want %d", len(got), len(want))
	}
	return ""
}
