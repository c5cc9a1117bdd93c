package workload

import (
	"context"
	"fmt"
	"sync"
	"time"

	"holdfast/tests/go/cluster"
	"holdfast/tests/go/history"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
)

const (
	keptLeases = 4
	// leaseSeconds is longer than any time in which a test leaves the cluster without a leader that
	// can be reached; keepEvery makes each member in turn renew each lease several times in it.
	leaseSeconds = 10
	keepEvery    = 500 * time.Millisecond
)

// keeper holds leases, each with a key, and renews them through one member after the other. None may
// end: the ledger takes the end of a lease that nobody revoked for what it is, a fault.
type keeper struct {
	leases   []int64
	mu       sync.Mutex
	renewals map[string]int // by member
	failures int
}

func (w *Workload) startKeeper() error {
	w.keeper = &keeper{renewals: map[string]int{}}
	ctx, cancel := context.WithTimeout(context.Background(), cluster.Patience)
	defer cancel()
	for i := range keptLeases {
		id := int64(1000 + i)
		granted, err := pb.NewLeaseClient(w.clients[0].ActiveConnection()).LeaseGrant(ctx, &pb.LeaseGrantRequest{ID: id, TTL: leaseSeconds})
		if err != nil {
			return fmt.Errorf("granting a lease: %w", err)
		}
		w.keeper.leases = append(w.keeper.leases, granted.ID)
		w.ledger.Leases[id] = &history.Lease{ID: id, Granted: true, KeyPut: true}
		if _, err := w.clients[0].Put(ctx, history.LeaseKey(id), "", clientv3.WithLease(clientv3.LeaseID(id))); err != nil {
			return fmt.Errorf("putting a lease's key: %w", err)
		}
	}
	w.issuers.Go(w.keep)
	return nil
}

// keep renews the leases until the run ends.
func (w *Workload) keep() {
	for turn := 0; ; turn++ {
		select {
		case <-w.stop:
			return
		case <-time.After(keepEvery):
		}
		for _, n := range w.cluster.Serving() {
			ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
			w.calls.Go(func() {
				defer cancel()
				w.keeper.renew(ctx, n)
			})
		}
	}
}

// renew renews all leases through one member.
func (k *keeper) renew(ctx context.Context, n *cluster.Node) {
	stream, err := pb.NewLeaseClient(n.Conn()).LeaseKeepAlive(ctx)
	for _, id := range k.leases {
		if err == nil {
			err = stream.Send(&pb.LeaseKeepAliveRequest{ID: id})
		}
		if err == nil {
			var answer *pb.LeaseKeepAliveResponse
			if answer, err = stream.Recv(); err == nil && answer.TTL <= 0 {
				err = fmt.Errorf("lease %d is gone", id)
			}
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if err != nil {
		k.failures++
	} else {
		k.renewals[n.Name()]++
	}
}
