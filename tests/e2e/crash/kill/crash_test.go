// Package kill kills a member again and again while clients write; after each restart everything
// since the last kill is checked (tests/go/history) and need not be remembered.
package kill

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"holdfast/tests/go/history"
	"holdfast/tests/go/member"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc"
	"google.golang.org/grpc/status"
)

var (
	killsFlag = flag.Int("kills", 30, "how often to kill; 300 in CI")
	seedFlag  = flag.Uint64("seed", 0, "seed of the load and the moments of killing; 0 chooses one")
)

// A short election timeout makes restarts quick.
var flags = []string{"--heartbeat-interval=10", "--election-timeout=100", "--log-level=error"}

// longestLoad is how long the clients write at most before a kill.
const longestLoad = 250 * time.Millisecond

// run is a member, its history so far, and what the clients of each stretch share.
type run struct {
	t      *testing.T
	member *member.Member
	dice   *rand.Rand
	ledger *history.Ledger
	began  time.Time

	nextValue             int
	nextLease             int64
	compacted, compacting int64
	answered, unknown     int
	slowest               time.Duration
}

func TestNothingAcknowledgedIsLostByKills(t *testing.T) {
	seed := *seedFlag
	if seed == 0 {
		seed = rand.Uint64N(1 << 40)
	}
	t.Logf("%d kills, seed %d", *killsFlag, seed)
	m, err := member.Start(member.Options{Binary: member.Holdfast(), Dir: t.TempDir(), Flags: flags})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Kill()
	r := &run{t: t, member: m, dice: rand.New(rand.NewPCG(seed, 0)), ledger: history.NewLedger(), began: time.Now()}
	for kill := range *killsFlag {
		if err := r.stretch(); err != nil {
			t.Fatalf("kill %d: %v\nthe server's log ends:\n%s", kill+1, err, m.LogTail(15))
		}
	}
	fmt.Printf("kills: %d in %.0f s; %d operations acknowledged, %d of unknown outcome, %d revisions, slowest restart %d ms\n",
		*killsFlag, time.Since(r.began).Seconds(), r.answered, r.unknown, r.ledger.Revision, r.slowest.Milliseconds())
	fmt.Printf("histories: %d linearizable, nothing lost, nothing twice (seed %d)\n", *killsFlag, seed)
}

// stretch loads the member, kills it, starts it again, and checks everything since the last kill.
func (r *run) stretch() error {
	before := r.ledger.Registers()
	conn, err := r.member.Dial()
	if err != nil {
		return err
	}
	l := &load{
		conn: conn, began: r.began, dice: r.dice, ledger: r.ledger, safeRevision: r.ledger.Revision,
		nextValue: r.nextValue, nextLease: r.nextLease, compacted: r.compacted, compacting: r.compacted, highest: r.ledger.Revision,
	}
	l.start()
	time.Sleep(time.Duration(r.dice.Int64N(int64(longestLoad))))
	if r.dice.IntN(20) == 0 {
		err = r.member.Stop() // SIGTERM while busy must lose nothing either
	} else {
		r.member.Kill()
	}
	if err != nil {
		return err
	}
	conn.Close() // ends the calls that no one will answer
	l.stop()
	if l.failure != nil {
		return l.failure
	}
	r.nextValue, r.nextLease, r.compacted, r.compacting = l.nextValue, l.nextLease, l.compacted, max(r.compacting, l.compacting)
	r.answered += l.answered
	if err := r.restart(); err != nil {
		return err
	}
	return r.check(before, l)
}

// restart starts the member, sometimes killing it again while it recovers.
func (r *run) restart() error {
	for r.dice.IntN(8) == 0 {
		if err := r.member.Spawn(); err != nil {
			return err
		}
		time.Sleep(time.Duration(r.dice.Int64N(int64(80 * time.Millisecond))))
		r.member.Kill()
	}
	began := time.Now()
	if err := r.member.Restart(); err != nil {
		return err
	}
	r.slowest = max(r.slowest, time.Since(began))
	return nil
}

