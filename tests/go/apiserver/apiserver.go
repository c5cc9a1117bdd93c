// Package apiserver runs one kube-apiserver on one member: enough of Kubernetes to hold schemas,
// charts and clients against, without nodes or controllers.
package apiserver

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"holdfast/tests/go/member"
)

const (
	readyTimeout = 180 * time.Second
	callTimeout  = time.Minute
)

// Server is a running API server whose only user may do everything.
type Server struct {
	dir     string
	port    int
	store   *member.Member
	process *exec.Cmd
	exited  chan struct{}
	client  *http.Client
}

// Start starts a store and an API server in dir and waits until it is ready. Further flags may be
// given to the API server.
func Start(dir string, flags ...string) (*Server, error) {
	store, err := member.Start(member.Options{Binary: member.Holdfast(), Dir: dir, Flags: []string{"--log-level=warn"}})
	if err != nil {
		return nil, err
	}
	s := &Server{dir: dir, store: store}
	if err := s.start(flags); err != nil {
		s.Stop()
		return nil, err
	}
	return s, nil
}

// Stop ends both programs. Their data goes with dir.
func (s *Server) Stop() {
	if s.exited != nil {
		s.process.Process.Signal(syscall.SIGKILL)
		<-s.exited
	}
	s.store.Kill()
}

// Kubeconfig returns the path of the user's kubeconfig.
func (s *Server) Kubeconfig() string { return s.path(KubeconfigFile) }

// LogTail returns the end of the API server's log.
func (s *Server) LogTail() string {
	content, err := os.ReadFile(s.path("apiserver.log"))
	if err != nil {
		return err.Error()
	}
	return string(content[max(0, len(content)-3000):])
}

// Answer is what the API server says to a request.
type Answer struct {
	Status   int
	Body     []byte
	Warnings []string // the Warning headers' texts
}

// Object decodes a JSON body.
func (a Answer) Object() map[string]any {
	var object map[string]any
	json.Unmarshal(a.Body, &object)
	return object
}

// Call makes a request; a body that is not nil is sent as JSON, or as it is if it is bytes.
func (s *Server) Call(method, path, contentType string, body any) (Answer, error) {
	content, ok := body.([]byte)
	if !ok && body != nil {
		var err error
		if content, err = json.Marshal(body); err != nil {
			return Answer{}, err
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, method, s.url(path), bytes.NewReader(content))
	if err != nil {
		return Answer{}, err
	}
	request.Header.Set("Authorization", "Bearer "+Token)
	request.Header.Set("Content-Type", contentType)
	response, err := s.client.Do(request)
	if err != nil {
		return Answer{}, err
	}
	defer response.Body.Close()
	answer := Answer{Status: response.StatusCode, Warnings: response.Header.Values("Warning")}
	answer.Body, err = io.ReadAll(response.Body)
	return answer, err
}

// Kubectl runs kubectl as the user with stdin and returns what it prints, errors included.
func (s *Server) Kubectl(stdin string, arguments ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
	defer cancel()
	command := exec.CommandContext(ctx, member.Tool("kubectl"), arguments...)
	// A cache of its own: tests run side by side against servers that share an address.
	command.Env = append(os.Environ(), "KUBECONFIG="+s.Kubeconfig(), "KUBECACHEDIR="+s.path("kubectl-cache"))
	command.Stdin = bytes.NewBufferString(stdin)
	output, err := command.CombinedOutput()
	return string(output), err
}

func (s *Server) path(name string) string { return filepath.Join(s.dir, name) }
func (s *Server) url(path string) string  { return fmt.Sprintf("https://127.0.0.1:%d%s", s.port, path) }

func (s *Server) start(flags []string) error {
	ports, err := member.FreePorts(1)
	if err != nil {
		return err
	}
	identity, err := WriteIdentity(s.dir, ports[0])
	if err != nil {
		return err
	}
	s.port, s.client = ports[0], identity.Client()
	log, err := os.Create(s.path("apiserver.log"))
	if err != nil {
		return err
	}
	defer log.Close()
	s.process = exec.Command(member.Tool("kube-apiserver"), slices.Concat([]string{
		"--etcd-servers=http://" + s.store.ClientAddr(),
		"--authorization-mode=RBAC",
		// No controller makes the default service account that it would wait for.
		"--disable-admission-plugins=ServiceAccount",
	}, identity.Flags(), flags)...)
	s.process.Stdout, s.process.Stderr = log, log
	if err := member.StartTied(s.process); err != nil {
		return err
	}
	s.exited = make(chan struct{})
	go func() {
		s.process.Wait()
		close(s.exited)
	}()
	return s.waitReady()
}

func (s *Server) waitReady() error {
	deadline := time.Now().Add(readyTimeout)
	for {
		answer, err := s.Call(http.MethodGet, "/readyz", "", nil)
		if err == nil && answer.Status == http.StatusOK {
			return nil
		}
		select {
		case <-s.exited:
			return fmt.Errorf("kube-apiserver ended while starting; its log:\n%s", s.LogTail())
		case <-time.After(100 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("kube-apiserver not ready within %v (%d, %v); its log:\n%s", readyTimeout, answer.Status, err, s.LogTail())
		}
	}
}
