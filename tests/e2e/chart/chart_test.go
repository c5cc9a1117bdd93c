package chart

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"holdfast/tests/go/apiserver"
	"holdfast/tests/go/member"
)

const (
	patience       = 60 * time.Second
	rightsPatience = 15 * time.Second
)

func TestLintFindsNothing(t *testing.T) {
	for name, set := range map[string]values{"defaults": {}, "everything": everything(), "namespaced": {"watchNamespaces": []string{"apps"}}} {
		output, err := helm(t, nil, t.TempDir(), "lint", "--strict", "--kube-version", kubeVersion, folder(), "--values", valuesFile(t, set))
		if err != nil || strings.Contains(output, "[WARNING]") {
			t.Errorf("%s: %v:\n%s", name, err, output)
		}
	}
}

func TestSchemaRefusesWhatCannotBeMeant(t *testing.T) {
	for says, set := range map[string]values{
		"replicaCount":          {"replicaCount": 2},
		"maximum: got 9":        {"replicas": 9},
		"/watchNamespaces/0":    {"watchNamespaces": []string{"Not_A_Name"}},
		"/watchNamespaces":      {"watchNamespaces": "apps"},
		"/image/digest":         {"image": values{"digest": "latest"}},
		"/image/pullPolicy":     {"image": values{"pullPolicy": "Sometimes"}},
		"/image/repository":     {"image": values{"repository": ""}},
		"/service/port":         {"service": values{"port": 0}},
		"/fleetPage":            {"fleetPage": values{"host": "x"}},
		"/resources":            {"resources": values{"requests": values{"memory": "much"}}},
		"/extraArgs/0":          {"extraArgs": []string{"debug"}},
		"/serviceAccount":       {"serviceAccount": values{"automount": true}},
		"serviceAccount.name":   {"serviceAccount": values{"create": false}},
		"/monitoring/rules":     {"monitoring": values{"rules": true}},
		"/tolerations":          {"tolerations": values{}},
		"/memberImage":          {"memberImage": values{"tag": "1.0.0"}},
		"/crds/install":         {"crds": values{"install": "yes"}},
		"/monitoring/serviceMo": {"monitoring": values{"serviceMonitor": values{"interval": "often"}}},
	} {
		if output, err := render(t, set, nil); err == nil || !strings.Contains(output, says) {
			t.Errorf("%v: should be refused for %q: %v:\n%.500s", set, says, err, output)
		}
	}
}

func TestDefinitionsAreThoseOfTheRepository(t *testing.T) {
	sources, _ := filepath.Glob(filepath.Join(member.Root(), "crds/*.yaml"))
	copies, _ := filepath.Glob(filepath.Join(folder(), "files/crds/*.yaml"))
	if len(sources) == 0 || len(sources) != len(copies) {
		t.Fatalf("%d definitions in crds/, %d in the chart; run helm/copy-crds", len(sources), len(copies))
	}
	rendered := documentsOf(mustRender(t, values{}, nil), "CustomResourceDefinition")
	if len(rendered) != len(sources) {
		t.Errorf("%d definitions are rendered of %d", len(rendered), len(sources))
	}
	for i, source := range sources {
		want, err := os.ReadFile(source)
		if err != nil {
			t.Fatal(err)
		}
		if got, _ := os.ReadFile(copies[i]); filepath.Base(copies[i]) != filepath.Base(source) || !bytes.Equal(got, want) {
			t.Errorf("%s is not %s; run helm/copy-crds", copies[i], source)
		}
		keep := "  annotations:\n    helm.sh/resource-policy: keep\n"
		found := false
		for _, document := range rendered {
			found = found || strings.Contains(document, keep) && strings.Contains(strings.Replace(document, keep, "", 1), strings.TrimSpace(string(want)))
		}
		if !found {
			t.Errorf("%s is not rendered as it is, with the policy to keep it", filepath.Base(source))
		}
	}
}

