package archive

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"holdfast/tests/go/cluster"
	"holdfast/tests/go/member"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// hash is what HashKV says of a moment.
type hash struct {
	Hash            uint32 `json:"hash"`
	HashRevision    int64  `json:"hashRevision"`
	CompactRevision int64  `json:"compactRevision"`
}

// point is a moment that a snapshot can be asked for.
type point struct {
	at time.Time
	hash
}

type suite struct {
	*cluster.Cluster
	t      *testing.T
	ctx    context.Context
	client *clientv3.Client
	dir    string
}

func start(t *testing.T, programs []string, flags ...string) *suite {
	t.Helper()
	c, err := cluster.Start(cluster.Options{Programs: programs, Dir: t.TempDir(), Flags: flags})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	t.Cleanup(func() {
		cancel()
		if t.Failed() {
			t.Logf("the members' logs end:\n%s", c.LogTails(8))
		}
		c.Close()
	})
	client, err := cluster.Client(c.Endpoints())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	return &suite{Cluster: c, t: t, ctx: ctx, client: client, dir: t.TempDir()}
}

func (s *suite) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

// retry does what may meet a change of leader until it is done.
func (s *suite) retry(what func(ctx context.Context) error) {
	s.t.Helper()
	s.must(cluster.Until(s.ctx, func() error {
		ctx, cancel := context.WithTimeout(s.ctx, 3*time.Second)
		defer cancel()
		return what(ctx)
	}))
}

func (s *suite) path(name string) string { return filepath.Join(s.dir, name) }