// check reads the restarted member's history and state and compares both with what was promised.
func (r *run) check(before map[string]history.Register, l *load) error {
	ended := l.now()
	conn, err := r.member.Dial()
	if err != nil {
		return err
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()

	all, err := pb.NewKVClient(conn).Range(ctx, &pb.RangeRequest{Key: []byte{0}, RangeEnd: []byte{0}})
	if err != nil {
		return err
	}
	if all.Header.Revision < l.highest {
		return fmt.Errorf("revision %d after the restart, %d before: it went back", all.Header.Revision, l.highest)
	}
	events, err := readHistory(ctx, conn, r.ledger.Revision+1, all.Header.Revision)
	if err != nil {
		return err
	}
	if err := r.ledger.Replay(events); err != nil {
		return fmt.Errorf("history: %w", err)
	}
	if err := r.ledger.Settle(); err != nil {
		return err
	}
	if err := r.ledger.CheckState(all.Kvs); err != nil {
		return err
	}
	for _, o := range l.operations {
		if !o.Known {
			r.unknown++
		}
	}
	history.Close(l.operations, ended) // the restarted member has it or never will
	if err := history.Linearizable(before, l.operations); err != nil {
		return err
	}
	if err := r.checkLeases(ctx, conn); err != nil {
		return err
	}
	return r.checkCompaction(ctx, conn)
}

// readHistory returns every event from revision first to last.
func readHistory(ctx context.Context, conn *grpc.ClientConn, first, last int64) ([]*mvccpb.Event, error) {
	if last < first {
		return nil, nil
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := pb.NewWatchClient(conn).Watch(ctx)
	if err != nil {
		return nil, err
	}
	request := &pb.WatchCreateRequest{Key: []byte{0}, RangeEnd: []byte{0}, StartRevision: first}
	if err := stream.Send(&pb.WatchRequest{RequestUnion: &pb.WatchRequest_CreateRequest{CreateRequest: request}}); err != nil {
		return nil, err
	}
	var events []*mvccpb.Event
	for {
		response, err := stream.Recv()
		if err != nil {
			return nil, fmt.Errorf("reading history from %d to %d: %w", first, last, err)
		}
		if response.Canceled {
			return nil, fmt.Errorf("history from %d is refused: %s, compacted %d", first, response.CancelReason, response.CompactRevision)
		}
		events = append(events, response.Events...)
		if len(events) > 0 && events[len(events)-1].Kv.ModRevision >= last {
			return events, nil
		}
	}
}

// checkLeases compares the leases that exist with those that must and may.
func (r *run) checkLeases(ctx context.Context, conn *grpc.ClientConn) error {
	list, err := pb.NewLeaseClient(conn).LeaseLeases(ctx, &pb.LeaseLeasesRequest{})
	if err != nil {
		return err
	}
	exists := map[int64]bool{}
	for _, l := range list.Leases {
		exists[l.ID] = true
	}
	for id, held := range r.ledger.Leases {
		key := r.ledger.State[history.LeaseKey(id)]
		switch {
		case held.Granted && !held.MayBeGone && !exists[id]:
			return fmt.Errorf("lease %d was granted and is lost", id)
		case held.Revoked && exists[id]:
			return fmt.Errorf("lease %d was revoked and is there", id)
		case key != nil && (key.Lease != id || !exists[id]):
			return fmt.Errorf("%s is on lease %d, which exists: %v", history.LeaseKey(id), key.Lease, exists[id])
		case held.KeyPut && exists[id] && key == nil:
			return fmt.Errorf("lease %d is there, its key is lost", id)
		}
		if !exists[id] {
			delete(r.ledger.Leases, id) // it cannot come back: IDs are not used again
		} else {
			held.Granted = true // whatever was unknown about its grant is settled
			if held.MayBeGone {
				held.MayBeGone = false // the revocation did not happen
			}
		}
		delete(exists, id)
	}
	if len(exists) > 0 {
		return fmt.Errorf("%d leases exist that nobody granted: %v", len(exists), exists)
	}
	return nil
}

// checkCompaction expects that compacted history stays so and the rest is there.
func (r *run) checkCompaction(ctx context.Context, conn *grpc.ClientConn) error {
	if r.compacted <= 1 {
		return nil
	}
	_, err := pb.NewKVClient(conn).Range(ctx, &pb.RangeRequest{Key: []byte("a"), Revision: r.compacted - 1})
	if status.Convert(err).Message() != status.Convert(rpctypes.ErrGRPCCompacted).Message() {
		return fmt.Errorf("reading at %d, below the acknowledged compaction at %d: %w", r.compacted-1, r.compacted, errors.Join(err, errors.New("want: compacted")))
	}
	_, err = pb.NewKVClient(conn).Range(ctx, &pb.RangeRequest{Key: []byte("a"), Revision: r.ledger.Revision})
	return err
}
