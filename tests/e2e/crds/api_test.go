package crds

import (
	"bytes"
	"encoding/json"
	"os/exec"
	"path/filepath"
	"testing"

	"holdfast/tests/go/member"
)

// sample is an object that operator/api wrote, and its status as it applies it.
type sample struct {
	Object map[string]any `json:"object"`
	Status map[string]any `json:"status"`
}

// run runs api_samples, which has operator/api in it, and decodes the lines that it prints.
func run[Line any](t *testing.T, mode string, input []map[string]any) []Line {
	t.Helper()
	var stdin bytes.Buffer
	for _, object := range input {
		if err := json.NewEncoder(&stdin).Encode(object); err != nil {
			t.Fatal(err)
		}
	}
	command := exec.Command(filepath.Join(member.Root(), "build/release/bin/api_samples"), mode)
	command.Stdin = &stdin
	output, err := command.Output()
	if err != nil {
		t.Fatalf("api_samples (ninja -C build/release api_samples makes it): %v", err)
	}
	var lines []Line
	for decoder := json.NewDecoder(bytes.NewReader(output)); decoder.More(); {
		var line Line
		if err := decoder.Decode(&line); err != nil {
			t.Fatal(err)
		}
		lines = append(lines, line)
	}
	return lines
}

// apiSamples returns objects that together set every field that operator/api has.
func apiSamples(t *testing.T) []sample { return run[sample](t, "samples", nil) }

// apiEcho returns what operator/api makes of each object, its defaults included.
func apiEcho(t *testing.T, objects []map[string]any) []map[string]any {
	t.Helper()
	echoes := run[map[string]any](t, "echo", objects)
	if len(echoes) != len(objects) {
		t.Fatalf("%d echoes of %d objects", len(echoes), len(objects))
	}
	for _, echo := range echoes {
		if why, ok := echo["error"]; ok {
			t.Fatalf("operator/api cannot read it: %v", why)
		}
	}
	return echoes
}
