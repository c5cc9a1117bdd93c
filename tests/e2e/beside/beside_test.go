// Package beside holds holdfast to the strictest test that there is: to be a member of a cluster of
// real etcds, and to have real etcds as members. At every step all members' hashes must be equal.
//
// The ours flag names what stands beside etcd; with ours=etcd the tests prove themselves.
package beside

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
	oursFlag = flag.String("ours", "holdfast", "the program beside etcd: holdfast, etcd or a path")
	etcdFlag = flag.String("etcd", "etcd", "the etcd beside ours: etcd, or a path")
	seedFlag = flag.Uint64("seed", 0, "seed of the load; 0 chooses one")
)

var (
	// checkFlags have etcd itself compare the members' data, at every start and compaction and in
	// between; a difference raises an alarm.
	checkFlags = []string{
		"--feature-gates=InitialCorruptCheck=true,CompactHashCheck=true",
		"--compact-hash-check-time=2s", "--corrupt-check-time=3s",
	}
	// oldFlags make a log short, so that who joins needs a snapshot.
	oldFlags = append([]string{"--snapshot-count=100", "--snapshot-catchup-entries=50"}, checkFlags...)
)

type suite struct {
	*cluster.Cluster
	t     *testing.T
	ctx   context.Context
	began time.Time
	count int // keys written so far
}

func start(t *testing.T, programs []string, flags []string) *suite {
	t.Helper()
	c, err := cluster.Start(cluster.Options{Programs: programs, Dir: t.TempDir(), Flags: flags})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	t.Cleanup(func() {
		cancel()
		if t.Failed() {
			folder := filepath.Join(member.Root(), "build/test-logs", "beside-"+strings.ReplaceAll(t.Name(), "/", "-"))
			c.SaveLogs(folder)
			t.Logf("the members' logs are in %s\n%s", folder, c.LogTails(4))
		}
		c.Close()
	})
	return &suite{Cluster: c, t: t, ctx: ctx, began: time.Now()}
}

// isOlder: the etcd is of the release before ours. It joins only while the cluster's version is its
// own, and that rises for good with the last of them.
func isOlder() bool { return !strings.HasSuffix(cluster.Program(*etcdFlag), "/etcd") }

// startOurs starts a cluster that ours leads, and that etcds can join.
func startOurs(t *testing.T, flags []string) *suite {
	t.Helper()
	programs := []string{*oursFlag, *oursFlag}
	if isOlder() {
		programs = append(programs, *etcdFlag)
	}
	s := start(t, programs, flags)
	s.must(s.MoveLeader(s.ctx, s.Voters()[0]))
	return s
}

func (s *suite) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

// step says what was done, after all members have proved equal.
func (s *suite) step(format string, arguments ...any) {
	s.t.Helper()
	hash, err := s.CheckEqual(s.ctx)
	s.must(err)
	fmt.Printf("%6.1f s  %-60s all equal: hash %08x of revision %d\n",
		time.Since(s.began).Seconds(), fmt.Sprintf(format, arguments...), hash.Hash, hash.Revision)
}

func kind(n *cluster.Node) string { return filepath.Base(n.Binary()) }

// exercise writes something of every sort through each voter.
func (s *suite) exercise() {
	s.t.Helper()
	for _, n := range s.Serving() {
		client, err := cluster.Client([]string{n.ClientAddr()})
		s.must(err)
		s.must(s.exerciseThrough(client))
		s.must(client.Close())
	}
}

