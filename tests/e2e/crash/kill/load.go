package kill

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"holdfast/tests/go/history"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

const (
	clients   = 8
	registers = 6
	// callTimeout must be longer than any answer takes: it makes an outcome unknown.
	callTimeout = 20 * time.Second
	// leaseSeconds is far beyond the run: no lease may end by itself.
	leaseSeconds = 100_000
)

// load is what the clients do between two kills.
type load struct {
	conn  *grpc.ClientConn
	began time.Time
	dice  *rand.Rand
	// safeRevision is checked history: compaction goes no further.
	safeRevision int64

	stopping atomic.Bool
	group    sync.WaitGroup

	mu         sync.Mutex
	operations []*history.Operation
	ledger     *history.Ledger
	nextValue  int
	nextLease  int64
	compacted  int64 // highest acknowledged compaction
	compacting int64 // highest compaction that was sent
	answered   int   // acknowledged operations
	failure    error // an answer that must not be
	highest    int64 // header revision seen
}

func (l *load) now() int64 { return int64(time.Since(l.began)) }

// unknown takes an error. Those of a dead server leave open if the operation took effect, and end
// the load. Every other error is an answer, and the load gives no cause for one.
func (l *load) unknown(err error) {
	switch status.Code(err) {
	case codes.Unavailable, codes.Canceled, codes.DeadlineExceeded:
	default:
		l.fail(fmt.Errorf("an operation was refused: %w", err))
	}
	l.stopping.Store(true)
}

func (l *load) fail(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.failure = errors.Join(l.failure, err)
}

// saw notes an answer and its revision.
func (l *load) saw(header *pb.ResponseHeader) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.answered++
	l.highest = max(l.highest, header.Revision)
}

// start lets the clients loose until stop.
func (l *load) start() {
	for client := range clients {
		dice := rand.New(rand.NewPCG(l.dice.Uint64(), uint64(client)))
		l.group.Add(1)
		go func() {
			defer l.group.Done()
			for !l.stopping.Load() {
				ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
				l.one(ctx, client, dice)
				cancel()
			}
		}()
	}
}

// stop ends the load and waits for the last answers.
func (l *load) stop() {
	l.stopping.Store(true)
	l.group.Wait()
}

func (l *load) one(ctx context.Context, client int, dice *rand.Rand) {
	key := fmt.Sprintf("register/%d", dice.IntN(registers))
	switch n := dice.IntN(100); {
	case n < 30:
		l.read(ctx, client, key)
	case n < 60:
		l.write(ctx, client, key)
	case n < 70:
		l.write(ctx, client, key, "pair/a", "pair/b")
	case n < 82:
		l.guarded(ctx, client, key)
	case n < 90:
		l.remove(ctx, client, key)
	case n < 98:
		l.lease(ctx, dice)
	default:
		l.compact(ctx)
	}
}

// begin registers an operation before it is sent: from then on history may show it.
func (l *load) begin(o *history.Operation) *history.Operation {
	l.mu.Lock()
	defer l.mu.Unlock()
	if o.Kind != history.Read {
		l.nextValue++
		o.Value = fmt.Sprintf("v%d", l.nextValue)
		l.ledger.ByValue[o.Value] = o
	}
	l.operations = append(l.operations, o)
	o.Call = l.now()
	return o
}

// transact sends an operation as a transaction and fills in its outcome, but not the time: if the
// outcome is unknown that is the time of the next restart.
func (l *load) transact(ctx context.Context, o *history.Operation, request *pb.TxnRequest) *pb.TxnResponse {
	response, err := pb.NewKVClient(l.conn).Txn(ctx, request)
	if err != nil {
		l.unknown(err)
		return nil
	}
	l.saw(response.Header)
	o.Done, o.Known = l.now(), true
	o.Applied, o.Revision, o.At = response.Succeeded, response.Header.Revision, response.Header.Revision
	return response
}

func (l *load) read(ctx context.Context, client int, key string) {
	o := l.begin(&history.Operation{Client: client, Kind: history.Read, Keys: []string{key}})
	response, err := pb.NewKVClient(l.conn).Range(ctx, &pb.RangeRequest{Key: []byte(key)})
	if err != nil {
		l.unknown(err)
		return
	}
	l.saw(response.Header)
	o.Done, o.Known, o.At = l.now(), true, response.Header.Revision
	for _, kv := range response.Kvs {
		o.Value, o.Revision = string(kv.Value), kv.ModRevision
	}
}

