// Package page holds the fleet page to its promises: a real operator on a real API server, with a Chromium
// in front of it. The operator does not lead here, so that clusters stand in every state that the test
// writes; their members are simulated (tests/go/fleet).
package page

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"holdfast/tests/go/apiserver"
	"holdfast/tests/go/fleet"
	"holdfast/tests/go/member"
)

const (
	pageAddress = "127.0.0.1:18081"
	page        = "http://" + pageAddress + "/"
	clusters    = 200
	patience    = time.Minute
)

var (
	stage      *fleet.Stage
	elsewhere  string // a folder of kubeconfigs, empty but for the test of others
	namespaces = []string{"billing", "checkout", "platform", "search"}
	names      = []string{"orders", "ledger", "sessions", "carts", "catalogue", "flags", "locks", "tenants", "quotas", "routing"}
)

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "holdfast-page")
	if err != nil {
		panic(err)
	}
	code := 1
	if err := raise(dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
	} else {
		code = m.Run()
	}
	stage.Stop()
	if code != 0 {
		log, _ := os.ReadFile(filepath.Join(dir, "operator.log"))
		fmt.Fprintf(os.Stderr, "the operator's log ends:\n%s\n", log[max(0, len(log)-3000):])
	}
	os.RemoveAll(dir)
	os.Exit(code)
}

func raise(dir string) error {
	var err error
	if stage, err = fleet.Raise(dir, nil); err != nil {
		return err
	}
	if err := furnish(); err != nil {
		return err
	}
	elsewhere = filepath.Join(dir, "kubeconfigs")
	if err := os.Mkdir(elsewhere, 0o700); err != nil {
		return err
	}
	log, err := os.Create(filepath.Join(dir, "operator.log"))
	if err != nil {
		return err
	}
	defer log.Close()
	operator := exec.Command(os.Getenv("HOLDFAST_OPERATOR_BIN"), "--kubeconfig="+stage.Kubeconfig(),
		"--listen=127.0.0.1:18080", "--fleet-page="+pageAddress, "--fleet-name=home", "--fleet-kubeconfigs="+elsewhere)
	operator.Stdout, operator.Stderr = log, log
	if err := member.StartTied(operator); err != nil {
		return err
	}
	for deadline := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		if _, err = fleet.Get("http://127.0.0.1:18080/readyz"); err == nil || time.Now().After(deadline) {
			return err
		}
	}
}

// post creates an object, or fails.
func post(path string, object map[string]any) error {
	answer, err := stage.Call(http.MethodPost, path, "application/json", object)
	if err == nil && answer.Status != http.StatusCreated {
		err = fmt.Errorf("%s: %d %s", path, answer.Status, answer.Body)
	}
	return err
}

func named(name string) map[string]any { return map[string]any{"name": name} }

func furnish() error {
	now := time.Now().UTC().Format("2006-01-02T15:04:05.000000Z")
	err := post("/apis/coordination.k8s.io/v1/namespaces/default/leases", map[string]any{
		"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": named("holdfast-operator"),
		"spec": map[string]any{"holderIdentity": "somebody", "leaseDurationSeconds": 86400, "acquireTime": now, "renewTime": now}})
	if err != nil {
		return err
	}
	for _, ns := range namespaces {
		if err := post("/api/v1/namespaces", map[string]any{"apiVersion": "v1", "kind": "Namespace", "metadata": named(ns)}); err != nil {
			return err
		}
	}
	var group sync.WaitGroup
	errs := make(chan error, clusters)
	for i := range clusters {
		group.Go(func() { errs <- makeCluster(i) })
	}
	group.Wait()
	close(errs)
	for err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// --- who may see what -------------------------------------------------------------------------------

// account makes a service account and returns a token of it.
func account(t *testing.T, name string) string {
	t.Helper()
	if err := post("/api/v1/namespaces/default/serviceaccounts", map[string]any{"apiVersion": "v1", "kind": "ServiceAccount", "metadata": named(name)}); err != nil {
		t.Fatal(err)
	}
	answer, err := stage.Call(http.MethodPost, "/api/v1/namespaces/default/serviceaccounts/"+name+"/token", "application/json",
		map[string]any{"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": map[string]any{"expirationSeconds": 3600}})
	if err != nil {
		t.Fatal(err)
	}
	status, _ := answer.Object()["status"].(map[string]any)
	token, _ := status["token"].(string)
	if token == "" {
		t.Fatalf("no token: %d %s", answer.Status, answer.Body)
	}
	return token
}

// allow lets a service account list clusters in one namespace.
func allow(t *testing.T, name, ns string) {
	t.Helper()
	base := "/apis/rbac.authorization.k8s.io/v1/namespaces/" + ns
	role := map[string]any{"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": named("see-" + name),
		"rules": []any{map[string]any{"apiGroups": []any{"holdfast.dev"}, "resources": []any{"holdfastclusters"}, "verbs": []any{"get", "list"}}}}
	binding := map[string]any{"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": named("see-" + name),
		"roleRef":  map[string]any{"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "see-" + name},
		"subjects": []any{map[string]any{"kind": "ServiceAccount", "name": name, "namespace": "default"}}}
	if err := post(base+"/roles", role); err != nil {
		t.Fatal(err)
	}
	if err := post(base+"/rolebindings", binding); err != nil {
		t.Fatal(err)
	}
	awaitAllowed(t, name, ns)
}

// awaitAllowed waits until the API server's own view of roles has the account's: what it says before, the page keeps.
func awaitAllowed(t *testing.T, name, ns string) {
	t.Helper()
	review := map[string]any{"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": map[string]any{
		"user":               "system:serviceaccount:default:" + name,
		"resourceAttributes": map[string]any{"group": "holdfast.dev", "resource": "holdfastclusters", "verb": "list", "namespace": ns}}}
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		answer, err := stage.Call(http.MethodPost, "/apis/authorization.k8s.io/v1/subjectaccessreviews", "application/json", review)
		if err != nil {
			t.Fatal(err)
		}
		status, _ := answer.Object()["status"].(map[string]any)
		if allowed, _ := status["allowed"].(bool); allowed {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s may not list clusters of %s: %d %s", name, ns, answer.Status, answer.Body)
		}
	}
}

// ask makes a request of the page with a token, unless that is empty.
func ask(t *testing.T, path, token string, headers ...string) (*http.Response, string) {
	t.Helper()
	request, err := http.NewRequest(http.MethodGet, page+strings.TrimPrefix(path, "/"), nil)
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response, string(body)
}

type seen struct {
	User     string
	Clusters []struct{ Namespace, Name, Health string }
}

func seenBy(t *testing.T, token string) seen {
	t.Helper()
	response, body := ask(t, "/api/v1/clusters", token)
	if response.StatusCode != http.StatusOK {
		t.Fatalf("%d %s", response.StatusCode, body)
	}
	var out seen
	if err := json.Unmarshal([]byte(body), &out); err != nil {
		t.Fatal(err)
	}
	return out
}

var master = apiserver.Token
