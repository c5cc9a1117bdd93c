package conformance

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"holdfast/tests/go/member"

	bolt "go.etcd.io/bbolt"
	"go.etcd.io/etcd/api/v3/authpb"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"
)

var authOpsFlag = flag.Int("auth-ops", 8000, "operations to compare with authentication on; 100000 in full")

// authRPCs are the calls that only this differential makes.
var authRPCs = map[string]rpc{
	"Auth.AuthEnable":           {request: newOf[pb.AuthEnableRequest, *pb.AuthEnableRequest], response: newOf[pb.AuthEnableResponse, *pb.AuthEnableResponse]},
	"Auth.AuthDisable":          {request: newOf[pb.AuthDisableRequest, *pb.AuthDisableRequest], response: newOf[pb.AuthDisableResponse, *pb.AuthDisableResponse]},
	"Auth.Authenticate":         {request: newOf[pb.AuthenticateRequest, *pb.AuthenticateRequest], response: newOf[pb.AuthenticateResponse, *pb.AuthenticateResponse]},
	"Auth.UserAdd":              {request: newOf[pb.AuthUserAddRequest, *pb.AuthUserAddRequest], response: newOf[pb.AuthUserAddResponse, *pb.AuthUserAddResponse]},
	"Auth.UserGet":              {request: newOf[pb.AuthUserGetRequest, *pb.AuthUserGetRequest], response: newOf[pb.AuthUserGetResponse, *pb.AuthUserGetResponse]},
	"Auth.UserList":             {request: newOf[pb.AuthUserListRequest, *pb.AuthUserListRequest], response: newOf[pb.AuthUserListResponse, *pb.AuthUserListResponse]},
	"Auth.UserDelete":           {request: newOf[pb.AuthUserDeleteRequest, *pb.AuthUserDeleteRequest], response: newOf[pb.AuthUserDeleteResponse, *pb.AuthUserDeleteResponse]},
	"Auth.UserChangePassword":   {request: newOf[pb.AuthUserChangePasswordRequest, *pb.AuthUserChangePasswordRequest], response: newOf[pb.AuthUserChangePasswordResponse, *pb.AuthUserChangePasswordResponse]},
	"Auth.UserGrantRole":        {request: newOf[pb.AuthUserGrantRoleRequest, *pb.AuthUserGrantRoleRequest], response: newOf[pb.AuthUserGrantRoleResponse, *pb.AuthUserGrantRoleResponse]},
	"Auth.UserRevokeRole":       {request: newOf[pb.AuthUserRevokeRoleRequest, *pb.AuthUserRevokeRoleRequest], response: newOf[pb.AuthUserRevokeRoleResponse, *pb.AuthUserRevokeRoleResponse]},
	"Auth.RoleAdd":              {request: newOf[pb.AuthRoleAddRequest, *pb.AuthRoleAddRequest], response: newOf[pb.AuthRoleAddResponse, *pb.AuthRoleAddResponse]},
	"Auth.RoleGet":              {request: newOf[pb.AuthRoleGetRequest, *pb.AuthRoleGetRequest], response: newOf[pb.AuthRoleGetResponse, *pb.AuthRoleGetResponse]},
	"Auth.RoleList":             {request: newOf[pb.AuthRoleListRequest, *pb.AuthRoleListRequest], response: newOf[pb.AuthRoleListResponse, *pb.AuthRoleListResponse]},
	"Auth.RoleDelete":           {request: newOf[pb.AuthRoleDeleteRequest, *pb.AuthRoleDeleteRequest], response: newOf[pb.AuthRoleDeleteResponse, *pb.AuthRoleDeleteResponse]},
	"Auth.RoleGrantPermission":  {request: newOf[pb.AuthRoleGrantPermissionRequest, *pb.AuthRoleGrantPermissionRequest], response: newOf[pb.AuthRoleGrantPermissionResponse, *pb.AuthRoleGrantPermissionResponse]},
	"Auth.RoleRevokePermission": {request: newOf[pb.AuthRoleRevokePermissionRequest, *pb.AuthRoleRevokePermissionRequest], response: newOf[pb.AuthRoleRevokePermissionResponse, *pb.AuthRoleRevokePermissionResponse]},
}

