// Package chart holds helm/holdfast to what its user sees.
package chart

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"holdfast/tests/go/apiserver"
	"holdfast/tests/go/member"
)

const (
	release     = "holdfast"
	home        = "holdfast-system" // the release's namespace
	account     = "system:serviceaccount:" + home + ":holdfast-operator"
	kubeVersion = "1.36.0"
	helmTimeout = 2 * time.Minute
)

// optionalKinds are served where the Prometheus operator and cert-manager are installed.
var optionalKinds = []string{
	"monitoring.coreos.com/v1", "monitoring.coreos.com/v1/ServiceMonitor", "monitoring.coreos.com/v1/PrometheusRule",
	"cert-manager.io/v1", "cert-manager.io/v1/Certificate",
}

// values are chart values, as Helm reads them from a file.
type values map[string]any

func folder() string { return filepath.Join(member.Root(), "helm/holdfast") }

// helm runs Helm with its own caches below dir, and on the server if there is one.
func helm(t *testing.T, server *apiserver.Server, dir string, arguments ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), helmTimeout)
	defer cancel()
	command := exec.CommandContext(ctx, member.Tool("helm"), arguments...)
	command.Env = append(os.Environ(), "HELM_CACHE_HOME="+dir+"/cache", "HELM_CONFIG_HOME="+dir+"/config", "HELM_DATA_HOME="+dir+"/data")
	if server != nil {
		command.Env = append(command.Env, "KUBECONFIG="+server.Kubeconfig())
	} else {
		command.Env = append(command.Env, "KUBECONFIG=/dev/null")
	}
	output, err := command.CombinedOutput()
	return string(output), err
}

// valuesFile writes values where Helm can read them.
func valuesFile(t *testing.T, set values) string {
	t.Helper()
	content, err := json.Marshal(set) // JSON is YAML
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "values.yaml")
	if err := os.WriteFile(file, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// render renders the chart as for a Kubernetes that serves the kinds.
func render(t *testing.T, set values, kinds []string) (string, error) {
	t.Helper()
	arguments := []string{"template", release, folder(), "--namespace", home, "--kube-version", kubeVersion, "--values", valuesFile(t, set)}
	for _, kind := range kinds {
		arguments = append(arguments, "--api-versions", kind)
	}
	return helm(t, nil, t.TempDir(), arguments...)
}

// mustRender fails the test if the chart cannot be rendered.
func mustRender(t *testing.T, set values, kinds []string) string {
	t.Helper()
	output, err := render(t, set, kinds)
	if err != nil {
		t.Fatalf("helm template with %v: %v:\n%s", set, err, output)
	}
	return output
}

// documentsOf returns the rendered documents of a kind.
func documentsOf(manifest, kind string) []string {
	var found []string
	for _, document := range strings.Split(manifest, "\n---\n") {
		if strings.Contains("\n"+document, "\nkind: "+kind+"\n") {
			found = append(found, document)
		}
	}
	return found
}

// combination is one choice of values.
type combination struct {
	name string
	set  values
	// optional: the Kubernetes has the optional kinds.
	optional bool
}

// combinations returns every choice of one from each of the parts, which touch different values.
func combinations() []combination {
	parts := [][]combination{
		{{name: "all namespaces"}, {name: "one namespace", set: values{"watchNamespaces": []string{"apps"}}},
			{name: "two namespaces", set: values{"watchNamespaces": []string{"apps", "data"}}}},
		{{name: "one replica", set: values{"replicas": 1}}, {name: "two replicas"}},
		{{name: "plain Kubernetes"}, {name: "monitored", optional: true}},
		{{name: "own roles"}, {name: "given account", set: values{
			"rbac":           values{"create": false, "clusterReads": false, "aggregate": false},
			"serviceAccount": values{"create": false, "name": "given"}}}},
		{{name: "defaults"}, {name: "everything", set: everything()}},
	}
	all := []combination{{}}
	for _, part := range parts {
		var next []combination
		for _, before := range all {
			for _, choice := range part {
				merged := combination{name: strings.TrimPrefix(before.name+", "+choice.name, ", "), set: values{}, optional: before.optional || choice.optional}
				for _, set := range []values{before.set, choice.set} {
					for name, value := range set {
						merged.set[name] = value
					}
				}
				next = append(next, merged)
			}
		}
		all = next
	}
	return all
}

// everything sets all that does not decide which objects there are.
func everything() values {
	return values{
		"fullnameOverride": "keeper",
		"image": values{"repository": "registry.example.org:5000/op", "digest": "sha256:" + fmt.Sprintf("%064d", 7),
			"pullPolicy": "Always"},
		"imagePullSecrets": []values{{"name": "registry"}},
		"memberImage":      values{"repository": "registry.example.org:5000/db"},
		"crds":             values{"install": false},
		"service":          values{"port": 9090, "annotations": values{"a": "b"}},
		"fleetPage":        values{"enabled": true, "port": 8443, "annotations": values{"a": "b"}},
		"monitoring": values{
			"serviceMonitor": values{"enabled": true, "interval": "15s", "labels": values{"release": "prometheus"}},
			"rules":          values{"enabled": true, "labels": values{"release": "prometheus"}},
			"dashboards":     values{"enabled": true}},
		"resources":      values{"requests": values{"cpu": "10m", "memory": "32Mi"}, "limits": values{"cpu": 1, "memory": "64Mi"}},
		"podLabels":      values{"team": "a"},
		"podAnnotations": values{"note": "b"},
		"nodeSelector":   values{"kubernetes.io/os": "linux"},
		"tolerations":    []values{{"operator": "Exists"}},
		"affinity": values{"nodeAffinity": values{"requiredDuringSchedulingIgnoredDuringExecution": values{"nodeSelectorTerms": []values{
			{"matchExpressions": []values{{"key": "disk", "operator": "Exists"}}}}}}},
		"topologySpreadConstraints": []values{{"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule",
			"labelSelector": values{"matchLabels": values{"app.kubernetes.io/name": "holdfast-operator"}}}},
		"extraArgs": []string{"--log-level=debug"},
	}
}
