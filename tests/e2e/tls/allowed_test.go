package tls

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"holdfast/tests/go/authority"
	"holdfast/tests/go/member"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
)

// answers reports whether a member lets this identity in, by a handshake and one request.
func answers(t *testing.T, config *tls.Config, url string) error {
	t.Helper()
	http1 := &http.Client{Transport: &http.Transport{TLSClientConfig: config.Clone(), DisableKeepAlives: true}, Timeout: patience}
	answer, err := http1.Get(url)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	_, err = io.Copy(io.Discard, answer.Body)
	return err
}

func TestARevokedCertificateIsRefusedOnEveryDoorAndItsConnectionsEnd(t *testing.T) {
	ports, err := member.FreePorts(2)
	if err != nil {
		t.Fatal(err)
	}
	folder := folder{t, t.TempDir()}
	ca := newAuthority(t, "first CA")
	folder.write("crl", ca.Revoke(1))
	httpDoor := fmt.Sprintf("https://127.0.0.1:%d", ports[0])
	metricsDoor := fmt.Sprintf("https://127.0.0.1:%d", ports[1])
	h := openWith(t, ca, "--client-crl-file="+folder.file("crl"), "--listen-client-http-urls="+httpDoor,
		"--listen-metrics-urls="+metricsDoor)
	leaver := ca.issue("leaver")
	stays := h.load("stays", h.connect(client(t, h.user, ca)))
	before := h.connect(client(t, leaver, ca))
	get := func(etcd *clientv3.Client) error {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		_, err := etcd.Get(ctx, "a")
		return err
	}
	if err := get(before); err != nil {
		t.Fatal(err)
	}

	folder.write("crl", ca.Revoke(2, leaver))
	h.eventually("the open connection of a revoked certificate ends", func() bool { return get(before) != nil })
	for _, url := range []string{httpDoor + "/health", metricsDoor + "/metrics"} {
		if err := answers(t, client(t, leaver, ca), url); err == nil {
			t.Errorf("%s answered one that is revoked", url)
		}
		if err := answers(t, client(t, h.user, ca), url); err != nil {
			t.Errorf("%s refused one that is not revoked: %v", url, err)
		}
	}
	fresh := h.connect(client(t, leaver, ca))
	if err := get(fresh); err == nil {
		t.Error("gRPC let one in that is revoked")
	}
	h.awaitLog("rejected connection on client endpoint", `"reason":"revoked"`, "CN=leaver")
	h.goesOn(stays)

	folder.write("crl", []byte("half a list"))
	h.awaitLog("can't be used; going on with the earlier ones", "crl")
	folder.write("crl", pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: ca.Revoke(3)}))
	h.eventually("one that is not revoked any more is let in", func() bool { return get(fresh) == nil })
	h.goesOn(stays)
}

// openWith is open with a CA of the caller's, and without a metrics listener of its own.
func openWith(t *testing.T, ca *loopbackAuthority, flags ...string) *house {
	t.Helper()
	h := &house{probe: probe{t: t}, files: folder{t, t.TempDir()}, ca: ca}
	h.user = ca.issue("user")
	h.files.write("ca.crt", ca.PEM)
	h.files.show("server", ca.issue("server"))
	started, err := member.Start(member.Options{
		Binary: member.Holdfast(), Dir: t.TempDir(), TLS: client(t, h.user, ca),
		Flags: append([]string{"--cert-file=" + h.files.file("server.crt"), "--key-file=" + h.files.file("server.key"),
			"--trusted-ca-file=" + h.files.file("ca.crt"), "--client-cert-auth"}, flags...),
	})
	if err != nil {
		t.Fatal(err)
	}
	h.member = started
	h.member.EndWith(t)
	return h
}

func TestOnlyAllowedHostnamesAreLetIn(t *testing.T) {
	ca := newAuthority(t, "first CA")
	named := func(name string) func(*x509.Certificate) {
		return func(c *x509.Certificate) { c.DNSNames, c.IPAddresses = []string{name}, nil }
	}
	h := openWith(t, ca, "--client-cert-allowed-hostname=localhost,app.example.com")
	url := h.member.ClientURL() + "/health"
	for name, allowed := range map[string]bool{"app.example.com": true, "*.example.com": true, "other.example.org": false} {
		err := answers(t, client(t, ca.issue("x", named(name)), ca), url)
		if (err == nil) != allowed {
			t.Errorf("%s: %v", name, err)
		}
	}
	h.awaitLog("client certificate authentication failed", `"reason":"not_allowed"`, "other.example.org")
}

func TestPeersAreHeldToTheirCommonNames(t *testing.T) {
	ca := newAuthority(t, "peer CA")
	all := settle(t, ca, three(), func(i int, where folder) []string {
		// Two may be peers; the third has another common name.
		name := "peer"
		if i == 2 {
			name = "intruder"
		}
		where.show("peer", ca.issue(name))
		return []string{"--peer-cert-allowed-cn=peer"}
	})
	etcd := member.Connect(t, nil, all[0].member.ClientURL(), all[1].member.ClientURL())
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if _, err := etcd.Put(ctx, "two", "are enough"); err != nil {
		t.Fatal(err)
	}
	all[0].awaitLog("client certificate authentication failed", "CN=intruder")
	alone := member.Connect(t, nil, all[2].member.ClientURL())
	short, end := context.WithTimeout(context.Background(), 3*time.Second)
	defer end()
	if _, err := alone.Get(short, "two"); err == nil {
		t.Error("a member whose common name is not allowed reads with a quorum")
	}
}

