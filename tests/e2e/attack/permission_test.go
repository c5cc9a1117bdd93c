package attack

import (
	"context"
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"go.etcd.io/etcd/api/v3/authpb"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3election/v3electionpb"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3lock/v3lockpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// attempts are what somebody without the right might try; each must be refused.
func (h *house) attempts() map[string]func(ctx context.Context) (any, error) {
	kv, lease, auth := pb.NewKVClient(h.conn), pb.NewLeaseClient(h.conn), pb.NewAuthClient(h.conn)
	cluster, maintenance := pb.NewClusterClient(h.conn), pb.NewMaintenanceClient(h.conn)
	lock, election := v3lockpb.NewLockClient(h.conn), v3electionpb.NewElectionClient(h.conn)
	read := func(key, end string) func(context.Context) (any, error) {
		return func(ctx context.Context) (any, error) {
			return kv.Range(ctx, &pb.RangeRequest{Key: []byte(key), RangeEnd: []byte(end), Serializable: strings.HasPrefix(key, "s")})
		}
	}
	rangeOp := func(key, end string) *pb.RequestOp {
		return &pb.RequestOp{Request: &pb.RequestOp_RequestRange{RequestRange: &pb.RangeRequest{Key: []byte(key), RangeEnd: []byte(end)}}}
	}
	putOp := &pb.RequestOp{Request: &pb.RequestOp_RequestPut{RequestPut: &pb.PutRequest{Key: []byte("secret"), Value: []byte("x")}}}
	txn := func(request *pb.TxnRequest) func(context.Context) (any, error) {
		return func(ctx context.Context) (any, error) { return kv.Txn(ctx, request) }
	}
	return map[string]func(ctx context.Context) (any, error){
		"read a key":           read("secret", ""),
		"read everything":      read("\x00", "\x00"),
		"read from the own on": read("a/", "\x00"),
		"read one key beyond":  read("a/", "a0\x00"),
		"read one key before":  read("a.\xff", "a0"),
		"count beyond": func(ctx context.Context) (any, error) {
			return kv.Range(ctx, &pb.RangeRequest{Key: []byte("s"), RangeEnd: []byte("t"), CountOnly: true})
		},
		"read the past": func(ctx context.Context) (any, error) {
			return kv.Range(ctx, &pb.RangeRequest{Key: []byte("secret"), Revision: 2})
		},
		"put": func(ctx context.Context) (any, error) { return kv.Put(ctx, &pb.PutRequest{Key: []byte("secret")}) },
		"put on somebody's lease": func(ctx context.Context) (any, error) {
			return kv.Put(ctx, &pb.PutRequest{Key: []byte("a/x"), Lease: 7})
		},
		"delete": func(ctx context.Context) (any, error) {
			return kv.DeleteRange(ctx, &pb.DeleteRangeRequest{Key: []byte("secret"), PrevKv: true})
		},
		"delete everything": func(ctx context.Context) (any, error) {
			return kv.DeleteRange(ctx, &pb.DeleteRangeRequest{Key: []byte{0}, RangeEnd: []byte{0}})
		},
		"a transaction that reads":   txn(&pb.TxnRequest{Success: []*pb.RequestOp{rangeOp("secret", "")}}),
		"a branch that is not taken": txn(&pb.TxnRequest{Success: []*pb.RequestOp{rangeOp("a/own", "")}, Failure: []*pb.RequestOp{rangeOp("secret", "")}}),
		"a transaction in another":   txn(&pb.TxnRequest{Success: []*pb.RequestOp{{Request: &pb.RequestOp_RequestTxn{RequestTxn: &pb.TxnRequest{Success: []*pb.RequestOp{rangeOp("secret", "")}}}}}}),
		"a write in one not taken":   txn(&pb.TxnRequest{Failure: []*pb.RequestOp{{Request: &pb.RequestOp_RequestTxn{RequestTxn: &pb.TxnRequest{Failure: []*pb.RequestOp{putOp}}}}}}),
		"a comparison as an oracle":  txn(&pb.TxnRequest{Compare: []*pb.Compare{{Target: pb.Compare_VALUE, Key: []byte("secret"), TargetUnion: &pb.Compare_Value{Value: []byte("n")}, Result: pb.Compare_GREATER}}}),
		"an oracle over a range":     txn(&pb.TxnRequest{Compare: []*pb.Compare{{Target: pb.Compare_VERSION, Key: []byte("a/"), RangeEnd: []byte("t"), TargetUnion: &pb.Compare_Version{Version: 1}}}}),
		"compact":                    func(ctx context.Context) (any, error) { return kv.Compact(ctx, &pb.CompactionRequest{Revision: 2}) },
		"revoke somebody's lease":    func(ctx context.Context) (any, error) { return lease.LeaseRevoke(ctx, &pb.LeaseRevokeRequest{ID: 7}) },
		"list somebody's leased keys": func(ctx context.Context) (any, error) {
			return lease.LeaseTimeToLive(ctx, &pb.LeaseTimeToLiveRequest{ID: 7, Keys: true})
		},
		"list leases": func(ctx context.Context) (any, error) { return lease.LeaseLeases(ctx, &pb.LeaseLeasesRequest{}) },
		"add a user": func(ctx context.Context) (any, error) {
			return auth.UserAdd(ctx, &pb.AuthUserAddRequest{Name: "eve", Password: "e"})
		},
		"become root": func(ctx context.Context) (any, error) {
			return auth.UserGrantRole(ctx, &pb.AuthUserGrantRoleRequest{User: "alice", Role: "root"})
		},
		"widen the own role": func(ctx context.Context) (any, error) {
			return auth.RoleGrantPermission(ctx, &pb.AuthRoleGrantPermissionRequest{Name: "alice", Perm: &authpb.Permission{PermType: authpb.READWRITE, Key: []byte{0}, RangeEnd: []byte{0}}})
		},
		"change root's password": func(ctx context.Context) (any, error) {
			return auth.UserChangePassword(ctx, &pb.AuthUserChangePasswordRequest{Name: "root", Password: "x"})
		},
		"disable authentication": func(ctx context.Context) (any, error) { return auth.AuthDisable(ctx, &pb.AuthDisableRequest{}) },
		"see another user":       func(ctx context.Context) (any, error) { return auth.UserGet(ctx, &pb.AuthUserGetRequest{Name: "root"}) },
		"list users":             func(ctx context.Context) (any, error) { return auth.UserList(ctx, &pb.AuthUserListRequest{}) },
		"add a member": func(ctx context.Context) (any, error) {
			return cluster.MemberAdd(ctx, &pb.MemberAddRequest{PeerURLs: []string{"http://127.0.0.1:1"}})
		},
		"remove a member": func(ctx context.Context) (any, error) {
			return cluster.MemberRemove(ctx, &pb.MemberRemoveRequest{ID: 1})
		},
		"take a snapshot": func(ctx context.Context) (any, error) {
			s, err := maintenance.Snapshot(ctx, &pb.SnapshotRequest{})
			if err != nil {
				return nil, err
			}
			return s.Recv()
		},
		"defragment": func(ctx context.Context) (any, error) { return maintenance.Defragment(ctx, &pb.DefragmentRequest{}) },
		"hash":       func(ctx context.Context) (any, error) { return maintenance.HashKV(ctx, &pb.HashKVRequest{}) },
		"move the leader": func(ctx context.Context) (any, error) {
			return maintenance.MoveLeader(ctx, &pb.MoveLeaderRequest{TargetID: 1})
		},
		"raise an alarm": func(ctx context.Context) (any, error) {
			return maintenance.Alarm(ctx, &pb.AlarmRequest{Action: pb.AlarmRequest_ACTIVATE, Alarm: pb.AlarmType_NOSPACE})
		},
		"downgrade": func(ctx context.Context) (any, error) {
			return maintenance.Downgrade(ctx, &pb.DowngradeRequest{Action: pb.DowngradeRequest_ENABLE, Version: "3.6"})
		},
		"lock elsewhere": func(ctx context.Context) (any, error) {
			return lock.Lock(ctx, &v3lockpb.LockRequest{Name: []byte("b"), Lease: 7})
		},
		"unlock somebody's": func(ctx context.Context) (any, error) {
			return lock.Unlock(ctx, &v3lockpb.UnlockRequest{Key: []byte("secret")})
		},
		"campaign elsewhere": func(ctx context.Context) (any, error) {
			return election.Campaign(ctx, &v3electionpb.CampaignRequest{Name: []byte("b"), Lease: 7})
		},
		"ask who leads elsewhere": func(ctx context.Context) (any, error) {
			return election.Leader(ctx, &v3electionpb.LeaderRequest{Name: []byte("b")})
		},
		"resign for somebody": func(ctx context.Context) (any, error) {
			return election.Resign(ctx, &v3electionpb.ResignRequest{Leader: &v3electionpb.LeaderKey{Key: []byte("secret"), Rev: 2}})
		},
		"proclaim at somebody's key": func(ctx context.Context) (any, error) {
			return election.Proclaim(ctx, &v3electionpb.ProclaimRequest{Leader: &v3electionpb.LeaderKey{Key: []byte("secret"), Rev: 2, Lease: 7}})
		},
		"a watch on a key":           h.watch("secret", ""),
		"a watch on everything":      h.watch("\x00", "\x00"),
		"a watch one key beyond":     h.watch("a/", "a0\x00"),
		"a keep-alive of somebody's": h.keepAlive,
	}
}

// watch says whether a watch was refused, from the past or not.
func (h *house) watch(key, end string) func(context.Context) (any, error) {
	return func(ctx context.Context) (any, error) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		stream, err := pb.NewWatchClient(h.conn).Watch(ctx)
		if err != nil {
			return nil, err
		}
		create := &pb.WatchCreateRequest{Key: []byte(key), RangeEnd: []byte(end), StartRevision: 1, PrevKv: true}
		if err := stream.Send(&pb.WatchRequest{RequestUnion: &pb.WatchRequest_CreateRequest{CreateRequest: create}}); err != nil {
			return nil, err
		}
		r, err := stream.Recv()
		if err == nil && r.Canceled && strings.Contains(r.CancelReason, "rpc error") {
			return nil, status.Error(codes.PermissionDenied, r.CancelReason)
		}
		return r, err
	}
}

