package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// callTimeout bounds one attempt of a change of membership.
const callTimeout = 5 * time.Second

// retry makes attempts with the admin client until one works or the error is final. A cluster that
// has just changed refuses further changes for some seconds: that is etcd's way, too.
func (c *Cluster) retry(ctx context.Context, attempt func(context.Context, *clientv3.Client) error) error {
	return Until(ctx, func() error {
		admin, err := c.Admin()
		if err != nil {
			return err
		}
		once, cancel := context.WithTimeout(ctx, callTimeout)
		defer cancel()
		return attempt(once, admin)
	})
}

// Add adds a member to the cluster, as a learner or a voter, and starts it with an empty disk.
// It does not wait until it serves.
func (c *Cluster) Add(ctx context.Context, program string, learner bool) (*Node, error) {
	name, peers, err := c.place()
	if err != nil {
		return nil, err
	}
	var members []*pb.Member
	err = c.retry(ctx, func(ctx context.Context, admin *clientv3.Client) error {
		add := admin.MemberAdd
		if learner {
			add = admin.MemberAddAsLearner
		}
		_, err := add(ctx, []string{peers.Advertise})
		if err != nil && !errors.Is(err, rpctypes.ErrPeerURLExist) { // else an earlier attempt did it
			return err
		}
		list, err := admin.MemberList(ctx)
		if err == nil {
			members = list.Members
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("adding a member: %w", err)
	}
	var id uint64
	var initial []string
	for _, m := range members {
		if m.PeerURLs[0] == peers.Advertise {
			id, m.Name = m.ID, name
		}
		initial = append(initial, m.Name+"="+m.PeerURLs[0])
	}
	if id == 0 {
		return nil, fmt.Errorf("the member that was added is not in the list %v", members)
	}
	peers.Cluster, peers.Existing = strings.Join(initial, ","), true
	n, err := c.create(name, program, peers)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	n.ID, n.learner = id, learner
	c.mu.Unlock()
	err = c.Spawn(n)
	c.tell()
	return n, err
}

// Promote makes a learner a voter, as soon as the cluster lets it.
func (c *Cluster) Promote(ctx context.Context, n *Node) error {
	err := c.retry(ctx, func(ctx context.Context, admin *clientv3.Client) error {
		_, err := admin.MemberPromote(ctx, n.ID)
		if errors.Is(err, rpctypes.ErrMemberNotLearner) {
			return nil // an earlier attempt did it
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("promoting %s: %w", n.Name(), err)
	}
	c.mu.Lock()
	n.learner = false
	c.mu.Unlock()
	c.tell()
	return nil
}

// Remove takes a member out of the cluster and returns when the cluster has agreed. The member's
// process is left to find out: see LastWord.
func (c *Cluster) Remove(ctx context.Context, n *Node) error {
	c.mu.Lock()
	n.removed = true // clients turn to the others first
	c.mu.Unlock()
	c.tell()
	err := c.retry(ctx, func(ctx context.Context, admin *clientv3.Client) error {
		_, err := admin.MemberRemove(ctx, n.ID)
		if errors.Is(err, rpctypes.ErrMemberNotFound) {
			return nil // an earlier attempt did it
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("removing %s: %w", n.Name(), err)
	}
	return nil
}

// LastWord waits until a removed member's process has ended by itself and returns the log lines that
// say why.
func (c *Cluster) LastWord(ctx context.Context, n *Node) (string, error) {
	select {
	case <-n.Exited():
	case <-ctx.Done():
		return "", fmt.Errorf("%s was removed and still runs; its log:\n%s", n.Name(), n.LogTail(20))
	}
	var words []string
	for line := range strings.Lines(n.LogTail(100)) {
		if strings.Contains(line, "removed") {
			words = append(words, strings.TrimSpace(line))
		}
	}
	if len(words) == 0 {
		return "", fmt.Errorf("%s ended without saying that it was removed; its log:\n%s", n.Name(), n.LogTail(20))
	}
	return words[len(words)-1], nil
}

// Forget ends a removed member's process, should it run, and its proxy.
func (c *Cluster) Forget(n *Node) {
	c.Kill(n)
	c.Network.Remove(n.Name())
	os.RemoveAll(n.DataDir())
}

// MoveLeader hands leadership to a member.
func (c *Cluster) MoveLeader(ctx context.Context, to *Node) error {
	return Until(ctx, func() error {
		leader, err := c.Leader(ctx)
		if err != nil || leader == to {
			return err
		}
		once, cancel := context.WithTimeout(ctx, callTimeout)
		defer cancel()
		_, err = pb.NewMaintenanceClient(leader.conn).MoveLeader(once, &pb.MoveLeaderRequest{TargetID: to.ID})
		if err != nil {
			return fmt.Errorf("moving leadership from %s to %s: %w", leader.Name(), to.Name(), err)
		}
		if now, err := c.Leader(ctx); err != nil || now != to {
			return fmt.Errorf("%s does not lead yet: %w", to.Name(), err)
		}
		return nil
	})
}