// requiredAuthOutcomes are what must have been answered at least once, besides OK of every RPC.
var requiredAuthOutcomes = []string{
	"FailedPrecondition: etcdserver: root user does not exist",
	"FailedPrecondition: etcdserver: root user does not have root role",
	"FailedPrecondition: etcdserver: user name already exists",
	"InvalidArgument: etcdserver: user name is empty",
	"FailedPrecondition: etcdserver: user name not found",
	"FailedPrecondition: etcdserver: role name already exists",
	"FailedPrecondition: etcdserver: role name not found",
	"InvalidArgument: etcdserver: role name is empty",
	"InvalidArgument: etcdserver: authentication failed, invalid user ID or password",
	"Unknown: auth: authentication failed, password was given for no password user",
	"InvalidArgument: etcdserver: permission not given",
	"PermissionDenied: etcdserver: permission denied",
	"FailedPrecondition: etcdserver: role is not granted to the user",
	"FailedPrecondition: etcdserver: permission is not granted to the role",
	"FailedPrecondition: etcdserver: authentication is not enabled",
	"Unauthenticated: etcdserver: invalid auth token",
	"InvalidArgument: etcdserver: invalid auth management",
	"watch: rpc error: code = PermissionDenied desc = etcdserver: permission denied",
	"watch: rpc error: code = InvalidArgument desc = etcdserver: user name is empty",
	"watch: rpc error: code = Unauthenticated desc = etcdserver: invalid auth token",
	"watch: created",
}

const (
	authUsers = 6
	authRoles = 5
	// maxGrants bounds a role's permissions: above twelve etcd's sort is not stable.
	maxGrants = 10
	badToken  = "AAAAAAAAAAAAAAAA.1"
)

// authRun asks both sides the same, as users with tokens of each side's own.
type authRun struct {
	t         *testing.T
	rand      *rand.Rand
	sides     [2]*side
	tokens    map[string][2]string // by user, as far as they have logged in
	passwords map[string]string
	grants    map[string]int // since the role was last added
	lastGrant *pb.AuthRoleGrantPermissionRequest
	enabled   bool
	counts    map[string]int
	done      int
	recent    []string
	failures  int
}

