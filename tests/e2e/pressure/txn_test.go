package pressure

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"holdfast/tests/go/member"
)

const (
	// Of valueBytes each: what one range of a transaction reads, 20 MB.
	listedObjects = 5_000
	rangesPerTxn  = 128
	// With the listed ones 100 MB: three times that, what a deletion that tells what was needs, is more than the half of
	// limitBytes that all big answers share, so that it is refused whatever else goes on.
	bigValues     = 80
	bigValueBytes = 1 << 20
	bigPrefix     = "/big/"
	deletion      = "deletion that asks what was"
)

func rangeOp(what *pb.RangeRequest) *pb.RequestOp {
	return &pb.RequestOp{Request: &pb.RequestOp_RequestRange{RequestRange: what}}
}

func putOp(put *pb.PutRequest) *pb.RequestOp {
	return &pb.RequestOp{Request: &pb.RequestOp_RequestPut{RequestPut: put}}
}

func ranges(n int, what *pb.RangeRequest) []*pb.RequestOp {
	var ops []*pb.RequestOp
	for range n {
		ops = append(ops, rangeOp(what))
	}
	return ops
}

// nested is a transaction of others, as many operations as --max-txn-ops allows.
func nested(what *pb.RangeRequest) *pb.TxnRequest {
	const half = rangesPerTxn / 2
	outer := &pb.TxnRequest{}
	for range half {
		outer.Success = append(outer.Success, &pb.RequestOp{Request: &pb.RequestOp_RequestTxn{
			RequestTxn: &pb.TxnRequest{Success: ranges(half, what)}}})
	}
	return outer
}

// rewrite puts each big key again as it is and asks what it was.
func rewrite() *pb.TxnRequest {
	txn := &pb.TxnRequest{}
	for i := range bigValues {
		txn.Success = append(txn.Success, putOp(&pb.PutRequest{Key: bigKey(i), IgnoreValue: true, PrevKv: true}))
	}
	return txn
}

func bigKey(i int) []byte { return fmt.Appendf(nil, "%s%02d", bigPrefix, i) }

func wholeValues(what *pb.RangeRequest) *pb.Compare {
	return &pb.Compare{Target: pb.Compare_VALUE, Result: pb.Compare_NOT_EQUAL, Key: what.Key, RangeEnd: what.RangeEnd,
		TargetUnion: &pb.Compare_Value{Value: []byte("none has it")}}
}

// startTxnFlood asks for far more than fits in transactions of every shape.
func startTxnFlood(ctx context.Context, address string) *flood {
	f := &flood{address: address, prefix: prefix}
	f.out.ok, f.out.refused = map[string]int{}, map[string]int{}
	const path, slow = "/etcdserverpb.KV/Txn", 256 << 10
	all, page := f.all(), f.part()
	page.Limit = 100
	touch := putOp(&pb.PutRequest{Key: []byte("/touched"), Value: []byte("1")})
	aBig := &pb.RangeRequest{Key: bigKey(0)}
	someBig, everything := list(bigPrefix), list("/")
	someBig.Limit = 8

	f.calls(ctx, "transaction of ranges", 4, 8, 0, path, &pb.TxnRequest{Success: ranges(rangesPerTxn, all)})
	f.calls(ctx, "transaction of ranges, slow reader", 4, 20, slow, path, &pb.TxnRequest{Success: ranges(1, all)})
	f.calls(ctx, "transaction that puts and ranges", 4, 8, 0, path,
		&pb.TxnRequest{Success: append(ranges(rangesPerTxn-1, all), touch)})
	f.calls(ctx, "transaction of transactions of ranges", 4, 8, 0, path, nested(all))
	f.calls(ctx, "transaction that compares values", 2, 4, 0, path,
		&pb.TxnRequest{Compare: []*pb.Compare{wholeValues(all)}, Success: []*pb.RequestOp{touch}})
	f.calls(ctx, "transaction that rewrites and asks what was", 2, 8, 0, path, rewrite())
	f.calls(ctx, "put and a big value", 4, 500, 0, path, &pb.TxnRequest{Success: []*pb.RequestOp{touch, rangeOp(aBig)}})
	f.calls(ctx, deletion, 2, 4, 0, "/etcdserverpb.KV/DeleteRange",
		&pb.DeleteRangeRequest{Key: everything.Key, RangeEnd: everything.RangeEnd, PrevKv: true})
	f.calls(ctx, "transaction of big values", 2, 8, 0, path, &pb.TxnRequest{Success: []*pb.RequestOp{touch, rangeOp(someBig)}})
	f.calls(ctx, "transaction of a page", 2, 4, 0, path, &pb.TxnRequest{Success: []*pb.RequestOp{touch, rangeOp(page)}})
	return f
}

