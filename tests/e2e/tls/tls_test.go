// Package tls holds a member to what its certificate flags promise, under curl, etcdctl and the
// official client: each wrong certificate told by name, and rotation without a failed request.
package tls

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"holdfast/tests/go/authority"
	"holdfast/tests/go/member"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
)

const patience = member.Patience

// probe looks at one member's metrics and log.
type probe struct {
	t       *testing.T
	member  *member.Member
	metrics string // URL of the metrics listener, without TLS
}

// house is one member with certificates, and who may talk to it.
type house struct {
	probe
	files folder
	ca    *loopbackAuthority
	user  authority.Identity
}

// open starts a member that demands certificates of ca's.
func open(t *testing.T, flags ...string) *house {
	t.Helper()
	h := &house{probe: probe{t: t}, files: folder{t, t.TempDir()}, ca: newAuthority(t, "first CA")}
	h.user = h.ca.issue("user")
	h.files.write("ca.crt", h.ca.PEM)
	h.files.show("server", h.ca.issue("server"))
	h.files.show("user", h.user)
	ports, err := member.FreePorts(1)
	if err != nil {
		t.Fatal(err)
	}
	h.metrics = fmt.Sprintf("http://127.0.0.1:%d", ports[0])
	h.member, err = member.Start(member.Options{
		Binary: member.Holdfast(), Dir: t.TempDir(), TLS: client(t, h.user, h.ca),
		Flags: append([]string{"--cert-file=" + h.files.file("server.crt"), "--key-file=" + h.files.file("server.key"),
			"--trusted-ca-file=" + h.files.file("ca.crt"), "--client-cert-auth", "--listen-metrics-urls=" + h.metrics}, flags...),
	})
	if err != nil {
		t.Fatal(err)
	}
	h.member.EndWith(t)
	return h
}

func (h *house) connect(config *tls.Config) *clientv3.Client {
	h.t.Helper()
	return member.Connect(h.t, config, h.member.ClientURL())
}

