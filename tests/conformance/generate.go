package conformance

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

// knowledge is what the generator has learnt from the reference's answers. It is all that requests
// depend on besides the seed, so a seed means the same requests in every run.
type knowledge struct {
	rev, compactRev int64
	leases          []int64 // granted with an ID of ours and not revoked
	nextLease       int64
}

const maxLeases = 24

// generator makes requests from a seed: mostly sensible ones on few keys, so that they meet, and
// of every wrong kind some.
type generator struct {
	rng  *rand.Rand
	know *knowledge
	keys [][]byte
}

func newGenerator(seed uint64, know *knowledge) *generator {
	g := &generator{rng: rand.New(rand.NewPCG(seed, 0)), know: know}
	names := []string{
		"a", "a\x00", "aa", "ab", "b", "b/1", "b/2", "dir", "dir/", "dir/x", "dir/y/z", "z",
		"\x00", "\x00\x00", "\x00\xff", "\xff", "\xff\xff", "\xff\x00", "k/\xfe\xff", "ключ",
		strings.Repeat("long", 150), // longer than LMDB's longest key
	}
	for i := range 24 {
		names = append(names, fmt.Sprintf("k/%02d", i))
	}
	for _, name := range names {
		g.keys = append(g.keys, []byte(name))
	}
	return g
}

// chance says yes n times in a hundred.
func (g *generator) chance(percent int) bool { return g.rng.IntN(100) < percent }

func pick[T any](g *generator, choices ...T) T { return choices[g.rng.IntN(len(choices))] }

func (g *generator) key() []byte {
	if g.chance(1) {
		return nil // refused
	}
	return g.keys[g.rng.IntN(len(g.keys))]
}

func (g *generator) rangeEnd(key []byte) []byte {
	switch n := g.rng.IntN(100); {
	case n < 45:
		return nil
	case n < 58:
		return []byte{0}
	case n < 75:
		return prefixEnd(key[:min(len(key), 1+g.rng.IntN(3))])
	case n < 80:
		return prefixEnd([]byte("k/"))
	default:
		return g.keys[g.rng.IntN(len(g.keys))] // often not after key
	}
}

// prefixEnd returns the end of the range of all keys with a prefix.
func prefixEnd(prefix []byte) []byte {
	end := bytes.Clone(prefix)
	for i := len(end) - 1; i >= 0; i-- {
		if end[i] < 0xff {
			end[i]++
			return end[:i+1]
		}
	}
	return []byte{0}
}

func (g *generator) value() []byte {
	switch n := g.rng.IntN(1000); {
	case n < 80:
		return nil
	case n < 850:
		return fmt.Appendf(nil, "v%d", g.rng.IntN(12))
	case n < 985:
		return g.bytes(g.rng.IntN(300))
	case n < 998:
		return g.bytes(10<<10 + g.rng.IntN(20<<10))
	default:
		return g.bytes(maxRequestBytes + g.rng.IntN(4<<10)) // refused
	}
}

func (g *generator) bytes(n int) []byte {
	content := make([]byte, n)
	for i := range content {
		content[i] = byte(g.rng.Uint32())
	}
	return content
}

// revision picks a revision to read at; 0 means now.
func (g *generator) revision() int64 {
	switch n := g.rng.IntN(100); {
	case n < 60:
		return 0
	case n < 88:
		return g.knownRevision()
	case n < 92:
		return g.know.rev + 1 + g.rng.Int64N(3)
	case n < 94:
		return math.MaxInt64 - g.rng.Int64N(2)
	case n < 98:
		return g.rng.Int64N(max(g.know.compactRev, 1)) // compacted
	default:
		return -1 - g.rng.Int64N(5)
	}
}

// knownRevision picks a revision that can be read.
func (g *generator) knownRevision() int64 {
	first := max(g.know.compactRev, 1)
	return first + g.rng.Int64N(g.know.rev-first+1)
}

// filterRevision picks a bound for one of Range's revision filters.
func (g *generator) filterRevision() int64 {
	if g.chance(3) {
		return -5
	}
	return max(1, g.know.rev-g.rng.Int64N(200))
}

func (g *generator) rangeRequest() *pb.RangeRequest {
	key := g.key()
	r := &pb.RangeRequest{Key: key, RangeEnd: g.rangeEnd(key), Revision: g.revision(), Serializable: g.chance(30)}
	if g.chance(30) {
		r.Limit = pick[int64](g, 1, 2, 3, 5, 10, 11, 100, math.MaxInt64, -1)
	}
	if g.chance(25) {
		r.SortOrder = pb.RangeRequest_SortOrder(g.rng.IntN(3))
		r.SortTarget = pb.RangeRequest_SortTarget(g.rng.IntN(5))
	}
	if g.chance(1) {
		r.SortOrder = 7
	}
	if g.chance(1) {
		r.SortTarget = 9
	}
	r.KeysOnly, r.CountOnly = g.chance(12), g.chance(10)
	for _, filter := range []*int64{&r.MinModRevision, &r.MaxModRevision, &r.MinCreateRevision, &r.MaxCreateRevision} {
		if g.chance(6) {
			*filter = g.filterRevision()
		}
	}
	return r
}