func TestEveryAnswerEqualsEtcdsWithAuth(t *testing.T) {
	seed := *seedFlag
	if seed == 0 {
		seed = rand.Uint64N(1 << 40)
	}
	t.Logf("%d operations from seed %d; again: cd tests && go test ./conformance -run WithAuth -count 1 -v -args -seed=%d -auth-ops=%d",
		*authOpsFlag, seed, seed, *authOpsFlag)
	old := memberFlags
	defer func() { memberFlags = old }()
	memberFlags = append(slices.Clone(memberFlags), "--bcrypt-cost=4", "--auth-token-ttl=3600")
	r := &authRun{t: t, rand: rand.New(rand.NewPCG(seed, 7)), tokens: map[string][2]string{},
		passwords: map[string]string{}, grants: map[string]int{}, counts: map[string]int{}}
	for i, binary := range []string{member.Etcd(), member.Holdfast()} {
		s, err := startSide([]string{"etcd", "tested"}[i], binary, t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		defer s.close()
		r.sides[i] = s
	}
	began := time.Now()
	for r.done < *authOpsFlag && r.failures < 20 {
		r.step()
	}
	fmt.Printf("%d operations with authentication in %.0f s (%.0f/s) from seed %d\n",
		r.done, time.Since(began).Seconds(), float64(r.done)/time.Since(began).Seconds(), seed)
	for _, name := range slices.Sorted(maps.Keys(r.counts)) {
		fmt.Printf("  %7d  %s\n", r.counts[name], name)
	}
	r.compareBuckets()
	for _, name := range requiredAuthOutcomes {
		if r.counts[name] == 0 && *authOpsFlag >= 8000 {
			t.Errorf("never answered: %s", name)
		}
	}
	for name := range authRPCs {
		if r.counts[name+" OK"] == 0 && *authOpsFlag >= 8000 {
			t.Errorf("never OK: %s", name)
		}
	}
}

func (r *authRun) chance(percent int) bool { return r.rand.IntN(100) < percent }

func (r *authRun) user() string {
	if r.chance(8) {
		return "root"
	}
	return fmt.Sprintf("user-%d", r.rand.IntN(authUsers))
}

func (r *authRun) role() string {
	switch {
	case r.chance(6):
		return "root"
	case r.chance(3):
		return ""
	}
	return fmt.Sprintf("role-%d", r.rand.IntN(authRoles))
}

func (r *authRun) key() []byte { return []byte{byte('a' + r.rand.IntN(12))} }

// span is a key and an end that is not before it.
func (r *authRun) span() ([]byte, []byte) {
	key := r.key()
	switch r.rand.IntN(6) {
	case 0, 1, 2:
		return key, nil
	case 3:
		return key, []byte{0}
	}
	return key, []byte{key[0] + byte(1+r.rand.IntN(5))}
}

// caller is who the next operation is made by: a user with tokens, nobody, or somebody invented.
func (r *authRun) caller() string {
	switch {
	case r.chance(6):
		return ""
	case r.chance(3):
		return badToken
	case r.chance(25):
		return "root"
	}
	known := slices.Sorted(maps.Keys(r.tokens))
	if len(known) == 0 {
		return ""
	}
	return known[r.rand.IntN(len(known))]
}

func (r *authRun) step() {
	if !r.enabled {
		r.stepDisabled()
		return
	}
	if _, is := r.tokens["root"]; !is {
		r.login("root")
	}
	switch r.rand.IntN(100) {
	case 0:
		r.do("root", "Auth.AuthDisable", &pb.AuthDisableRequest{})
		return
	case 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18:
		caller := "root"
		if r.chance(15) {
			caller = r.caller()
		}
		r.manage(caller)
	case 19, 20, 21, 22:
		r.login(r.user())
	case 23, 24, 25:
		r.watch(r.caller())
	default:
		r.data(r.caller())
	}
}

// stepDisabled does a few things without authentication, then has it enabled again.
func (r *authRun) stepDisabled() {
	switch r.rand.IntN(12) {
	case 0:
		r.do("", "Auth.AuthEnable", &pb.AuthEnableRequest{})
		return
	case 1:
		r.data(r.caller())
		return
	case 2:
		r.login(r.user())
		return
	case 3:
		r.watch(r.caller())
		return
	case 4:
		r.do("", "Auth.UserDelete", &pb.AuthUserDeleteRequest{Name: "root"})
		return
	case 5:
		r.do("", "Auth.UserRevokeRole", &pb.AuthUserRevokeRoleRequest{Name: "root", Role: "root"})
		return
	case 6, 7:
		r.addUser("", "root", false)
		return
	case 8, 9:
		r.do("", "Auth.UserGrantRole", &pb.AuthUserGrantRoleRequest{User: "root", Role: "root"})
		return
	}
	r.manage("")
}

func (r *authRun) addUser(caller, name string, noPassword bool) {
	noPassword = noPassword && name != "root" // which would lock everybody out
	request := &pb.AuthUserAddRequest{Name: name}
	if noPassword || r.chance(20) {
		request.Options = &authpb.UserAddOptions{NoPassword: noPassword}
	}
	if !noPassword {
		request.Password = fmt.Sprintf("password-%d", r.rand.IntN(3))
	}
	if r.do(caller, "Auth.UserAdd", request) == nil {
		r.passwords[name] = request.Password
	}
}

// manage changes users and roles, or asks about them.
func (r *authRun) manage(caller string) {
	switch r.rand.IntN(16) {
	case 0, 1:
		r.addUser(caller, r.user(), r.chance(15))
	case 2:
		r.do(caller, "Auth.UserDelete", &pb.AuthUserDeleteRequest{Name: r.user()})
	case 3:
		name, password := r.user(), fmt.Sprintf("password-%d", r.rand.IntN(3))
		if r.chance(10) && name != "root" {
			password = ""
		}
		if r.do(caller, "Auth.UserChangePassword", &pb.AuthUserChangePasswordRequest{Name: name, Password: password}) == nil {
			r.passwords[name] = password
		}
	case 4, 5, 6:
		r.do(caller, "Auth.UserGrantRole", &pb.AuthUserGrantRoleRequest{User: r.user(), Role: r.role()})
	case 7:
		r.do(caller, "Auth.UserRevokeRole", &pb.AuthUserRevokeRoleRequest{Name: r.user(), Role: r.role()})
	case 8:
		r.do(caller, "Auth.UserGet", &pb.AuthUserGetRequest{Name: r.user()})
	case 9:
		r.do(caller, "Auth.UserList", &pb.AuthUserListRequest{})
	case 10:
		r.addRole(caller, r.role())
	case 11:
		if r.chance(30) {
			r.do(caller, "Auth.RoleDelete", &pb.AuthRoleDeleteRequest{Role: r.role()})
		} else {
			r.do(caller, "Auth.RoleGet", &pb.AuthRoleGetRequest{Role: r.role()})
		}
	case 12, 13:
		r.grantPermission(caller)
	case 14:
		key, end := r.span()
		revoke := &pb.AuthRoleRevokePermissionRequest{Role: r.role(), Key: key, RangeEnd: end}
		if r.lastGrant != nil && r.chance(70) {
			revoke.Role, revoke.Key, revoke.RangeEnd = r.lastGrant.Name, r.lastGrant.Perm.Key, r.lastGrant.Perm.RangeEnd
		}
		r.do(caller, "Auth.RoleRevokePermission", revoke)
	case 15:
		r.do(caller, "Auth.RoleList", &pb.AuthRoleListRequest{})
		r.do(caller, "Auth.AuthStatus", &pb.AuthStatusRequest{})
	}
}

func (r *authRun) addRole(caller, name string) {
	if r.chance(10) {
		name = ""
	}
	if r.do(caller, "Auth.RoleAdd", &pb.AuthRoleAddRequest{Name: name}) == nil {
		r.grants[name] = 0
	}
}

func (r *authRun) grantPermission(caller string) {
	name := r.role()
	if r.grants[name] >= maxGrants {
		r.do(caller, "Auth.RoleDelete", &pb.AuthRoleDeleteRequest{Role: name})
		r.addRole(caller, name)
		if r.grants[name] >= maxGrants {
			return
		}
	}
	request := &pb.AuthRoleGrantPermissionRequest{Name: name}
	if !r.chance(6) {
		key, end := r.span()
		if r.chance(3) {
			key = nil
		}
		if r.chance(3) {
			end = []byte("A")
		}
		request.Perm = &authpb.Permission{PermType: authpb.Permission_Type(r.rand.IntN(3)), Key: key, RangeEnd: end}
	}
	if r.do(caller, "Auth.RoleGrantPermission", request) == nil {
		r.grants[name]++
		r.lastGrant = request
	}
}

func (r *authRun) login(name string) {
	password := r.passwords[name]
	if r.chance(8) && name != "root" {
		password = "not it"
	}
	r.do("", "Auth.Authenticate", &pb.AuthenticateRequest{Name: name, Password: password})
}

// data reads and writes keys and leases, and asks what takes a right of its own.
func (r *authRun) data(caller string) {
	key, end := r.span()
	lease := int64(0)
	if r.chance(20) {
		lease = int64(1 + r.rand.IntN(4))
	}
	put := &pb.PutRequest{Key: key, Value: []byte(fmt.Sprint(r.done)), PrevKv: r.chance(20), Lease: lease, IgnoreValue: false}
	switch r.rand.IntN(40) {
	case 0:
		r.do(caller, "Lease.LeaseGrant", &pb.LeaseGrantRequest{ID: int64(1 + r.rand.IntN(4)), TTL: 3600})
	case 1:
		r.do(caller, "Lease.LeaseRevoke", &pb.LeaseRevokeRequest{ID: int64(1 + r.rand.IntN(4))})
	case 2:
		r.do(caller, "Lease.LeaseTimeToLive", &pb.LeaseTimeToLiveRequest{ID: int64(1 + r.rand.IntN(4)), Keys: r.chance(70)})
	case 3:
		r.do(caller, "Lease.LeaseLeases", &pb.LeaseLeasesRequest{})
	case 4:
		r.do(caller, "Lease.LeaseKeepAlive", &pb.LeaseKeepAliveRequest{ID: int64(1 + r.rand.IntN(4))})
	case 5:
		r.do(caller, "Maintenance.Status", &pb.StatusRequest{})
	case 6:
		r.do(caller, "Maintenance.HashKV", &pb.HashKVRequest{})
	case 7:
		r.do(caller, "Maintenance.Alarm", &pb.AlarmRequest{})
	case 8:
		r.do(caller, "Cluster.MemberList", &pb.MemberListRequest{Linearizable: r.chance(50)})
	case 9:
		urls := []string{"http://127.0.0.1:1", "not a URL"}
		r.do(caller, "Cluster.MemberAdd", &pb.MemberAddRequest{PeerURLs: []string{urls[1]}})
	case 10:
		r.do(caller, "Cluster.MemberPromote", &pb.MemberPromoteRequest{ID: 12345})
	case 11:
		r.do(caller, "Maintenance.Alarm", &pb.AlarmRequest{Action: pb.AlarmRequest_DEACTIVATE, Alarm: pb.AlarmType_NOSPACE})
	case 12, 13, 14, 15:
		r.do(caller, "KV.Txn", r.txn(2))
	case 16, 17, 18, 19:
		r.do(caller, "KV.DeleteRange", &pb.DeleteRangeRequest{Key: key, RangeEnd: end, PrevKv: r.chance(30)})
	case 20, 21, 22, 23, 24, 25, 26, 27, 28:
		r.do(caller, "KV.Put", put)
	case 29:
		r.do(caller, "KV.RangeStream", &pb.RangeRequest{Key: key, RangeEnd: end})
	case 30:
		r.do(caller, "KV.Compact", &pb.CompactionRequest{Revision: int64(1 + r.rand.IntN(max(1, r.done/4)))})
	default:
		r.do(caller, "KV.Range", &pb.RangeRequest{Key: key, RangeEnd: end, Serializable: r.chance(50), Limit: int64(r.rand.IntN(4))})
	}
}

func (r *authRun) txn(depth int) *pb.TxnRequest {
	txn := &pb.TxnRequest{}
	if r.chance(60) {
		key, end := r.span()
		txn.Compare = append(txn.Compare, &pb.Compare{Target: pb.Compare_VERSION, Key: key, RangeEnd: end,
			Result: pb.Compare_CompareResult(r.rand.IntN(3)), TargetUnion: &pb.Compare_Version{Version: int64(r.rand.IntN(3))}})
	}
	for _, branch := range []*[]*pb.RequestOp{&txn.Success, &txn.Failure} {
		for range r.rand.IntN(2) {
			key, end := r.span()
			switch n := r.rand.IntN(4); {
			case n == 0:
				*branch = append(*branch, &pb.RequestOp{Request: &pb.RequestOp_RequestRange{RequestRange: &pb.RangeRequest{Key: key, RangeEnd: end}}})
			case n == 1:
				*branch = append(*branch, &pb.RequestOp{Request: &pb.RequestOp_RequestPut{RequestPut: &pb.PutRequest{Key: key, PrevKv: r.chance(30)}}})
			case n == 2:
				*branch = append(*branch, &pb.RequestOp{Request: &pb.RequestOp_RequestDeleteRange{RequestDeleteRange: &pb.DeleteRangeRequest{Key: key, RangeEnd: end, PrevKv: r.chance(30)}}})
			case depth > 0:
				*branch = append(*branch, &pb.RequestOp{Request: &pb.RequestOp_RequestTxn{RequestTxn: r.txn(depth - 1)}})
			}
		}
	}
	return txn
}

func (r *authRun) context(caller string, i int) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
	token := caller
	if known, is := r.tokens[caller]; is {
		token = known[i]
	}
	if token == "root" { // never logged in
		token = ""
	}
	if token != "" {
		ctx = metadata.AppendToOutgoingContext(ctx, "token", token)
	}
	return ctx, cancel
}