func TestAFloodOfTransactionsLeavesSmallRequestsAlone(t *testing.T) {
	m := startLimited(t)
	client := member.Connect(t, nil, m.ClientURL())
	fill(t, client, listedObjects)
	for i := range bigValues {
		if _, err := client.Put(t.Context(), string(bigKey(i)), strings.Repeat("b", bigValueBytes)); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("anonymous memory %d MiB", anonymousBytes(t, m.Pid())>>20)

	peak := watchPeak(t, m)
	traffic := startTraffic(t, member.Connect(t, nil, m.ClientURL()))
	updates := traffic.startUpdates(t)
	flooding, stop := context.WithCancel(t.Context())
	defer stop()
	f := startTxnFlood(flooding, m.ClientAddr())
	time.Sleep(time.Duration(*floodSeconds) * time.Second)
	select {
	case <-m.Exited(): // watchPeak says why
	default:
		f.awaitAnswered(t, "transaction of a page", "put and a big value")
	}
	stop()
	f.group.Wait()
	f.out.report(t)
	updates()
	traffic.end(t)
	highest := peak()
	t.Logf("peak of anonymous memory: %d MiB of %d", highest>>20, limitBytes>>20)
	if highest >= limitBytes {
		t.Errorf("anonymous memory reached %d bytes", highest)
	}
	for _, kind := range []string{"transaction of ranges", "transaction that puts and ranges", "transaction of transactions of ranges", deletion} {
		if f.out.refused[kind] == 0 {
			t.Errorf("no %s was refused: the flood was none", kind)
		}
	}
	checkWhole(t, client)
}

// startUpdates updates objects as Kubernetes does, a transaction each, until the function returned is called.
func (tr *traffic) startUpdates(t *testing.T) func() {
	t.Helper()
	const object = "/registry/updated"
	done, ended := make(chan struct{}), make(chan struct{})
	count := 0
	go func() {
		defer close(ended)
		revision := int64(0)
		for {
			answer, err := tr.client.Txn(context.Background()).
				If(clientv3.Compare(clientv3.ModRevision(object), "=", revision)).
				Then(clientv3.OpPut(object, strings.Repeat("o", 16<<10))).
				Else(clientv3.OpGet(object)).Commit()
			if err != nil || !answer.Succeeded {
				t.Errorf("an update failed: %v, %v", answer, err)
				return
			}
			revision, count = answer.Header.Revision, count+1
			select {
			case <-done:
				return
			case <-time.After(5 * time.Millisecond):
			}
		}
	}()
	return func() {
		close(done)
		<-ended
		t.Logf("beside the flood: %d updates", count)
	}
}

// checkWhole demands every object: a refused deletion deletes nothing.
func checkWhole(t *testing.T, client *clientv3.Client) {
	t.Helper()
	for what, wanted := range map[string]int64{prefix: listedObjects, bigPrefix: bigValues} {
		found, err := client.Get(t.Context(), what, clientv3.WithPrefix(), clientv3.WithCountOnly())
		if err != nil || found.Count != wanted {
			t.Errorf("%d of %d are left below %s: %v", found.Count, wanted, what, err)
		}
	}
}
