package cluster

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"holdfast/tests/go/cluster"

	clientv3 "go.etcd.io/etcd/client/v3"
)

const (
	diskMiB = 448 // four log segments of 64 MiB, two rounds of values, and some room
	// bulkPuts × bulkBytes is more than the log segment that is there already.
	bulkPuts  = 300
	bulkBytes = 256 << 10
)

// TestClusterWithAFullDisk fills one member's disk, once a follower's and once the leader's: the
// others go on, and with room again the member comes back and holds what they do.
func TestClusterWithAFullDisk(t *testing.T) {
	dir := t.TempDir()
	small := filepath.Join(dir, "m2", "data")
	if err := os.MkdirAll(small, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("none", small, "tmpfs", 0, fmt.Sprintf("size=%dm,mode=0700", diskMiB)); err != nil {
		t.Skipf("needs the right to mount: %v", err)
	}
	t.Cleanup(func() { syscall.Unmount(small, syscall.MNT_DETACH) })
	c, err := cluster.Start(cluster.Options{Programs: programs(3), Dir: dir, Flags: []string{"--backend-batch-interval=20ms"}})
	if err != nil {
		t.Fatal(err)
	}
	s := adopt(t, c, 5*time.Minute)
	sick := s.Nodes()[1]
	for round, role := range []string{"follower", "leader"} {
		if role == "leader" {
			s.must(s.MoveLeader(s.ctx, sick))
		} else if s.leader() == sick {
			s.must(s.MoveLeader(s.ctx, s.followers()[0]))
		}
		filler := filepath.Join(small, "filler")
		s.must(fill(filler))
		written, longest := s.bulk(round, sick)
		ended := false
		select {
		case <-sick.Exited():
			ended = true
		default:
		}
		fmt.Printf("full disk of the %s: %d MiB written meanwhile, longest put %v, the member ended: %v; its log: %.300s\n",
			role, written>>20, longest.Round(time.Millisecond), ended, sick.LogTail(1))
		if limit := s.Election() + 3*time.Second; longest > limit {
			t.Errorf("a put took %v, the limit is %v", longest, limit)
		}
		s.must(os.Remove(filler))
		if ended {
			s.must(s.Spawn(sick))
		}
		s.settled()
		for _, n := range s.Voters() {
			got, err := s.client(n).Get(s.ctx, "bulk/", clientv3.WithPrefix(), clientv3.WithCountOnly())
			s.must(err)
			if got.Count != bulkPuts {
				t.Errorf("%s has %d keys of %d", n.Name(), got.Count, bulkPuts)
			}
		}
		s.makeRoom()
	}
}

// fill writes a file until the disk is full.
func fill(path string) error {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	defer file.Close()
	for block := bytes.Repeat([]byte{1}, 1<<20); len(block) > 0; {
		if _, err := file.Write(block); errors.Is(err, syscall.ENOSPC) {
			block = block[:len(block)/2]
		} else if err != nil {
			return err
		}
	}
	return nil
}

// bulk puts large values through the healthy members until each has been acknowledged, and returns
// their bytes and the longest time that one took. An attempt that fails is made again.
func (s suite) bulk(round int, sick *cluster.Node) (written int, longest time.Duration) {
	healthy := s.client(slices.DeleteFunc(s.Voters(), func(n *cluster.Node) bool { return n == sick })...)
	for i := range bulkPuts {
		began := time.Now()
		value := fmt.Sprintf("%d-%0*d", round, bulkBytes, i)
		s.must(cluster.Until(s.ctx, func() error {
			_, err := healthy.Put(s.ctx, fmt.Sprintf("bulk/%03d", i), value)
			return err
		}))
		written += len(value)
		longest = max(longest, time.Since(began))
	}
	return written, longest
}

// makeRoom shrinks the store, so that the small disk holds another round.
func (s suite) makeRoom() {
	client := s.client()
	deleted, err := client.Delete(s.ctx, "bulk/", clientv3.WithPrefix())
	s.must(err)
	_, err = client.Compact(s.ctx, deleted.Header.Revision, clientv3.WithCompactPhysical())
	s.must(err)
	for _, n := range s.Voters() {
		_, err := client.Defragment(s.ctx, n.ClientAddr())
		s.must(err)
	}
}
