package conformance

import (
	"fmt"
	"slices"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

// watchChanges ends some watches, asks for progress, and begins others. A barrier precedes it: a
// canceled watch may lose what it has not delivered yet.
func (d *driver) watchChanges() {
	for stream := 1; stream <= watchStreams; stream++ {
		d.requestProgress(stream)
	}
	if d.chance(8) {
		d.reopenStream(1 + d.rng.IntN(watchStreams))
	}
	cancels := 2
	if len(d.watchers) > maxWatchers {
		cancels += len(d.watchers) - maxWatchers
	}
	for range cancels {
		if len(d.watchers) > 0 {
			w := d.watchers[d.rng.IntN(len(d.watchers))]
			d.cancelWatch(w.stream, w.id)
		}
	}
	d.cancelWatch(1+d.rng.IntN(watchStreams), 123456)
	for range 7 {
		d.createWatch(1+d.rng.IntN(watchStreams), d.watchCreate())
	}
	stream := 1 + d.rng.IntN(watchStreams)
	d.fragmentedWatch(stream)
	d.createWatch(stream, &pb.WatchCreateRequest{Key: []byte("a"), StartRevision: -1})
	d.createWatch(stream, &pb.WatchCreateRequest{Key: []byte("a"), StartRevision: 1}) // always compacted
	d.createWatch(stream, &pb.WatchCreateRequest{Key: []byte("b"), RangeEnd: []byte("a")})
	if len(d.watchers) > 0 { // an ID that is taken
		w := d.watchers[d.rng.IntN(len(d.watchers))]
		if w.id != 0 {
			d.createWatch(w.stream, &pb.WatchCreateRequest{Key: []byte("a"), WatchId: w.id})
		}
	}
}

// fragmentedWatch writes more than fits into one response and watches from before.
func (d *driver) fragmentedWatch(stream int) {
	start := d.know.rev + 1
	for range fragmentedBytes / heavyPutBytes {
		d.do("KV.Txn", d.heavyPut())
	}
	d.createWatch(stream, &pb.WatchCreateRequest{Key: []byte("k/"), RangeEnd: prefixEnd([]byte("k/")), PrevKv: d.chance(50), Fragment: true, StartRevision: start})
}

// send sends one watch request on both sides' streams.
func (d *driver) send(name string, stream int, request *pb.WatchRequest) {
	d.flush()
	d.done++
	d.remember(op{fmt.Sprintf("%s on stream %d", name, stream), request})
	d.coverage.add(name, request, "")
	for _, s := range d.sides {
		if err := s.streams[stream].stream.Send(request); err != nil {
			panic(fmt.Errorf("%s: a watch stream does not take requests: %w", s.name, err))
		}
	}
}

func (d *driver) createWatch(stream int, create *pb.WatchCreateRequest) {
	d.send("Watch.create", stream, &pb.WatchRequest{RequestUnion: &pb.WatchRequest_CreateRequest{CreateRequest: create}})
	answers := d.awaitPair("Watch.create", stream, func(w *watchStream) *[]*pb.WatchResponse { return &w.created })
	created := answers[0].message.(*pb.WatchResponse)
	if created.Canceled {
		d.coverage.errors["watch: "+created.CancelReason]++
		return
	}
	key := create.Key
	if len(key) == 0 {
		key = []byte{0}
	}
	w := &watcher{
		stream: stream, id: created.WatchId, key: key, end: create.RangeEnd, filters: create.Filters,
		prevKV: create.PrevKv, start: create.StartRevision, next: create.StartRevision, atCompact: d.know.compactRev,
	}
	if w.start == 0 {
		w.next = d.know.rev + 1
	}
	if w.start > 0 && w.start <= d.know.rev {
		d.lastPast = time.Now()
	}
	d.watchers = append(d.watchers, w)
	if w.start > 0 && w.start < d.know.compactRev {
		d.awaitCompacted(w)
	}
}

// awaitCompacted waits for the end of a watch whose history is gone.
func (d *driver) awaitCompacted(w *watcher) {
	w.gone = true
	var answers [2]answer
	for i, s := range d.sides {
		stream := s.streams[w.stream]
		err := stream.await("cancellation by compaction", watchTimeout, func() bool { return stream.compacted[w.id] != nil })
		if err != nil {
			answers[i].err = err
			continue
		}
		stream.mu.Lock()
		answers[i].message = stream.compacted[w.id]
		stream.mu.Unlock()
	}
	d.coverage.errors["watch: ended by compaction"]++
	if diff := difference(nil, answers[0], answers[1], d.sides); diff != "" {
		d.report("Watch.compacted", diff, fmt.Sprintf("reference: %s\n  tested:    %s", show(answers[0]), show(answers[1])))
	}
}

func (d *driver) cancelWatch(stream int, id int64) {
	known := slices.ContainsFunc(d.watchers, func(w *watcher) bool { return w.stream == stream && w.id == id })
	d.send("Watch.cancel", stream, &pb.WatchRequest{RequestUnion: &pb.WatchRequest_CancelRequest{CancelRequest: &pb.WatchCancelRequest{WatchId: id}}})
	if !known {
		return // no answer; if one comes, the next cancellation's differs
	}
	d.awaitPair("Watch.cancel", stream, func(w *watchStream) *[]*pb.WatchResponse { return &w.canceled })
	d.watchers = slices.DeleteFunc(d.watchers, func(w *watcher) bool { return w.stream == stream && w.id == id })
}

// awaitPair waits for one response of a kind on each side, and compares them.
func (d *driver) awaitPair(name string, stream int, list func(*watchStream) *[]*pb.WatchResponse) [2]answer {
	var answers [2]answer
	for i, s := range d.sides {
		w := s.streams[stream]
		if err := w.await(name, watchTimeout, func() bool { return len(*list(w)) > 0 }); err != nil {
			d.report(name, s.name+" error: "+err.Error(), fmt.Sprintf("stream %d", stream))
			panic(fmt.Errorf("%s: %w", s.name, err))
		}
		w.mu.Lock()
		answers[i].message = (*list(w))[0]
		*list(w) = (*list(w))[1:]
		w.mu.Unlock()
	}
	if diff := difference(nil, answers[0], answers[1], d.sides); diff != "" {
		d.report(name, diff, fmt.Sprintf("reference: %s\n  tested:    %s", show(answers[0]), show(answers[1])))
	}
	return answers
}

// requestProgress asks for a stream's progress. etcd answers only if the stream has watches and all
// of them are up to date: none ended by compaction, none that begins in the future.
func (d *driver) requestProgress(stream int) {
	answered := false
	for _, w := range d.watchers {
		if w.stream == stream {
			answered = true
		}
	}
	for _, w := range d.watchers {
		if w.stream == stream && (w.gone || w.start > d.know.rev) {
			answered = false
		}
	}
	request := &pb.WatchRequest{RequestUnion: &pb.WatchRequest_ProgressRequest{ProgressRequest: &pb.WatchProgressRequest{}}}
	d.send("Watch.progress", stream, request)
	d.extraAnswers[stream] = answered
	if !answered {
		return
	}
	var answers [2]answer
	for i, s := range d.sides {
		answers[i].message, answers[i].err = s.streams[stream].awaitProgress(request)
		if answers[i].message == nil {
			answers[i].err = fmt.Errorf("no answer to a progress request: %w", answers[i].err)
		}
	}
	if diff := difference(nil, answers[0], answers[1], d.sides); diff != "" {
		d.report("Watch.progress", diff, fmt.Sprintf("reference: %s\n  tested:    %s", show(answers[0]), show(answers[1])))
	}
}

// reopenStream ends a stream with all its watches and opens a new one in its place.
func (d *driver) reopenStream(stream int) {
	for _, s := range d.sides {
		s.streams[stream].close()
		opened, err := openWatchStream(s.conn)
		if err != nil {
			panic(fmt.Errorf("%s: %w", s.name, err))
		}
		s.streams[stream] = opened
	}
	d.watchers = slices.DeleteFunc(d.watchers, func(w *watcher) bool { return w.stream == stream })
	d.extraAnswers[stream] = false
}