func TestVersionIsTheProgramsOwn(t *testing.T) {
	project, err := os.ReadFile(filepath.Join(member.Root(), "CMakeLists.txt"))
	if err != nil {
		t.Fatal(err)
	}
	chart, err := os.ReadFile(filepath.Join(folder(), "Chart.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	version := regexp.MustCompile(`project\(holdfast .*VERSION ([0-9.]+)\)`).FindSubmatch(project)
	if version == nil || !bytes.Contains(chart, append([]byte("\nappVersion: "), version[1]...)) {
		t.Errorf("Chart.yaml's appVersion is not the version %q of CMakeLists.txt", version)
	}
	images, err := os.ReadFile(filepath.Join(member.Root(), "deploy/images"))
	if err != nil {
		t.Fatal(err)
	}
	deployment := documentsOf(mustRender(t, values{}, nil), "Deployment")[0]
	if !bytes.Contains(images, []byte("holdfast.dev/<program>:<version>")) || !strings.Contains(deployment, "image: holdfast.dev/holdfast-operator:"+string(version[1])) {
		t.Errorf("the default image is not the one that deploy/images writes:\n%s", deployment)
	}
}

func TestArgumentsAreThoseOfTheProgram(t *testing.T) {
	program := filepath.Join(member.Root(), "build/release/bin/holdfast-operator")
	help, err := exec.Command(program, "--help").CombinedOutput()
	if err != nil {
		t.Fatalf("%s (ninja -C build/release holdfast-operator makes it): %v: %s", program, err, help)
	}
	arguments := regexp.MustCompile(`(?m)^ +- (--[a-z-]+)=`).FindAllStringSubmatch(mustRender(t, values{}, nil), -1)
	if len(arguments) < 5 {
		t.Errorf("only %d arguments are rendered: %q", len(arguments), arguments)
	}
	for _, argument := range arguments {
		if !strings.Contains(string(help), "  "+argument[1]+" ") {
			t.Errorf("holdfast-operator knows no %s", argument[1])
		}
	}
}

func TestKubeconfigsOfOthersAreMounted(t *testing.T) {
	without := mustRender(t, values{}, nil)
	with := mustRender(t, values{"fleetPage": values{"kubeconfigsSecret": "others", "name": "home"}}, nil)
	for _, line := range []string{"--fleet-name=home", "--fleet-kubeconfigs=/etc/holdfast/kubeconfigs", "mountPath: /etc/holdfast/kubeconfigs", "secretName: others"} {
		if strings.Contains(without, line) || !strings.Contains(with, line) {
			t.Errorf("%q does not follow fleetPage.kubeconfigsSecret", line)
		}
	}
}

func TestOptionalKindsAreMadeOnlyWhereTheyAre(t *testing.T) {
	without, with := mustRender(t, values{}, nil), mustRender(t, values{}, optionalKinds)
	for _, kind := range []string{"ServiceMonitor", "PrometheusRule"} {
		if len(documentsOf(without, kind)) != 0 || len(documentsOf(with, kind)) != 1 {
			t.Errorf("%s: %d without its kind, %d with it", kind, len(documentsOf(without, kind)), len(documentsOf(with, kind)))
		}
	}
	for _, group := range []string{"cert-manager.io", "monitoring.coreos.com"} {
		if strings.Contains(without, "["+group+"]") || !strings.Contains(with, "["+group+"]") {
			t.Errorf("rights on %s do not follow its presence", group)
		}
	}
}

// TestDashboardsAskForMetricsThatThereAre finds each metric that a dashboard or an alert of the chart
// asks for in the source that makes it.
func TestDashboardsAskForMetricsThatThereAre(t *testing.T) {
	made := sourcesOf(t, "datastore", "operator")
	dashboards, _ := filepath.Glob(filepath.Join(folder(), "files/dashboards/*.json"))
	rules := documentsOf(mustRender(t, values{}, optionalKinds), "PrometheusRule")
	if len(dashboards) == 0 || len(rules) != 1 {
		t.Fatalf("%d dashboards, %d sets of alerts", len(dashboards), len(rules))
	}
	texts := rules
	for _, file := range dashboards {
		content, err := os.ReadFile(file)
		if err != nil || !json.Valid(content) {
			t.Fatalf("%s: %v: is not JSON", file, err)
		}
		texts = append(texts, string(content))
	}
	metrics := map[string]bool{}
	for _, metric := range regexp.MustCompile(`\b(etcd|holdfast)_[a-z_]+`).FindAllString(strings.Join(texts, "\n"), -1) {
		metrics[metric] = true
	}
	for metric := range metrics {
		if name := strings.TrimSuffix(metric, "_bucket"); !strings.Contains(made, `"`+name+`"`) {
			t.Errorf("nothing makes %s", metric)
		}
	}
	t.Logf("%d metrics", len(metrics))
}

// sourcesOf returns the C++ sources below the trees, all in one.
func sourcesOf(t *testing.T, trees ...string) string {
	t.Helper()
	var all strings.Builder
	for _, tree := range trees {
		err := filepath.WalkDir(filepath.Join(member.Root(), tree), func(path string, _ fs.DirEntry, err error) error {
			if err != nil || filepath.Ext(path) != ".cpp" {
				return err
			}
			content, err := os.ReadFile(path)
			all.Write(content)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return all.String()
}

// suite is an API server with the namespaces that the values name.
type suite struct {
	*apiserver.Server
	t   *testing.T
	dir string
}

func TestOnAServer(t *testing.T) {
	server, err := apiserver.Start(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer server.Stop()
	s := suite{server, t, t.TempDir()}
	for _, name := range []string{home, "apps", "data"} {
		s.kubectl(namespace(name), "apply", "-f", "-")
	}
	s.kubectl(prometheusKinds, "apply", "-f", "-")
	for _, test := range []struct {
		name string
		run  func(suite)
	}{
		{"EveryCombinationIsAcceptedWithoutAWarning", suite.combinations},
		{"PodsPassTheRestrictedProfile", suite.restricted},
		{"RightsAreThoseNeededAndNoOthers", suite.rights},
		{"InstallsUpgradesAndUninstallsAgainAndAgain", suite.lifecycle},
		{"UpgradeUpgradesTheDefinitions", suite.upgrade},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(suite{server, t, s.dir}) })
	}
}

// namespace is one that enforces the restricted Pod Security profile.
func namespace(name string) string {
	return `{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "` + name + `", "labels": {
		"pod-security.kubernetes.io/enforce": "restricted", "pod-security.kubernetes.io/warn": "restricted"}}}`
}

// prometheusKinds stands for the Prometheus operator: the two kinds, with any content.
var prometheusKinds = func() string {
	var all strings.Builder
	for kind, plural := range map[string]string{"ServiceMonitor": "servicemonitors", "PrometheusRule": "prometheusrules"} {
		all.WriteString(`---
{"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": "` + plural + `.monitoring.coreos.com"},
 "spec": {"group": "monitoring.coreos.com", "scope": "Namespaced", "names": {"kind": "` + kind + `", "plural": "` + plural + `"},
  "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}}]}}
`)
	}
	return all.String()
}()

func (s suite) kubectl(stdin string, arguments ...string) string {
	s.t.Helper()
	output, err := s.Kubectl(stdin, arguments...)
	if err != nil {
		s.t.Fatalf("kubectl %v: %v:\n%s", arguments, err, output)
	}
	return output
}

func (s suite) helm(arguments ...string) string {
	s.t.Helper()
	output, err := helm(s.t, s.Server, s.dir, arguments...)
	if err != nil {
		s.t.Fatalf("helm %v: %v:\n%s", arguments, err, output)
	}
	return output
}

func (s suite) combinations() {
	all := combinations()
	for _, c := range all {
		var kinds []string
		if c.optional {
			kinds = optionalKinds
		}
		manifest := mustRender(s.t, c.set, kinds)
		output, err := s.Kubectl(manifest, "apply", "--dry-run=server", "--validate=strict", "-f", "-")
		if err != nil || strings.Contains(output, "Warning") {
			s.t.Errorf("%s: %v:\n%s", c.name, err, output)
		}
	}
	s.t.Logf("%d combinations", len(all))
}

// restricted makes the Pods of Deployment and test hook, which the namespaces' profile judges; only
// warned about inside a Deployment, they are refused as Pods.
func (s suite) restricted() {
	for _, set := range []values{{}, everything()} {
		manifest := mustRender(s.t, set, nil)
		output := s.kubectl(documentsOf(manifest, "Deployment")[0], "apply", "--dry-run=server", "-f", "-")
		if strings.Contains(output, "violate") {
			s.t.Errorf("the Deployment: %s", output)
		}
		hook := documentsOf(manifest, "Pod")
		if len(hook) != 1 {
			s.t.Fatalf("%d Pods are rendered, not the test alone", len(hook))
		}
		s.kubectl(hook[0], "apply", "--dry-run=server", "-f", "-")
	}
}

// can asks the API server whether the operator may.
func (s suite) can(ns, verb, resource string) bool {
	s.t.Helper()
	group, plain := "", resource
	if name, rest, ok := strings.Cut(resource, "/"); ok && (strings.Contains(name, ".") || name == "policy") {
		group, plain = name, rest
	}
	plain, subresource, _ := strings.Cut(plain, "/")
	review := map[string]any{
		"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview",
		"spec": map[string]any{"user": account, "groups": []string{"system:serviceaccounts", "system:authenticated"},
			"resourceAttributes": map[string]any{"namespace": ns, "verb": verb, "group": group, "resource": plain, "subresource": subresource}},
	}
	answer, err := s.Call(http.MethodPost, "/apis/authorization.k8s.io/v1/subjectaccessreviews", "application/json", review)
	if err != nil || answer.Status != http.StatusCreated {
		s.t.Fatalf("access review: %v: %d: %s", err, answer.Status, answer.Body)
	}
	status, _ := answer.Object()["status"].(map[string]any)
	return status["allowed"] == true
}

// right is one that the operator must or must not have; "" is every namespace.
type right struct {
	ns, verb, resource string
	want               bool
}

// expect fails unless the rights are as wanted; the authoriser follows the objects a moment later.
func (s suite) expect(mode string, rights []right) {
	s.t.Helper()
	var wrong []right
	for deadline := time.Now().Add(rightsPatience); ; time.Sleep(100 * time.Millisecond) {
		wrong = slices.DeleteFunc(slices.Clone(rights), func(r right) bool { return s.can(r.ns, r.verb, r.resource) == r.want })
		if len(wrong) == 0 || time.Now().After(deadline) {
			break
		}
	}
	for _, r := range wrong {
		s.t.Errorf("%s: may %s %s in %q: should be %v", mode, r.verb, r.resource, r.ns, r.want)
	}
}

func (s suite) rights() {
	s.helm("install", release, folder(), "--namespace", home, "--set", "watchNamespaces={apps}")
	needed := func(ns string) []right {
		return []right{
			{ns, "watch", "holdfast.dev/holdfastclusters", true}, {ns, "patch", "holdfast.dev/holdfastclusters", true},
			{ns, "patch", "holdfast.dev/holdfastclusters/status", true}, {ns, "delete", "holdfast.dev/holdfastoperations", true},
			{ns, "create", "holdfast.dev/holdfastbackups", true}, {ns, "create", "pods", true}, {ns, "delete", "pods", true},
			{ns, "patch", "persistentvolumeclaims", true}, {ns, "patch", "services", true}, {ns, "list", "secrets", true},
			{ns, "patch", "policy/poddisruptionbudgets", true},
			{ns, "create", "events.k8s.io/events", true}, {ns, "list", "events.k8s.io/events", true},
			{"", "create", "authentication.k8s.io/tokenreviews", true}, {"", "create", "authorization.k8s.io/subjectaccessreviews", true},
			{ns, "patch", "networking.k8s.io/networkpolicies", true},
			{ns, "create", "pods/eviction", true},
			{ns, "patch", "monitoring.coreos.com/servicemonitors", true},
		}
	}
	never := func(ns string) []right {
		return []right{
			{ns, "delete", "holdfast.dev/holdfastclusters", false}, {ns, "create", "holdfast.dev/holdfastclusters", false},
			{ns, "create", "pods/exec", false}, {ns, "get", "pods/log", false},
			{ns, "create", "serviceaccounts/token", false}, {ns, "deletecollection", "pods", false},
			{ns, "create", "rbac.authorization.k8s.io/roles", false}, {ns, "patch", "rbac.authorization.k8s.io/rolebindings", false},
			{"", "patch", "nodes", false}, {"", "create", "namespaces", false},
			{"", "get", "apiextensions.k8s.io/customresourcedefinitions", false},
		}
	}
	s.expect("one namespace", append(needed("apps"), never("apps")...))
	s.expect("one namespace", []right{
		{"", "list", "secrets", false}, {"", "get", "secrets", false}, {"data", "get", "secrets", false}, {home, "get", "secrets", false},
		{"data", "list", "holdfast.dev/holdfastclusters", false}, {"", "list", "pods", false}, {"data", "create", "pods", false},
		{"", "list", "nodes", true}, {"", "get", "storage.k8s.io/storageclasses", true}, {"", "get", "persistentvolumes", true},
		{home, "create", "coordination.k8s.io/leases", true}, {home, "update", "coordination.k8s.io/leases", false},
		{"apps", "create", "coordination.k8s.io/leases", false}, {home, "list", "coordination.k8s.io/leases", false},
	})
	s.helm("upgrade", release, folder(), "--namespace", home, "--set", "watchNamespaces={apps},rbac.clusterReads=false")
	s.expect("one namespace alone", append(needed("apps"), right{"", "list", "nodes", false}, right{"", "get", "persistentvolumes", false}))
	s.helm("upgrade", release, folder(), "--namespace", home, "--set", "watchNamespaces={apps},rbac.clusterReads=false,fleetPage.enabled=false")
	s.expect("without the fleet page", []right{
		{"apps", "create", "events.k8s.io/events", true}, {"apps", "list", "events.k8s.io/events", false}, {"", "list", "nodes", false},
		{"", "create", "authentication.k8s.io/tokenreviews", false}, {"", "create", "authorization.k8s.io/subjectaccessreviews", false},
	})
	s.helm("upgrade", release, folder(), "--namespace", home, "--reset-values")
	s.expect("all namespaces", append(needed("data"), never("data")...))
	s.expect("all namespaces", []right{{"", "list", "secrets", true}, {"", "list", "holdfast.dev/holdfastclusters", true}})
	s.helm("uninstall", release, "--namespace", home)
	s.expect("uninstalled", []right{{"data", "get", "secrets", false}, {"", "list", "nodes", false}})
}

func (s suite) lifecycle() {
	cluster := `{"apiVersion": "holdfast.dev/v1alpha1", "kind": "HoldfastCluster", "metadata": {"name": "kept", "namespace": "apps"}, "spec": {}}`
	for round := range 3 {
		output := s.helm("install", release, folder(), "--namespace", home)
		if !strings.Contains(output, "looks after all namespaces") {
			s.t.Errorf("NOTES do not say what is looked after:\n%s", output)
		}
		if round == 0 {
			s.kubectl(cluster, "apply", "-f", "-")
		}
		output = s.helm("upgrade", release, folder(), "--namespace", home, "--set", "watchNamespaces={apps,data}", "--set", "replicas=3")
		if !strings.Contains(output, "looks after apps, data") {
			s.t.Errorf("NOTES do not name the namespaces:\n%s", output)
		}
		s.helm("rollback", release, "1", "--namespace", home)
		s.helm("uninstall", release, "--namespace", home)
		if left := s.kubectl("", "get", "deployments,services,roles,rolebindings,pdb,serviceaccounts", "--all-namespaces", "-l", "app.kubernetes.io/name=holdfast-operator", "-o", "name"); left != "" && !strings.Contains(left, "No resources") {
			s.t.Errorf("uninstalling leaves %s", left)
		}
		if output := s.kubectl("", "get", "hfc", "--namespace", "apps", "-o", "name"); !strings.Contains(output, "holdfastcluster.holdfast.dev/kept") {
			s.t.Fatalf("the cluster has gone with the operator: %s", output)
		}
	}
}

// upgrade installs the chart as it might have been, with less in a definition, and upgrades it.
func (s suite) upgrade() {
	older := filepath.Join(s.t.TempDir(), "holdfast")
	if err := os.CopyFS(older, os.DirFS(folder())); err != nil {
		s.t.Fatal(err)
	}
	file := filepath.Join(older, "files/crds/holdfast.dev_holdfastclusters.yaml")
	content, err := os.ReadFile(file)
	if err != nil {
		s.t.Fatal(err)
	}
	const field = "                paused:\n"
	if !bytes.Contains(content, []byte(field)) {
		s.t.Fatal("the definition has no field to leave out")
	}
	content = bytes.Replace(content, []byte(field), []byte("                formerlyPaused:\n"), 1)
	if err := os.WriteFile(file, content, 0o600); err != nil {
		s.t.Fatal(err)
	}
	cluster := `{"apiVersion": "holdfast.dev/v1alpha1", "kind": "HoldfastCluster", "metadata": {"name": "kept", "namespace": "apps"}, "spec": {"paused": true}}`
	s.helm("install", release, older, "--namespace", home)
	s.await("an older definition knows no field paused", func() bool {
		_, err := s.Kubectl(cluster, "apply", "--dry-run=server", "--validate=strict", "-f", "-")
		return err != nil
	})
	s.helm("upgrade", release, folder(), "--namespace", home)
	s.await("the upgraded definition knows it", func() bool {
		_, err := s.Kubectl(cluster, "apply", "--dry-run=server", "--validate=strict", "-f", "-")
		return err == nil
	})
	s.helm("uninstall", release, "--namespace", home)
}

func (s suite) await(what string, holds func() bool) {
	s.t.Helper()
	for deadline := time.Now().Add(patience); !holds(); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			s.t.Fatalf("not within %v: %s", patience, what)
		}
	}
}