func (h *house) keepAlive(ctx context.Context) (any, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := pb.NewLeaseClient(h.conn).LeaseKeepAlive(ctx)
	if err != nil {
		return nil, err
	}
	if err := stream.Send(&pb.LeaseKeepAliveRequest{ID: 7}); err != nil {
		return nil, err
	}
	return stream.Recv()
}

// isRefusal: for want of a right or a name, in whichever code the service says so.
func isRefusal(err error) bool {
	if err == nil {
		return false
	}
	text := status.Convert(err).Message()
	for _, reason := range []string{"permission denied", "user name is empty", "invalid auth token"} {
		if strings.Contains(text, reason) {
			return true
		}
	}
	return false
}

func TestNobodyGetsWhatIsNotHis(t *testing.T) {
	h := build(t)
	h.bystander()
	for who, ctx := range map[string]context.Context{"alice": h.as("alice"), "nobody": h.ctx, "an inventor": h.with("AAAAAAAAAAAAAAAA.1")} {
		for what, try := range h.attempts() {
			if answer, err := try(ctx); !isRefusal(err) {
				t.Errorf("%s: %s: %v, %v", who, what, answer, err)
			}
		}
	}
	encoded := base64.StdEncoding.EncodeToString
	for path, body := range map[string]string{
		"/v3/kv/range":             `{"key":"` + encoded([]byte("secret")) + `"}`,
		"/v3beta/kv/range":         `{"key":"AA==","range_end":"AA=="}`,
		"/v3/kv/deleterange":       `{"key":"AA==","range_end":"AA=="}`,
		"/v3/kv/txn":               `{"success":[{"request_range":{"key":"AA==","range_end":"AA=="}}]}`,
		"/v3/watch":                `{"create_request":{"key":"AA==","range_end":"AA==","start_revision":"1"}}`,
		"/v3/maintenance/snapshot": `{}`,
		"/v3/auth/disable":         `{}`,
		"/v3/auth/user/list":       `{}`,
		"/v3/lease/revoke":         `{"ID":"7"}`,
		"/v3/lease/keepalive":      `{"ID":"7"}`,
		"/v3/lock/lock":            `{"name":"Yg==","lease":"7"}`,
		"/v3/election/leader":      `{"name":"Yg=="}`,
	} {
		for who, token := range map[string]string{"alice": h.tokens["alice"], "nobody": "", "an inventor": "AAAAAAAAAAAAAAAA.1"} {
			status, text := h.post(path, token, body)
			if (status == 200 && !strings.Contains(text, "rpc error")) || strings.Contains(text, encoded([]byte(secret))) {
				t.Errorf("%s: POST %s: %d %s", who, path, status, text)
			}
		}
	}
	// What she may, she still may.
	h.must(pb.NewKVClient(h.conn).Range(h.as("alice"), &pb.RangeRequest{Key: []byte("a/"), RangeEnd: []byte("a0")}))
	h.unharmed()
}