func TestARevokedPeerIsCutOff(t *testing.T) {
	ca := newAuthority(t, "peer CA")
	shared := folder{t, t.TempDir()}
	shared.write("crl", ca.Revoke(1))
	var leaver authority.Identity
	all := settle(t, ca, three(), func(i int, where folder) []string {
		who := ca.issue(fmt.Sprintf("m%d", i))
		if i == 2 {
			leaver = who
		}
		where.show("peer", who)
		return []string{"--peer-crl-file=" + shared.file("crl")}
	})
	if _, err := everyone(t, all).Put(context.Background(), "a", "b"); err != nil {
		t.Fatal(err)
	}
	shared.write("crl", ca.Revoke(2, leaver))
	alone := member.Connect(t, nil, all[2].member.ClientURL())
	all[2].eventually("the revoked member has no quorum", func() bool {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		_, err := alone.Get(ctx, "a")
		return err != nil
	})
	others := member.Connect(t, nil, all[0].member.ClientURL())
	all[0].eventually("the others go on", func() bool { // perhaps after an election
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		_, err := others.Put(ctx, "a", "c")
		return err == nil
	})
}

func TestGeneratedCertificatesServeClientsAndPeers(t *testing.T) {
	ports, err := member.FreePorts(3)
	if err != nil {
		t.Fatal(err)
	}
	var initial []string
	for i, port := range ports {
		initial = append(initial, fmt.Sprintf("m%d=https://127.0.0.1:%d", i, port))
	}
	trusting := &tls.Config{InsecureSkipVerify: true}
	var all []*member.Member
	for i, port := range ports {
		peer := fmt.Sprintf("https://127.0.0.1:%d", port)
		started, err := member.New(member.Options{
			Binary: member.Holdfast(), Name: fmt.Sprintf("m%d", i), Dir: t.TempDir(), TLS: trusting,
			Peers: &member.Peers{Listen: strings.TrimPrefix(peer, "https://"), Advertise: peer, Cluster: strings.Join(initial, ",")},
			Flags: []string{"--auto-tls", "--peer-auto-tls"},
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := started.Spawn(); err != nil {
			t.Fatal(err)
		}
		started.EndWith(t)
		all = append(all, started)
	}
	etcd, err := clientv3.New(clientv3.Config{Endpoints: []string{all[0].ClientURL()}, TLS: trusting, Logger: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	defer etcd.Close()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if _, err := etcd.Put(ctx, "a", "b"); err != nil {
		t.Fatal(err)
	}
	cert := filepath.Join(all[0].DataDir(), "fixtures", "client", "cert.pem")
	before, err := os.ReadFile(cert)
	if err != nil {
		t.Fatal(err)
	}
	// Whoever names the very certificate as the CA is sure of the server.
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(before)
	if err := answers(t, &tls.Config{RootCAs: pool}, all[0].ClientURL()+"/health"); err != nil {
		t.Error(err)
	}
	if key, err := os.Stat(filepath.Join(filepath.Dir(cert), "key.pem")); err != nil || key.Mode().Perm() != 0o600 {
		t.Errorf("the key: %v, %v", key, err)
	}
	all[0].Kill()
	if err := all[0].Restart(); err != nil {
		t.Fatal(err)
	}
	if after, _ := os.ReadFile(cert); !bytes.Equal(before, after) {
		t.Error("a restart made another certificate")
	}
}

func TestCipherSuitesAreTheOnesChosen(t *testing.T) {
	ca := newAuthority(t, "first CA")
	h := openWith(t, ca, "--tls-max-version=TLS1.2",
		"--cipher-suites=TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305,TLS_AES_128_GCM_SHA256")
	for suite, allowed := range map[uint16]bool{
		tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384:       true,
		tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256: true,
		tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256:       false,
	} {
		config := client(t, h.user, ca)
		config.MaxVersion, config.CipherSuites = tls.VersionTLS12, []uint16{suite}
		if err := answers(t, config, h.member.ClientURL()+"/health"); (err == nil) != allowed {
			t.Errorf("%s: %v", tls.CipherSuiteName(suite), err)
		}
	}
}

func TestWhatCannotBeMeantIsRefusedAtTheStart(t *testing.T) {
	for flags, why := range map[string]string{
		"--cipher-suites=TLS_NO_SUCH_SUITE":                                    `unexpected TLS cipher suite \"TLS_NO_SUCH_SUITE\"`,
		"--cipher-suites=TLS_AES_128_GCM_SHA256 --tls-min-version=TLS1.3":      "cipher suites cannot be configured when only TLS1.3 is enabled",
		"--peer-cert-allowed-cn=a --peer-cert-allowed-hostname=b":              "AllowedCNs and AllowedHostnames are mutually exclusive",
		"--auto-tls --self-signed-cert-validity=0":                             "selfSignedCertValidity is invalid",
		"--cert-file=/none.crt --key-file=/none.key --client-crl-file=/no/crl": "/none.crt",
	} {
		output, err := run(t, member.Holdfast(), append([]string{"--data-dir=" + t.TempDir(),
			"--listen-client-urls=http://127.0.0.1:0", "--advertise-client-urls=http://127.0.0.1:1",
			"--listen-peer-urls=http://127.0.0.1:0"}, strings.Fields(flags)...)...)
		if err == nil || !strings.Contains(output, why) {
			t.Errorf("%s: %v, %s", flags, err, output)
		}
	}
}