func (s *suite) exerciseThrough(client *clientv3.Client) error {
	ctx, cancel := context.WithTimeout(s.ctx, cluster.Patience)
	defer cancel()
	key := func(name string) string { return fmt.Sprintf("%s/%06d", name, s.count) }
	for range 5 {
		s.count++
		if _, err := client.Put(ctx, key("put"), strings.Repeat("v", 1+s.count*997%20_000)); err != nil {
			return err
		}
		nested := clientv3.OpTxn(
			[]clientv3.Cmp{clientv3.Compare(clientv3.Version(key("put")), "=", 1)},
			[]clientv3.Op{clientv3.OpPut(key("nested"), "then"), clientv3.OpDelete(fmt.Sprintf("put/%06d", s.count-3))},
			[]clientv3.Op{clientv3.OpPut(key("nested"), "else")})
		guard := clientv3.Compare(clientv3.CreateRevision(key("txn")), "=", 0)
		if _, err := client.Txn(ctx).If(guard).Then(clientv3.OpPut(key("txn"), ""), nested).Else(clientv3.OpGet("put")).Commit(); err != nil {
			return err
		}
	}
	if _, err := client.Delete(ctx, "nested/", clientv3.WithPrefix()); err != nil {
		return err
	}
	kept, err := client.Grant(ctx, 1000)
	if err != nil {
		return err
	}
	revoked, err := client.Grant(ctx, 1000)
	if err != nil {
		return err
	}
	for _, id := range []clientv3.LeaseID{kept.ID, revoked.ID} {
		for i := range 3 {
			if _, err := client.Put(ctx, fmt.Sprintf("lease/%x/%d", id, i), "", clientv3.WithLease(id)); err != nil {
				return err
			}
		}
	}
	if _, err := client.Revoke(ctx, revoked.ID); err != nil {
		return err
	}
	if once, err := client.KeepAliveOnce(ctx, kept.ID); err != nil || once.TTL != 1000 {
		return fmt.Errorf("keeping a lease alive: %v, %w", once, err)
	}
	got, err := client.Get(ctx, "put/", clientv3.WithPrefix(), clientv3.WithCountOnly())
	if err != nil {
		return err
	}
	if got.Count == 0 || got.Header.Revision < revoked.ResponseHeader.Revision {
		return fmt.Errorf("a linearizable read finds %v", got)
	}
	return nil
}

// grow writes until the log no longer has its beginning.
func (s *suite) grow() {
	s.t.Helper()
	client, err := s.Admin()
	s.must(err)
	for i := range 400 {
		_, err := client.Put(s.ctx, fmt.Sprintf("grow/%d", i%150), fmt.Sprint(i))
		s.must(err)
	}
	s.compact(300)
}

func (s *suite) compact(revision int64) {
	s.t.Helper()
	client, err := s.Admin()
	s.must(err)
	_, err = client.Compact(s.ctx, revision, clientv3.WithCompactPhysical())
	s.must(err)
}

// snapshots counts the transfers of a snapshot that etcds among the members tell of.
func (s *suite) snapshots() int {
	count := 0
	for _, n := range s.Nodes() {
		text := n.LogTail(1 << 20)
		count += strings.Count(text, "sent database snapshot to writer") + strings.Count(text, "received and saved database snapshot")
	}
	return count
}

// join brings a member in as a learner, has it promoted, and lets it take part: its vote is needed,
// it leads, it is killed and comes back.
func (s *suite) join(program string, bySnapshot bool) *cluster.Node {
	s.t.Helper()
	before := s.snapshots()
	joiner, err := s.Add(s.ctx, program, true)
	s.must(err)
	s.must(s.WaitServing(s.ctx, joiner))
	s.step("%s (%s) has joined as a learner", joiner.Name(), kind(joiner))
	if got := s.snapshots() > before; got != bySnapshot {
		s.t.Fatalf("it came by a snapshot: %v, want %v", got, bySnapshot)
	}
	s.exercise()
	s.step("after writes of every sort beside a learner")
	s.must(s.Promote(s.ctx, joiner))
	s.must(s.WaitHealthy(s.ctx))
	s.exercise()
	s.step("%s votes", joiner.Name())
	return joiner
}

// takePart has a new voter do everything that a voter does.
func (s *suite) takePart(n *cluster.Node) {
	s.t.Helper()
	// Every other member that may be away at once is away: without this vote nothing commits.
	var away []*cluster.Node
	for _, other := range s.Voters() {
		if other != n && len(away) < (len(s.Voters())-1)/2 {
			s.must(s.Stop(other))
			away = append(away, other)
		}
	}
	s.exercise()
	s.step("%d of %d are away, and %s is needed", len(away), len(s.Voters()), n.Name())
	for _, other := range away {
		s.must(s.Spawn(other))
	}
	s.must(s.WaitHealthy(s.ctx))

	s.must(s.MoveLeader(s.ctx, n))
	s.exercise()
	s.step("%s (%s) leads", n.Name(), kind(n))
	for _, other := range s.Voters() {
		if other != n {
			s.Kill(other)
			s.exercise()
			s.must(s.Spawn(other))
			s.must(s.WaitHealthy(s.ctx))
			break
		}
	}
	s.step("a follower was killed under it and came back")
	s.compact(s.presentRevision() - 10)
	s.exercise()
	s.must(s.CheckEqualHistory(s.ctx, 8))
	s.step("after a compaction, and at eight revisions before")
	s.Kill(n)
	s.must(s.WaitHealthy(s.ctx))
	s.exercise()
	s.must(s.Spawn(n))
	s.must(s.WaitHealthy(s.ctx))
	s.step("%s was killed as leader and came back", n.Name())
}