// streamRequest is a range for RangeStream, which refuses sorting and filters: fewer of them.
func (g *generator) streamRequest() *pb.RangeRequest {
	r := g.rangeRequest()
	if g.chance(80) {
		r.SortOrder, r.SortTarget = 0, 0
		r.MinModRevision, r.MaxModRevision, r.MinCreateRevision, r.MaxCreateRevision = 0, 0, 0, 0
	}
	if r.SortOrder == pb.RangeRequest_NONE && r.SortTarget < 5 {
		// etcd does not refuse this; it sorts each chunk by itself and goes on after its last key.
		r.SortTarget = pb.RangeRequest_KEY
	}
	return r
}

func (g *generator) putRequest() *pb.PutRequest {
	r := &pb.PutRequest{Key: g.key(), Value: g.value(), PrevKv: g.chance(25)}
	if g.chance(20) {
		r.Lease = g.lease()
	}
	if g.chance(6) {
		r.IgnoreValue = true
		if g.chance(80) {
			r.Value = nil
		}
	}
	if g.chance(6) {
		r.IgnoreLease = true
		if g.chance(80) {
			r.Lease = 0
		}
	}
	return r
}

// lease picks a lease to attach or ask about: usually one that exists.
func (g *generator) lease() int64 {
	if len(g.know.leases) == 0 || g.chance(6) {
		return pick[int64](g, 999_999, -1, math.MaxInt64)
	}
	return g.know.leases[g.rng.IntN(len(g.know.leases))]
}

func (g *generator) deleteRequest() *pb.DeleteRangeRequest {
	key := g.key()
	r := &pb.DeleteRangeRequest{Key: key, PrevKv: g.chance(40)}
	// Wide deletes are rare: an empty store tests little.
	if g.chance(20) {
		r.RangeEnd = g.rangeEnd(key)
	}
	return r
}

func (g *generator) compare() *pb.Compare {
	c := &pb.Compare{Key: g.key(), Result: pb.Compare_CompareResult(g.rng.IntN(4)), Target: pb.Compare_CompareTarget(g.rng.IntN(5))}
	target := int(c.Target)
	if g.chance(2) {
		target = g.rng.IntN(5) // the union may hold another field than the target says
	}
	switch target {
	case 0:
		c.TargetUnion = &pb.Compare_Version{Version: g.rng.Int64N(4)}
	case 1:
		c.TargetUnion = &pb.Compare_CreateRevision{CreateRevision: pick(g, 0, g.filterRevision())}
	case 2:
		c.TargetUnion = &pb.Compare_ModRevision{ModRevision: pick(g, 0, g.filterRevision())}
	case 3:
		c.TargetUnion = &pb.Compare_Value{Value: fmt.Appendf(nil, "v%d", g.rng.IntN(12))}
	default:
		c.TargetUnion = &pb.Compare_Lease{Lease: pick(g, 0, g.lease())}
	}
	if g.chance(1) {
		c.TargetUnion = nil
	}
	if g.chance(12) {
		c.RangeEnd = g.rangeEnd(c.Key)
	}
	if g.chance(1) {
		c.Result = 9
	}
	return c
}

func (g *generator) txnRequest(depth int) *pb.TxnRequest {
	r := &pb.TxnRequest{}
	for range g.rng.IntN(3) {
		r.Compare = append(r.Compare, g.compare())
	}
	readOnly := g.chance(20)
	for range g.rng.IntN(5) {
		r.Success = append(r.Success, g.requestOp(depth, readOnly))
	}
	for range g.rng.IntN(4) {
		r.Failure = append(r.Failure, g.requestOp(depth, readOnly))
	}
	return r
}

// safeTxn is a transaction that does not crash etcd 3.7.1. Its check for keys that are both deleted
// and put takes the range end "\x00" for an empty interval, so such a transaction is accepted; if the
// put then asks to keep the value or lease of the key just deleted, applying it panics.
func (g *generator) safeTxn(depth int) *pb.TxnRequest {
	r := g.txnRequest(depth)
	wideDelete := false
	visitOps(r, func(op *pb.RequestOp) {
		wideDelete = wideDelete || len(op.GetRequestDeleteRange().GetRangeEnd()) > 0
	})
	if wideDelete {
		visitOps(r, func(op *pb.RequestOp) {
			if put := op.GetRequestPut(); put != nil {
				put.IgnoreValue, put.IgnoreLease = false, false
			}
		})
	}
	return r
}

// visitOps calls visit for every operation of a transaction and of those nested in it.
func visitOps(r *pb.TxnRequest, visit func(*pb.RequestOp)) {
	for _, ops := range [][]*pb.RequestOp{r.Success, r.Failure} {
		for _, op := range ops {
			visit(op)
			if nested := op.GetRequestTxn(); nested != nil {
				visitOps(nested, visit)
			}
		}
	}
}

