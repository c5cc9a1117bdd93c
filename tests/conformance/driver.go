package conformance

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"sort"
	"strings"
	"sync"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"
)

const (
	// roundOps is the number of ordinary operations between two looks at watches and history.
	roundOps = 1000
	// maxReadBatch and readWorkers bound the reads that run beside each other on each side.
	maxReadBatch = 32
	readWorkers  = 4
	// keptOps is how many operations before a difference are printed with it.
	keptOps = 12
	// maxDifferences ends a run that finds too many kinds of difference to be worth more.
	maxDifferences = 60
	// watchStreams besides the first, which carries the reference log.
	watchStreams = 4
	maxWatchers  = 28
	// syncPause is how long after a watch from the past its history may not be compacted. A server
	// brings it up to date in the background; one without events gives no sign when that is done.
	syncPause = 700 * time.Millisecond
)

// These end a run, because nothing after them means anything.
var (
	errDiverged    = errors.New("the two servers' states have diverged")
	errUnavailable = errors.New("the server does not answer any more")
)

type op struct {
	rpc     string
	request proto.Message
}

func (o op) String() string {
	text := prototext.MarshalOptions{}.Format(o.request)
	if len(text) > 600 {
		text = text[:600] + fmt.Sprintf("… (%d bytes)", proto.Size(o.request))
	}
	return o.rpc + " {" + text + "}"
}

// found is one kind of difference.
type found struct {
	text  string
	count int
}

// driver sends the operations, compares, and keeps what the model of watches needs.
type driver struct {
	*generator
	sides    [2]*side // the reference first
	out      io.Writer
	coverage *coverage
	requests []proto.Message // one of each request type, for the coverage table

	done    int // operations so far
	recent  []op
	pending []op // reads not yet sent

	differences map[string]*found

	log          []*mvccpb.Event // what happened since the compact revision, from the reference
	watchers     []*watcher
	lastPast     time.Time // when the last watch from the past was created
	extraAnswers [watchStreams + 1]bool
	fragments    [2]int
}

func newDriver(seed uint64, sides [2]*side, out io.Writer) (*driver, error) {
	know := &knowledge{rev: 1, nextLease: 1000}
	d := &driver{
		generator: newGenerator(seed, know), sides: sides, out: out,
		coverage: newCoverage(), differences: map[string]*found{},
		requests: []proto.Message{&pb.WatchRequest{}},
	}
	for _, rpc := range rpcs {
		d.requests = append(d.requests, rpc.request())
	}
	for _, s := range sides {
		for range watchStreams + 1 {
			stream, err := openWatchStream(s.conn)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", s.name, err)
			}
			s.streams = append(s.streams, stream)
		}
	}
	all := &pb.WatchCreateRequest{Key: []byte{0}, RangeEnd: []byte{0}, StartRevision: 1, PrevKv: true}
	d.createWatch(0, all)
	d.watchers = nil // the log itself is not compared with itself
	return d, nil
}

// report notes a difference; the first of each kind is printed with what led to it.
func (d *driver) report(rpc, difference, detail string) {
	name := signature(rpc, difference)
	if known := d.differences[name]; known != nil {
		known.count++
		return
	}
	var text strings.Builder
	fmt.Fprintf(&text, "DIFFERENCE after %d operations: %s\n  %s\n  %s\n", d.done, rpc, difference, detail)
	fmt.Fprintf(&text, "  revision %d, compacted %d; the last operations:\n", d.know.rev, d.know.compactRev)
	for _, o := range d.recent {
		fmt.Fprintf(&text, "    %s\n", o)
	}
	d.differences[name] = &found{text: text.String(), count: 1}
	fmt.Fprintln(d.out, text.String())
}

// do sends an operation to both sides and returns the reference's answer.
func (d *driver) do(rpc string, request proto.Message) answer {
	d.flush()
	var answers [2]answer
	both(d.sides, func(i int, s *side) {
		answers[i].message, answers[i].err = s.call(rpc, request)
	})
	d.account(op{rpc, request}, answers)
	return answers[0]
}

// read queues an operation that changes nothing; it runs with others before the next change.
func (d *driver) read(rpc string, request proto.Message) {
	d.pending = append(d.pending, op{rpc, request})
	if len(d.pending) >= maxReadBatch {
		d.flush()
	}
}