func putOp(key, value string) *pb.RequestOp {
	return &pb.RequestOp{Request: &pb.RequestOp_RequestPut{RequestPut: &pb.PutRequest{Key: []byte(key), Value: []byte(value)}}}
}

func (l *load) write(ctx context.Context, client int, keys ...string) {
	o := l.begin(&history.Operation{Client: client, Kind: history.Write, Keys: keys})
	if len(keys) > 1 {
		request := &pb.TxnRequest{}
		for _, key := range keys {
			request.Success = append(request.Success, putOp(key, o.Value))
		}
		l.transact(ctx, o, request)
		return
	}
	response, err := pb.NewKVClient(l.conn).Put(ctx, &pb.PutRequest{Key: []byte(keys[0]), Value: []byte(o.Value)})
	if err != nil {
		l.unknown(err)
		return
	}
	l.saw(response.Header)
	o.Done, o.Known, o.Applied, o.Revision = l.now(), true, true, response.Header.Revision
	o.At = o.Revision
}

// guarded writes only if nobody has since a read.
func (l *load) guarded(ctx context.Context, client int, key string) {
	response, err := pb.NewKVClient(l.conn).Range(ctx, &pb.RangeRequest{Key: []byte(key), Serializable: true})
	if err != nil {
		l.unknown(err)
		return
	}
	o := &history.Operation{Client: client, Kind: history.Guarded, Keys: []string{key}}
	for _, kv := range response.Kvs {
		o.Expected = kv.ModRevision
	}
	l.begin(o)
	l.transact(ctx, o, &pb.TxnRequest{
		Compare: []*pb.Compare{{Key: []byte(key), Target: pb.Compare_MOD, TargetUnion: &pb.Compare_ModRevision{ModRevision: o.Expected}}},
		Success: []*pb.RequestOp{putOp(key, o.Value)},
	})
}

// remove deletes a key; the marker in the same transaction shows in history that it did.
func (l *load) remove(ctx context.Context, client int, key string) {
	o := l.begin(&history.Operation{Client: client, Kind: history.Remove, Keys: []string{key}})
	l.transact(ctx, o, &pb.TxnRequest{Success: []*pb.RequestOp{
		putOp(fmt.Sprintf("marker/%d", client), o.Value),
		{Request: &pb.RequestOp_RequestDeleteRange{RequestDeleteRange: &pb.DeleteRangeRequest{Key: []byte(key)}}},
	}})
}

// lease grants a lease, puts a key on it and usually revokes it; a kill may come between any two.
func (l *load) lease(ctx context.Context, dice *rand.Rand) {
	l.mu.Lock()
	l.nextLease++
	held := &history.Lease{ID: l.nextLease}
	l.ledger.Leases[held.ID] = held
	l.mu.Unlock()
	leases := pb.NewLeaseClient(l.conn)
	granted, err := leases.LeaseGrant(ctx, &pb.LeaseGrantRequest{ID: held.ID, TTL: leaseSeconds})
	if err != nil {
		l.unknown(err)
		return
	}
	held.Granted = true
	l.saw(granted.Header)
	put, err := pb.NewKVClient(l.conn).Put(ctx, &pb.PutRequest{Key: []byte(history.LeaseKey(held.ID)), Lease: held.ID})
	if err != nil {
		l.unknown(err)
		return
	}
	held.KeyPut = true
	l.saw(put.Header)
	if dice.IntN(10) == 0 {
		return // stays, to be found after the kill
	}
	l.mu.Lock()
	held.MayBeGone = true
	l.mu.Unlock()
	revoked, err := leases.LeaseRevoke(ctx, &pb.LeaseRevokeRequest{ID: held.ID})
	if err != nil {
		l.unknown(err)
		return
	}
	held.Revoked = true
	l.saw(revoked.Header)
}

// compact drops history that has been checked.
func (l *load) compact(ctx context.Context) {
	l.mu.Lock()
	target := l.safeRevision
	if target <= l.compacting {
		l.mu.Unlock()
		return
	}
	l.compacting = target
	l.mu.Unlock()
	response, err := pb.NewKVClient(l.conn).Compact(ctx, &pb.CompactionRequest{Revision: target})
	if status.Convert(err).Message() == status.Convert(rpctypes.ErrGRPCCompacted).Message() {
		return // an earlier attempt of unknown outcome did it
	}
	if err != nil {
		l.unknown(err)
		return
	}
	l.saw(response.Header)
	l.mu.Lock()
	l.compacted = max(l.compacted, target)
	l.mu.Unlock()
}
