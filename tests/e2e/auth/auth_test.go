// Package auth holds members to one another while authentication is on: a real etcd and holdfast in
// one cluster, users made through either, tokens of either good at all, watches and leases kept to
// what their users may do.
package auth

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"holdfast/tests/go/cluster"
	"holdfast/tests/go/member"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

const (
	patience     = 60 * time.Second
	rootPassword = "root's own"
	userPassword = "alice's own"
)

var kinds = []string{"etcd", "holdfast", "holdfast"}

type suite struct {
	*cluster.Cluster
	t    *testing.T
	ctx  context.Context
	root *clientv3.Client
}

// start brings up a cluster of a real etcd and two of ours, with root and alice, who may read and
// write below "a/", and enables authentication.
func start(t *testing.T, flags ...string) *suite {
	t.Helper()
	c, err := cluster.Start(cluster.Options{Programs: kinds, Dir: t.TempDir(), Flags: append(flags, "--bcrypt-cost=4")})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	t.Cleanup(func() {
		cancel()
		if t.Failed() {
			t.Logf("the members' logs end:\n%s", c.LogTails(8))
		}
		c.Close()
	})
	s := &suite{Cluster: c, t: t, ctx: ctx}
	plain := s.client(c.Nodes()[1], "", "")
	s.must2(plain.UserAdd(ctx, "root", rootPassword))
	s.must2(plain.UserGrantRole(ctx, "root", "root"))
	s.must2(plain.UserAdd(ctx, "alice", userPassword))
	s.must2(plain.RoleAdd(ctx, "a"))
	s.must2(plain.RoleGrantPermission(ctx, "a", "a/", "a0", clientv3.PermissionType(clientv3.PermReadWrite)))
	s.must2(plain.UserGrantRole(ctx, "alice", "a"))
	s.must2(plain.AuthEnable(ctx))
	s.root = s.client(c.Nodes()[0], "root", rootPassword)
	return s
}

func (s *suite) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *suite) must2(_ any, err error) {
	s.t.Helper()
	s.must(err)
}

// client is the official client of one member, as a user; "" for nobody.
func (s *suite) client(n *cluster.Node, user, password string) *clientv3.Client {
	s.t.Helper()
	var client *clientv3.Client
	err := cluster.Until(s.ctx, func() (err error) {
		client, err = clientv3.New(clientv3.Config{Endpoints: []string{n.ClientAddr()}, Username: user, Password: password,
			DialTimeout: patience, Logger: zap.NewNop()})
		return err
	})
	s.must(err)
	s.t.Cleanup(func() { client.Close() })
	return client
}

// token logs in at one member.
func (s *suite) token(n *cluster.Node, user, password string) string {
	s.t.Helper()
	var response *pb.AuthenticateResponse
	s.must(s.whoeverLeads(func() (err error) {
		response, err = pb.NewAuthClient(n.Conn()).Authenticate(s.ctx, &pb.AuthenticateRequest{Name: user, Password: password})
		return err
	}))
	return response.Token
}

// whoeverLeads asks again while a change of leaders is all that is in the way.
func (s *suite) whoeverLeads(ask func() error) error {
	err := cluster.Until(s.ctx, func() error {
		err := ask()
		if err != nil && status.Code(err) != codes.Unavailable {
			return cluster.Final{Err: err}
		}
		return err
	})
	var final cluster.Final
	if errors.As(err, &final) {
		return final.Err
	}
	return err
}

func with(ctx context.Context, token string) context.Context {
	return metadata.AppendToOutgoingContext(ctx, "token", token)
}

// equal waits until all members' histories are one, asked as peers ask.
func (s *suite) equal() {
	s.t.Helper()
	last, err := s.root.Put(s.ctx, "last", time.Now().String())
	s.must(err)
	err = cluster.Until(s.ctx, func() error {
		var first cluster.Hash
		for i, n := range s.Nodes() {
			hash, err := n.PeerHash(s.ctx, last.Header.Revision)
			if err != nil {
				return err
			}
			if i == 0 {
				first = hash
			} else if hash != first {
				return fmt.Errorf("%s has %v, %s %v", n.Name(), hash, s.Nodes()[0].Name(), first)
			}
		}
		return nil
	})
	s.must(err)
}

