// Package attack lets hostile clients loose on a member, beside an honest one that must not notice.
package attack

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"holdfast/tests/go/member"

	"go.etcd.io/etcd/api/v3/authpb"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
)

const (
	patience = member.Patience
	// maxMemoryBytes is what a member may hold of anonymous memory after all of it.
	maxMemoryBytes = 512 << 20
	secret         = "nobody but root may know"
)

// house is the member under attack.
type house struct {
	t       *testing.T
	m       *member.Member
	conn    *grpc.ClientConn
	ctx     context.Context
	tokens  map[string]string
	started int // files open at the start
}

// build starts a member with root, and alice who may read and write below "a/", and something worth
// stealing.
func build(t *testing.T) *house {
	t.Helper()
	m, err := member.Start(member.Options{Binary: member.Holdfast(), Dir: t.TempDir(),
		Flags: []string{"--bcrypt-cost=4", "--log-level=error", "--auth-token-ttl=3600"}})
	if err != nil {
		t.Fatal(err)
	}
	m.EndWith(t)
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	t.Cleanup(cancel)
	h := &house{t: t, m: m, ctx: ctx, tokens: map[string]string{}}
	h.conn, err = m.Dial()
	h.must(nil, err)
	t.Cleanup(func() { h.conn.Close() })
	auth := pb.NewAuthClient(h.conn)
	for _, user := range []string{"root", "alice"} {
		h.must(auth.UserAdd(ctx, &pb.AuthUserAddRequest{Name: user, Password: user}))
		h.must(auth.RoleAdd(ctx, &pb.AuthRoleAddRequest{Name: user}))
		h.must(auth.UserGrantRole(ctx, &pb.AuthUserGrantRoleRequest{User: user, Role: user}))
	}
	h.must(auth.RoleGrantPermission(ctx, &pb.AuthRoleGrantPermissionRequest{Name: "alice",
		Perm: &authpb.Permission{PermType: authpb.READWRITE, Key: []byte("a/"), RangeEnd: []byte("a0")}}))
	h.must(pb.NewLeaseClient(h.conn).LeaseGrant(ctx, &pb.LeaseGrantRequest{ID: 7, TTL: 3600}))
	h.must(pb.NewKVClient(h.conn).Put(ctx, &pb.PutRequest{Key: []byte("secret"), Value: []byte(secret), Lease: 7}))
	h.must(pb.NewKVClient(h.conn).Put(ctx, &pb.PutRequest{Key: []byte("a/own"), Value: []byte("alice's")}))
	h.must(auth.AuthEnable(ctx, &pb.AuthEnableRequest{}))
	for _, user := range []string{"root", "alice"} {
		r, err := auth.Authenticate(ctx, &pb.AuthenticateRequest{Name: user, Password: user})
		h.must(r, err)
		h.tokens[user] = r.Token
	}
	h.started = h.files()
	return h
}

func (h *house) must(_ any, err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

func (h *house) as(user string) context.Context { return h.with(h.tokens[user]) }

func (h *house) with(token string) context.Context {
	if token == "" {
		return h.ctx
	}
	return metadata.AppendToOutgoingContext(h.ctx, "token", token)
}

// post sends JSON to the gateway and returns status and body, as much of it as comes soon: a watch that
// was refused keeps its stream open.
func (h *house) post(path, token, body string) (int, string) {
	h.t.Helper()
	soon, cancel := context.WithTimeout(h.ctx, time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(soon, "POST", h.m.ClientURL()+path, strings.NewReader(body))
	h.must(nil, err)
	if token != "" {
		request.Header.Set("Authorization", token)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, err.Error()
	}
	defer answer.Body.Close()
	text, _ := io.ReadAll(answer.Body)
	return answer.StatusCode, string(text)
}

func (h *house) files() int {
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", h.m.Pid()))
	h.must(nil, err)
	return len(entries)
}

// memory is the member's anonymous memory in bytes.
func (h *house) memory() int {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", h.m.Pid()))
	h.must(nil, err)
	for _, line := range strings.Split(string(text), "\n") {
		if fields := strings.Fields(line); len(fields) > 1 && fields[0] == "RssAnon:" {
			kilobytes, _ := strconv.Atoi(fields[1])
			return kilobytes << 10
		}
	}
	return 0
}

// unharmed: the member lives, answers root, has kept the secret, and holds nothing of the attack.
func (h *house) unharmed() {
	h.t.Helper()
	r, err := pb.NewKVClient(h.conn).Range(h.as("root"), &pb.RangeRequest{Key: []byte("secret")})
	if err != nil || len(r.Kvs) != 1 || string(r.Kvs[0].Value) != secret {
		h.t.Fatalf("after the attack: %v %v", r, err)
	}
	for deadline := time.Now().Add(patience); h.files() > h.started+20; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			h.t.Fatalf("%d files open, %d at the start", h.files(), h.started)
		}
	}
	if held := h.memory(); held > maxMemoryBytes {
		h.t.Errorf("the member holds %d MiB", held>>20)
	}
}

// bystander works honestly until the test ends: puts, reads them back and watches them. Whatever it
// sees go wrong fails the test.
func (h *house) bystander() {
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{h.m.ClientAddr()}, Username: "root", Password: "root",
		DialTimeout: patience})
	h.must(nil, err)
	writing, stop := context.WithCancel(h.ctx)
	watching, cancel := context.WithCancel(h.ctx)
	var puts, seen atomic.Int64
	done := make(chan error, 1)
	watch := client.Watch(clientv3.WithRequireLeader(watching), "honest")
	go func() {
		for response := range watch {
			seen.Add(int64(len(response.Events)))
		}
	}()
	go func() {
		for writing.Err() == nil {
			value := fmt.Sprint(puts.Load())
			if _, err := client.Put(h.ctx, "honest", value); err != nil {
				done <- err
				return
			}
			r, err := client.Get(h.ctx, "honest")
			if err != nil || string(r.Kvs[0].Value) != value {
				done <- fmt.Errorf("read %v %v", r, err)
				return
			}
			puts.Add(1)
		}
		done <- nil
	}()
	h.t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			h.t.Errorf("the honest client: %v", err)
		}
		for deadline := time.Now().Add(patience); seen.Load() < puts.Load() && time.Now().Before(deadline); {
			time.Sleep(10 * time.Millisecond)
		}
		cancel()
		if seen.Load() < puts.Load() {
			h.t.Errorf("the honest client saw %d of its %d puts", seen.Load(), puts.Load())
		}
		h.t.Logf("the honest client: %d puts and reads, no error", puts.Load())
		client.Close()
	})
}
