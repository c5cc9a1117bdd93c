// Package kubeclient plays the operator's client of the Kubernetes API against a real API server on
// holdfast: the scenarios are the program kubeclient's, and what happens to the server is the test's.
package kubeclient

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"holdfast/tests/go/member"
)

// patience bounds each wait for the program; reaching it is a failure, never the expected way.
const patience = 10 * time.Minute

// program is one run of kubeclient.
type program struct {
	t     *testing.T
	name  string
	cmd   *exec.Cmd
	stdin io.WriteCloser
	lines chan string
}

func start(t *testing.T, kubeconfig, scenario string, arguments ...string) *program {
	t.Helper()
	p := &program{t: t, name: scenario, lines: make(chan string, 1<<16)}
	binary := os.Getenv("KUBECLIENT_BIN")
	if binary == "" {
		binary = filepath.Join(member.Root(), "build/release/bin/kubeclient")
	}
	p.cmd = exec.Command(binary, append([]string{scenario, kubeconfig}, arguments...)...)
	log, err := os.Create(filepath.Join(t.TempDir(), scenario+".log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	p.cmd.Stderr = log
	if p.stdin, err = p.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := member.StartTied(p.cmd); err != nil {
		t.Fatal(err)
	}
	go func() {
		for scanner := bufio.NewScanner(stdout); scanner.Scan(); {
			p.lines <- scanner.Text()
		}
		close(p.lines)
	}()
	t.Cleanup(func() {
		p.cmd.Process.Kill()
		p.cmd.Wait()
		if t.Failed() {
			content, _ := os.ReadFile(log.Name())
			t.Logf("%s's log ends:\n%s", scenario, content[max(0, len(content)-3000):])
		}
	})
	return p
}

// next returns the program's next line; at its end, false.
func (p *program) next() (string, bool) {
	p.t.Helper()
	select {
	case line, ok := <-p.lines:
		if strings.HasPrefix(line, "FAILED") {
			p.t.Fatalf("%s: %s", p.name, line)
		}
		return line, ok
	case <-time.After(patience):
		p.t.Fatalf("%s: silent for %v", p.name, patience)
		return "", false
	}
}

// await waits for the line, logging others.
func (p *program) await(want string) {
	p.t.Helper()
	for {
		line, ok := p.next()
		if !ok {
			p.t.Fatalf("%s ended before it said '%s'", p.name, want)
		}
		if line == want {
			return
		}
		p.t.Log(line)
	}
}

func (p *program) tell(word string) { fmt.Fprintln(p.stdin, word) }

// finish waits until the program is done.
func (p *program) finish() {
	p.t.Helper()
	p.await("done")
}
