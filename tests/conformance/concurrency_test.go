package conformance

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"holdfast/tests/go/member"

	"go.etcd.io/etcd/api/v3/authpb"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3election/v3electionpb"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3lock/v3lockpb"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// The lock and election services: each scene is played on a real etcd and on the server under test, and
// leaves a transcript; the two must be equal.

// stage is one side during one scene.
type stage struct {
	t        *testing.T
	endpoint string
	lock     v3lockpb.LockClient
	election v3electionpb.ElectionClient
	kv       pb.KVClient
	lease    pb.LeaseClient
	auth     pb.AuthClient
	ctx      context.Context
	lines    []string
}

func (s *stage) say(format string, arguments ...any) {
	s.lines = append(s.lines, fmt.Sprintf(format, arguments...))
}

// outcome is an answer or an error as a scene's transcript has it.
func outcome[R any](response R, err error, show func(R) string) string {
	if err != nil {
		return fmt.Sprintf("%v: %s", status.Code(err), status.Convert(err).Message())
	}
	return show(response)
}

func showLock(r *v3lockpb.LockResponse) string {
	return fmt.Sprintf("key %q at %d", r.Key, r.Header.Revision)
}
func showUnlock(r *v3lockpb.UnlockResponse) string {
	return fmt.Sprintf("done at %d", r.Header.Revision)
}
func showCampaign(r *v3electionpb.CampaignResponse) string {
	return fmt.Sprintf("leader %q %q rev %d lease %d at %d", r.Leader.Name, r.Leader.Key, r.Leader.Rev, r.Leader.Lease, r.Header.Revision)
}
func showProclaim(r *v3electionpb.ProclaimResponse) string {
	return fmt.Sprintf("done at %d", r.Header.Revision)
}
func showResign(r *v3electionpb.ResignResponse) string {
	return fmt.Sprintf("done at %d", r.Header.Revision)
}
func showLeader(r *v3electionpb.LeaderResponse) string {
	return fmt.Sprintf("%q = %q created %d changed %d version %d lease %d", r.Kv.Key, r.Kv.Value,
		r.Kv.CreateRevision, r.Kv.ModRevision, r.Kv.Version, r.Kv.Lease)
}

func (s *stage) grant(ids ...int64) {
	for _, id := range ids {
		s.must(s.lease.LeaseGrant(s.ctx, &pb.LeaseGrantRequest{ID: id, TTL: 600}))
	}
}

func (s *stage) revoke(id int64) {
	s.must(s.lease.LeaseRevoke(s.ctx, &pb.LeaseRevokeRequest{ID: id}))
}

func (s *stage) locks(name string, lease int64) string {
	r, err := s.lock.Lock(s.ctx, &v3lockpb.LockRequest{Name: []byte(name), Lease: lease})
	return outcome(r, err, showLock)
}

func (s *stage) unlocks(key string) string {
	r, err := s.lock.Unlock(s.ctx, &v3lockpb.UnlockRequest{Key: []byte(key)})
	return outcome(r, err, showUnlock)
}

// soon runs a call that waits, and returns where its outcome will be.
func soon(call func() string) chan string {
	answer := make(chan string, 1)
	go func() { answer <- call() }()
	return answer
}

func (s *stage) await(what string, answer chan string) {
	select {
	case line := <-answer:
		s.say("%s: %s", what, line)
	case <-s.ctx.Done():
		s.t.Fatalf("%s: no answer; so far:\n%s", what, strings.Join(s.lines, "\n"))
	}
}

func (s *stage) stillWaits(what string, answer chan string) {
	select {
	case line := <-answer:
		s.say("%s: %s, too soon", what, line)
	default:
		s.say("%s waits", what)
	}
}

