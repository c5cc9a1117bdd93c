// Package crds holds the schemas of crds/ to what a user of a real API server sees, and operator/api
// to the schemas.
package crds

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"holdfast/tests/go/apiserver"
	"holdfast/tests/go/member"
)

const (
	yamlType  = "application/yaml"
	applyType = "application/apply-patch+yaml"
	patience  = 60 * time.Second
	groupPath = "/apis/holdfast.dev/v1alpha1/namespaces/default/"
)

// kinds maps each kind to the name of its collection.
var kinds = map[string]string{
	"HoldfastCluster":        "holdfastclusters",
	"HoldfastOperation":      "holdfastoperations",
	"HoldfastBackup":         "holdfastbackups",
	"HoldfastBackupSchedule": "holdfastbackupschedules",
	"HoldfastRestore":        "holdfastrestores",
}

// suite is an API server that has the definitions.
type suite struct {
	*apiserver.Server
	t *testing.T
}

// TestDefinitions runs everything on one server: starting one costs more than the tests.
func TestDefinitions(t *testing.T) {
	server, err := apiserver.Start(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer server.Stop()
	if !t.Run("DefinitionsAreEstablishedWithoutAWarning", func(t *testing.T) { suite{server, t}.established() }) {
		t.Fatalf("the API server's log ends:\n%s", server.LogTail())
	}
	for _, test := range []struct {
		name string
		run  func(suite)
	}{
		{"EveryFieldIsDescribedAndBounded", suite.describedAndBounded},
		{"SharedPartsReadTheSameEverywhere", suite.sharedParts},
		{"ManifestsAreAcceptedOrRefusedWithTheReason", suite.manifests},
		{"DefaultsAreThoseOfTheStructs", suite.defaults},
		{"NothingThatTheStructsWriteIsPruned", suite.samples},
		{"ScaleGoesThroughTheSubresource", suite.scale},
		{"ColumnsShowWhatMatters", suite.columns},
		{"TwoManagersKeepTheirOwnConditions", suite.conditionsMerge},
		{"KubectlExplainsAndKnowsShortNames", suite.explain},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(suite{server, t}) })
	}
}

// want makes a call and fails unless it answers with the status.
func (s suite) want(status int, method, path, contentType string, body any) map[string]any {
	s.t.Helper()
	answer, err := s.Call(method, path, contentType, body)
	if err != nil {
		s.t.Fatalf("%s %s: %v", method, path, err)
	}
	if answer.Status != status {
		s.t.Fatalf("%s %s: %d instead of %d: %s", method, path, answer.Status, status, answer.Body)
	}
	if len(answer.Warnings) > 0 {
		s.t.Errorf("%s %s: warned: %q", method, path, answer.Warnings)
	}
	return answer.Object()
}

// apply applies an object, given as bytes or a value, by server-side apply.
func (s suite) apply(path, manager string, object any) apiserver.Answer {
	s.t.Helper()
	answer, err := s.Call(http.MethodPatch, path+"?fieldValidation=Strict&force=true&fieldManager="+manager, applyType, object)
	if err != nil {
		s.t.Fatal(err)
	}
	return answer
}

// pathOf is where an object of the group lives.
func pathOf(object map[string]any) string {
	return groupPath + kinds[at(object, "kind").(string)] + "/" + at(object, "metadata", "name").(string)
}

// at returns what is at a path of fields, or nil.
func at(value any, path ...string) any {
	for _, name := range path {
		fields, _ := value.(map[string]any)
		value = fields[name]
	}
	return value
}

func (s suite) established() {
	files, err := filepath.Glob(filepath.Join(member.Root(), "crds", "*.yaml"))
	if err != nil || len(files) != len(kinds) {
		s.t.Fatalf("crds/ holds %d files, not one for each of %d kinds (%v)", len(files), len(kinds), err)
	}
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			s.t.Fatal(err)
		}
		made := s.want(http.StatusCreated, http.MethodPost,
			"/apis/apiextensions.k8s.io/v1/customresourcedefinitions?fieldValidation=Strict", yamlType, content)
		name := at(made, "metadata", "name").(string)
		if filepath.Base(file) != "holdfast.dev_"+strings.TrimSuffix(name, ".holdfast.dev")+".yaml" {
			s.t.Errorf("%s defines %s", file, name)
		}
		s.awaitConditions(name)
	}
}

