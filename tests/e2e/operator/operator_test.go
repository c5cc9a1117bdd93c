// Package operator holds holdfast-operator to its promises on a real Kubernetes. It runs in a node's
// namespaces (see run), where Pods and Services are reached as Pods reach them.
package operator

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// patience bounds every wait for the operator.
const patience = 4 * time.Minute

// worstGap is far more than a planned change may cost; what it did cost is printed.
const worstGap = 10 * time.Second

func within(t *testing.T, limit time.Duration, what string, check func() error) {
	t.Helper()
	deadline := time.Now().Add(limit)
	for {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within %v: %v", what, limit, err)
		}
		time.Sleep(200 * time.Millisecond)
	}
}

func kubectl(t *testing.T, arguments ...string) string {
	t.Helper()
	out, err := tryKubectl(arguments...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func tryKubectl(arguments ...string) (string, error) {
	var stdout, stderr bytes.Buffer
	command := exec.Command("kubectl", arguments...)
	command.Stdout, command.Stderr = &stdout, &stderr
	if err := command.Run(); err != nil {
		return "", fmt.Errorf("kubectl %s: %w: %s", strings.Join(arguments, " "), err, stderr.String())
	}
	return stdout.String(), nil
}

func apply(t *testing.T, manifest string) {
	t.Helper()
	command := exec.Command("kubectl", "apply", "--filename", "-")
	command.Stdin = strings.NewReader(manifest)
	if out, err := command.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}

// --- the operator ---------------------------------------------------------------------------------

type process struct {
	t       *testing.T
	command *exec.Cmd
}

func startOperator(t *testing.T) *process {
	t.Helper()
	return startOperatorWith(t)
}

// startOperatorWith starts it with so much more in its environment.
func startOperatorWith(t *testing.T, environment ...string) *process {
	t.Helper()
	log, err := os.OpenFile(os.Getenv("OPERATOR_LOG"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	command := exec.Command(os.Getenv("HOLDFAST_OPERATOR_BIN"), "--listen=127.0.0.1:18080")
	command.Stdout, command.Stderr = log, log
	command.Env = append(os.Environ(), environment...)
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	p := &process{t, command}
	t.Cleanup(p.kill)
	return p
}

func (p *process) kill() {
	if p.command.ProcessState == nil {
		_ = p.command.Process.Kill()
		_ = p.command.Wait()
	}
}

// stop expects a clean end.
func (p *process) stop() {
	p.t.Helper()
	_ = p.command.Process.Signal(syscall.SIGTERM)
	ended := make(chan error, 1)
	go func() { ended <- p.command.Wait() }()
	select {
	case err := <-ended:
		if err != nil {
			p.t.Errorf("the operator ended badly: %v", err)
		}
	case <-time.After(time.Minute):
		p.t.Error("the operator did not end within a minute")
		_ = p.command.Process.Kill()
	}
}

// --- a cluster ------------------------------------------------------------------------------------

const manifest = `
apiVersion: v1
kind: Namespace
metadata:
  name: %[1]s
  labels: {pod-security.kubernetes.io/enforce: restricted}
---
apiVersion: holdfast.dev/v1alpha1
kind: HoldfastCluster
metadata: {name: db, namespace: %[1]s}
spec:
  replicas: 3
  storage: {size: 1Gi}
%[2]s`

const plain = "  tls: {client: {enabled: false}, peer: {enabled: false}}\n"

type cluster struct {
	t  *testing.T
	ns string
}

type clusterObject struct {
	Metadata struct{ Generation int64 }
	Status   struct {
		ObservedGeneration int64
		ReadyReplicas      int
		Replicas           int
		Leader             string
		ClusterID          string
		Operation          *struct{ Type, Member string }
		Conditions         []struct{ Type, Status, Reason, Message string }
		Members            []struct{ Name, Role string }
	}
}

// declareAs declares a cluster with so much more in its spec.
func declareAs(t *testing.T, ns, more string) cluster {
	t.Helper()
	apply(t, fmt.Sprintf(manifest, ns, more))
	c := cluster{t, ns}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(c.describe())
		}
	})
	return c
}

func (c cluster) kubectl(arguments ...string) string {
	c.t.Helper()
	return kubectl(c.t, append([]string{"--namespace", c.ns}, arguments...)...)
}

// describe tells how the cluster stands, and how its members' logs end: of those that were restarted, the
// log of the container before.
func (c cluster) describe() string {
	out, _ := tryKubectl("--namespace", c.ns, "get", "hfc,pods,pvc", "--output", "wide")
	pods, _ := tryKubectl("--namespace", c.ns, "get", "pods", "--output", "name")
	for _, pod := range strings.Fields(pods) {
		log, err := tryKubectl("--namespace", c.ns, "logs", pod, "--tail=15", "--previous")
		if err != nil {
			log, _ = tryKubectl("--namespace", c.ns, "logs", pod, "--tail=15")
		}
		out += fmt.Sprintf("--- %s ends with\n%s\n", pod, log)
	}
	return out
}

func (c cluster) get() (object clusterObject, err error) {
	text, err := tryKubectl("--namespace", c.ns, "get", "hfc", "db", "--output", "json")
	if err != nil {
		return object, err
	}
	return object, json.Unmarshal([]byte(text), &object)
}

// isReady returns an error until the cluster has so many voters, all taking part, and nothing is
// under way.
func (c cluster) isReady(replicas int) error {
	object, err := c.get()
	if err != nil {
		return err
	}
	status := object.Status
	if status.ObservedGeneration != object.Metadata.Generation {
		return fmt.Errorf("generation %d of %d was seen", status.ObservedGeneration, object.Metadata.Generation)
	}
	for _, condition := range status.Conditions {
		if condition.Type == "Ready" && condition.Status != "True" {
			return fmt.Errorf("%s: %s", condition.Reason, condition.Message)
		}
		if condition.Type == "Progressing" && condition.Status != "False" {
			return fmt.Errorf("%s: %s", condition.Reason, condition.Message)
		}
	}
	if status.Replicas != replicas || status.ReadyReplicas != replicas {
		return fmt.Errorf("%d of %d members, not %d", status.ReadyReplicas, status.Replicas, replicas)
	}
	return nil
}

func (c cluster) awaitReady(replicas int) {
	c.t.Helper()
	within(c.t, patience, fmt.Sprintf("%d members are ready", replicas), func() error { return c.isReady(replicas) })
}

func (c cluster) pods() []string {
	c.t.Helper()
	return strings.Fields(c.kubectl("get", "pods", "--output", "jsonpath={.items[*].metadata.name}"))
}

func (c cluster) podUID(pod string) string {
	uid, _ := tryKubectl("--namespace", c.ns, "get", "pod", pod, "--output", "jsonpath={.metadata.uid}")
	return uid
}

func (c cluster) leader() string {
	c.t.Helper()
	object, err := c.get()
	if err != nil {
		c.t.Fatal(err)
	}
	return object.Status.Leader
}

// --- the tests ------------------------------------------------------------------------------------

// step runs one change under load and tells what it cost.
func step(t *testing.T, l *load, name string, change func(t *testing.T)) {
	t.Helper()
	if t.Failed() {
		return
	}
	began := time.Now()
	t.Run(name, change)
	gap := l.longestGap(began)
	t.Logf("%-28s %6.1f s, longest without a write %d ms", name, time.Since(began).Seconds(), gap.Milliseconds())
	if gap > worstGap {
		t.Errorf("%s: no write for %v", name, gap)
	}
}

func TestLifeOfACluster(t *testing.T) {
	life := t // outlives the steps
	operator := startOperator(life)
	began := time.Now()
	c := declareAs(t, "life", plain)
	c.awaitReady(3)
	t.Logf("three members are ready %.1f s after they were declared", time.Since(began).Seconds())
	l := startLoad(t, "http://db.life.svc.cluster.local:2379")

	for _, which := range []string{"a follower", "the leader"} {
		step(t, l, "kill "+which, func(t *testing.T) {
			victim := c.leader()
			if which == "a follower" {
				for _, pod := range c.pods() {
					if pod != victim {
						victim = pod
						break
					}
				}
			}
			before := c.podUID(victim)
			c.kubectl("delete", "pod", victim, "--grace-period=0", "--force", "--wait=false")
			within(t, patience, "another Pod in its place", func() error {
				if uid := c.podUID(victim); uid == "" || uid == before {
					return fmt.Errorf("%s is not there yet", victim)
				}
				return c.isReady(3)
			})
		})
	}
	step(t, l, "grow to five", func(t *testing.T) {
		c.kubectl("scale", "hfc", "db", "--replicas=5")
		c.awaitReady(5)
	})
	step(t, l, "shrink to three", func(t *testing.T) {
		c.kubectl("scale", "hfc", "db", "--replicas=3")
		c.awaitReady(3)
		within(t, patience, "three Pods and three claims", func() error {
			claims := strings.Fields(c.kubectl("get", "pvc", "--output", "name"))
			if pods := c.pods(); len(pods) != 3 || len(claims) != 3 {
				return fmt.Errorf("%v, %v", pods, claims)
			}
			return nil
		})
	})
	step(t, l, "restart one after the other", func(t *testing.T) {
		before := map[string]string{}
		for _, pod := range c.pods() {
			before[pod] = c.podUID(pod)
		}
		c.kubectl("patch", "hfc", "db", "--type=merge", "--patch", `{"spec":{"options":{"snapshotCount":20000}}}`)
		within(t, patience, "every Pod is new", func() error {
			for pod, uid := range before {
				if now := c.podUID(pod); now == "" || now == uid {
					return fmt.Errorf("%s is the old one", pod)
				}
			}
			return c.isReady(3)
		})
	})
	step(t, l, "grow, the operator killed", func(t *testing.T) {
		c.kubectl("scale", "hfc", "db", "--replicas=5")
		for kills := 0; kills < 5; kills++ {
			within(t, patience, "something is under way", func() error {
				object, err := c.get()
				if err == nil && object.Status.Operation == nil && c.isReady(5) != nil {
					err = fmt.Errorf("nothing is under way")
				}
				return err
			})
			operator.kill()
			operator = startOperator(life)
		}
		c.awaitReady(5)
	})
	l.finish()
	t.Run("delete", func(t *testing.T) {
		c.kubectl("delete", "hfc", "db", "--timeout=60s")
		within(t, patience, "no Pod is left", func() error {
			if pods := c.pods(); len(pods) > 0 {
				return fmt.Errorf("%v", pods)
			}
			return nil
		})
		if claims := strings.Fields(c.kubectl("get", "pvc", "--output", "name")); len(claims) != 5 {
			t.Errorf("retention is Retain, and these are left of five: %v", claims)
		}
	})
	operator.stop()
	kubectl(t, "delete", "namespace", "life", "--timeout=90s")
}
