package tls

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"testing"
	"time"

	"holdfast/tests/go/member"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// jsonDoor is a member with authentication on, whose certificates name users, and how it answers.
type jsonDoor struct {
	name   string
	member *member.Member
	named  *http.Client // shows root's certificate
	plain  *http.Client // shows one without a common name
	token  string       // of root
}

// seen is what a client of the gateway sees of an answer.
type seen struct {
	Status   int
	Type     string
	Location string
	Body     string
}

var moving = regexp.MustCompile(`"(cluster_id|member_id|raft_term|token)":"[^"]*"`)

// ask sends one request. Ids, terms and tokens, which differ from member to member, read alike.
func (d *jsonDoor) ask(t *testing.T, client *http.Client, method, path, token, body string) seen {
	t.Helper()
	request, err := http.NewRequest(method, d.member.ClientURL()+path, bytes.NewReader([]byte(body)))
	if err != nil {
		t.Fatal(err)
	}
	// As curl and browsers do. Without it etcd takes its gateway's own certificate for the caller's.
	request.Header.Set("Accept", "*/*")
	if token != "" {
		request.Header.Set("Authorization", token)
	}
	answer, err := client.Do(request)
	if err != nil {
		t.Fatalf("%s: %s %s: %v", d.name, method, path, err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	compact := &bytes.Buffer{} // etcd's printer strews spaces at random
	if json.Compact(compact, text) != nil {
		compact = bytes.NewBuffer(text)
	}
	return seen{answer.StatusCode, answer.Header.Get("Content-Type"), answer.Header.Get("Location"),
		moving.ReplaceAllString(compact.String(), `"$1":"…"`)}
}

func withoutCommonName(template *x509.Certificate) {
	template.Subject = pkix.Name{Organization: []string{"nobody in particular"}}
}

func openDoor(t *testing.T, name, binary string, ca *loopbackAuthority, flags ...string) *jsonDoor {
	t.Helper()
	files := folder{t, t.TempDir()}
	// The server's own certificate has no common name either: etcd's gateway shows it to its own member.
	files.show("server", ca.issue("server", withoutCommonName))
	files.write("ca.crt", ca.PEM)
	root := client(t, ca.issue("root"), ca)
	m, err := member.Start(member.Options{Binary: binary, Dir: t.TempDir(), TLS: root, Flags: append([]string{
		"--bcrypt-cost=4", "--cert-file=" + files.file("server.crt"), "--key-file=" + files.file("server.key"),
		"--trusted-ca-file=" + files.file("ca.crt"), "--client-cert-auth"}, flags...)})
	if err != nil {
		t.Fatal(err)
	}
	m.EndWith(t)
	speak := func(config *tls.Config) *http.Client {
		return &http.Client{Transport: &http.Transport{TLSClientConfig: config}, Timeout: patience,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	}
	return &jsonDoor{name: name, member: m, named: speak(root),
		plain: speak(client(t, ca.issue("plain", withoutCommonName), ca))}
}

func (d *jsonDoor) enableAuth(t *testing.T, root *clientv3.Client) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	must := func(_ any, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(root.UserAdd(ctx, "root", "secret"))
	must(root.UserGrantRole(ctx, "root", "root"))
	must(root.Put(ctx, "k", "v"))
	must(root.AuthEnable(ctx))
	request := `{"name":"root","password":"secret"}`
	answer, err := d.plain.Post(d.member.ClientURL()+"/v3/auth/authenticate", "application/json", bytes.NewReader([]byte(request)))
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	var login struct{ Token string }
	if err := json.NewDecoder(answer.Body).Decode(&login); err != nil || login.Token == "" {
		t.Fatalf("%s gives no token: %v", d.name, err)
	}
	d.token = login.Token
}

// compare asks both the same, with each certificate, and demands the same answer.
func compare(t *testing.T, theirs, ours *jsonDoor, when string) {
	t.Helper()
	const get, put = `{"key":"aw=="}`, `{"key":"aw==","value":"dg=="}`
	requests := []struct{ method, path, body string }{
		{"POST", "/v3/kv/range", get}, {"POST", "/v3/kv/put", put}, {"POST", "/v3/kv/txn", `{"success":[{"request_range":{"key":"aw=="}}]}`},
		{"POST", "/v3/auth/authenticate", `{"name":"root","password":"wrong"}`},
		{"POST", "/v3/auth/authenticate", `{"name":"root","password":"secret"}`},
		{"POST", "/v3/auth/status", `{}`}, {"POST", "/v3/auth/user/list", `{}`},
		{"POST", "/v3/lease/leases", `{}`}, {"POST", "/v3/maintenance/alarm", `{}`},
		{"POST", "/v3/kv/range", `{"key":""}`}, {"GET", "/v3/kv/range", ""}, {"OPTIONS", "/v3/kv/range", ""}, {"POST", "/v3/", get},
		{"POST", "/v3/none", get}, {"GET", "/v3", ""}, {"POST", "/v3?a=<b>&c='d'", get},
		{"GET", "/v3?a=<b>&c='d'", ""}, {"POST", "/v3beta/kv/range", get}, {"POST", "/v3alpha/kv/range", get},
		{"GET", "/health", ""}, {"GET", "/health?serializable=true", ""}, {"GET", "/none", ""},
	}
	certificates := map[string]func(*jsonDoor) *http.Client{
		"a certificate with a common name":    func(d *jsonDoor) *http.Client { return d.named },
		"a certificate without a common name": func(d *jsonDoor) *http.Client { return d.plain },
	}
	tokens := map[string]func(*jsonDoor) string{
		"no token":     func(*jsonDoor) string { return "" },
		"root's token": func(d *jsonDoor) string { return d.token },
		"a bad token":  func(*jsonDoor) string { return "none.1" },
	}
	for certificate, clientOf := range certificates {
		for token, tokenOf := range tokens {
			for _, r := range requests {
				what := fmt.Sprintf("%s, %s, %s: %s %s %s", when, certificate, token, r.method, r.path, r.body)
				expected := theirs.ask(t, clientOf(theirs), r.method, r.path, tokenOf(theirs), r.body)
				got := ours.ask(t, clientOf(ours), r.method, r.path, tokenOf(ours), r.body)
				if got != expected {
					t.Errorf("%s\n etcd:     %+v\n holdfast: %+v", what, expected, got)
				}
			}
		}
	}
}

// Through the gateway nobody is the user that its certificate names: the gateway's own call shows another.
func TestTheGatewayTakesNobodyForWhomItsCertificateNames(t *testing.T) {
	ca := newAuthority(t, "ca")
	for _, flags := range [][]string{nil, {"--enable-grpc-gateway=false"}} {
		t.Run(fmt.Sprint(flags), func(t *testing.T) {
			theirs := openDoor(t, "etcd", member.Etcd(), ca, flags...)
			ours := openDoor(t, "holdfast", member.Holdfast(), ca, flags...)
			compare(t, theirs, ours, "before authentication is enabled")
			if flags != nil {
				return
			}
			for _, door := range []*jsonDoor{theirs, ours} {
				door.enableAuth(t, member.Connect(t, client(t, ca.issue("root"), ca), door.member.ClientURL()))
			}
			compare(t, theirs, ours, "with authentication")
			refused := ours.ask(t, ours.named, "POST", "/v3/kv/range", ours.token, `{"key":"aw=="}`)
			if refused.Status != http.StatusBadRequest {
				t.Errorf("a certificate that names root gets %+v", refused)
			}
		})
	}
}
