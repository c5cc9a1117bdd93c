package page

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"holdfast/tests/go/apiserver"
	"holdfast/tests/go/member"
)

// another raises a second API server with two clusters: what their operator wrote is all there is of them.
func another(t *testing.T) *apiserver.Server {
	t.Helper()
	server, err := apiserver.Start(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Stop)
	crds := filepath.Join(member.Root(), "crds")
	for _, arguments := range [][]string{
		{"apply", "--server-side", "--filename", crds},
		{"wait", "--for=condition=Established", "--timeout=60s", "--filename", crds},
		{"create", "namespace", "shop"},
	} {
		if out, err := server.Kubectl("", arguments...); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	must := func(method, path, contentType string, object map[string]any) {
		t.Helper()
		answer, err := server.Call(method, path, contentType, object)
		if err != nil || answer.Status > http.StatusCreated {
			t.Fatalf("%s: %d %s %v", path, answer.Status, answer.Body, err)
		}
	}
	const base = "/apis/holdfast.dev/v1alpha1/namespaces/shop/holdfastclusters"
	for i, name := range []string{"carts", "prices"} {
		m := &made{ns: "shop", name: name, version: "0.1.0", conditions: map[string][3]string{
			"Ready": {"True", "AllMembersReady", "all 3 members take part"}, "QuorumHealthy": {"True", "QuorumAnswers", "a quorum of members answers"},
			"Headroom": {"True", "Enough", "as it has grown lately the store is not full within three days"}}}
		for ordinal := range 3 {
			m.members = append(m.members, memberRow(m, ordinal))
		}
		if i == 1 {
			m.conditions["Headroom"] = [3]string{"False", "FullSoon", "as it has grown lately the store reaches its quota within a day: raise spec.storage.size"}
		}
		must(http.MethodPost, base, "application/json", map[string]any{"apiVersion": "holdfast.dev/v1alpha1", "kind": "HoldfastCluster", "metadata": named(name),
			"spec": map[string]any{"replicas": 3, "storage": map[string]any{"size": "2Gi"}}})
		must(http.MethodPatch, base+"/"+name+"/status", "application/merge-patch+json", map[string]any{"status": m.status()})
	}
	must(http.MethodPost, "/apis/events.k8s.io/v1/namespaces/shop/events", "application/json", map[string]any{"apiVersion": "events.k8s.io/v1", "kind": "Event",
		"metadata": named("carts.1"), "type": "Normal", "reason": "LeaderMoved", "action": "Reconcile", "note": "the lead went from carts-1 to carts-0",
		"eventTime": at(0)[:19] + ".000000Z", "reportingController": "holdfast.dev/operator", "reportingInstance": "test",
		"regarding": map[string]any{"apiVersion": "holdfast.dev/v1alpha1", "kind": "HoldfastCluster", "namespace": "shop", "name": "carts"}})
	return server
}

// connect puts a kubeconfig into the operator's folder until the test ends.
func connect(t *testing.T, name, kubeconfig string) {
	t.Helper()
	file := filepath.Join(elsewhere, name)
	if err := os.WriteFile(file, []byte(kubeconfig), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Remove(file) })
}

// Another Kubernetes is on the page from when its kubeconfig is there; one that is not reached is said with
// why, and hides nothing. In the last file, since the page takes a moment to forget them.
func TestSeveralKubernetesOnOnePage(t *testing.T) {
	east := another(t)
	kubeconfig, err := os.ReadFile(east.Kubeconfig())
	if err != nil {
		t.Fatal(err)
	}
	connect(t, "east", string(kubeconfig))
	connect(t, "west", `
apiVersion: v1
kind: Config
current-context: west
contexts: [{name: west, context: {cluster: west, user: west}}]
clusters: [{name: west, cluster: {server: "https://127.0.0.1:9", insecure-skip-tls-verify: true}}]
users: [{name: west, user: {token: nobody}}]
`)
	shown := chromedp.Poll(`["home", "east", "west"].every((name) => document.querySelector('tr.group[data-kubernetes="' + name + '"]'))
    && document.querySelector('tr[data-key="east/shop/carts"]') && /not reached for/.test(document.querySelector('tr.group[data-kubernetes=west]').textContent)`,
		nil, chromedp.WithPollingTimeout(patience))
	for _, scheme := range []string{"light", "dark"} {
		ctx := browse(t, 1440, 900, scheme)
		run(t, ctx, chromedp.SendKeys("#token", master+"\r", chromedp.ByQuery), shown)
		run(t, ctx, chromedp.SendKeys("#filter", "quotas", chromedp.ByQuery), awaitRows(clusters/len(names)+2))
		run(t, ctx, chromedp.Evaluate(`document.querySelector("#filter").value = ""; setFilter(""); document.querySelector('tr[data-key="east/shop/prices"]').scrollIntoView({block: "center"})`, nil))
		screenshot(t, ctx, "elsewhere-"+scheme)
		if poor := evaluate[[]string](t, ctx, contrasts); len(poor) > 0 {
			t.Errorf("text that is hard to read: %v", poor)
		}
		run(t, ctx, chromedp.Evaluate(`location.hash = "#/east/shop/carts"`, nil), chromedp.Poll(`/the lead went from/.test(document.querySelector("#panel").textContent)`, nil))
		screenshot(t, ctx, "elsewhere-"+scheme+"-cluster")
	}

	ctx := browse(t, 390, 844, "light")
	run(t, ctx, chromedp.SendKeys("#token", master+"\r", chromedp.ByQuery), shown)
	if over := evaluate[float64](t, ctx, "document.documentElement.scrollWidth - innerWidth"); over > 0 {
		t.Errorf("the page is %v pixels wider than a phone", over)
	}
	run(t, ctx, chromedp.Evaluate(`document.querySelector('tr.group[data-kubernetes=west]').scrollIntoView({block: "center"})`, nil))
	screenshot(t, ctx, "elsewhere-phone")

	few := account(t, "few")
	allow(t, "few", namespaces[0])
	if _, body := ask(t, "/api/v1/clusters", few); strings.Contains(body, "carts-0") && strings.Contains(body, `"east"`) {
		t.Error("who may not list all clusters here sees those of another Kubernetes")
	}

	east.Stop()
	run(t, ctx, chromedp.Poll(`/not reached for/.test(document.querySelector('tr.group[data-kubernetes=east]').textContent)
    && document.querySelector('tr[data-key="east/shop/carts"]')`, nil, chromedp.WithPollingTimeout(2*patience)))
	_, body := ask(t, "/api/v1/clusters", master)
	var answer struct {
		Kubernetes []struct {
			Name, Why, FailingSince string
			Reached                 bool
		}
		Clusters []struct{ Kubernetes string }
	}
	if err := json.Unmarshal([]byte(body), &answer); err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(len(answer.Kubernetes), len(answer.Clusters)); got != fmt.Sprint(3, clusters+2) {
		t.Errorf("%s Kubernetes and clusters", got)
	}
	for _, each := range answer.Kubernetes[1:] {
		if each.Reached || each.Why == "" || each.FailingSince == "" {
			t.Errorf("%+v", each)
		}
	}
}