// queue waits until the keys below name/ are so many, and says which, in the order of their creation.
func (s *stage) queue(name string, count int) {
	for {
		r, err := s.kv.Range(s.ctx, &pb.RangeRequest{Key: []byte(name + "/"), RangeEnd: []byte(name + "0"),
			SortTarget: pb.RangeRequest_CREATE, SortOrder: pb.RangeRequest_ASCEND})
		if err != nil {
			s.t.Fatalf("the queue %s: %v; so far:\n%s", name, err, strings.Join(s.lines, "\n"))
		}
		if len(r.Kvs) == count {
			var keys []string
			for _, kv := range r.Kvs {
				keys = append(keys, fmt.Sprintf("%s=%s", kv.Key, kv.Value))
			}
			s.say("queue at %d: %s", r.Header.Revision, strings.Join(keys, " "))
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func (s *stage) campaigns(name, value string, lease int64) string {
	r, err := s.election.Campaign(s.ctx, &v3electionpb.CampaignRequest{Name: []byte(name), Lease: lease, Value: []byte(value)})
	return outcome(r, err, showCampaign)
}

func (s *stage) proclaims(leader *v3electionpb.LeaderKey, value string) string {
	r, err := s.election.Proclaim(s.ctx, &v3electionpb.ProclaimRequest{Leader: leader, Value: []byte(value)})
	return outcome(r, err, showProclaim)
}

func (s *stage) resigns(leader *v3electionpb.LeaderKey) string {
	r, err := s.election.Resign(s.ctx, &v3electionpb.ResignRequest{Leader: leader})
	return outcome(r, err, showResign)
}

func (s *stage) leads(name string) string {
	r, err := s.election.Leader(s.ctx, &v3electionpb.LeaderRequest{Name: []byte(name)})
	return outcome(r, err, showLeader)
}

func (s *stage) observe(name string) v3electionpb.Election_ObserveClient {
	stream, err := s.election.Observe(s.ctx, &v3electionpb.LeaderRequest{Name: []byte(name)})
	s.must(stream, err)
	return stream
}

func (s *stage) observed(stream v3electionpb.Election_ObserveClient) {
	r, err := stream.Recv()
	if errors.Is(err, io.EOF) {
		s.say("observed: the end")
		return
	}
	s.say("observed: %s", outcome(r, err, showLeader))
}

func leaderKey(name string, lease, rev int64) *v3electionpb.LeaderKey {
	return &v3electionpb.LeaderKey{Name: []byte(name), Key: fmt.Appendf(nil, "%s/%x", name, lease), Rev: rev, Lease: lease}
}

// scenes are played one after the other, on one store.
var scenes = []struct {
	name string
	play func(*stage)
}{
	{"a lock that is free", func(s *stage) {
		s.grant(0x694)
		s.say("lock: %s", s.locks("free", 0x694))
		s.say("again: %s", s.locks("free", 0x694))
		s.queue("free", 1)
		s.say("a wrong key: %s", s.unlocks("free/0"))
		s.say("no key: %s", s.unlocks(""))
		s.say("unlock: %s", s.unlocks("free/694"))
		s.say("again: %s", s.unlocks("free/694"))
		s.say("no lease: %s", s.locks("free", 12345))
		s.say("a negative lease: %s", s.locks("free", -255))
		s.grant(-256)
		s.say("a lease that is negative: %s", s.locks("free", -256))
		s.say("no name: %s", s.locks("", 0x694))
		s.queue("", 1)
	}},
	{"a lock without a lease", func(s *stage) {
		r, err := s.lock.Lock(s.ctx, &v3lockpb.LockRequest{Name: []byte("own")})
		if err != nil {
			s.t.Fatal(err)
		}
		kv, err := s.kv.Range(s.ctx, &pb.RangeRequest{Key: r.Key})
		if err != nil || len(kv.Kvs) != 1 {
			s.t.Fatalf("%v %v", kv, err)
		}
		ttl, err := s.lease.LeaseTimeToLive(s.ctx, &pb.LeaseTimeToLiveRequest{ID: kv.Kvs[0].Lease})
		if err != nil {
			s.t.Fatal(err)
		}
		s.say("granted %d, key of the lease: %v", ttl.GrantedTTL, string(r.Key) == fmt.Sprintf("own/%x", kv.Kvs[0].Lease))
		s.say("unlock: %s", s.unlocks(string(r.Key)))
	}},
	{"locks in turn", func(s *stage) {
		s.grant(11, 12, 13, 14)
		s.say("11: %s", s.locks("turn", 11))
		var waiting []chan string
		for _, lease := range []int64{12, 13, 14} {
			waiting = append(waiting, soon(func() string { return s.locks("turn", lease) }))
			s.queue("turn", len(waiting)+1)
		}
		twice := soon(func() string { return s.locks("turn", 12) })
		s.stillWaits("12", waiting[0])
		s.say("unlock 11: %s", s.unlocks("turn/b"))
		s.await("12", waiting[0])
		s.await("12 again", twice)
		s.stillWaits("14", waiting[2])
		s.say("unlock 13: %s", s.unlocks("turn/d"))
		s.stillWaits("14", waiting[2])
		s.revoke(12)
		s.await("14", waiting[2])
		s.await("13", waiting[1])
		s.queue("turn", 1)
	}},
	{"a lease that ends while it waits", func(s *stage) {
		s.grant(21, 22, 23)
		s.say("21: %s", s.locks("ends", 21))
		second := soon(func() string { return s.locks("ends", 22) })
		s.queue("ends", 2)
		third := soon(func() string { return s.locks("ends", 23) })
		s.queue("ends", 3)
		s.revoke(22)
		s.queue("ends", 2)
		s.stillWaits("22", second)
		s.say("unlock 21: %s", s.unlocks("ends/15"))
		s.await("23", third)
		s.await("22", second)
	}},
	{"a waiter that leaves", func(s *stage) {
		s.grant(31, 32, 33, 34)
		s.say("31: %s", s.locks("leaves", 31))
		ctx, cancel := context.WithCancel(s.ctx)
		defer cancel()
		left := soon(func() string {
			_, err := s.lock.Lock(ctx, &v3lockpb.LockRequest{Name: []byte("leaves"), Lease: 32})
			return status.Code(err).String()
		})
		s.queue("leaves", 2)
		last := soon(func() string { return s.locks("leaves", 33) })
		s.queue("leaves", 3)
		cancel()
		s.await("32", left)
		s.queue("leaves", 2)
		late, cancelLate := context.WithTimeout(s.ctx, 300*time.Millisecond)
		defer cancelLate()
		_, err := s.lock.Lock(late, &v3lockpb.LockRequest{Name: []byte("leaves"), Lease: 34})
		s.say("34: %v", status.Code(err))
		s.queue("leaves", 2)
		s.say("unlock 31: %s", s.unlocks("leaves/1f"))
		s.await("33", last)
	}},
	{"an election", func(s *stage) {
		s.grant(41, 42, 43)
		s.say("nobody leads: %s", s.leads("crown"))
		early := s.observe("crown")
		first := s.campaigns("crown", "one", 41)
		s.say("41: %s", first)
		s.observed(early)
		rev := s.created("crown/29")
		s.say("it leads: %s", s.leads("crown"))
		second := soon(func() string { return s.campaigns("crown", "two", 42) })
		s.queue("crown", 2)
		third := soon(func() string { return s.campaigns("crown", "three", 43) })
		s.queue("crown", 3)
		s.say("proclaims: %s", s.proclaims(leaderKey("crown", 41, rev), "one more"))
		s.observed(early)
		late := s.observe("crown")
		s.observed(late)
		s.say("proclaims nothing: %s", s.proclaims(leaderKey("crown", 41, rev), ""))
		s.observed(early)
		s.observed(late)
		s.say("an older one proclaims: %s", s.proclaims(leaderKey("crown", 41, rev-1), "x"))
		s.say("no leader proclaims: %s", s.proclaims(nil, "x"))
		s.say("an empty leader proclaims: %s", s.proclaims(&v3electionpb.LeaderKey{}, "x"))
		s.say("a leader without a lease proclaims: %s", s.proclaims(leaderKey("crown", 4711, 1), "x"))
		s.say("campaigns again: %s", s.campaigns("crown", "another", 41))
		s.observed(late)
		s.say("campaigns again with the same: %s", s.campaigns("crown", "another", 41))
		s.say("an older one resigns: %s", s.resigns(leaderKey("crown", 41, rev-1)))
		s.say("no leader resigns: %s", s.resigns(nil))
		s.say("an empty leader resigns: %s", s.resigns(&v3electionpb.LeaderKey{Lease: 41}))
		s.stillWaits("42", second)
		s.say("resigns: %s", s.resigns(leaderKey("crown", 41, rev)))
		s.await("42", second)
		s.observed(late)
		s.say("resigns again: %s", s.resigns(leaderKey("crown", 41, rev)))
		s.revoke(42)
		s.await("43", third)
		s.observed(late)
		s.say("leads: %s", s.leads("crown"))
		s.say("no lease: %s", s.campaigns("crown", "x", 999))
		s.queue("crown", 1)
	}},
	{"a candidate that leaves", func(s *stage) {
		s.grant(51, 52)
		s.say("51: %s", s.campaigns("seat", "one", 51))
		ctx, cancel := context.WithCancel(s.ctx)
		defer cancel()
		left := soon(func() string {
			_, err := s.election.Campaign(ctx, &v3electionpb.CampaignRequest{Name: []byte("seat"), Lease: 52})
			return status.Code(err).String()
		})
		s.queue("seat", 2)
		cancel()
		s.await("52", left)
		s.queue("seat", 1)
	}},
	{"an observer that outlives its leaders", func(s *stage) {
		s.grant(61, 62)
		stream := s.observe("many")
		for i := range 5 {
			s.say("%s", s.campaigns("many", fmt.Sprint(i), 61))
			s.observed(stream)
			s.say("%s", s.resigns(leaderKey("many", 61, s.created("many/3d"))))
		}
		s.say("%s", s.campaigns("many", "last", 62))
		s.observed(stream)
	}},
}

func (s *stage) created(key string) int64 {
	r, err := s.kv.Range(s.ctx, &pb.RangeRequest{Key: []byte(key)})
	if err != nil || len(r.Kvs) != 1 {
		s.t.Fatalf("%s: %v %v", key, r, err)
	}
	return r.Kvs[0].CreateRevision
}

// sceneWithAuth: alice may do everything below "a/", bob only his own key "c/4a".
func sceneWithAuth(s *stage) {
	for _, user := range []string{"root", "alice", "bob"} {
		s.must(s.auth.UserAdd(s.ctx, &pb.AuthUserAddRequest{Name: user, Password: user}))
		s.must(s.auth.RoleAdd(s.ctx, &pb.AuthRoleAddRequest{Name: user}))
		s.must(s.auth.UserGrantRole(s.ctx, &pb.AuthUserGrantRoleRequest{User: user, Role: user}))
	}
	grant := func(role, key, end string, kind authpb.Permission_Type) {
		s.must(s.auth.RoleGrantPermission(s.ctx, &pb.AuthRoleGrantPermissionRequest{Name: role,
			Perm: &authpb.Permission{PermType: kind, Key: []byte(key), RangeEnd: []byte(end)}}))
	}
	grant("alice", "a/", "a0", authpb.READWRITE)
	grant("bob", "c/4a", "", authpb.READWRITE)
	s.grant(71, 72, 73, 74)
	s.must(s.auth.AuthEnable(s.ctx, &pb.AuthEnableRequest{}))
	ctx := s.ctx
	as := func(user string) {
		r, err := s.auth.Authenticate(ctx, &pb.AuthenticateRequest{Name: user, Password: user})
		s.must(r, err)
		s.ctx = metadata.AppendToOutgoingContext(ctx, "token", r.Token)
	}
	everything := func(who string) {
		s.say("%s locks: %s", who, s.locks("a", 71))
		s.say("%s locks elsewhere: %s", who, s.locks("b", 71))
		s.say("%s unlocks: %s", who, s.unlocks("a/47"))
		s.say("%s unlocks elsewhere: %s", who, s.unlocks("b/47"))
		s.say("%s asks who leads: %s", who, s.leads("a"))
		s.say("%s asks who leads elsewhere: %s", who, s.leads("b"))
		s.say("%s campaigns: %s", who, s.campaigns("a", "x", 72))
		s.say("%s campaigns elsewhere: %s", who, s.campaigns("b", "x", 72))
		s.say("%s proclaims: %s", who, s.proclaims(leaderKey("a", 72, 1), "y"))
		s.say("%s proclaims elsewhere: %s", who, s.proclaims(leaderKey("b", 72, 1), "y"))
		s.say("%s resigns elsewhere: %s", who, s.resigns(leaderKey("b", 72, 1)))
		s.observed(s.observe("b"))
		if r, err := s.lock.Lock(s.ctx, &v3lockpb.LockRequest{Name: []byte("b")}); err != nil {
			s.say("%s locks elsewhere without a lease: %s", who, outcome(r, err, showLock))
		}
	}
	as("bob")
	everything("bob")
	as("alice")
	everything("alice")
	second := soon(func() string { return s.locks("a", 73) })
	s.queue("a", 2)
	s.say("alice resigns: %s", s.resigns(leaderKey("a", 72, s.created("a/48"))))
	s.await("alice waits", second)
	s.ctx = ctx
	everything("nobody")
	s.ctx = metadata.AppendToOutgoingContext(ctx, "token", badToken)
	everything("somebody invented")
	// Bob may stand, but not see who else does. etcd leaves his key there, ours takes it back: so last.
	as("bob")
	s.say("bob campaigns: %s", s.campaigns("c", "x", 74))
	s.say("bob locks: %s", s.locks("c", 74))
}

// must ends the scene, for what has to be.
func (s *stage) must(_ any, err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatalf("%v; so far:\n%s", err, strings.Join(s.lines, "\n"))
	}
}

func startStages(t *testing.T, flags ...string) [2]*side {
	old := memberFlags
	t.Cleanup(func() { memberFlags = old })
	memberFlags = append(slices.Clone(memberFlags), flags...)
	var sides [2]*side
	for i, binary := range []string{member.Etcd(), member.Holdfast()} {
		s, err := startSide([]string{"etcd", "tested"}[i], binary, t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(s.close)
		sides[i] = s
	}
	return sides
}

func play(t *testing.T, sides [2]*side, scene func(*stage)) {
	t.Helper()
	var transcripts [2][]string
	for i, side := range sides {
		ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
		s := &stage{t: t, endpoint: side.process.ClientAddr(), lock: v3lockpb.NewLockClient(side.conn), election: v3electionpb.NewElectionClient(side.conn),
			kv: pb.NewKVClient(side.conn), lease: pb.NewLeaseClient(side.conn), auth: pb.NewAuthClient(side.conn), ctx: ctx}
		scene(s)
		cancel()
		transcripts[i] = s.lines
	}
	for i := range max(len(transcripts[0]), len(transcripts[1])) {
		var lines [2]string
		for j := range lines {
			if i < len(transcripts[j]) {
				lines[j] = transcripts[j][i]
			}
		}
		if lines[0] != lines[1] {
			t.Errorf("line %d\n    etcd:   %s\n    tested: %s", i+1, lines[0], lines[1])
		}
	}
	if !t.Failed() && testing.Verbose() {
		t.Logf("%d lines alike, the last: %s", len(transcripts[0]), transcripts[0][len(transcripts[0])-1])
	}
}

func TestLocksAndElectionsAnswerAsEtcds(t *testing.T) {
	sides := startStages(t)
	for _, scene := range scenes {
		t.Run(scene.name, func(t *testing.T) { play(t, sides, scene.play) })
	}
}

func TestLocksAndElectionsAnswerAsEtcdsWithAuth(t *testing.T) {
	play(t, startStages(t, "--bcrypt-cost=4", "--auth-token-ttl=3600"), sceneWithAuth)
}

// etcdctl's own locks and elections stand in the same queues as the services'.
func TestEtcdctlLocksAndElects(t *testing.T) {
	sides := startStages(t)
	play(t, sides, func(s *stage) {
		etcdctl := func(arguments ...string) string {
			arguments = append([]string{"--endpoints=" + s.endpoint}, arguments...)
			text, err := exec.CommandContext(s.ctx, member.Tool("etcdctl"), arguments...).CombinedOutput()
			return fmt.Sprintf("%s %v", text, err)
		}
		s.say("lock: %s", etcdctl("lock", "tool", "--", "echo", "held"))
		s.grant(81)
		s.say("service: %s", s.locks("tool", 81))
		held := soon(func() string { return etcdctl("lock", "tool", "--", "echo", "held after all") })
		for len(s.keys("tool/")) != 2 {
			time.Sleep(5 * time.Millisecond)
		}
		s.stillWaits("etcdctl", held)
		s.say("unlock: %s", s.unlocks("tool/51"))
		s.await("etcdctl", held)

		s.say("campaign: %s", s.campaigns("office", "service", 81))
		listening := soon(func() string {
			command := exec.CommandContext(s.ctx, member.Tool("etcdctl"), "--endpoints="+s.endpoint, "elect", "-l", "office")
			output, err := command.StdoutPipe()
			if err != nil {
				return err.Error()
			}
			if err := command.Start(); err != nil {
				return err.Error()
			}
			defer command.Wait()
			defer command.Process.Kill()
			lines := make([]byte, len("office/51\nservice\n"))
			_, err = io.ReadFull(output, lines)
			return fmt.Sprintf("%q %v", lines, err)
		})
		s.await("etcdctl listens", listening)
	})
}

func (s *stage) keys(prefix string) []string {
	end := []byte(prefix)
	end[len(end)-1]++
	r, err := s.kv.Range(s.ctx, &pb.RangeRequest{Key: []byte(prefix), RangeEnd: end, KeysOnly: true})
	if err != nil {
		s.t.Fatal(err)
	}
	var keys []string
	for _, kv := range r.Kvs {
		keys = append(keys, string(kv.Key))
	}
	return keys
}