// awaitConditions waits until a definition is in use and fails if it is not structural.
func (s suite) awaitConditions(name string) {
	s.t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		status := map[string]string{}
		conditions, _ := at(s.definition(name), "status", "conditions").([]any)
		for _, condition := range conditions {
			status[at(condition, "type").(string)] = at(condition, "status").(string)
		}
		if status["NonStructuralSchema"] == "True" {
			s.t.Fatalf("%s is not structural: %v", name, conditions)
		}
		if status["Established"] == "True" && status["NamesAccepted"] == "True" {
			return
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("%s is not established: %v", name, conditions)
		}
	}
}

func (s suite) definition(name string) map[string]any {
	s.t.Helper()
	return s.want(http.StatusOK, http.MethodGet, "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/"+name, "", nil)
}

// schemas returns each kind's schema.
func (s suite) schemas() map[string]map[string]any {
	schemas := map[string]map[string]any{}
	for kind, plural := range kinds {
		versions := at(s.definition(plural+".holdfast.dev"), "spec", "versions").([]any)
		schemas[kind] = at(versions[0], "schema", "openAPIV3Schema").(map[string]any)
	}
	return schemas
}

var (
	verdictLine = regexp.MustCompile(`(?m)^# (accepted|refused): (.*)$`)
	kindLine    = regexp.MustCompile(`(?m)^kind: (\w+)$`)
	nameLine    = regexp.MustCompile(`(?m)^metadata: \{name: ([^,]+),`)
)

func (s suite) manifests() {
	files, _ := filepath.Glob(filepath.Join(member.Root(), "tests/testdata/crds/*.yaml"))
	cases := 0
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			s.t.Fatal(err)
		}
		for _, document := range strings.Split(string(content), "---\n") {
			cases++
			verdict, kind, name := verdictLine.FindStringSubmatch(document), kindLine.FindStringSubmatch(document), nameLine.FindStringSubmatch(document)
			if verdict == nil || kind == nil || name == nil {
				s.t.Fatalf("%s: a document without verdict, kind or name:\n%s", file, document)
			}
			answer := s.apply(groupPath+kinds[kind[1]]+"/"+name[1], "user", []byte(document))
			accepted := answer.Status == http.StatusOK || answer.Status == http.StatusCreated
			switch {
			case verdict[1] == "accepted" && !accepted:
				s.t.Errorf("%s: should be accepted:\n%s%s", filepath.Base(file), document, answer.Body)
			case verdict[1] == "refused" && accepted:
				s.t.Errorf("%s: should be refused:\n%s", filepath.Base(file), document)
			case verdict[1] == "refused" && !strings.Contains(at(answer.Object(), "message").(string), verdict[2]):
				s.t.Errorf("%s: should be refused for %q, not:\n%s", filepath.Base(file), verdict[2], at(answer.Object(), "message"))
			}
		}
	}
	s.t.Logf("%d manifests", cases)
}

func (s suite) scale() {
	s.want(http.StatusCreated, http.MethodPost, groupPath+"holdfastclusters", yamlType, cluster("scaled", map[string]any{}))
	if output, err := s.Kubectl("", "scale", "hfc", "scaled", "--replicas=5"); err != nil {
		s.t.Fatalf("kubectl scale: %v: %s", err, output)
	}
	if replicas := at(s.want(http.StatusOK, http.MethodGet, groupPath+"holdfastclusters/scaled", "", nil), "spec", "replicas"); replicas != 5.0 {
		s.t.Errorf("scaled to 5, it wants %v", replicas)
	}
	output, err := s.Kubectl("", "scale", "hfc", "scaled", "--replicas=4")
	if err == nil || !strings.Contains(output, "spec.replicas: Unsupported value: 4") {
		s.t.Errorf("an even number: %v: %s", err, output)
	}
	s.applyStatus("scaled", "operator", map[string]any{"replicas": 3, "selector": "holdfast.dev/cluster=scaled"})
	scale := s.want(http.StatusOK, http.MethodGet, groupPath+"holdfastclusters/scaled/scale", "", nil)
	if at(scale, "status", "replicas") != 3.0 || at(scale, "status", "selector") != "holdfast.dev/cluster=scaled" {
		s.t.Errorf("/scale says %v", at(scale, "status"))
	}
}

