// Package apiserver runs one kube-apiserver on one member: enough of Kubernetes to hold schemas,
// charts and clients against, without nodes or controllers.
package apiserver

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"holdfast/tests/go/member"
)

const (
	readyTimeout = 180 * time.Second
	callTimeout  = time.Minute
	token        = "apiserver-token"
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
func (s *Server) Kubeconfig() string { return s.path("kubeconfig") }

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
	request.Header.Set("Authorization", "Bearer "+token)
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
	pool, err := s.writeIdentity()
	if err != nil {
		return err
	}
	s.client = &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, ForceAttemptHTTP2: true}}
	ports, err := member.FreePorts(1)
	if err != nil {
		return err
	}
	s.port = ports[0]
	if err := s.writeKubeconfig(); err != nil {
		return err
	}
	log, err := os.Create(s.path("apiserver.log"))
	if err != nil {
		return err
	}
	defer log.Close()
	s.process = exec.Command(member.Tool("kube-apiserver"), append([]string{
		"--etcd-servers=http://" + s.store.ClientAddr(),
		"--bind-address=127.0.0.1", "--advertise-address=127.0.0.1", fmt.Sprintf("--secure-port=%d", s.port),
		"--tls-cert-file=" + s.path("tls.crt"), "--tls-private-key-file=" + s.path("tls.key"),
		"--token-auth-file=" + s.path("tokens.csv"), "--authorization-mode=RBAC",
		"--service-account-issuer=https://kubernetes.default.svc", "--service-cluster-ip-range=10.96.0.0/16",
		"--service-account-signing-key-file=" + s.path("sa.key"), "--service-account-key-file=" + s.path("sa.key"),
		// No controller makes the default service account that it would wait for.
		"--disable-admission-plugins=ServiceAccount",
	}, flags...)...)
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

// writeIdentity makes the server's self-signed certificate, the user's token and the key that
// service account tokens are signed with.
func (s *Server) writeIdentity() (*x509.CertPool, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "apiserver"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	keyDER, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return nil, err
	}
	accounts, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, err
	}
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	for name, content := range map[string][]byte{
		"tls.crt":    certificate,
		"tls.key":    pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: keyDER}),
		"sa.key":     pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(accounts)}),
		"tokens.csv": []byte(token + ",admin,admin,system:masters\n"),
	} {
		if err := os.WriteFile(s.path(name), content, 0o600); err != nil {
			return nil, err
		}
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(certificate)
	return pool, nil
}

func (s *Server) writeKubeconfig() error {
	content, err := json.Marshal(map[string]any{ // JSON is YAML
		"apiVersion": "v1", "kind": "Config", "current-context": "test",
		"clusters": []any{map[string]any{"name": "test", "cluster": map[string]any{"server": s.url(""), "certificate-authority": s.path("tls.crt")}}},
		"users":    []any{map[string]any{"name": "test", "user": map[string]any{"token": token}}},
		"contexts": []any{map[string]any{"name": "test", "context": map[string]any{"cluster": "test", "user": "test"}}},
	})
	if err != nil {
		return err
	}
	return os.WriteFile(s.Kubeconfig(), content, 0o600)
}