func (g *generator) requestOp(depth int, readOnly bool) *pb.RequestOp {
	n := g.rng.IntN(100)
	switch {
	case g.chance(1) && g.chance(40):
		return &pb.RequestOp{} // refused
	case depth > 0 && n < 18:
		return &pb.RequestOp{Request: &pb.RequestOp_RequestTxn{RequestTxn: g.txnRequest(depth - 1)}}
	case n < 40 || readOnly:
		r := g.rangeRequest()
		if g.chance(70) {
			r.Revision = 0 // most others make the whole transaction fail
		}
		return &pb.RequestOp{Request: &pb.RequestOp_RequestRange{RequestRange: r}}
	case n < 82:
		return &pb.RequestOp{Request: &pb.RequestOp_RequestPut{RequestPut: g.putRequest()}}
	default:
		return &pb.RequestOp{Request: &pb.RequestOp_RequestDeleteRange{RequestDeleteRange: g.deleteRequest()}}
	}
}

// crowdedTxn is around the limit of 128 operations, also in nested ones, which get what is left.
func (g *generator) crowdedTxn() *pb.TxnRequest {
	get := func() *pb.RequestOp {
		return &pb.RequestOp{Request: &pb.RequestOp_RequestRange{RequestRange: &pb.RangeRequest{Key: g.keys[0], CountOnly: true}}}
	}
	put := func(i int) *pb.RequestOp {
		return &pb.RequestOp{Request: &pb.RequestOp_RequestPut{RequestPut: &pb.PutRequest{Key: fmt.Appendf(nil, "crowd/%03d", i)}}}
	}
	r := &pb.TxnRequest{}
	n := 128 + g.rng.IntN(2)
	switch g.rng.IntN(4) {
	case 0:
		for i := range n {
			r.Success = append(r.Success, put(i))
		}
	case 1:
		for range n {
			r.Failure = append(r.Failure, get())
		}
	case 2:
		for range n {
			r.Compare = append(r.Compare, &pb.Compare{Key: g.keys[1], TargetUnion: &pb.Compare_Version{}})
		}
	default:
		inner := &pb.TxnRequest{}
		for range n - 100 {
			inner.Success = append(inner.Success, get())
		}
		for range 99 {
			r.Success = append(r.Success, get())
		}
		r.Success = append(r.Success, &pb.RequestOp{Request: &pb.RequestOp_RequestTxn{RequestTxn: inner}})
	}
	return r
}

const (
	heavyPuts     = 3
	heavyPutBytes = 54 << 10
	// fragmentedBytes of events do not fit into one response of a watch that accepts fragments.
	fragmentedBytes = maxFragmentBytes + 2*heavyPutBytes
)

// heavyPut writes several large values in one revision.
func (g *generator) heavyPut() *pb.TxnRequest {
	r := &pb.TxnRequest{}
	for i := range heavyPuts {
		r.Success = append(r.Success, &pb.RequestOp{Request: &pb.RequestOp_RequestPut{
			RequestPut: &pb.PutRequest{Key: fmt.Appendf(nil, "k/heavy%d", i), Value: g.bytes(heavyPutBytes / heavyPuts)}}})
	}
	return r
}

// grantRequest grants with an ID of ours: a server's own choice is not the same on both sides.
func (g *generator) grantRequest() *pb.LeaseGrantRequest {
	g.know.nextLease++
	r := &pb.LeaseGrantRequest{ID: g.know.nextLease, TTL: 5000 + g.rng.Int64N(100_000)}
	switch n := g.rng.IntN(100); {
	case n < 8:
		r.ID = g.lease() // usually exists
		if r.ID == 999_999 {
			r.ID = math.MinInt64 + g.know.nextLease
		}
	case n < 12:
		r.TTL = pick[int64](g, 9_000_000_000, 9_000_000_001, math.MaxInt64)
	case n < 16:
		r.ID = -g.know.nextLease
	}
	return r
}

func (g *generator) watchCreate() *pb.WatchCreateRequest {
	key := g.key()
	r := &pb.WatchCreateRequest{Key: key, RangeEnd: g.rangeEnd(key), PrevKv: g.chance(40), Fragment: g.chance(50), ProgressNotify: g.chance(30)}
	if g.chance(40) { // something that sees many events
		r.Key, r.RangeEnd = []byte("k/"), prefixEnd([]byte("k/"))
	}
	switch n := g.rng.IntN(100); {
	case n < 45:
	case n < 75:
		r.StartRevision = g.knownRevision()
	case n < 85:
		r.StartRevision = g.know.rev + 1 + g.rng.Int64N(40)
	case n < 95:
		r.StartRevision = 1 + g.rng.Int64N(max(g.know.compactRev, 1))
	default:
		r.StartRevision = -1 - g.rng.Int64N(3)
	}
	if g.chance(20) {
		r.Filters = append(r.Filters, pb.WatchCreateRequest_NOPUT)
	}
	if g.chance(20) {
		r.Filters = append(r.Filters, pb.WatchCreateRequest_NODELETE)
	}
	if g.chance(2) {
		r.Filters = append(r.Filters, 5)
	}
	if g.chance(35) {
		r.WatchId = pick[int64](g, 1, 2, 3, 7, 1000, math.MaxInt64, -6)
	}
	return r
}