func (s suite) columns() {
	s.want(http.StatusCreated, http.MethodPost, groupPath+"holdfastclusters", yamlType, cluster("shown", map[string]any{}))
	s.applyStatus("shown", "operator", map[string]any{
		"membersReady": "2/3", "leader": "shown-1", "currentVersion": "1.2.3", "clusterID": "ab",
		"operation":  map[string]any{"type": "AddMember", "startedAt": "2026-01-31T12:00:00Z"},
		"lastBackup": map[string]any{"time": time.Now().Add(-2 * time.Hour).UTC().Format(time.RFC3339)},
		"conditions": []any{ready("True")},
	})
	output, err := s.Kubectl("", "get", "hfc", "shown")
	lines := strings.Split(strings.TrimSpace(output), "\n")
	if err != nil || len(lines) != 2 {
		s.t.Fatalf("kubectl get: %v: %s", err, output)
	}
	if got := strings.Join(strings.Fields(lines[0]), " "); got != "NAME READY MEMBERS LEADER VERSION BACKUP AGE" {
		s.t.Errorf("columns: %s", got)
	}
	if got := strings.Join(strings.Fields(lines[1])[:6], " "); got != "shown True 2/3 shown-1 1.2.3 120m" {
		s.t.Errorf("row: %s", got)
	}
	if output, err := s.Kubectl("", "get", "hfc", "shown", "-o", "wide"); err != nil || !strings.Contains(output, "AddMember") {
		s.t.Errorf("wide: %v: %s", err, output)
	}
}

func (s suite) conditionsMerge() {
	s.want(http.StatusCreated, http.MethodPost, groupPath+"holdfastclusters", yamlType, cluster("merged", map[string]any{}))
	s.applyStatus("merged", "operator", map[string]any{"conditions": []any{ready("False")}})
	foreign := ready("True")
	foreign["type"] = "example.org/Audited"
	s.applyStatus("merged", "auditor", map[string]any{"conditions": []any{foreign}})
	s.applyStatus("merged", "operator", map[string]any{"conditions": []any{ready("True")}})
	status := map[any]any{}
	for _, condition := range at(s.want(http.StatusOK, http.MethodGet, groupPath+"holdfastclusters/merged", "", nil), "status", "conditions").([]any) {
		status[at(condition, "type")] = at(condition, "status")
	}
	if len(status) != 2 || status["Ready"] != "True" || status["example.org/Audited"] != "True" {
		s.t.Errorf("conditions: %v", status)
	}
}

func (s suite) explain() {
	for path, says := range map[string]string{
		"hfc":                               "speaks etcd's v3 API",
		"hfc.spec.replicas":                 "hibernates the cluster",
		"hfc.spec.tls.client.renewBefore":   "before its end a certificate is renewed",
		"hfc.status.operation.step":         "The step that it is at",
		"hfo.spec.type":                     "ReplaceMember removes a member",
		"hfb.spec.target.s3":                "Amazon S3",
		"hfbs.spec.retention":               "oldest first",
		"hfr.spec.source":                   "Exactly one of backupRef and stored",
		"hfc.spec.podTemplate.tolerations":  "Taints that members put up with",
		"hfc.spec.bootstrap.join.endpoints": "client URLs",
	} {
		output, err := s.Kubectl("", "explain", path)
		if flat := strings.Join(strings.Fields(output), " "); err != nil || !strings.Contains(flat, says) {
			s.t.Errorf("kubectl explain %s: %v: does not say %q:\n%s", path, err, says, output)
		}
	}
	if output, err := s.Kubectl("", "get", "holdfast", "-o", "name"); err != nil || !strings.Contains(output, "holdfastbackupschedule.holdfast.dev/") {
		s.t.Errorf("kubectl get holdfast: %v: %s", err, output)
	}
}

// cluster is a HoldfastCluster as JSON, which is YAML.
func cluster(name string, spec map[string]any) []byte {
	encoded, _ := json.Marshal(map[string]any{
		"apiVersion": "holdfast.dev/v1alpha1", "kind": "HoldfastCluster",
		"metadata": map[string]any{"name": name, "namespace": "default"}, "spec": spec,
	})
	return encoded
}

func ready(status string) map[string]any {
	return map[string]any{"type": "Ready", "status": status, "reason": "Tested", "message": "", "lastTransitionTime": "2026-01-31T12:00:00Z"}
}

func (s suite) applyStatus(name, manager string, status map[string]any) {
	s.t.Helper()
	answer := s.apply(groupPath+"holdfastclusters/"+name+"/status", manager, map[string]any{
		"apiVersion": "holdfast.dev/v1alpha1", "kind": "HoldfastCluster",
		"metadata": map[string]any{"name": name, "namespace": "default"}, "status": status,
	})
	if answer.Status != http.StatusOK {
		s.t.Fatalf("status of %s: %d: %s", name, answer.Status, answer.Body)
	}
}