func (s *suite) presentRevision() int64 {
	s.t.Helper()
	revision, err := s.Serving()[0].Revision(s.ctx, false)
	s.must(err)
	return revision
}

// finish expects that no check of etcd's own found a difference.
func (s *suite) finish() {
	s.t.Helper()
	s.must(s.CheckMemberLists(s.ctx))
	client, err := s.Admin()
	s.must(err)
	alarms, err := client.AlarmList(s.ctx)
	s.must(err)
	if len(alarms.Alarms) != 0 {
		s.t.Fatalf("alarms: %v", alarms.Alarms)
	}
	s.must(s.CheckEqualHistory(s.ctx, 20))
	s.step("the end, and at twenty revisions before")
}

func TestOursJoinsEtcdsByLog(t *testing.T) {
	s := start(t, []string{*etcdFlag, *etcdFlag}, checkFlags)
	s.takePart(s.join(*oursFlag, false))
	s.finish()
}

func TestOursJoinsEtcdsBySnapshot(t *testing.T) {
	s := start(t, []string{*etcdFlag, *etcdFlag}, oldFlags)
	s.exercise()
	s.grow()
	s.takePart(s.join(*oursFlag, true))
	s.finish()
}

func TestEtcdJoinsOursByLog(t *testing.T) {
	s := startOurs(t, checkFlags)
	s.takePart(s.join(*etcdFlag, false))
	s.finish()
}

func TestEtcdJoinsOursBySnapshot(t *testing.T) {
	s := startOurs(t, oldFlags)
	s.exercise()
	s.grow()
	s.takePart(s.join(*etcdFlag, true))
	s.finish()
}

// TestMixedFromTheStart has both sorts bootstrap one cluster.
func TestMixedFromTheStart(t *testing.T) {
	s := start(t, []string{*etcdFlag, *oursFlag, *etcdFlag}, checkFlags)
	s.exercise()
	s.step("a new cluster of both")
	s.takePart(s.Voters()[1])
	s.finish()
}

// TestRehearsal turns a cluster of etcds into one of ours, member by member, and back, under load.
// Of older etcds one always stays.
func TestRehearsal(t *testing.T) {
	seed := *seedFlag
	if seed == 0 {
		seed = rand.Uint64N(1 << 40)
	}
	fmt.Printf("seed %d\n", seed)
	s := start(t, []string{*etcdFlag, *etcdFlag, *etcdFlag}, append([]string{"--snapshot-catchup-entries=500"}, checkFlags...))
	load, err := workload.Start(s.Cluster, seed)
	s.must(err)
	s.must(load.AwaitWrites(s.ctx, 200))
	gaps := workload.Gaps{Election: s.Election()}
	path := []string{*oursFlag, *oursFlag, *oursFlag, *etcdFlag, *etcdFlag, *etcdFlag}
	if isOlder() {
		path = []string{*oursFlag, *oursFlag, *etcdFlag, *etcdFlag}
	}
	for _, program := range path {
		old := s.Voters()[0]
		s.must(load.Compact(s.ctx, 200))
		began := time.Now()
		mark := func(what string) {
			s.must(load.AwaitWrites(s.ctx, 100))
			gaps.Add(what, workload.Unnoticed, load.LongestGap(began))
			s.step("%s: %s", what, s.composition())
			began = time.Now()
		}
		added, err := s.Add(s.ctx, program, true)
		s.must(err)
		s.must(s.WaitServing(s.ctx, added))
		mark("learner added")
		s.must(s.Promote(s.ctx, added))
		mark("learner promoted")
		s.must(s.MoveLeader(s.ctx, added))
		mark("leadership moved to it")
		s.must(s.Remove(s.ctx, old))
		word, err := s.LastWord(s.ctx, old)
		s.must(err)
		t.Logf("the last word of %s: %s", old.Name(), word)
		mark("old member removed")
	}
	report, err := load.Finish(s.ctx)
	s.must(err)
	s.finish()
	fmt.Println(report)
	fmt.Print(gaps.Table())
	s.must(gaps.Judge())
}

// composition says what the members are.
func (s *suite) composition() string {
	var kinds []string
	for _, n := range s.Nodes() {
		kinds = append(kinds, kind(n))
	}
	return strings.Join(kinds, " ")
}