// do asks both sides and compares. It returns the reference's error.
func (r *authRun) do(caller, rpc string, request proto.Message) error {
	var answers [2]answer
	var wait sync.WaitGroup
	for i, s := range r.sides {
		wait.Add(1)
		go func() {
			defer wait.Done()
			ctx, cancel := r.context(caller, i)
			defer cancel()
			answers[i] = s.callAs(ctx, rpc, request)
		}()
	}
	wait.Wait()
	r.learn(rpc, request, &answers)
	outcome := errorText(answers[0].err)
	r.note(caller, rpc, fmt.Sprint(request), outcome, difference(request, answers[0], answers[1], r.sides))
	return answers[0].err
}

func (r *authRun) note(caller, rpc, request, outcome, difference string) {
	r.done++
	if outcome == "" {
		r.counts[rpc+" OK"]++
	} else {
		r.counts[outcome]++
	}
	r.recent = append(r.recent, fmt.Sprintf("%s as %q {%.200s} %s", rpc, caller, request, outcome))
	r.recent = r.recent[max(0, len(r.recent)-10):]
	if difference != "" {
		r.failures++
		r.t.Errorf("after %d operations: %s\n  the last operations:\n    %s", r.done, difference, strings.Join(r.recent, "\n    "))
	}
}

// learn keeps tokens and whether authentication is on, and blanks what is random.
func (r *authRun) learn(rpc string, request proto.Message, answers *[2]answer) {
	if answers[0].err != nil || answers[1].err != nil {
		return
	}
	switch rpc {
	case "Auth.Authenticate":
		tokens := [2]string{}
		for i := range answers {
			response := answers[i].message.(*pb.AuthenticateResponse)
			tokens[i] = response.Token
			letters, index, is := strings.Cut(response.Token, ".")
			response.Token = fmt.Sprintf("%d letters, %v", len(letters), is && index != "")
		}
		r.tokens[request.(*pb.AuthenticateRequest).Name] = tokens
	case "Auth.AuthEnable":
		r.enabled = true
	case "Auth.AuthDisable":
		r.enabled = false
		r.tokens = map[string][2]string{}
	case "Auth.UserDelete", "Auth.UserChangePassword":
		// Their tokens are kept for a while, to be refused.
		if r.chance(50) || request.(interface{ GetName() string }).GetName() == "root" {
			delete(r.tokens, request.(interface{ GetName() string }).GetName())
		}
	}
}

