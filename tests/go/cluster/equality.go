package cluster

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

// Hash is what HashKV answers for one revision.
type Hash struct {
	Revision, Compacted int64
	Hash                uint32
}

// CheckEqual waits until every running member, learners too, has reached the present revision, and
// compares their hashes of it. It works under load.
func (c *Cluster) CheckEqual(ctx context.Context) (Hash, error) {
	var agreed Hash
	err := Until(ctx, func() error {
		revision, err := c.presentRevision(ctx)
		if err != nil {
			return err
		}
		agreed, err = c.hashAt(ctx, revision)
		return err
	})
	return agreed, err
}

// CheckEqualHistory compares all running members' hashes of some revisions, spread over what is not
// compacted. The compacted revision itself is left out: an etcd that saw the compaction answers with
// the hash that it took then, one that was started since with another.
func (c *Cluster) CheckEqualHistory(ctx context.Context, samples int64) error {
	present, err := c.CheckEqual(ctx)
	if err != nil {
		return err
	}
	first := max(present.Compacted, 1) + 1
	for i := range samples {
		revision := first + (present.Revision-first)*i/samples
		err := Until(ctx, func() error {
			_, err := c.hashAt(ctx, revision)
			return err
		})
		if err != nil {
			return fmt.Errorf("at revision %d: %w", revision, err)
		}
	}
	return nil
}

func (c *Cluster) presentRevision(ctx context.Context) (revision int64, err error) {
	for _, n := range c.Serving() {
		if revision, err = n.Revision(ctx, false); err == nil {
			return revision, nil
		}
	}
	return 0, fmt.Errorf("no member answers: %w", err)
}

// hashAt compares all members' hashes of a revision. Different compaction points are an error that
// goes away when the members have caught up with one another, a different hash is one that does not.
func (c *Cluster) hashAt(ctx context.Context, revision int64) (Hash, error) {
	var first Hash
	var report []string
	for _, n := range c.where(func(n *Node) bool { return n.state == Running }) {
		if own, err := n.Revision(ctx, true); err != nil || own < revision {
			return first, fmt.Errorf("%s is at revision %d of %d: %w", n.Name(), own, revision, err)
		}
		h, err := n.hash(ctx, revision, c.isLearner(n))
		if err != nil {
			return first, fmt.Errorf("hash of %s: %w", n.Name(), err)
		}
		report = append(report, fmt.Sprintf("%s %+v", n.Name(), h))
		if first == (Hash{}) {
			first = h
		}
		if h != first {
			return first, fmt.Errorf("members differ: %s", strings.Join(report, ", "))
		}
	}
	return first, nil
}

func (n *Node) hash(ctx context.Context, revision int64, learner bool) (Hash, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	if learner {
		return n.PeerHash(ctx, revision)
	}
	r, err := pb.NewMaintenanceClient(n.conn).HashKV(ctx, &pb.HashKVRequest{Revision: revision})
	if err != nil {
		return Hash{}, err
	}
	return Hash{Revision: revision, Compacted: r.CompactRevision, Hash: r.Hash}, nil
}

// PeerHash asks as a peer does, which learners answer too.
func (n *Node) PeerHash(ctx context.Context, revision int64) (Hash, error) {
	body := fmt.Sprintf(`{"revision":%d}`, revision)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+n.listen+"/members/hashkv", bytes.NewReader([]byte(body)))
	if err != nil {
		return Hash{}, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return Hash{}, err
	}
	defer response.Body.Close()
	content, err := io.ReadAll(io.LimitReader(response.Body, 1<<16))
	if err != nil || response.StatusCode != http.StatusOK {
		return Hash{}, fmt.Errorf("/members/hashkv: %s %s %w", response.Status, content, err)
	}
	var answer struct {
		Hash      uint32 `json:"hash"`
		Compacted int64  `json:"compact_revision"`
	}
	if err := json.Unmarshal(content, &answer); err != nil {
		return Hash{}, err
	}
	return Hash{Revision: revision, Compacted: answer.Compacted, Hash: answer.Hash}, nil
}

// CheckMemberLists waits until all voters tell the same members, which are those that there are.
func (c *Cluster) CheckMemberLists(ctx context.Context) error {
	return Until(ctx, func() error {
		var want []string
		for _, n := range c.Nodes() {
			want = append(want, fmt.Sprintf("%x %s %s %v", n.ID, n.Name(), n.PeerURL(), c.isLearner(n)))
		}
		slices.Sort(want)
		for _, n := range c.Serving() {
			once, cancel := context.WithTimeout(ctx, callTimeout)
			list, err := pb.NewClusterClient(n.conn).MemberList(once, &pb.MemberListRequest{Linearizable: true})
			cancel()
			if err != nil {
				return fmt.Errorf("member list of %s: %w", n.Name(), err)
			}
			var got []string
			for _, m := range list.Members {
				got = append(got, fmt.Sprintf("%x %s %s %v", m.ID, m.Name, strings.Join(m.PeerURLs, ","), m.IsLearner))
			}
			slices.Sort(got)
			if !slices.Equal(got, want) {
				return fmt.Errorf("%s lists %q, want %q", n.Name(), got, want)
			}
		}
		return nil
	})
}