func (d *driver) flush() {
	if len(d.pending) == 0 {
		return
	}
	batch := d.pending
	d.pending = nil
	answers := make([][2]answer, len(batch))
	both(d.sides, func(i int, s *side) {
		var group sync.WaitGroup
		for worker := range readWorkers {
			group.Add(1)
			go func() {
				defer group.Done()
				for j := worker; j < len(batch); j += readWorkers {
					answers[j][i].message, answers[j][i].err = s.call(batch[j].rpc, batch[j].request)
				}
			}()
		}
		group.Wait()
	})
	for j, o := range batch {
		d.account(o, answers[j])
	}
}

// account compares a pair of answers and learns from the reference's.
func (d *driver) account(o op, answers [2]answer) {
	d.done++
	d.remember(o)
	d.coverage.add(o.rpc, o.request, errorText(answers[0].err))
	d.learn(o, answers[0])
	if diff := difference(o.request, answers[0], answers[1], d.sides); diff != "" {
		d.report(o.rpc, diff, fmt.Sprintf("reference: %s\n  tested:    %s", show(answers[0]), show(answers[1])))
		if !rpcs[o.rpc].readOnly {
			d.checkDiverged()
		}
	}
	for i, a := range answers {
		if status.Code(a.err) == codes.Unavailable {
			panic(fmt.Errorf("%s: %w: %w; the last operation was %s", d.sides[i].name, errUnavailable, a.err, o))
		}
	}
	if len(d.differences) >= maxDifferences {
		panic(fmt.Errorf("more than %d kinds of difference", maxDifferences))
	}
}

func (d *driver) remember(o op) {
	if len(d.recent) == keptOps {
		d.recent = slices.Delete(d.recent, 0, 1)
	}
	d.recent = append(d.recent, o)
}

func show(a answer) string {
	if a.err != nil {
		return errorText(a.err)
	}
	text := prototext.MarshalOptions{}.Format(a.message)
	if len(text) > 800 {
		text = text[:800] + "…"
	}
	return text
}

// learn updates the generator's knowledge.
func (d *driver) learn(o op, a answer) {
	if a.err != nil {
		return
	}
	if withHeader, ok := a.message.(interface{ GetHeader() *pb.ResponseHeader }); ok {
		d.know.rev = max(d.know.rev, withHeader.GetHeader().GetRevision())
	}
	switch r := o.request.(type) {
	case *pb.CompactionRequest:
		d.know.compactRev = max(d.know.compactRev, r.Revision)
	case *pb.LeaseGrantRequest:
		if r.ID != 0 {
			d.know.leases = append(d.know.leases, r.ID)
		}
	case *pb.LeaseRevokeRequest:
		d.know.leases = slices.DeleteFunc(d.know.leases, func(id int64) bool { return id == r.ID })
	}
}

// checkDiverged ends the run if a difference has left the stores at different revisions.
func (d *driver) checkDiverged() {
	var revisions [2]int64
	both(d.sides, func(i int, s *side) {
		if m, err := s.call("KV.Range", &pb.RangeRequest{Key: []byte{0}, CountOnly: true}); err == nil {
			revisions[i] = m.(*pb.RangeResponse).Header.GetRevision()
		}
	})
	if revisions[0] != revisions[1] {
		panic(fmt.Errorf("%w: revision %d, want %d", errDiverged, revisions[1], revisions[0]))
	}
}

// run performs at least n operations. It returns early, with the reason, when going on is useless.
func (d *driver) run(n int) (stopped error) {
	defer func() {
		if r := recover(); r != nil {
			err, ok := r.(error)
			if !ok {
				panic(r)
			}
			stopped = err
		}
	}()
	d.prologue()
	began, shown := time.Now(), time.Now()
	for d.done < n {
		d.round(min(roundOps, n-d.done))
		if time.Since(shown) > 10*time.Second {
			shown = time.Now()
			fmt.Fprintf(d.out, "  %d operations, revision %d, %d kinds of difference, %.0f/s\n",
				d.done, d.know.rev, len(d.differences), float64(d.done)/time.Since(began).Seconds())
		}
	}
	d.barrier()
	d.settleCompaction()
	d.checkNotified()
	return nil
}