func TestTokensAreNotGuessed(t *testing.T) {
	h := build(t)
	h.bystander()
	good := h.tokens["root"]
	dot := strings.LastIndexByte(good, '.')
	part := func(value string) string { return base64.RawURLEncoding.EncodeToString([]byte(value)) }
	claims := part(`{"username":"root","revision":1,"exp":9999999999}`)
	forged := []string{
		good[:dot], good + "0", good + ".1", good[:len(good)-1], " " + good, good + " ", strings.ToLower(good), strings.ToUpper(good),
		good[1:], "." + good, good[:dot] + ".0", good[:dot] + ".-1", good[:dot] + ".99999999999999999999", good[:dot] + ".01",
		good + "," + good, "root", "Bearer", "Bearer root", "null", "0", strings.Repeat("A", 8000), strings.Repeat(good, 100),
		part(`{"alg":"none"}`) + "." + claims + ".", part(`{"alg":"HS256","typ":"JWT"}`) + "." + claims + "." + part("x"),
		part(`{"alg":"none"}`) + "." + claims,
	}
	for range 2000 {
		letters := []byte(good)
		for range 1 + rand.IntN(3) {
			letters[rand.IntN(dot)] = byte('A' + rand.IntN(26))
		}
		if string(letters) != good {
			forged = append(forged, string(letters))
		}
	}
	kv := pb.NewKVClient(h.conn)
	for _, token := range forged {
		if strings.EqualFold(token, good) && token == good {
			continue
		}
		if r, err := kv.Range(h.with(token), &pb.RangeRequest{Key: []byte("secret")}); !isRefusal(err) && status.Code(err) != codes.Internal {
			if strings.TrimSpace(token) != good { // gRPC itself trims
				t.Errorf("token %q: %v %v", token, r, err)
			}
		}
	}
	auth := pb.NewAuthClient(h.conn)
	for i := range 50 {
		for _, request := range []*pb.AuthenticateRequest{{Name: "root", Password: fmt.Sprint(i)}, {Name: "root"}, {Name: "nobody", Password: "x"},
			{Name: "root\x00", Password: "root"}, {Name: "", Password: ""}, {Name: "alice", Password: "root"}} {
			if r, err := auth.Authenticate(h.ctx, request); err == nil {
				t.Errorf("logged in as %q with %q: %v", request.Name, request.Password, r)
			}
		}
	}
	h.unharmed()
}
