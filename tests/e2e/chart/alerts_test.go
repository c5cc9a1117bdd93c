package chart

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"holdfast/tests/go/member"
)

type ruleSpec struct {
	Groups []struct {
		Name  string           `json:"name"`
		Rules []map[string]any `json:"rules"`
	} `json:"groups"`
}

// alerts are the chart's, as Prometheus reads them.
func alerts(t *testing.T) ruleSpec {
	t.Helper()
	rendered := documentsOf(mustRender(t, values{}, optionalKinds), "PrometheusRule")
	if len(rendered) != 1 {
		t.Fatalf("%d sets of alerts", len(rendered))
	}
	var object struct {
		Spec ruleSpec `json:"spec"`
	}
	if err := yaml.Unmarshal([]byte(rendered[0]), &object); err != nil {
		t.Fatal(err)
	}
	return object.Spec
}

func promtool(t *testing.T, dir string, arguments ...string) {
	t.Helper()
	command := exec.Command("promtool", arguments...)
	command.Dir = dir
	if output, err := command.CombinedOutput(); err != nil {
		t.Errorf("promtool %s (Debian's prometheus has it: tests/tools/debian-packages --install full): %v\n%s", strings.Join(arguments, " "), err, output)
	}
}

func write(t *testing.T, file string, content any) {
	t.Helper()
	text, ok := content.([]byte)
	if !ok {
		var err error
		if text, err = yaml.Marshal(content); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
}

// Every alert of the chart fires on the series that it is for, not before its time, and says what it is
// about; tests/testdata/alerts has them. What it says besides is for people: it is left out there.
func TestEveryAlertFires(t *testing.T) {
	spec, dir := alerts(t), t.TempDir()
	write(t, filepath.Join(dir, "all.yaml"), spec)
	promtool(t, dir, "check", "rules", "all.yaml")
	cases, err := os.ReadFile(filepath.Join(member.Root(), "tests/testdata/alerts/chart.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, group := range spec.Groups {
		for _, rule := range group.Rules {
			name, _ := rule["alert"].(string)
			if !strings.Contains(string(cases), "        alertname: "+name+"\n") {
				t.Errorf("no case has %s fire", name)
			}
			if told, _ := rule["annotations"].(map[string]any); told["summary"] == nil || told["description"] == nil {
				t.Errorf("%s does not say what is and what to do", name)
			}
			delete(rule, "annotations")
		}
	}
	write(t, filepath.Join(dir, "rules.yaml"), spec)
	write(t, filepath.Join(dir, "cases.yaml"), []byte(strings.NewReplacer("OPERATOR", "holdfast-operator", "SYSTEM", home).Replace(string(cases))))
	promtool(t, dir, "test", "rules", "cases.yaml")
}
