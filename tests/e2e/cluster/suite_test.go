// Package cluster holds a cluster of real processes to its promises under faults. Every test starts
// its own members; all traffic between them runs through links of the test (tests/go/links).
package cluster

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"holdfast/tests/go/cluster"
	"holdfast/tests/go/member"
	"holdfast/tests/go/workload"

	clientv3 "go.etcd.io/etcd/client/v3"
)

var (
	binaryFlag = flag.String("binary", "holdfast", "the members' program: etcd, holdfast or a path; a list with commas is used in turn")
	seedFlag   = flag.Uint64("seed", 0, "seed of load and faults; 0 chooses one")
	faultsFlag = flag.Int("faults", 12, "faults per run of TestFaults")
	kindFlag   = flag.String("kind", "", "only faults whose names contain this")
	runsFlag   = flag.Int("runs", 1, "runs of TestFaults per size, each with a seed of its own")
)

// suite is a cluster under test.
type suite struct {
	*cluster.Cluster
	t   *testing.T
	ctx context.Context
}

// programs returns the members' programs for a cluster of a size.
func programs(size int) []string {
	choices := strings.Split(*binaryFlag, ",")
	var chosen []string
	for i := range size {
		chosen = append(chosen, choices[i%len(choices)])
	}
	return chosen
}

func seed() uint64 {
	if *seedFlag != 0 {
		return *seedFlag
	}
	return rand.Uint64N(1 << 40)
}

// start starts a cluster that ends with the test; the whole test may take so long and no longer.
func start(t *testing.T, size int, limit time.Duration, flags ...string) suite {
	t.Helper()
	options := cluster.Options{Programs: programs(size), Dir: t.TempDir(), Flags: flags}
	if size > 3 { // five members and their users on two cores: etcd's own timers, so that none is late for nothing
		options.Heartbeat, options.Election = 100*time.Millisecond, time.Second
	}
	c, err := cluster.Start(options)
	if err != nil {
		t.Fatal(err)
	}
	return adopt(t, c, limit)
}

func adopt(t *testing.T, c *cluster.Cluster, limit time.Duration) suite {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	t.Cleanup(func() {
		cancel()
		if t.Failed() {
			folder := filepath.Join(member.Root(), "build/test-logs", "cluster-"+strings.ReplaceAll(t.Name(), "/", "-"))
			c.SaveLogs(folder)
			t.Logf("the members' logs are in %s\n%s", folder, c.LogTails(4))
		}
		c.Close()
	})
	return suite{c, t, ctx}
}

// must fails the test on an error.
func (s suite) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s suite) leader() *cluster.Node {
	s.t.Helper()
	leader, err := s.Leader(s.ctx)
	s.must(err)
	return leader
}

// followers returns the voters other than the leader.
func (s suite) followers() []*cluster.Node {
	s.t.Helper()
	leader := s.leader()
	var followers []*cluster.Node
	for _, n := range s.Voters() {
		if n != leader {
			followers = append(followers, n)
		}
	}
	return followers
}

// client returns an official client of one member, or of all.
func (s suite) client(nodes ...*cluster.Node) *clientv3.Client {
	s.t.Helper()
	var endpoints []string
	for _, n := range nodes {
		endpoints = append(endpoints, n.ClientAddr())
	}
	if len(nodes) == 0 {
		endpoints = s.Endpoints()
	}
	client, err := cluster.Client(endpoints)
	s.must(err)
	s.t.Cleanup(func() { client.Close() })
	return client
}

// settled waits until the cluster is whole and all its members hold the same.
func (s suite) settled() {
	s.t.Helper()
	s.must(s.WaitHealthy(s.ctx))
	_, err := s.CheckEqual(s.ctx)
	s.must(err)
}

// load starts the workload.
func (s suite) load(seed uint64) *workload.Workload {
	s.t.Helper()
	w, err := workload.Start(s.Cluster, seed)
	s.must(err)
	s.must(w.AwaitWrites(s.ctx, 50))
	return w
}

// finish ends the workload and prints what it came to.
func (s suite) finish(w *workload.Workload) {
	s.t.Helper()
	report, err := w.Finish(s.ctx)
	if err != nil {
		s.t.Fatal(err)
	}
	fmt.Println(report)
}