// prologue compacts once: on a store that never was, etcd accepts a compaction at 0 and then
// mislabels hashes; see README, "What is excused".
func (d *driver) prologue() {
	for _, key := range d.keys[:10] {
		d.do("KV.Put", &pb.PutRequest{Key: key, Value: []byte("v0")})
	}
	d.barrier()
	d.compact(&pb.CompactionRequest{Revision: 2, Physical: true})
}

// round is a stretch of random operations with one of each rare kind among them, then a look at
// everything that watches and history must show.
func (d *driver) round(ops int) {
	rare := d.rareOperations()
	at := map[int][]func(){}
	for _, action := range rare {
		i := d.rng.IntN(max(ops, 1))
		at[i] = append(at[i], action)
	}
	for i := range ops {
		for _, action := range at[i] {
			action()
		}
		d.ordinary()
	}
	d.barrier()
	d.history()
	d.watchChanges()
	d.barrier()
}

// ordinary performs one operation of the everyday kinds.
func (d *driver) ordinary() {
	switch n := d.rng.IntN(100); {
	case n < 30:
		d.read("KV.Range", d.rangeRequest())
	case n < 35:
		d.read("KV.RangeStream", d.streamRequest())
	case n < 58:
		d.do("KV.Put", d.putRequest())
	case n < 66:
		d.do("KV.DeleteRange", d.deleteRequest())
	case n < 88:
		d.do("KV.Txn", d.safeTxn(2))
	case n < 91:
		d.leaseGrowth()
	case n < 94:
		d.do("Lease.LeaseKeepAlive", &pb.LeaseKeepAliveRequest{ID: d.lease()})
	case n < 98:
		d.read("Lease.LeaseTimeToLive", &pb.LeaseTimeToLiveRequest{ID: d.lease(), Keys: d.chance(60)})
	case n < 99:
		d.read("Lease.LeaseLeases", &pb.LeaseLeasesRequest{})
	default:
		d.read("Maintenance.HashKV", &pb.HashKVRequest{Revision: d.hashRevision()})
	}
}

// hashRevision avoids the compact revision: until the compaction is done in the background, etcd
// computes that hash, and afterwards gives the one it stored. history waits and compares it.
func (d *driver) hashRevision() int64 {
	rev := d.revision()
	if rev == d.know.compactRev || (rev == 0 && d.know.rev == d.know.compactRev) {
		return d.know.rev + 1
	}
	return rev
}

func (d *driver) leaseGrowth() {
	if len(d.know.leases) < maxLeases && d.chance(60) || len(d.know.leases) < 3 {
		d.do("Lease.LeaseGrant", d.grantRequest())
	} else {
		d.do("Lease.LeaseRevoke", &pb.LeaseRevokeRequest{ID: d.lease()})
	}
}