// watch creates one watch and compares how it was received.
func (r *authRun) watch(caller string) {
	key, end := r.span()
	request := &pb.WatchRequest{RequestUnion: &pb.WatchRequest_CreateRequest{CreateRequest: &pb.WatchCreateRequest{Key: key, RangeEnd: end}}}
	var texts [2]string
	for i, s := range r.sides {
		ctx, cancel := r.context(caller, i)
		texts[i] = func() string {
			stream, err := pb.NewWatchClient(s.conn).Watch(ctx)
			if err != nil {
				return errorText(err)
			}
			if err := stream.Send(request); err != nil {
				return errorText(err)
			}
			response, err := stream.Recv()
			switch {
			case err != nil:
				return errorText(err)
			case response.Canceled:
				return "watch: " + response.CancelReason
			}
			return "watch: created"
		}()
		cancel()
	}
	difference := ""
	if texts[0] != texts[1] {
		difference = fmt.Sprintf("watch: %q, want %q", texts[1], texts[0])
	}
	r.note(caller, "Watch.Watch", fmt.Sprint(request), texts[0], difference)
}

// callAs is call with the caller's context, for the calls that users make.
func (s *side) callAs(ctx context.Context, name string, request proto.Message) answer {
	switch name {
	case "KV.RangeStream":
		message, err := s.rangeStream(ctx, request.(*pb.RangeRequest))
		return answer{message, err}
	case "Lease.LeaseKeepAlive":
		stream, err := pb.NewLeaseClient(s.conn).LeaseKeepAlive(ctx)
		if err != nil {
			return answer{nil, err}
		}
		if err := stream.Send(request.(*pb.LeaseKeepAliveRequest)); err != nil {
			return answer{nil, err}
		}
		response, err := stream.Recv()
		if err != nil {
			return answer{nil, err}
		}
		return answer{response, nil}
	}
	kind, is := authRPCs[name]
	if !is {
		kind = rpcs[name]
	}
	response := kind.response()
	service, method, _ := strings.Cut(name, ".")
	if err := s.conn.Invoke(ctx, "/etcdserverpb."+service+"/"+method, request, response); err != nil {
		return answer{nil, err}
	}
	return answer{response, nil}
}

