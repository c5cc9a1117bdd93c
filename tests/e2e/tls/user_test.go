package tls

import (
	"context"
	"errors"
	"testing"
	"time"

	"holdfast/tests/go/member"

	"go.etcd.io/etcd/api/v3/authpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// Whoever shows a good certificate and no token is the user that its common name says.
func TestACertificateNamesItsUser(t *testing.T) {
	ca := newAuthority(t, "ca")
	files := folder{t, t.TempDir()}
	files.show("server", ca.issue("server"))
	files.write("ca.crt", ca.PEM)
	rootsConfig := client(t, ca.issue("root"), ca)
	m, err := member.Start(member.Options{Binary: member.Holdfast(), Dir: t.TempDir(), TLS: rootsConfig, Flags: []string{
		"--bcrypt-cost=4", "--cert-file=" + files.file("server.crt"), "--key-file=" + files.file("server.key"),
		"--trusted-ca-file=" + files.file("ca.crt"), "--client-cert-auth"}})
	if err != nil {
		t.Fatal(err)
	}
	m.EndWith(t)
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	must := func(_ any, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	root := member.Connect(t, rootsConfig, m.ClientURL())
	alice := member.Connect(t, client(t, ca.issue("alice"), ca), m.ClientURL())
	eve := member.Connect(t, client(t, ca.issue("eve"), ca), m.ClientURL())
	must(root.UserAddWithOptions(ctx, "root", "", &clientv3.UserAddOptions{NoPassword: true}))
	must(root.UserGrantRole(ctx, "root", "root"))
	must(root.UserAddWithOptions(ctx, "alice", "", (*clientv3.UserAddOptions)(&authpb.UserAddOptions{NoPassword: true})))
	must(root.RoleAdd(ctx, "a"))
	must(root.RoleGrantPermission(ctx, "a", "a", "b", clientv3.PermissionType(clientv3.PermReadWrite)))
	must(root.UserGrantRole(ctx, "alice", "a"))
	must(root.AuthEnable(ctx))

	must(root.Put(ctx, "b", "1"))
	must(alice.Put(ctx, "a", "1"))
	if _, err := alice.Get(ctx, "b"); !errors.Is(err, rpctypes.ErrPermissionDenied) {
		t.Errorf("alice reads b: %v", err)
	}
	if _, err := eve.Get(ctx, "a"); !errors.Is(err, rpctypes.ErrPermissionDenied) {
		t.Errorf("eve, who is no user, reads a: %v", err)
	}
	if _, err := eve.MemberList(ctx); err != nil {
		t.Errorf("eve, who is known by name, lists the members: %v", err)
	}
	if _, err := eve.AuthDisable(ctx); !errors.Is(err, rpctypes.ErrUserNotFound) {
		t.Errorf("eve disables authentication: %v", err)
	}
}
