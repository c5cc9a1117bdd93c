package operator

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"holdfast/tests/go/authority"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// nodeAddress is where processes beside the Pods listen; Pods reach it.
const nodeAddress = "10.250.0.1"

const finishJoin = `
apiVersion: holdfast.dev/v1alpha1
kind: HoldfastOperation
metadata: {name: leave-etcd, namespace: %[1]s}
spec: {clusterRef: {name: db}, type: FinishJoin, finishJoin: {}}
`

// oldCluster is an etcd that runs beside Kubernetes, to be taken over.
type oldCluster struct {
	t *testing.T
	// How to reach its members; nil without TLS.
	secured   *tls.Config
	endpoints []string
	members   []*exec.Cmd
}

// security is what an etcd with mutual TLS on both sides goes by.
type security struct {
	client, peer *authority.Authority
	user         authority.Identity
}

func newSecurity(t *testing.T) *security {
	s := &security{client: authority.New(t, "old client CA"), peer: authority.New(t, "old peer CA")}
	s.user = s.client.Issue("user")
	return s
}

// flags of a member.
func (s *security) flags(t *testing.T) []string {
	t.Helper()
	if s == nil {
		return nil
	}
	folder := t.TempDir()
	file := func(name string, content []byte) string {
		path := filepath.Join(folder, name)
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	server, peer := s.client.Issue("old", authority.At(nodeAddress)), s.peer.Issue("old", authority.At(nodeAddress))
	return []string{
		"--client-cert-auth", "--trusted-ca-file", file("client-ca", s.client.PEM),
		"--cert-file", file("cert", server.Cert), "--key-file", file("key", server.Key),
		"--peer-client-cert-auth", "--peer-trusted-ca-file", file("peer-ca", s.peer.PEM),
		"--peer-cert-file", file("peer-cert", peer.Cert), "--peer-key-file", file("peer-key", peer.Key),
	}
}

// config is how its user reaches the members.
func (s *security) config(t *testing.T) *tls.Config {
	t.Helper()
	if s == nil {
		return nil
	}
	config := &tls.Config{RootCAs: x509.NewCertPool(), Certificates: []tls.Certificate{s.certificate(t)}}
	config.RootCAs.AppendCertsFromPEM(s.client.PEM)
	return config
}

func (s *security) certificate(t *testing.T) tls.Certificate {
	t.Helper()
	pair, err := tls.X509KeyPair(s.user.Cert, s.user.Key)
	if err != nil {
		t.Fatal(err)
	}
	return pair
}

func (s *security) scheme() string {
	if s == nil {
		return "http"
	}
	return "https"
}

func startOldCluster(t *testing.T, members int, secured *security) *oldCluster {
	t.Helper()
	clientURL := func(i int) string { return fmt.Sprintf("%s://%s:%d", secured.scheme(), nodeAddress, 23790+2*i) }
	peerURL := func(i int) string { return fmt.Sprintf("%s://%s:%d", secured.scheme(), nodeAddress, 23791+2*i) }
	var initial []string
	for i := range members {
		initial = append(initial, fmt.Sprintf("old-%d=%s", i, peerURL(i)))
	}
	old := &oldCluster{t: t, secured: secured.config(t)}
	for i := range members {
		old.endpoints = append(old.endpoints, clientURL(i))
		log, err := os.Create(filepath.Join(t.TempDir(), "log"))
		if err != nil {
			t.Fatal(err)
		}
		defer log.Close()
		member := exec.Command("etcd", append(secured.flags(t), "--name", fmt.Sprintf("old-%d", i), "--data-dir", filepath.Join(t.TempDir(), "data"),
			"--listen-client-urls", clientURL(i), "--advertise-client-urls", clientURL(i),
			"--listen-peer-urls", peerURL(i), "--initial-advertise-peer-urls", peerURL(i),
			"--initial-cluster", strings.Join(initial, ","))...)
		member.Stdout, member.Stderr = log, log
		member.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		if err := member.Start(); err != nil {
			t.Fatal(err)
		}
		old.members = append(old.members, member)
		t.Cleanup(func() {
			_ = member.Process.Kill()
			_ = member.Wait()
		})
	}
	return old
}

func dial(t *testing.T, secured *tls.Config, endpoints ...string) *clientv3.Client {
	t.Helper()
	client, err := clientv3.New(clientv3.Config{Endpoints: endpoints, TLS: secured, DialTimeout: 2 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	return client
}

func (o *oldCluster) awaitLeader() {
	o.t.Helper()
	client := dial(o.t, o.secured, o.endpoints...)
	within(o.t, patience, "the etcd answers", func() error {
		ctx, cancel := context.WithTimeout(context.Background(), callDeadline)
		defer cancel()
		_, err := client.Get(ctx, "any")
		return err
	})
}

// names of all members of the cluster behind the endpoint.
func names(endpoint *clientv3.Client) ([]string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), callDeadline)
	defer cancel()
	list, err := endpoint.MemberList(ctx)
	if err != nil {
		return nil, err
	}
	var all []string
	for _, member := range list.Members {
		all = append(all, member.Name)
	}
	return all, nil
}

// expectEqualHashes compares what all have stored at one revision.
func expectEqualHashes(t *testing.T, secured *tls.Config, urls []string) {
	t.Helper()
	client := dial(t, secured, urls[0])
	within(t, patience, "equal hashes", func() error {
		ctx, cancel := context.WithTimeout(context.Background(), callDeadline)
		defer cancel()
		first, err := client.HashKV(ctx, urls[0], 0)
		if err != nil {
			return err
		}
		for _, url := range urls[1:] {
			other, err := client.HashKV(ctx, url, first.HashRevision)
			if err != nil {
				return err
			}
			if other.Hash != first.Hash || other.CompactRevision != first.CompactRevision {
				return fmt.Errorf("at %d %s has %x and %s has %x", first.HashRevision, urls[0], first.Hash, url, other.Hash)
			}
		}
		return nil
	})
}

// takingOver is a cluster of ours that joins another.
type takingOver struct {
	cluster
	old     *oldCluster
	ours    []string
	secured *tls.Config // for members of both
	load    *load
}

func startTakingOver(t *testing.T, c cluster, old *oldCluster, secured *tls.Config, host string) *takingOver {
	t.Helper()
	take := &takingOver{cluster: c, old: old, secured: secured}
	for i := range 3 {
		take.ours = append(take.ours, fmt.Sprintf(host, i))
	}
	// Clients know both, as they would while they are being moved.
	take.load = startSecuredLoad(t, strings.Join(append(slices.Clone(old.endpoints), take.ours...), ","), secured)
	return take
}

func (c *takingOver) join(t *testing.T) {
	step(t, c.load, "three members join", func(t *testing.T) {
		c.awaitReady(3)
		expectEqualHashes(t, c.secured, append(slices.Clone(c.ours), c.old.endpoints...))
	})
}

func (c *takingOver) leave(t *testing.T) {
	step(t, c.load, "the etcd is left behind", func(t *testing.T) {
		apply(t, fmt.Sprintf(finishJoin, c.ns))
		client := dial(t, c.secured, c.ours...)
		within(t, patience, "only ours are members", func() error {
			all, err := names(client)
			if err == nil && (len(all) != 3 || strings.Contains(strings.Join(all, " "), "old-")) {
				err = fmt.Errorf("members are %v", all)
			}
			if err == nil {
				err = c.isReady(3)
			}
			return err
		})
		within(t, patience, "the operation is complete", func() error { return c.isComplete("leave-etcd") })
	})
	for _, member := range c.old.members {
		_ = member.Process.Kill()
	}
}

func (c *takingOver) finish(t *testing.T) {
	expectEqualHashes(t, c.secured, c.ours)
	c.load.finish()
	c.kubectl("delete", "hfc", "db", "--timeout=60s")
}

func TestTakingOverAnEtcd(t *testing.T) {
	old := startOldCluster(t, 3, nil)
	old.awaitLeader()
	operator := startOperator(t)
	c := declareAs(t, "join", plain+fmt.Sprintf("  bootstrap: {join: {endpoints: [%q]}}\n", old.endpoints[0]))
	take := startTakingOver(t, c, old, nil, "http://db-%d.db-peers.join.svc.cluster.local:2379")
	take.join(t)
	take.leave(t)
	step(t, take.load, "kill the leader", func(t *testing.T) {
		victim := c.leader()
		before := c.podUID(victim)
		c.kubectl("delete", "pod", victim, "--grace-period=0", "--force", "--wait=false")
		within(t, patience, "another Pod in its place", func() error {
			if uid := c.podUID(victim); uid == "" || uid == before {
				return fmt.Errorf("%s is not there yet", victim)
			}
			return c.isReady(3)
		})
	})
	take.finish(t)
	operator.stop()
	kubectl(t, "delete", "namespace", "join", "--timeout=90s")
}

// secrets of an etcd with TLS: what its clients show, and what its members accept from a peer.
const joinSecrets = `  bootstrap:
    join:
      endpoints: [%q]
      clientSecretRef: {name: old-client}
      peerSecretRef: {name: old-peer}
      credentialsSecretRef: {name: old-root}
`

// enableAuth makes the user root, with its own name as its password.
func (o *oldCluster) enableAuth() {
	o.t.Helper()
	client := dial(o.t, o.secured, o.endpoints...)
	ctx, cancel := context.WithTimeout(context.Background(), callDeadline)
	defer cancel()
	_, err := client.UserAdd(ctx, "root", "root")
	if err == nil {
		_, err = client.UserGrantRole(ctx, "root", "root")
	}
	if err == nil {
		_, err = client.AuthEnable(ctx)
	}
	if err != nil {
		o.t.Fatal(err)
	}
}

func (o *oldCluster) disableAuth() {
	o.t.Helper()
	root, err := clientv3.New(clientv3.Config{
		Endpoints: o.endpoints, TLS: o.secured, DialTimeout: 2 * time.Second, Username: "root", Password: "root",
	})
	if err != nil {
		o.t.Fatal(err)
	}
	defer root.Close()
	ctx, cancel := context.WithTimeout(context.Background(), callDeadline)
	defer cancel()
	if _, err := root.AuthDisable(ctx); err != nil {
		o.t.Fatal(err)
	}
}

// besideTLS is what a client needs who is being moved: members of either cluster accept it.
func (c cluster) besideTLS(t *testing.T, old *security) *tls.Config {
	t.Helper()
	now := c.followIdentity(t)
	former := old.certificate(t)
	return &tls.Config{
		GetClientCertificate: func(asked *tls.CertificateRequestInfo) (*tls.Certificate, error) {
			if asked.SupportsCertificate(&former) == nil && len(asked.AcceptableCAs) > 0 {
				return &former, nil
			}
			return &now.Load().certificate, nil
		},
		InsecureSkipVerify: true, // verified below, against either
		VerifyConnection: func(state tls.ConnectionState) error {
			roots := now.Load().trusted.Clone()
			roots.AppendCertsFromPEM(old.client.PEM)
			_, err := state.PeerCertificates[0].Verify(x509.VerifyOptions{DNSName: state.ServerName, Roots: roots})
			return err
		},
	}
}

// Both sides of the etcd ask for certificates. Ours show what it accepts until it is left, and then
// move to a CA of their own.
func TestTakingOverASecuredEtcd(t *testing.T) {
	secured := newSecurity(t)
	old := startOldCluster(t, 3, secured)
	old.awaitLeader()
	old.enableAuth()
	operator := startOperator(t)
	c := declareAs(t, "secured-join", fmt.Sprintf(joinSecrets, old.endpoints[0]))
	c.putSecret("old-client", secured.client, secured.user)
	// An etcd looks whether one of the names leads to the address that shows them.
	c.putSecret("old-peer", secured.peer, secured.peer.Issue("db", authority.For("*.db-peers.secured-join.svc",
		"db-0.db-peers.secured-join.svc", "db-1.db-peers.secured-join.svc", "db-2.db-peers.secured-join.svc")))
	c.kubectl("create", "secret", "generic", "old-root", "--from-literal=username=root", "--from-literal=password=root")
	within(t, patience, "the condition says that auth is in the way", func() error {
		if _, reason, message := c.condition("Ready"); reason != "JoinRefused" || !strings.Contains(message, "auth") {
			return fmt.Errorf("%s: %s", reason, message)
		}
		return nil
	})
	old.disableAuth()
	take := startTakingOver(t, c, old, c.besideTLS(t, secured), "https://db-%d.db-peers.secured-join.svc.cluster.local:2379")
	take.join(t)
	if trusted := c.trusts(); strings.TrimSpace(trusted) != strings.TrimSpace(string(secured.peer.PEM)) {
		t.Errorf("our members do not trust the peers' CA alone: %s", trusted)
	}
	containers := c.restarts()
	take.leave(t)
	step(t, take.load, "the peers move to our CA", func(t *testing.T) {
		within(t, patience, "another CA, and nothing of the old", func() error {
			if err := c.isSettled(); err != nil {
				return err
			}
			if trusted := c.trusts(); strings.Count(trusted, "BEGIN") != 1 || trusted != c.value("db-ca-peer", "tls.crt") {
				return fmt.Errorf("trusted: %s", trusted)
			}
			return nil
		})
	})
	if now := c.restarts(); now != containers {
		t.Errorf("members restarted: %s before, %s after", containers, now)
	}
	take.finish(t)
	operator.stop()
	kubectl(t, "delete", "namespace", "secured-join", "--timeout=90s")
}
