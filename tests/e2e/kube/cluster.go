// Package kube runs a real kube-apiserver and kube-controller-manager on a member and holds the
// whole to what a Kubernetes user sees. It talks to the API server in plain JSON over HTTPS.
package kube

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
	"strings"
	"syscall"
	"time"

	"holdfast/tests/go/apiserver"
	"holdfast/tests/go/member"
)

const (
	readyTimeout = 180 * time.Second
	// eventSeconds is how long the API server keeps events, by a lease in the store.
	eventSeconds = 5
)

// cluster is a store, one member or several, with an API server and a controller manager on it.
type cluster struct {
	dir       string
	store     *member.Member // the only member; nil if there are several
	endpoints []string       // the members' client addresses
	port      int
	client    *http.Client

	apiserver, manager *program
}

// program is a Kubernetes process.
type program struct {
	name   string
	args   []string
	log    string
	cmd    *exec.Cmd
	exited chan struct{}
}

func (p *program) start() error {
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	p.cmd = exec.Command(member.Tool(p.name), p.args...)
	p.cmd.Stdout, p.cmd.Stderr = log, log
	if err := member.StartTied(p.cmd); err != nil {
		return err
	}
	p.exited = make(chan struct{})
	go func() {
		p.cmd.Wait()
		close(p.exited)
	}()
	return nil
}

// end sends the signal and waits; after a minute it kills.
func (p *program) end(signal syscall.Signal) {
	if p.cmd == nil || p.cmd.Process == nil {
		return
	}
	p.cmd.Process.Signal(signal)
	select {
	case <-p.exited:
	case <-time.After(time.Minute):
		p.cmd.Process.Kill()
		<-p.exited
	}
}

// startCluster starts everything and waits until the API server is ready.
func startCluster(dir string) (*cluster, error) {
	store, err := member.Start(member.Options{Binary: member.Holdfast(), Dir: dir, Flags: []string{"--log-level=warn"}})
	if err != nil {
		return nil, err
	}
	c := &cluster{dir: dir, store: store, endpoints: []string{store.ClientAddr()}}
	if err := c.startKubernetes(); err != nil {
		c.stop()
		return nil, err
	}
	return c, nil
}

// startOn starts Kubernetes on members that run already, and outlive it.
func startOn(dir string, endpoints []string) (*cluster, error) {
	c := &cluster{dir: dir, endpoints: endpoints}
	if err := c.startKubernetes(); err != nil {
		c.stop()
		return nil, err
	}
	return c, nil
}

func (c *cluster) startKubernetes() error {
	ports, err := member.FreePorts(2)
	if err != nil {
		return err
	}
	identity, err := apiserver.WriteIdentity(c.dir, ports[0])
	if err != nil {
		return err
	}
	c.port, c.client = ports[0], identity.Client()
	c.apiserver = &program{name: "kube-apiserver", log: c.path("apiserver.log"), args: append(identity.Flags(),
		"--etcd-servers=http://"+strings.Join(c.endpoints, ",http://"),
		"--authorization-mode=AlwaysAllow",
		fmt.Sprintf("--event-ttl=%ds", eventSeconds), "--lease-reuse-duration-seconds=1",
	)}
	c.manager = &program{name: "kube-controller-manager", log: c.path("manager.log"), args: []string{
		"--kubeconfig=" + c.path(apiserver.KubeconfigFile), fmt.Sprintf("--secure-port=%d", ports[1]), "--bind-address=127.0.0.1",
		"--service-account-private-key-file=" + c.path(apiserver.AccountKeyFile), "--root-ca-file=" + c.path(apiserver.CertificateFile),
		"--cert-dir=" + c.path("manager"), "--leader-elect=true",
	}}
	if err := c.apiserver.start(); err != nil {
		return err
	}
	if err := c.waitReady(); err != nil {
		return err
	}
	return c.manager.start()
}

func (c *cluster) path(name string) string { return filepath.Join(c.dir, name) }

func (c *cluster) url(path string) string { return fmt.Sprintf("https://127.0.0.1:%d%s", c.port, path) }

func (c *cluster) waitReady() error {
	deadline := time.Now().Add(readyTimeout)
	for {
		status, _, err := c.call(http.MethodGet, "/readyz", "", nil)
		if err == nil && status == http.StatusOK {
			return nil
		}
		select {
		case <-c.apiserver.exited:
			return fmt.Errorf("kube-apiserver ended while starting; its log:\n%s", tail(c.apiserver.log))
		case <-time.After(100 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("kube-apiserver not ready within %v (%d, %v); its log:\n%s", readyTimeout, status, err, tail(c.apiserver.log))
		}
	}
}

func (c *cluster) stop() {
	for _, p := range []*program{c.manager, c.apiserver} {
		if p != nil {
			p.end(syscall.SIGKILL)
		}
	}
	if c.store != nil {
		c.store.Kill()
	}
}

// tail returns the end of a file.
func tail(path string) string {
	content, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	return string(content[max(0, len(content)-3000):])
}

// object is any Kubernetes object, as decoded JSON.
type object map[string]any

// at returns what is at a path of fields, or nil.
func (o object) at(path ...string) any {
	var current any = map[string]any(o)
	for _, name := range path {
		fields, ok := current.(map[string]any)
		if !ok {
			return nil
		}
		current = fields[name]
	}
	return current
}

func (o object) text(path ...string) string {
	text, _ := o.at(path...).(string)
	return text
}

func (o object) name() string            { return o.text("metadata", "name") }
func (o object) resourceVersion() string { return o.text("metadata", "resourceVersion") }

func (o object) items() []object {
	list, _ := o.at("items").([]any)
	items := make([]object, len(list))
	for i := range list {
		items[i] = list[i].(map[string]any)
	}
	return items
}

// request makes an HTTP request that carries the token.
func (c *cluster) request(ctx context.Context, method, path, contentType string, body any) (*http.Response, error) {
	var content io.Reader
	if body != nil {
		encoded, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		content = bytes.NewReader(encoded)
	}
	request, err := http.NewRequestWithContext(ctx, method, c.url(path), content)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Authorization", "Bearer "+apiserver.Token)
	if contentType == "" {
		contentType = "application/json"
	}
	request.Header.Set("Content-Type", contentType)
	return c.client.Do(request)
}

// call makes a request and decodes its answer, if that is JSON.
func (c *cluster) call(method, path, contentType string, body any) (int, object, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	response, err := c.request(ctx, method, path, contentType, body)
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		return response.StatusCode, nil, err
	}
	var decoded object
	json.Unmarshal(content, &decoded) // /readyz answers in plain text
	return response.StatusCode, decoded, nil
}
