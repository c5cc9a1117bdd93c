package operator

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// as calls the cluster as a user, or as whom the certificate names where there is no password.
func (c cluster) as(secured *tls.Config, user, password string, call func(context.Context, *clientv3.Client) error) error {
	client, err := clientv3.New(clientv3.Config{
		Endpoints: []string{"https://" + secured.ServerName + ":2379"}, TLS: secured, DialTimeout: 2 * time.Second, Username: user, Password: password,
	})
	if err != nil {
		return err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), callDeadline)
	defer cancel()
	return call(ctx, client)
}

func listMembers(ctx context.Context, client *clientv3.Client) error {
	_, err := client.MemberList(ctx)
	return err
}

// isAuth returns an error until the condition AuthReady has this reason.
func (c cluster) isAuth(reason string) error {
	if _, now, message := c.condition("AuthReady"); now != reason {
		return fmt.Errorf("%s: %s", now, message)
	}
	return nil
}

func (c cluster) setRootPassword(password string) {
	c.t.Helper()
	c.kubectl("patch", "secret", "db-root", "--type=merge", "--patch",
		fmt.Sprintf(`{"data":{"password":%q}}`, base64.StdEncoding.EncodeToString([]byte(password))))
}

// An application whose certificate is a user goes on while authentication is turned on, root's password
// is changed by Secret and by hand, the cluster grows, and authentication is turned off again.
func TestAuthenticationOnAndOff(t *testing.T) {
	life := t // outlives the steps
	operator := startOperator(life)
	apply(t, fmt.Sprintf(strings.Replace(manifest, "replicas: 3", "replicas: 1", 1), "auth-on", ""))
	c := cluster{t, "auth-on"}
	c.awaitReady(1)
	secured := c.followedTLS(t, "db.auth-on.svc.cluster.local")
	within(t, patience, "an application is served", func() error { return c.as(secured, "", "", listMembers) })
	l := startSecuredLoad(t, "https://db.auth-on.svc.cluster.local:2379", secured)

	step(t, l, "auth on", func(t *testing.T) {
		err := c.as(secured, "", "", func(ctx context.Context, client *clientv3.Client) error {
			_, err := client.UserAddWithOptions(ctx, "application", "", &clientv3.UserAddOptions{NoPassword: true})
			if err == nil {
				_, err = client.RoleAdd(ctx, "everything")
			}
			if err == nil {
				_, err = client.RoleGrantPermission(ctx, "everything", "\x00", "\x00", clientv3.PermissionType(clientv3.PermReadWrite))
			}
			if err == nil {
				_, err = client.UserGrantRole(ctx, "application", "everything")
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		c.kubectl("patch", "hfc", "db", "--type=merge", "--patch", `{"spec":{"auth":{"enabled":true}}}`)
		within(t, patience, "auth is on", func() error { return c.isAuth("AsDeclared") })
		err = c.as(secured, "", "", func(ctx context.Context, client *clientv3.Client) error {
			_, err := client.UserAdd(ctx, "another", "x")
			return err
		})
		if !errors.Is(err, rpctypes.ErrPermissionDenied) {
			t.Errorf("an application is no administrator: %v", err)
		}
		if err := c.as(secured, "root", c.value("db-root", "password"), listMembers); err != nil {
			t.Errorf("root's password is that of the Secret: %v", err)
		}
	})
	step(t, l, "grow to three", func(t *testing.T) {
		c.kubectl("scale", "hfc", "db", "--replicas=3")
		c.awaitReady(3)
	})
	before := c.restarts()
	step(t, l, "another password in the Secret", func(t *testing.T) {
		former := c.value("db-root", "password")
		c.setRootPassword("first-of-mine")
		time.Sleep(time.Second)
		operator.kill() // wherever it is: what it knows of passwords stands in its own Secret
		operator = startOperator(life)
		within(t, patience, "root has it", func() error {
			return c.as(secured, "root", "first-of-mine", listMembers)
		})
		within(t, patience, "all is settled", func() error { return c.isAuth("AsDeclared") })
		if err := c.as(secured, "root", former, listMembers); err == nil {
			t.Error("the former password is still good")
		}
	})
	step(t, l, "another password by hand", func(t *testing.T) {
		err := c.as(secured, "root", "first-of-mine", func(ctx context.Context, client *clientv3.Client) error {
			_, err := client.UserChangePassword(ctx, "root", "behind-its-back")
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		within(t, patience, "the condition says so", func() error { return c.isAuth("CredentialsRefused") })
		c.setRootPassword("behind-its-back")
		within(t, patience, "all is settled", func() error { return c.isAuth("AsDeclared") })
		c.awaitReady(3)
	})
	step(t, l, "auth off", func(t *testing.T) {
		c.kubectl("patch", "hfc", "db", "--type=merge", "--patch", `{"spec":{"auth":{"enabled":false}}}`)
		within(t, patience, "auth is off", func() error { return c.isAuth("Disabled") })
		err := c.as(secured, "", "", func(ctx context.Context, client *clientv3.Client) error {
			users, err := client.UserList(ctx)
			if err == nil && len(users.Users) != 2 {
				err = fmt.Errorf("users are kept: %v", users.Users)
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
	})
	if now := c.restarts(); now != before {
		t.Errorf("members restarted: %s before, %s after", before, now)
	}
	for _, secret := range []string{"first-of-mine", "behind-its-back"} {
		if strings.Contains(c.kubectl("get", "hfc,events,pods", "--output", "yaml"), secret) {
			t.Error("a password is in the open")
		}
	}
	l.finish()
	if len(l.errors) > 0 {
		t.Logf("errors of clients: %v", l.errors)
	}
	c.kubectl("delete", "hfc", "db", "--timeout=60s")
	operator.stop()
	kubectl(t, "delete", "namespace", "auth-on", "--timeout=90s")
}

const withTheirUsers = plain + `  auth: {enabled: true, rootSecretRef: {name: ours}}
  bootstrap: {join: {endpoints: [%q], credentialsSecretRef: {name: theirs}}}
`

// An etcd with users is joined by its administrator's word, and root gets the password declared here.
func TestUsersAreTakenOverWithTheirEtcd(t *testing.T) {
	old := startOldCluster(t, 1, nil)
	old.awaitLeader()
	old.enableAuth()
	operator := startOperator(t)
	one := strings.Replace(manifest, "replicas: 3", "replicas: 1", 1)
	apply(t, fmt.Sprintf(one, "joined-users", fmt.Sprintf(withTheirUsers, old.endpoints[0])))
	c := cluster{t, "joined-users"}
	c.kubectl("create", "secret", "generic", "theirs", "--from-literal=username=root", "--from-literal=password=root")
	c.kubectl("create", "secret", "generic", "ours", "--from-literal=password=declared")
	c.awaitReady(1)
	within(t, patience, "root's password is ours", func() error { return c.isAuth("AsDeclared") })
	apply(t, fmt.Sprintf(finishJoin, c.ns))
	within(t, patience, "the etcd is left behind", func() error { return c.isComplete("leave-etcd") })
	c.awaitReady(1)
	root, err := clientv3.New(clientv3.Config{
		Endpoints: []string{"http://db-0.db-peers.joined-users.svc.cluster.local:2379"}, DialTimeout: 2 * time.Second, Username: "root", Password: "declared",
	})
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	if members, err := names(root); err != nil || len(members) != 1 {
		t.Errorf("members are %v, %v", members, err)
	}
	c.kubectl("delete", "hfc", "db", "--timeout=60s")
	operator.stop()
	kubectl(t, "delete", "namespace", "joined-users", "--timeout=90s")
}