// rareOperations are done once in a round each.
func (d *driver) rareOperations() []func() {
	once := func(rpc string, request proto.Message) func() { return func() { d.do(rpc, request) } }
	return []func(){
		func() { d.alarmed(pb.AlarmType_NOSPACE) },
		func() { d.alarmed(pb.AlarmType_CORRUPT) },
		func() { d.serverChosenLease() },
		func() { d.shortLease() },
		func() { d.do("KV.Txn", d.crowdedTxn()) },
		func() { d.do("KV.Txn", d.crowdedTxn()) },
		func() { d.do("KV.Txn", d.crowdedTxn()) },
		func() { d.do("KV.Txn", d.heavyPut()) },
		once("KV.Txn", &pb.TxnRequest{Success: []*pb.RequestOp{{}}}),
		once("KV.Range", &pb.RangeRequest{Key: []byte("a"), SortOrder: 4}),
		once("KV.Put", &pb.PutRequest{Key: []byte("a"), IgnoreValue: true, Value: []byte("v")}),
		once("KV.Put", &pb.PutRequest{Key: []byte("a"), IgnoreLease: true, Lease: 3}),
		once("KV.Put", &pb.PutRequest{Key: []byte("nobody"), IgnoreLease: true}),
		once("KV.Put", &pb.PutRequest{Key: []byte("large"), Value: make([]byte, maxRequestBytes+100)}),
		once("KV.Put", &pb.PutRequest{Key: []byte("huge"), Value: make([]byte, maxRequestBytes+600<<10)}),
		once("KV.Compact", &pb.CompactionRequest{Revision: d.know.compactRev}),
		once("KV.Compact", &pb.CompactionRequest{Revision: pick[int64](d.generator, 0, -1)}),
		once("KV.Compact", &pb.CompactionRequest{Revision: 1 << 40, Physical: d.chance(50)}),
		once("Lease.LeaseGrant", &pb.LeaseGrantRequest{ID: 424242, TTL: pick[int64](d.generator, 9_000_000_001, 1<<62)}),
		once("Cluster.MemberList", &pb.MemberListRequest{}),
		once("Cluster.MemberList", &pb.MemberListRequest{Linearizable: true}),
		once("Cluster.MemberAdd", &pb.MemberAddRequest{PeerURLs: []string{"self"}, IsLearner: true}),
		once("Cluster.MemberAdd", &pb.MemberAddRequest{PeerURLs: pick(d.generator, nil, []string{"no url"}, []string{"http://h:1/path"})}),
		once("Cluster.MemberPromote", &pb.MemberPromoteRequest{ID: selfID}),
		once("Cluster.MemberPromote", &pb.MemberPromoteRequest{ID: 77}),
		once("Maintenance.Status", &pb.StatusRequest{}),
		once("Maintenance.Hash", &pb.HashRequest{}),
		once("Maintenance.Defragment", &pb.DefragmentRequest{}),
		once("Maintenance.Snapshot", &pb.SnapshotRequest{}),
		once("Maintenance.MoveLeader", &pb.MoveLeaderRequest{TargetID: selfID}),
		once("Maintenance.MoveLeader", &pb.MoveLeaderRequest{TargetID: pick[uint64](d.generator, 0, 77)}),
		once("Maintenance.Downgrade", &pb.DowngradeRequest{Version: pick(d.generator, "3.6", "3.6.0", "3.6.9", "v3.6.0")}),
		once("Maintenance.Downgrade", &pb.DowngradeRequest{Version: pick(d.generator, "3.7.0", "3.5.0", "3.8.0", "4.0.0")}),
		once("Maintenance.Downgrade", &pb.DowngradeRequest{Version: pick(d.generator, "", "x", "3", "3.6.0.0")}),
		once("Maintenance.Downgrade", &pb.DowngradeRequest{Version: pick(d.generator, "3.5.0", "x"), Action: pb.DowngradeRequest_ENABLE}),
		once("Maintenance.Downgrade", &pb.DowngradeRequest{Action: pb.DowngradeRequest_CANCEL}),
		once("Auth.AuthStatus", &pb.AuthStatusRequest{}),
	}
}

// alarmed raises an alarm, tries every kind of operation under it, and ends it.
func (d *driver) alarmed(alarm pb.AlarmType) {
	owner := pick[uint64](d.generator, selfID, 12, 0)
	request := func(action pb.AlarmRequest_AlarmAction) *pb.AlarmRequest {
		return &pb.AlarmRequest{Action: action, MemberID: owner, Alarm: alarm}
	}
	d.do("Maintenance.Alarm", request(pb.AlarmRequest_ACTIVATE))
	d.do("Maintenance.Alarm", &pb.AlarmRequest{Alarm: pick(d.generator, pb.AlarmType_NONE, alarm)})
	d.do("Maintenance.Status", &pb.StatusRequest{})
	for _, i := range d.rng.Perm(8) {
		switch i {
		case 0:
			d.do("KV.Put", d.putRequest())
		case 1:
			d.do("KV.DeleteRange", d.deleteRequest())
		case 2, 3:
			d.do("KV.Txn", d.safeTxn(1))
		case 4:
			d.do("Lease.LeaseGrant", d.grantRequest())
		case 5:
			d.do("Lease.LeaseRevoke", &pb.LeaseRevokeRequest{ID: d.lease()})
		case 6:
			d.do("KV.Range", d.rangeRequest())
		default:
			d.do("KV.Compact", &pb.CompactionRequest{Revision: 1})
		}
	}
	d.do("Maintenance.Alarm", request(pb.AlarmRequest_ACTIVATE)) // again: nothing new
	d.do("Maintenance.Alarm", request(pb.AlarmRequest_DEACTIVATE))
	d.do("Maintenance.Alarm", request(pb.AlarmRequest_DEACTIVATE)) // again: not there
}

