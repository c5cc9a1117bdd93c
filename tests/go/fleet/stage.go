package fleet

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"time"

	"holdfast/tests/go/apiserver"
	"holdfast/tests/go/member"
)

// Stage is a real API server with the resources defined, and a Fleet with its Kubelet under it.
type Stage struct {
	*apiserver.Server
	*Fleet
	Kubelet *Kubelet
	end     context.CancelFunc
}

// Raise starts one in dir; prepare, unless nil, is called before the Kubelet runs.
func Raise(dir string, prepare func(*Kubelet)) (*Stage, error) {
	server, err := apiserver.Start(dir)
	if err != nil {
		return nil, err
	}
	ctx, end := context.WithCancel(context.Background())
	stage := &Stage{Server: server, end: end}
	if err := stage.furnish(ctx, prepare); err != nil {
		stage.Stop()
		return nil, err
	}
	return stage, nil
}

func (s *Stage) furnish(ctx context.Context, prepare func(*Kubelet)) error {
	crds := filepath.Join(member.Root(), "crds")
	if out, err := s.Kubectl("", "apply", "--server-side", "--filename", crds); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	if out, err := s.Kubectl("", "wait", "--for=condition=Established", "--timeout=60s", "--filename", crds); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	page, err := Get("http://" + s.StoreAddr() + "/metrics")
	if err != nil {
		return err
	}
	s.Fleet = New([]byte(page))
	if err := s.Serve(ctx); err != nil {
		return err
	}
	if s.Kubelet, err = NewKubelet(s.Fleet, s.Kubeconfig()); err != nil {
		return err
	}
	if prepare != nil {
		prepare(s.Kubelet)
	}
	return s.Kubelet.Run(ctx)
}

// Stop ends everything.
func (s *Stage) Stop() {
	s.end()
	s.Server.Stop()
}

// Declare creates a cluster of three without TLS, or with it.
func (s *Stage) Declare(ns, name string, tls bool) error {
	side := map[string]any{"enabled": tls}
	cluster := map[string]any{"apiVersion": "holdfast.dev/v1alpha1", "kind": "HoldfastCluster",
		"metadata": map[string]any{"name": name},
		"spec": map[string]any{"replicas": 3, "storage": map[string]any{"size": "1Gi"},
			"tls": map[string]any{"client": side, "peer": side}}}
	answer, err := s.Call(http.MethodPost, "/apis/holdfast.dev/v1alpha1/namespaces/"+ns+"/holdfastclusters", "application/json", cluster)
	if err == nil && answer.Status != http.StatusCreated {
		err = fmt.Errorf("creating %s: %d %s", name, answer.Status, answer.Body)
	}
	return err
}

// Ready counts the clusters whose condition Ready is true.
func (s *Stage) Ready() (int, error) {
	answer, err := s.Call(http.MethodGet, "/apis/holdfast.dev/v1alpha1/holdfastclusters", "", nil)
	if err != nil {
		return 0, err
	}
	ready := 0
	items, _ := answer.Object()["items"].([]any)
	for _, item := range items {
		status, _ := item.(map[string]any)["status"].(map[string]any)
		conditions, _ := status["conditions"].([]any)
		for _, each := range conditions {
			condition, _ := each.(map[string]any)
			if condition["type"] == "Ready" && condition["status"] == "True" {
				ready++
			}
		}
	}
	return ready, nil
}

// AwaitReady waits until so many clusters are Ready.
func (s *Stage) AwaitReady(wanted int, limit time.Duration) error {
	for deadline := time.Now().Add(limit); ; time.Sleep(50 * time.Millisecond) {
		ready, err := s.Ready()
		if err == nil && ready >= wanted {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%d of %d clusters are Ready after %v (%v)", ready, wanted, limit, err)
		}
	}
}

// Get returns a page's text.
func Get(url string) (string, error) {
	client := http.Client{Timeout: 10 * time.Second}
	response, err := client.Get(url)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %d %s", url, response.StatusCode, strings.TrimSpace(string(body)))
	}
	return string(body), err
}