// compareBuckets holds the stores' users and roles to each other, byte by byte but for the salt of
// passwords.
func (r *authRun) compareBuckets() {
	if r.enabled {
		r.tokens = map[string][2]string{}
		r.login("root")
	}
	var contents [2]map[string]string
	for i, s := range r.sides {
		ctx, cancel := r.context("root", i)
		var file bytes.Buffer
		_, err := s.saveSnapshot(ctx, &file)
		cancel()
		if err != nil {
			r.t.Fatalf("%s: snapshot: %v", s.name, err)
		}
		path := filepath.Join(r.t.TempDir(), s.name+".db")
		if err := os.WriteFile(path, file.Bytes(), 0o600); err != nil {
			r.t.Fatal(err)
		}
		contents[i] = readAuth(r.t, path)
	}
	if len(contents[0]) < 3 {
		r.t.Errorf("the stores are empty: %v", contents[0])
	}
	for name := range contents[1] {
		if _, is := contents[0][name]; !is {
			r.t.Errorf("the tested side stores %s, etcd does not", name)
		}
	}
	for name, want := range contents[0] {
		if contents[1][name] != want {
			r.t.Errorf("stored %s: %q, want %q", name, contents[1][name], want)
		}
	}
}

func readAuth(t *testing.T, path string) map[string]string {
	database, err := bolt.Open(path, 0o600, &bolt.Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer database.Close()
	content := map[string]string{}
	err = database.View(func(tx *bolt.Tx) error {
		for _, bucket := range []string{"auth", "authRoles", "authUsers"} {
			err := tx.Bucket([]byte(bucket)).ForEach(func(key, value []byte) error {
				if bucket == "authUsers" {
					user := &authpb.User{}
					if err := proto.Unmarshal(value, user); err != nil {
						return err
					}
					if len(user.Password) > 0 {
						user.Password = []byte(string(user.Password[:7]) + fmt.Sprint(len(user.Password)))
					}
					value, _ = proto.MarshalOptions{Deterministic: true}.Marshal(user)
				}
				content[bucket+"/"+string(key)] = string(value)
				return nil
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return content
}