func (d *driver) serverChosenLease() {
	d.do("Lease.LeaseGrant", &pb.LeaseGrantRequest{TTL: 600})
	d.do("Lease.LeaseTimeToLive", &pb.LeaseTimeToLiveRequest{ID: autoLeaseID, Keys: true})
	d.do("Lease.LeaseKeepAlive", &pb.LeaseKeepAliveRequest{ID: autoLeaseID})
	d.do("Lease.LeaseLeases", &pb.LeaseLeasesRequest{})
	d.do("Lease.LeaseRevoke", &pb.LeaseRevokeRequest{ID: autoLeaseID})
}

// shortLease asks for less time than a server gives at least, and revokes before that is over.
func (d *driver) shortLease() {
	d.know.nextLease++
	id := d.know.nextLease
	d.do("Lease.LeaseGrant", &pb.LeaseGrantRequest{ID: id, TTL: pick[int64](d.generator, 0, 1, -1, -1<<60)})
	d.do("KV.Put", &pb.PutRequest{Key: d.keys[d.rng.IntN(len(d.keys))], Lease: id})
	d.do("Lease.LeaseTimeToLive", &pb.LeaseTimeToLiveRequest{ID: id, Keys: true})
	d.do("Lease.LeaseRevoke", &pb.LeaseRevokeRequest{ID: id})
}

// history compares hashes, compacts, and compares again. A barrier precedes it.
func (d *driver) history() {
	for range 3 {
		d.read("Maintenance.HashKV", &pb.HashKVRequest{Revision: d.hashRevision()})
	}
	d.flush()
	time.Sleep(time.Until(d.lastPast.Add(syncPause)))
	physical := d.chance(50)
	// Mostly nearly everything, so that the store stays small.
	target := d.know.rev - d.rng.Int64N(min(100, d.know.rev))
	if d.chance(10) {
		target = d.know.rev
	}
	for d.changedTwice(target) {
		target--
	}
	if target > d.know.compactRev {
		d.compact(&pb.CompactionRequest{Revision: target, Physical: physical})
	}
	for range 3 {
		d.read("Maintenance.HashKV", &pb.HashKVRequest{Revision: max(d.knownRevision(), d.know.compactRev)})
	}
	d.flush()
}

// changedTwice tells whether one transaction changed a key twice at a revision. Compacted exactly
// there, etcd 3.7.1 loses what followed the key's deletion and ends at the next read of it.
func (d *driver) changedTwice(revision int64) bool {
	from := sort.Search(len(d.log), func(i int) bool { return d.log[i].Kv.ModRevision >= revision })
	seen := map[string]bool{}
	for _, e := range d.log[from:] {
		if e.Kv.ModRevision != revision {
			break
		}
		if seen[string(e.Kv.Key)] {
			return true
		}
		seen[string(e.Kv.Key)] = true
	}
	return false
}

// compact compacts and waits until both sides have finished in the background: then a hash at the
// compact revision is the stored one, which names the compaction before.
func (d *driver) compact(request *pb.CompactionRequest) {
	if a := d.do("KV.Compact", request); a.err != nil {
		return
	}
	d.log = slices.DeleteFunc(d.log, func(e *mvccpb.Event) bool { return e.Kv.ModRevision < d.know.compactRev })
	d.settleCompaction()
	d.do("Maintenance.HashKV", &pb.HashKVRequest{Revision: request.Revision})
}

// settleCompaction waits until the last compaction has been finished in the background.
func (d *driver) settleCompaction() {
	revision := d.know.compactRev
	both(d.sides, func(_ int, s *side) {
		deadline := time.Now().Add(watchTimeout)
		for {
			m, err := s.call("Maintenance.HashKV", &pb.HashKVRequest{Revision: revision})
			if err != nil || m.(*pb.HashKVResponse).CompactRevision != revision || time.Now().After(deadline) {
				return
			}
			time.Sleep(time.Millisecond)
		}
	})
}