// scrape returns the metrics whose lines begin with the prefix.
func (p probe) scrape(prefix string) []string {
	p.t.Helper()
	answer, err := http.Get(p.metrics + "/metrics")
	if err != nil {
		p.t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	var lines []string
	for _, line := range strings.Split(string(text), "\n") {
		if strings.HasPrefix(line, prefix) {
			lines = append(lines, line)
		}
	}
	return lines
}

// awaitMetric waits for a line with all the parts.
func (p probe) awaitMetric(name string, parts ...string) {
	p.t.Helper()
	p.eventually(name+" "+strings.Join(parts, " "), func() bool {
		for _, line := range p.scrape(name) {
			if containsAll(line, parts) {
				return true
			}
		}
		return false
	})
}

// awaitLog waits for a log line with all the parts.
func (p probe) awaitLog(parts ...string) {
	p.t.Helper()
	p.eventually("a log line with "+strings.Join(parts, ", "), func() bool {
		content, err := os.ReadFile(p.member.LogPath())
		if err != nil {
			p.t.Fatal(err)
		}
		for _, line := range strings.Split(string(content), "\n") {
			if containsAll(line, parts) {
				return true
			}
		}
		return false
	})
}

func containsAll(line string, parts []string) bool {
	for _, part := range parts {
		if !strings.Contains(line, part) {
			return false
		}
	}
	return true
}

func (p probe) eventually(what string, condition func() bool) {
	p.t.Helper()
	deadline := time.Now().Add(patience)
	for !condition() {
		if time.Now().After(deadline) {
			p.t.Fatalf("not within %v: %s", patience, what)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// bundleInUse waits until the member says that its endpoint trusts this bundle.
func (p probe) bundleInUse(endpoint string, bundle []byte) {
	p.t.Helper()
	digest := sha256.Sum256(bundle)
	p.awaitMetric("holdfast_tls_trusted_bundle_info", `endpoint="`+endpoint+`"`, hex.EncodeToString(digest[:]))
	p.awaitLog("trusted CA bundle in use", endpoint, hex.EncodeToString(digest[:]))
}

// run runs a program and returns what it printed.
func run(t *testing.T, program string, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	command := exec.CommandContext(ctx, program, args...)
	output, err := command.CombinedOutput()
	return string(output), err
}

func TestCurlReadsHealthByHttp1AndHttp2(t *testing.T) {
	h := open(t)
	credentials := []string{"-sS", "--cacert", h.files.file("ca.crt"), "--cert", h.files.file("user.crt"), "--key", h.files.file("user.key"),
		"-w", " %{http_version}"}
	for flag, version := range map[string]string{"--http1.1": "1.1", "--http2": "2"} {
		output, err := run(t, "curl", append(credentials, flag, h.member.ClientURL()+"/health")...)
		if err != nil || !strings.Contains(output, `"health":"true"`) || !strings.HasSuffix(output, " "+version) {
			t.Errorf("curl %s: %q, %v", flag, output, err)
		}
	}
	output, err := run(t, "curl", append(credentials, "-d", `{"key":"YQ==","value":"Yg=="}`, h.member.ClientURL()+"/v3/kv/put")...)
	if err != nil || !strings.Contains(output, `"revision"`) {
		t.Errorf("the JSON gateway: %q, %v", output, err)
	}
	if output, err := run(t, "curl", "-sS", "--cacert", h.files.file("ca.crt"), h.member.ClientURL()+"/health"); err == nil {
		t.Errorf("served without a certificate: %q", output)
	}
	if output, err := run(t, "curl", "-sS", "http://"+h.member.ClientAddr()+"/health"); err == nil {
		t.Errorf("served without TLS: %q", output)
	}
	h.awaitLog("serving client traffic securely")
}

func TestEtcdctlWithCertificates(t *testing.T) {
	h := open(t)
	etcdctl := func(args ...string) (string, error) {
		return run(t, member.Tool("etcdctl"), append([]string{"--endpoints=" + h.member.ClientURL(), "--dial-timeout=20s", "--command-timeout=20s"}, args...)...)
	}
	credentials := []string{"--cacert=" + h.files.file("ca.crt"), "--cert=" + h.files.file("user.crt"), "--key=" + h.files.file("user.key")}
	if output, err := etcdctl(append(credentials, "put", "a", "b")...); err != nil || !strings.Contains(output, "OK") {
		t.Errorf("put: %q, %v", output, err)
	}
	if output, err := etcdctl(append(credentials, "get", "a", "--print-value-only")...); err != nil || strings.TrimSpace(output) != "b" {
		t.Errorf("get: %q, %v", output, err)
	}
	if output, err := etcdctl(append(credentials, "endpoint", "health")...); err != nil {
		t.Errorf("endpoint health: %q, %v", output, err)
	}
	if output, err := etcdctl(credentials[0], "--dial-timeout=1s", "--command-timeout=1s", "get", "a"); err == nil {
		t.Errorf("served without a certificate: %q", output)
	}
}

func TestEachWrongCertificateHasALineAndAMetric(t *testing.T) {
	h := open(t)
	stranger := newAuthority(t, "stranger CA")
	cases := []struct {
		reason, subject string
		shown           authority.Identity
	}{
		{"expired", "CN=late", h.ca.issue("late", func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) })},
		{"not_yet_valid", "CN=early", h.ca.issue("early", func(c *x509.Certificate) { c.NotBefore = time.Now().Add(time.Minute) })},
		{"wrong_usage", "CN=web", h.ca.issue("web", func(c *x509.Certificate) { c.ExtKeyUsage = c.ExtKeyUsage[:1] })},
		{"untrusted", "CN=spy", stranger.issue("spy")},
		{"missing", "", authority.Identity{}},
	}
	for _, wrong := range cases {
		dialer := &tls.Dialer{Config: client(t, wrong.shown, h.ca)}
		conn, err := dialer.Dial("tcp", h.member.ClientAddr())
		if err == nil { // in TLS 1.3 the refusal comes with the first read
			conn.SetReadDeadline(time.Now().Add(patience))
			_, err = conn.Read(make([]byte, 1))
			conn.Close()
		}
		if err == nil || err == io.EOF {
			t.Errorf("%s: not refused (%v)", wrong.reason, err)
		}
		h.awaitMetric("holdfast_tls_failures_total", `endpoint="client"`, `direction="accepted"`, `reason="`+wrong.reason+`"`, `certificate="`+wrong.subject+`"`)
		h.awaitLog("rejected connection on client endpoint", `"reason":"`+wrong.reason+`"`, wrong.subject)
	}
}

func TestOwnCertificateThatOthersRefuseIsTold(t *testing.T) {
	h := open(t)
	h.files.show("server", h.ca.issue("short", func(c *x509.Certificate) { c.NotAfter = time.Now().Add(2 * time.Second) }))
	h.awaitMetric("holdfast_tls_certificate_not_after_seconds", `certificate="cert-file"`, `subject="CN=short"`)
	h.awaitMetric("holdfast_tls_failures_total", `direction="own"`, `reason="expired"`, `certificate="cert-file"`)
	h.awaitLog("is not accepted by others", "CN=short", "expired")
}

// load writes and reads through one client until stopped, and fails the test on any error.
type load struct {
	requests atomic.Int64
	stop     func()
}

func (p probe) load(name string, etcd *clientv3.Client) *load {
	const workers = 4
	ctx, cancel := context.WithCancel(context.Background())
	l := &load{}
	var group sync.WaitGroup
	for worker := range workers {
		group.Add(1)
		go func() {
			defer group.Done()
			key := fmt.Sprintf("%s-%d", name, worker)
			for i := 0; ctx.Err() == nil; i++ {
				request, end := context.WithTimeout(context.Background(), patience)
				_, err := etcd.Put(request, key, fmt.Sprint(i))
				if err == nil {
					_, err = etcd.Get(request, key)
				}
				end()
				if err != nil {
					p.t.Errorf("request %d of %s failed: %v", i, key, err)
					return
				}
				l.requests.Add(2)
			}
		}()
	}
	l.stop = sync.OnceFunc(func() { cancel(); group.Wait() })
	p.t.Cleanup(l.stop)
	return l
}

// goesOn waits for more requests: what was changed is then in use under traffic.
func (p probe) goesOn(loads ...*load) {
	p.t.Helper()
	for _, l := range loads {
		before := l.requests.Load()
		p.eventually("50 more requests", func() bool { return p.t.Failed() || l.requests.Load() > before+50 })
	}
}

func TestLeafAndCaRotateUnderTrafficWithoutAFailedRequest(t *testing.T) {
	h := open(t)
	second := newAuthority(t, "second CA")
	both := append(append([]byte{}, h.ca.PEM...), second.PEM...)
	early := h.load("early", h.connect(client(t, h.user, h.ca, second)))
	h.goesOn(early)

	for i := range 3 { // leaves of the same CA, the key before the certificate as well as after
		renewed := h.ca.issue(fmt.Sprintf("renewed-%d", i))
		if i == 1 {
			h.files.write("server.key", renewed.Key)
		}
		h.files.show("server", renewed)
		h.awaitMetric("holdfast_tls_certificate_not_after_seconds", fmt.Sprintf("CN=renewed-%d", i))
		h.goesOn(early)
	}

	h.files.write("ca.crt", both)
	h.bundleInUse("client", both)
	h.files.show("server", second.issue("of-second"))
	h.awaitMetric("holdfast_tls_certificate_not_after_seconds", "CN=of-second")
	late := h.load("late", h.connect(client(t, second.issue("late"), h.ca, second)))
	h.goesOn(early, late)

	// Those of the first CA have moved on, but for one that only listens.
	early.stop()
	dropped := make(chan struct{})
	idle, err := tls.Dial("tcp", h.member.ClientAddr(), client(t, h.user, h.ca, second))
	if err != nil {
		t.Fatal(err)
	}
	defer idle.Close()
	if _, err := io.WriteString(idle, "GET /health HTTP/1.1\r\nHost: h\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(dropped)
		io.Copy(io.Discard, idle)
	}()
	h.files.write("ca.crt", second.PEM)
	h.bundleInUse("client", second.PEM)
	select {
	case <-dropped:
	case <-time.After(patience):
		t.Error("a connection of a CA that is trusted no more stays open")
	}
	h.awaitMetric("holdfast_tls_connections_dropped_total", `endpoint="client"`)
	h.awaitLog("no longer vouch for", "CN=user")
	h.goesOn(late)
	late.stop()
	t.Logf("%d requests during the rotation, none failed", early.requests.Load()+late.requests.Load())
}

func TestABrokenFileKeepsTheEarlierOne(t *testing.T) {
	h := open(t)
	traffic := h.load("steady", h.connect(client(t, h.user, h.ca)))
	for name, content := range map[string][]byte{"server.crt": []byte("-----BEGIN CERTIFICATE-----\nhalf"), "ca.crt": {}, "server.key": nil} {
		before, err := os.ReadFile(h.files.file(name))
		if err != nil {
			t.Fatal(err)
		}
		if content == nil {
			os.Remove(h.files.file(name))
		} else {
			h.files.write(name, content)
		}
		h.awaitLog("can't be used; going on with the earlier ones", name)
		h.goesOn(traffic)
		fresh := h.connect(client(t, h.user, h.ca))
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		if _, err := fresh.Get(ctx, "a"); err != nil {
			t.Errorf("a new connection while %s is broken: %v", name, err)
		}
		cancel()
		h.files.write(name, before)
	}
	h.awaitMetric("holdfast_tls_reloads_total", `endpoint="client"`, `outcome="refused"`)
}

func TestOnePortServesBothInASwitchOver(t *testing.T) {
	h := open(t, "--accept-plain-and-tls")
	secure := h.connect(client(t, h.user, h.ca))
	plain, err := clientv3.New(clientv3.Config{Endpoints: []string{"http://" + h.member.ClientAddr()}, Logger: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close()
	for name, etcd := range map[string]*clientv3.Client{"secure": secure, "plain": plain} {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		if _, err := etcd.Put(ctx, name, "x"); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		cancel()
	}
}

func TestAnOlderTlsIsRefusedWhenAsked(t *testing.T) {
	h := open(t, "--tls-min-version=TLS1.3")
	config := client(t, h.user, h.ca)
	config.MaxVersion = tls.VersionTLS12
	if conn, err := tls.Dial("tcp", h.member.ClientAddr(), config); err == nil {
		conn.Close()
		t.Error("TLS 1.2 spoken in spite of --tls-min-version=TLS1.3")
	}
}