// everyTokenEverywhere logs in at each member and uses that token at each, at once.
func (s *suite) everyTokenEverywhere() {
	s.t.Helper()
	for _, from := range s.Nodes() {
		token := s.token(from, "alice", userPassword)
		for _, at := range s.Nodes() {
			kv := pb.NewKVClient(at.Conn())
			key := []byte("a/" + from.Name() + at.Name())
			put := func() error {
				return s.whoeverLeads(func() error {
					_, err := kv.Put(with(s.ctx, token), &pb.PutRequest{Key: key, Value: key})
					return err
				})
			}
			err := put()
			if at.Binary() == member.Etcd() && errors.Is(rpctypes.Error(err), rpctypes.ErrInvalidAuthToken) {
				// etcd names a token by the entry before its login's and waits for no more than that one,
				// so it may not know it yet. Ours waits until it does.
				err = cluster.Until(s.ctx, put)
			}
			if err != nil {
				s.t.Errorf("a token of %s at %s: %v", from.Binary(), at.Binary(), err)
			}
			err = s.whoeverLeads(func() error {
				_, err := kv.Range(with(s.ctx, token), &pb.RangeRequest{Key: []byte("b")})
				return err
			})
			if !errors.Is(rpctypes.Error(err), rpctypes.ErrPermissionDenied) {
				s.t.Errorf("alice reads b at %s: %v", at.Binary(), err)
			}
		}
	}
}

func TestTokensOfEveryMemberAreGoodAtAll(t *testing.T) {
	s := start(t)
	s.everyTokenEverywhere()
	// Whoever leads.
	for _, n := range s.Nodes() {
		_, err := pb.NewMaintenanceClient(s.leader().Conn()).MoveLeader(
			with(s.ctx, s.token(s.leader(), "root", rootPassword)), &pb.MoveLeaderRequest{TargetID: n.ID})
		s.must(err)
		s.everyTokenEverywhere()
	}
	// Users made through each member are users at all.
	for i, n := range s.Nodes() {
		name := fmt.Sprintf("user-%d", i)
		s.must2(s.client(n, "root", rootPassword).UserAdd(s.ctx, name, name))
		for _, at := range s.Nodes() {
			s.client(at, name, name)
		}
	}
	s.equal()
}

func (s *suite) leader() *cluster.Node {
	s.t.Helper()
	var leader *cluster.Node
	s.must(cluster.Until(s.ctx, func() error {
		for _, n := range s.Nodes() {
			status, err := pb.NewMaintenanceClient(n.Conn()).Status(with(s.ctx, s.token(n, "root", rootPassword)), &pb.StatusRequest{})
			if err == nil && status.Leader == n.ID {
				leader = n
				return nil
			}
		}
		return errors.New("nobody leads")
	}))
	return leader
}

func TestUsersOutliveARestart(t *testing.T) {
	s := start(t)
	ours := s.Nodes()[1]
	s.must(s.Stop(ours))
	s.must2(s.root.UserAdd(s.ctx, "bob", "bob")) // while it is away
	s.must(s.Spawn(ours))
	s.must2(s.client(ours, "alice", userPassword).Put(s.ctx, "a/1", "1"))
	s.client(ours, "bob", "bob")
	_, err := s.client(ours, "", "").Get(s.ctx, "a/1")
	if !errors.Is(err, rpctypes.ErrUserEmpty) {
		t.Errorf("nobody reads after a restart: %v", err)
	}
	s.everyTokenEverywhere()
	s.equal()
}

// Both sides sign with the same key: neither has to be told of the other's tokens.
func TestSignedTokensOfEveryMemberAreGoodAtAll(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "jwt.key")
	content := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})
	if err := os.WriteFile(file, content, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, method := range []string{"RS256", "PS384"} {
		t.Run(method, func(t *testing.T) {
			s := start(t, "--auth-token=jwt,sign-method="+method+",ttl=10m,priv-key="+file)
			s.everyTokenEverywhere()
			old := s.token(s.Nodes()[2], "alice", userPassword)
			s.must2(s.root.RoleAdd(s.ctx, "another"))
			for _, n := range s.Nodes() {
				_, err := pb.NewKVClient(n.Conn()).Range(with(s.ctx, old), &pb.RangeRequest{Key: []byte("a/")})
				if !errors.Is(rpctypes.Error(err), rpctypes.ErrAuthOldRevision) {
					t.Errorf("a token of an older revision at %s: %v", n.Binary(), err)
				}
			}
			s.equal()
		})
	}
}