// barrier waits until both sides have delivered every event that each watcher must get, and
// compares. The reference log, a watch on everything, says what those are.
func (d *driver) barrier() {
	d.flush()
	d.extendLog()
	for _, w := range d.watchers {
		if w.gone {
			continue
		}
		var want []*mvccpb.Event
		from := sort.Search(len(d.log), func(i int) bool { return d.log[i].Kv.ModRevision >= w.next })
		for _, e := range d.log[from:] {
			if w.wants(e) {
				want = append(want, w.shape(e))
			}
		}
		for _, s := range d.sides {
			d.checkWatcher(s, w, want)
		}
		w.next = max(w.next, d.know.rev+1)
	}
	for _, s := range d.sides {
		d.checkStreams(s)
	}
	d.countFragments()
}

// extendLog waits for both sides' watch on everything to reach the current revision.
func (d *driver) extendLog() {
	if d.know.rev == 1 || len(d.log) > 0 && d.log[len(d.log)-1].Kv.ModRevision == d.know.rev {
		return
	}
	for _, s := range d.sides {
		stream := s.streams[0]
		err := stream.await("the watch on everything", watchTimeout, func() bool {
			events := stream.events[0]
			return len(events) > 0 && events[len(events)-1].Kv.ModRevision >= d.know.rev
		})
		if err != nil {
			d.report("Watch.events", s.name+" all: "+err.Error(), fmt.Sprintf("want events up to revision %d", d.know.rev))
			panic(errDiverged)
		}
	}
	reference, tested := d.sides[0].streams[0].take(0), d.sides[1].streams[0].take(0)
	if diff := eventsDifference(reference, tested, false); diff != "" {
		d.report("Watch.events", "all"+diff, "of the watch on everything, with previous values")
	}
	d.log = append(d.log, reference...)
}

func (d *driver) checkWatcher(s *side, w *watcher, want []*mvccpb.Event) {
	stream := s.streams[w.stream]
	describe := fmt.Sprintf("%s, stream %d, watch %d on [%q, %q) from %d, prev_kv %v, filters %v", s.name, w.stream, w.id, w.key, w.end, w.start, w.prevKV, w.filters)
	err := stream.await("events", watchTimeout, func() bool {
		return len(stream.events[w.id]) >= len(want) && !stream.partial[w.id]
	})
	got := stream.take(w.id)
	diff := eventsDifference(want, got, s.isEtcd && !w.prevKV)
	if diff == "" && err != nil {
		diff = "event: " + err.Error()
	}
	if diff != "" {
		d.report("Watch.events", s.name+diff, describe)
	}
}

// checkStreams reports what the responses broke by themselves.
func (d *driver) checkStreams(s *side) {
	for i, stream := range s.streams {
		stream.mu.Lock()
		violation, ended := stream.violation, stream.ended
		stream.violation = ""
		if !d.extraAnswers[i] && len(stream.progress) > 0 {
			violation = "an answer to a progress request that must not be answered yet"
		}
		stream.mu.Unlock()
		if violation != "" {
			d.report("Watch.stream", s.name+": "+violation, fmt.Sprintf("stream %d", i))
		}
		if ended != nil {
			d.report("Watch.stream", s.name+": ended: "+ended.Error(), fmt.Sprintf("stream %d", i))
			panic(fmt.Errorf("%s ended a watch stream: %w", s.name, ended))
		}
	}
}

// countFragments adds up the fragments of each side. They are not compared one by one: where they are
// cut may differ, and etcd sends events that overtake the answer to the create request uncut.
func (d *driver) countFragments() {
	for i, s := range d.sides {
		for _, w := range s.streams {
			w.mu.Lock()
			d.fragments[i] += w.fragments
			w.fragments = 0
			w.mu.Unlock()
		}
	}
	d.coverage.errors["watch: fragments"] = d.fragments[0]
}

// checkNotified expects that watches which asked for periodic progress, or for fragments, got some.
func (d *driver) checkNotified() {
	var counts [2]int
	for i, s := range d.sides {
		for _, stream := range s.streams {
			stream.mu.Lock()
			counts[i] += stream.notified
			stream.mu.Unlock()
		}
	}
	if counts[0] > 10 && counts[1] == 0 {
		d.report("Watch.stream", "progress notifications: none", fmt.Sprintf("the reference sent %d", counts[0]))
	}
	if d.fragments[0] > 10 && d.fragments[1] == 0 {
		d.report("Watch.stream", "fragments: none", fmt.Sprintf("the reference sent %d", d.fragments[0]))
	}
}