// holdfast runs a subcommand; what it says is the error's text, if it fails.
func (s *suite) holdfast(arguments ...string) (string, error) {
	out, err := exec.Command(member.Holdfast(), arguments...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return string(out), nil
}

// base saves a snapshot and tells which entry it is of.
func (s *suite) base(node *cluster.Node) (string, position) {
	s.t.Helper()
	answer, err := pb.NewMaintenanceClient(node.Conn()).Snapshot(s.ctx, &pb.SnapshotRequest{})
	s.must(err)
	path := s.path("base.db")
	file, err := os.Create(path)
	s.must(err)
	for {
		piece, err := answer.Recv()
		if err != nil {
			break
		}
		_, err = file.Write(piece.Blob)
		s.must(err)
	}
	s.must(file.Close())
	return path, s.appliedBy(path)
}

// appliedBy reads the entry that a snapshot is of, by a restore's own look at it.
func (s *suite) appliedBy(path string) position {
	s.t.Helper()
	p, err := consistentIndex(path)
	s.must(err)
	return p
}

func (s *suite) hashOf(path string) hash {
	s.t.Helper()
	out, err := s.holdfast("hashkv", path, "-w", "json")
	s.must(err)
	var h hash
	s.must(json.Unmarshal([]byte(out), &h))
	return h
}

func (s *suite) replay(base, archive, name string, limits ...string) (string, error) {
	output := s.path(name)
	_, err := s.holdfast(append([]string{"snapshot", "replay", base, "--archive", archive, "--output", output}, limits...)...)
	return output, err
}

// now is the state that `node` has, once the archive holds all of it.
func (s *suite) now(node *cluster.Node, k *keeper) point {
	s.t.Helper()
	var applied uint64
	var answer *pb.HashKVResponse
	s.retry(func(ctx context.Context) (err error) {
		// Linearizable, so that the member has applied what was acknowledged.
		if _, err = pb.NewKVClient(node.Conn()).Range(ctx, &pb.RangeRequest{Key: []byte("x")}); err != nil {
			return err
		}
		if answer, err = pb.NewMaintenanceClient(node.Conn()).HashKV(ctx, &pb.HashKVRequest{}); err != nil {
			return err
		}
		now, err := node.Status(ctx)
		if err == nil {
			applied = now.RaftAppliedIndex
		}
		return err
	})
	k.await(applied)
	at := time.Now()
	time.Sleep(3 * time.Millisecond) // the archive counts milliseconds
	return point{at, hash{answer.Hash, answer.HashRevision, answer.CompactRevision}}
}

// write does one of everything that changes state, or lets some of it be.
func (s *suite) write(dice *rand.Rand, step int) {
	s.t.Helper()
	key := fmt.Sprintf("key/%d", dice.IntN(40))
	switch dice.IntN(12) {
	case 0:
		s.retry(func(ctx context.Context) error { _, err := s.client.Delete(ctx, key); return err })
	case 1:
		s.retry(func(ctx context.Context) error {
			_, err := s.client.Txn(ctx).Then(clientv3.OpPut(key, "txn"), clientv3.OpDelete("other"), clientv3.OpPut("another", key)).Commit()
			return err
		})
	case 2:
		s.retry(func(ctx context.Context) error {
			lease, err := s.client.Grant(ctx, 3000)
			if err == nil {
				_, err = s.client.Put(ctx, key, "leased", clientv3.WithLease(lease.ID))
			}
			return err
		})
	case 3:
		s.retry(func(ctx context.Context) error {
			_, err := s.client.UserAddWithOptions(ctx, fmt.Sprintf("user-%d", step), "", &clientv3.UserAddOptions{NoPassword: true})
			if err != nil && strings.Contains(err.Error(), "already exists") {
				return nil
			}
			return err
		})
	default:
		s.retry(func(ctx context.Context) error {
			_, err := s.client.Put(ctx, key, fmt.Sprintf("value-%d-%s", step, strings.Repeat("x", dice.IntN(300))))
			return err
		})
	}
}

func TestSnapshotsOfChosenMoments(t *testing.T) {
	s := start(t, []string{"etcd", "holdfast", "holdfast"})
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	dice := rand.New(rand.NewPCG(seed, 1))
	ours := s.Nodes()[1:]
	for step := range 20 {
		s.write(dice, step)
	}
	base, from := s.base(ours[0])
	archive := s.path("archive")
	s.must(os.Mkdir(archive, 0o700))
	k := newKeeper(archive, from, 25)
	following, stop := context.WithCancel(s.ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		k.run(following, []*grpc.ClientConn{ours[0].Conn(), ours[1].Conn()})
	}()

	points := []point{s.now(ours[0], k)}
	for step := range 300 {
		s.write(dice, 1000+step)
		if step == 120 { // the archive goes on at the other
			s.Kill(ours[0])
		}
		if step == 180 {
			s.must(s.Spawn(ours[0]))
			s.must(s.WaitServing(s.ctx, ours[0]))
		}
		if step == 200 {
			s.retry(func(ctx context.Context) error {
				_, err := s.client.Compact(ctx, points[len(points)-1].HashRevision)
				return err
			})
		}
		if step%30 == 29 {
			points = append(points, s.now(ours[1], k))
		}
	}
	stop()
	<-done
	s.must(k.flush())

	for i, p := range points {
		byRevision, err := s.replay(base, archive, fmt.Sprintf("revision-%d.db", i), "--to-revision", fmt.Sprint(p.HashRevision))
		s.must(err)
		if got := s.hashOf(byRevision); got != p.hash {
			t.Errorf("point %d by revision: %+v, the member said %+v", i, got, p.hash)
		}
		byTime, err := s.replay(base, archive, fmt.Sprintf("time-%d.db", i), "--to-time", p.at.UTC().Format("2006-01-02T15:04:05.000Z"))
		s.must(err)
		if got := s.hashOf(byTime); got != p.hash {
			t.Errorf("point %d by time: %+v, the member said %+v", i, got, p.hash)
		}
	}
	s.checkRestored(base, archive)
	s.checkDamage(base, archive, points)
}

// checkRestored starts a member, and a real etcd, on the archive's end: users and leases are there too.
func (s *suite) checkRestored(base, archive string) {
	s.t.Helper()
	end, err := s.replay(base, archive, "end.db")
	s.must(err)
	var users, leases int
	s.retry(func(ctx context.Context) error {
		answer, err := s.client.UserList(ctx)
		if err != nil {
			return err
		}
		held, err := s.client.Leases(ctx)
		users, leases = len(answer.Users), 0
		if err == nil {
			leases = len(held.Leases)
		}
		return err
	})
	for _, restorer := range [][]string{{member.Holdfast()}, {member.Tool("etcdutl")}} {
		data := filepath.Join(s.t.TempDir(), "data")
		peer := "http://127.0.0.1:1"
		out, err := exec.Command(restorer[0], "snapshot", "restore", end, "--data-dir", data, "--name", "m",
			"--initial-cluster", "m="+peer, "--initial-advertise-peer-urls", peer).CombinedOutput()
		if err != nil {
			s.t.Fatalf("%s can't restore: %s", restorer[0], out)
		}
		binary := member.Holdfast()
		if restorer[0] != binary {
			binary = member.Etcd()
		}
		m, err := member.Start(member.Options{Binary: binary, Dir: s.t.TempDir(), DataDir: data})
		s.must(err)
		client, err := cluster.Client([]string{m.ClientAddr()})
		s.must(err)
		answer, err := client.UserList(s.ctx)
		s.must(err)
		held, err := client.Leases(s.ctx)
		s.must(err)
		if len(answer.Users) != users || len(held.Leases) != leases || users == 0 || leases == 0 {
			s.t.Errorf("%s has %d users and %d leases, the cluster %d and %d", binary, len(answer.Users), len(held.Leases), users, leases)
		}
		client.Close()
		s.must(m.Stop())
	}
}

func (s *suite) refused(words string, err error) {
	s.t.Helper()
	if err == nil || !strings.Contains(err.Error(), words) {
		s.t.Errorf("not refused with %q: %v", words, err)
	}
}

// checkDamage: an archive that is not whole, or not of this history, makes no snapshot.
func (s *suite) checkDamage(base, archive string, points []point) {
	s.t.Helper()
	last := fmt.Sprint(points[len(points)-1].HashRevision)
	_, err := s.replay(base, archive, "end.db")
	s.refused("is there already", err)
	_, err = s.replay(base, archive, "none.db", "--to-revision", "1000000")
	s.refused("the archive ends at entry", err)
	_, err = s.replay(base, archive, "none.db", "--to-revision", "2")
	s.refused("lies before the snapshot's", err)
	_, err = s.replay(base, archive, "none.db", "--to-time", time.Now().UTC().Format(time.RFC3339Nano))
	s.refused("lies beyond the archive", err)
	_, err = s.replay(base, archive, "none.db", "--to-time", "yesterday")
	s.refused("--to-time is no time", err)

	segments, err := filepath.Glob(filepath.Join(archive, "*.entries"))
	s.must(err)
	if len(segments) < 5 {
		s.t.Fatalf("only %d segments", len(segments))
	}
	middle := segments[len(segments)/2]
	content, err := os.ReadFile(middle)
	s.must(err)
	for _, damage := range []struct {
		what, words string
		change      func(bytes []byte) []byte
	}{
		{"changed", "SHA-256", func(bytes []byte) []byte { bytes[len(bytes)/2] ^= 1; return bytes }},
		{"cut", "SHA-256", func(bytes []byte) []byte { return bytes[:len(bytes)-7] }},
		{"empty", "cut off", func([]byte) []byte { return nil }},
		{"gone", "lacks entries", nil},
	} {
		if damage.change == nil {
			s.must(os.Remove(middle))
		} else {
			s.must(os.WriteFile(middle, damage.change(append([]byte(nil), content...)), 0o600))
		}
		_, err := s.replay(base, archive, "none.db", "--to-revision", last)
		s.refused(damage.words, err)
		if _, err := os.Stat(s.path("none.db")); err == nil {
			s.t.Errorf("an archive with a segment %s made a snapshot", damage.what)
		}
	}
	leftovers, _ := filepath.Glob(s.path("none.db*"))
	if len(leftovers) > 0 {
		s.t.Errorf("left behind: %v", leftovers)
	}
}

func TestFollowIsForRootAndForWhatTheLogHolds(t *testing.T) {
	s := start(t, []string{"holdfast"}, "--snapshot-catchup-entries=10", "--bcrypt-cost=4")
	node := s.Nodes()[0]
	for step := range 3000 {
		_, err := s.client.Put(s.ctx, fmt.Sprint(step%10), "value")
		s.must(err)
	}
	nothing := func(response) error { return nil }
	s.must(cluster.Until(s.ctx, func() error {
		ctx, cancel := context.WithTimeout(s.ctx, 2*time.Second)
		defer cancel()
		err := follow(ctx, node.Conn(), 1, nothing)
		if status.Code(err) != codes.OutOfRange || !strings.Contains(err.Error(), "take a snapshot") {
			return fmt.Errorf("entries that are gone: %w", err)
		}
		return nil
	}))

	s.must2(s.client.UserAdd(s.ctx, "root", "secret"))
	s.must2(s.client.UserGrantRole(s.ctx, "root", "root"))
	s.must2(s.client.UserAdd(s.ctx, "other", "secret"))
	s.must2(s.client.AuthEnable(s.ctx))
	applied := func() uint64 {
		root, err := clientv3.New(clientv3.Config{Endpoints: s.Endpoints(), Username: "root", Password: "secret"})
		s.must(err)
		defer root.Close()
		answer, err := root.Status(s.ctx, s.Endpoints()[0])
		s.must(err)
		return answer.RaftAppliedIndex
	}()
	for _, user := range []string{"", "other", "root"} {
		ctx, cancel := context.WithTimeout(s.ctx, 3*time.Second)
		if user != "" {
			answer, err := pb.NewAuthClient(node.Conn()).Authenticate(ctx, &pb.AuthenticateRequest{Name: user, Password: "secret"})
			s.must(err)
			ctx = metadata.AppendToOutgoingContext(ctx, "token", answer.Token)
		}
		answers := 0
		err := follow(ctx, node.Conn(), applied, func(response) error { answers++; return nil })
		switch code := status.Code(err); {
		case user == "" && code == codes.InvalidArgument:
		case user == "other" && code == codes.PermissionDenied:
		case user == "root" && code == codes.DeadlineExceeded && answers > 1:
		default:
			t.Errorf("user %q: %d answers, then %v", user, answers, err)
		}
		cancel()
	}
}

func (s *suite) must2(_ any, err error) {
	s.t.Helper()
	s.must(err)
}

// worker runs a verb of the operator's worker on a folder of this machine.
func (s *suite) worker(verb string, arguments ...string) *exec.Cmd {
	s.t.Helper()
	rclone, err := exec.LookPath("rclone")
	s.must(err)
	command := exec.Command(operator(), append([]string{"backup-worker", "--verdict-file", s.path("verdict.json"), verb,
		"--remote", s.path("target"), "--object", "log", "--rclone", rclone}, arguments...)...)
	command.Stderr = os.Stderr
	return command
}

func operator() string {
	if path := os.Getenv("HOLDFAST_OPERATOR_BIN"); path != "" {
		return path
	}
	return filepath.Join(member.Root(), "build/release/bin/holdfast-operator")
}

// keeping starts an archiver of a member, which ends with the test at the latest.
func (s *suite) keeping(node *cluster.Node, keys string) *exec.Cmd {
	s.t.Helper()
	host, port, err := net.SplitHostPort(node.ClientAddr())
	s.must(err)
	archiver := s.worker("archive", "--address", host, "--port", port, "--interval-seconds", "1", "--keys", keys)
	s.must(member.StartTied(archiver))
	s.t.Cleanup(func() { _ = archiver.Process.Kill() })
	return archiver
}

func (s *suite) segments() []string {
	found, err := filepath.Glob(filepath.Join(s.path("target"), "log", "*.entries*"))
	s.must(err)
	return found
}

// TestTheWorkerKeepsAnArchive: sealed, over the death of the archiver and of the member that it followed.
func TestTheWorkerKeepsAnArchive(t *testing.T) {
	s := start(t, []string{"holdfast"})
	node := s.Nodes()[0]
	dice := rand.New(rand.NewPCG(1, 2))
	keys := s.path("keys")
	s.must(os.MkdirAll(s.path("target"), 0o700))
	s.must(os.Mkdir(keys, 0o700))
	s.must(os.WriteFile(filepath.Join(keys, "key"), []byte(strings.Repeat("0f", 31)+"10\n"), 0o600))
	archiver := s.keeping(node, keys)
	s.must(cluster.Until(s.ctx, func() error {
		s.write(dice, 0)
		if len(s.segments()) == 0 {
			return fmt.Errorf("nothing is stored")
		}
		return nil
	}))
	base, _ := s.base(node)
	hashNow := func() hash {
		answer, err := pb.NewMaintenanceClient(node.Conn()).HashKV(s.ctx, &pb.HashKVRequest{})
		s.must(err)
		return hash{answer.Hash, answer.HashRevision, answer.CompactRevision}
	}
	var points []hash
	var within time.Time // a moment at which there was no archiver
	caughtUp := func() { // with what is applied now
		now, err := node.Status(s.ctx)
		s.must(err)
		s.must(cluster.Until(s.ctx, func() error {
			var last uint64
			for _, path := range s.segments() {
				var first, end uint64
				if n, _ := fmt.Sscanf(filepath.Base(path), "%016x-%016x.entries", &first, &end); n == 2 {
					last = max(last, end)
				}
			}
			if last < now.RaftAppliedIndex {
				return fmt.Errorf("stored to entry %d of %d", last, now.RaftAppliedIndex)
			}
			return nil
		}))
	}
	for step := range 200 {
		s.write(dice, step)
		switch step {
		case 60: // the archiver dies
			caughtUp()
			s.writeFor(3*time.Second, dice)
			s.must(archiver.Process.Kill())
			_ = archiver.Wait()
			s.writeFor(13*time.Second, dice) // longer than what counts as attention
			within = time.Now().Add(-4 * time.Second)
			archiver = s.keeping(node, keys)
			caughtUp()
		case 120: // the member dies
			s.Kill(node)
			s.must(s.Spawn(node))
			s.must(s.WaitServing(s.ctx, node))
		case 20, 100, 199:
			points = append(points, hashNow())
		}
	}
	caughtUp()
	s.checkFormer()
	s.must(archiver.Process.Signal(syscall.SIGTERM))
	if err := archiver.Wait(); err != nil {
		t.Errorf("the archiver did not end well: %v", err)
	}
	for _, path := range s.segments() {
		bytes, err := os.ReadFile(path)
		s.must(err)
		if strings.Contains(string(bytes), "value-") {
			t.Errorf("%s is not sealed", path)
		}
	}
	if err := s.worker("fetch-archive", "--folder", s.path("without")).Run(); err == nil {
		t.Error("sealed segments were fetched without their key")
	}
	s.must(s.worker("fetch-archive", "--folder", s.path("fetched"), "--keys", keys).Run())
	for i, point := range points {
		made, err := s.replay(base, s.path("fetched"), fmt.Sprintf("kept-%d.db", i), "--to-revision", fmt.Sprint(point.HashRevision))
		s.must(err)
		if got := s.hashOf(made); got != point {
			t.Errorf("point %d: %+v, the member said %+v", i, got, point)
		}
	}
	s.checkGap(base, within)
}

// checkFormer: the log of a cluster that this one took the place of goes, as no backup of it is left.
func (s *suite) checkFormer() {
	s.t.Helper()
	var head struct {
		ClusterID string `json:"clusterID"`
	}
	text, err := os.ReadFile(filepath.Join(s.path("target"), "log", "head.json"))
	s.must(err)
	s.must(json.Unmarshal(text, &head))
	former := filepath.Join(s.path("target"), "log-f1")
	s.must(os.Mkdir(former, 0o700))
	until := time.Now().Add(-2 * time.Hour).UTC().Format(time.RFC3339)
	s.must(os.WriteFile(filepath.Join(former, "0000000000000001-0000000000000002.entries"), []byte("a segment"), 0o600))
	s.must(os.WriteFile(filepath.Join(former, "head.json"), fmt.Appendf(nil, `{"formatVersion": 1, "clusterID": "f1", "endIndex": 2, "until": %q}`, until), 0o600))
	sum := strings.Repeat("a", 64)
	s.must(os.WriteFile(filepath.Join(s.path("target"), "ours.db.manifest.json"), fmt.Appendf(nil,
		`{"formatVersion": 1, "object": "ours.db", "sizeBytes": 512, "sha256": %q, "snapshotSizeBytes": 512, "snapshotSha256": %q, "clusterID": %q, "revision": 1, "logIndex": 1, "takenAt": %q}`,
		sum, sum, head.ClusterID, until), 0o600))
	s.must(cluster.Until(s.ctx, func() error {
		if _, err := os.Stat(former); !os.IsNotExist(err) {
			return fmt.Errorf("%s is there still: %w", former, err)
		}
		return nil
	}))
}

// writeFor writes now and then.
func (s *suite) writeFor(period time.Duration, dice *rand.Rand) {
	for end := time.Now().Add(period); time.Now().Before(end); {
		s.write(dice, 0)
		time.Sleep(100 * time.Millisecond)
	}
}

// checkGap: a moment without an archiver is refused, with the two nearest that are not, and revisions that are held.
func (s *suite) checkGap(base string, within time.Time) {
	s.t.Helper()
	const form = "2006-01-02T15:04:05.000Z"
	_, err := s.replay(base, s.path("fetched"), "within.db", "--to-time", within.UTC().Format(form))
	s.refused("lies in a gap of the archive", err)
	said := regexp.MustCompile(`Set --to-time to (\S+) or earlier, or to (\S+) or later; or set --to-revision to one from (\d+) to (\d+)`).
		FindStringSubmatch(fmt.Sprint(err))
	if said == nil {
		s.t.Fatalf("the refusal does not say what is possible: %v", err)
	}
	var revisions []int64
	for i, edge := range said[1:3] {
		at, err := time.Parse(form, edge)
		s.must(err)
		outside := []time.Duration{-time.Millisecond, time.Millisecond}[i]
		for _, moment := range []time.Time{at, at.Add(outside)} {
			made, err := s.replay(base, s.path("fetched"), fmt.Sprintf("edge-%d.db", moment.UnixMilli()), "--to-time", moment.UTC().Format(form))
			s.must(err)
			revisions = append(revisions, s.hashOf(made).HashRevision)
		}
		_, err = s.replay(base, s.path("fetched"), "inside.db", "--to-time", at.Add(-outside).UTC().Format(form))
		s.refused("lies in a gap of the archive", err)
	}
	if revisions[2] <= revisions[0] {
		s.t.Errorf("nothing was written between the edges of the gap: %v", revisions)
	}
	for _, revision := range said[3:] {
		_, err := s.replay(base, s.path("fetched"), "revision-"+revision+".db", "--to-revision", revision)
		s.must(err)
	}
}