// The leader revokes what expires as root, whoever may write the keys.
func TestLeasesExpireWhileAuthIsOn(t *testing.T) {
	s := start(t)
	for _, leader := range s.Nodes()[:2] {
		now := s.leader()
		_, err := pb.NewMaintenanceClient(now.Conn()).MoveLeader(
			with(s.ctx, s.token(now, "root", rootPassword)), &pb.MoveLeaderRequest{TargetID: leader.ID})
		s.must(err)
		alice := s.client(s.Nodes()[2], "alice", userPassword)
		lease, err := alice.Grant(s.ctx, 2)
		s.must(err)
		s.must2(alice.Put(s.ctx, "a/lease", "", clientv3.WithLease(lease.ID)))
		// Nobody else may hang a key on it, keep it alive, end it or see what is on it.
		s.must2(s.root.UserAdd(s.ctx, "eve", "eve"))
		eve := s.client(s.Nodes()[2], "eve", "eve")
		_, revoked := eve.Revoke(s.ctx, lease.ID)
		_, kept := eve.KeepAliveOnce(s.ctx, lease.ID)
		_, seen := eve.TimeToLive(s.ctx, lease.ID, clientv3.WithAttachedKeys())
		for what, err := range map[string]error{"revokes": revoked, "keeps alive": kept, "looks at": seen} {
			if !errors.Is(err, rpctypes.ErrPermissionDenied) {
				t.Errorf("eve %s alice's lease: %v", what, err)
			}
		}
		s.must(cluster.Until(s.ctx, func() error {
			got, err := alice.Get(s.ctx, "a/lease")
			if err == nil && got.Count == 0 {
				return nil
			}
			return fmt.Errorf("the lease has not expired: %v %w", got, err)
		}))
		s.must2(s.root.UserDelete(s.ctx, "eve"))
	}
	s.equal()
}

// etcd's watchers go on with what they were once allowed; ours are told to end.
func TestAWatcherSeesOnlyWhatItMayRead(t *testing.T) {
	changes := map[string]func(s *suite){
		"the role is revoked":    func(s *suite) { s.must2(s.root.UserRevokeRole(s.ctx, "alice", "a")) },
		"the permission is gone": func(s *suite) { s.must2(s.root.RoleRevokePermission(s.ctx, "a", "a/", "a0")) },
		"the role is deleted":    func(s *suite) { s.must2(s.root.RoleDelete(s.ctx, "a")) },
		"the user is deleted":    func(s *suite) { s.must2(s.root.UserDelete(s.ctx, "alice")) },
	}
	for name, change := range changes {
		t.Run(name, func(t *testing.T) {
			s := start(t)
			ours := s.Nodes()[1]
			alice := s.client(ours, "alice", userPassword)
			live := alice.Watch(s.ctx, "a/", clientv3.WithPrefix())
			s.must2(s.root.Put(s.ctx, "a/seen", "1"))
			if first := <-live; len(first.Events) != 1 {
				t.Fatalf("the watch begins with %v", first)
			}
			change(s)
			s.must2(s.root.Put(s.ctx, "a/secret", "2"))
			for response := range live {
				for _, event := range response.Events {
					t.Errorf("after %s alice sees %s", name, event.Kv.Key)
				}
				if err := response.Err(); err != nil && !strings.Contains(err.Error(), "permission denied") {
					t.Errorf("the watch ends with %v", err)
				}
			}
			// Root's goes on.
			all := s.client(ours, "root", rootPassword).Watch(s.ctx, "a/", clientv3.WithPrefix(), clientv3.WithRev(1))
			if response := <-all; len(response.Events) == 0 {
				t.Errorf("root sees %v", response)
			}
		})
	}
	t.Run("a change that is not about it ends no watch", func(t *testing.T) {
		s := start(t)
		live := s.client(s.Nodes()[1], "alice", userPassword).Watch(s.ctx, "a/", clientv3.WithPrefix(), clientv3.WithCreatedNotify())
		<-live
		s.must2(s.root.RoleAdd(s.ctx, "another"))
		s.must2(s.root.Put(s.ctx, "a/seen", "1"))
		if response := <-live; len(response.Events) != 1 {
			t.Errorf("the watch gets %v", response)
		}
	})
}

func TestEtcdctlLogsIn(t *testing.T) {
	s := start(t)
	for _, n := range s.Nodes() {
		for _, each := range []struct {
			user, arguments, want string
			fails                 bool
		}{
			{"root:" + rootPassword, "put b 1", "OK", false},
			{"alice:" + userPassword, "put a/ctl 1", "OK", false},
			{"alice:" + userPassword, "get b", "permission denied", true},
			{"alice:wrong", "get a/ctl", "authentication failed", true},
			{"", "get a/ctl", "user name is empty", true},
			{"alice:" + userPassword, "user get alice", "Roles: a", false},
			{"root:" + rootPassword, "role get a", "[a/, a0)", false},
			{"alice:" + userPassword, "endpoint hashkv", "permission denied", true},
		} {
			arguments := append([]string{"--endpoints", n.ClientAddr()}, strings.Fields(each.arguments)...)
			if each.user != "" {
				arguments = append([]string{"--user", each.user}, arguments...)
			}
			output, err := exec.Command(member.Tool("etcdctl"), arguments...).CombinedOutput()
			if (err != nil) != each.fails || !strings.Contains(string(output), each.want) {
				t.Errorf("%s: etcdctl --user %q %s: %v\n%s", n.Binary(), each.user, each.arguments, err, output)
			}
		}
	}
}
