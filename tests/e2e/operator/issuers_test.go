package operator

import (
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"holdfast/tests/go/authority"
	"holdfast/tests/go/history"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// A change of a CA gives applications two minutes, twice on the clients' side.
const phasesPatience = 8 * time.Minute

// A chain as its documentation has it: an issuer that signs itself makes a CA, a CA issuer signs with it.
const ownIssuer = `
apiVersion: cert-manager.io/v1
kind: Issuer
metadata: {name: itself, namespace: %[1]s}
spec: {selfSigned: {}}
---
apiVersion: cert-manager.io/v1
kind: Certificate
metadata: {name: %[2]s, namespace: %[1]s}
spec:
  isCA: true
  commonName: %[2]s
  secretName: %[2]s
  privateKey: {algorithm: ECDSA, size: 256}
  issuerRef: {name: itself, kind: Issuer}
---
apiVersion: cert-manager.io/v1
kind: Issuer
metadata: {name: own, namespace: %[1]s}
spec: {ca: {secretName: %[2]s}}
`

func fromCertManager() string {
	side := "{issuer: CertManager, issuerRef: {name: own}}"
	return fmt.Sprintf("  tls: {client: %s, peer: %s}\n", side, side)
}

func startCertManager(t *testing.T) {
	t.Helper()
	kubectl(t, "apply", "--server-side", "--filename", os.Getenv("CERT_MANAGER_CRDS"))
	log, err := os.OpenFile(os.Getenv("OPERATOR_LOG")+".cert-manager", os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	within(t, patience, "the API server serves Certificates", func() error {
		_, err := tryKubectl("get", "certificates.cert-manager.io,issuers.cert-manager.io", "--all-namespaces")
		return err
	})
	manager := exec.Command("cert-manager", "--kubeconfig", os.Getenv("KUBECONFIG"))
	manager.Stdout, manager.Stderr = log, log
	manager.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := manager.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = manager.Process.Kill()
		_ = manager.Wait()
		_, _ = tryKubectl("delete", "--ignore-not-found", "--filename", os.Getenv("CERT_MANAGER_CRDS"))
	})
}

func (c cluster) condition(kind string) (status, reason, message string) {
	object, err := c.get()
	if err != nil {
		return "", "", err.Error()
	}
	for _, each := range object.Status.Conditions {
		if each.Type == kind {
			return each.Status, each.Reason, each.Message
		}
	}
	return "", "", ""
}

// isSettled returns an error until every certificate is as declared and in use.
func (c cluster) isSettled() error {
	if err := c.isReady(3); err != nil {
		return err
	}
	if status, reason, message := c.condition("TLSReady"); status != "True" {
		return fmt.Errorf("%s: %s", reason, message)
	}
	return nil
}

// value is what a Secret holds.
func (c cluster) value(secret, key string) string {
	text, err := tryKubectl("--namespace", c.ns, "get", "secret", secret, "--output", "json")
	if err != nil {
		return ""
	}
	var object struct{ Data map[string]string }
	if json.Unmarshal([]byte(text), &object) != nil {
		return ""
	}
	decoded, _ := base64.StdEncoding.DecodeString(object.Data[key])
	return string(decoded)
}

// leaves of all holders, as they are in use.
func (c cluster) leaves() map[string]string {
	all := map[string]string{}
	for _, name := range []string{"db-operator", "db-client", "db-0-server-tls", "db-1-server-tls", "db-2-server-tls", "db-0-peer-tls", "db-1-peer-tls", "db-2-peer-tls"} {
		all[name] = c.value(name, "tls.crt")
	}
	return all
}

// hasRenewed returns an error until every holder uses another leaf than before.
func (c cluster) hasRenewed(before map[string]string) error {
	for name, leaf := range c.leaves() {
		if leaf == before[name] || leaf == "" {
			return fmt.Errorf("%s has its old certificate", name)
		}
	}
	return c.isSettled()
}

// trusts is the CAs of the peers, as members have mounted them.
func (c cluster) trusts() string {
	text, _ := tryKubectl("--namespace", c.ns, "get", "configmap", "db-trust", "--output", `jsonpath={.data.peer-ca\.crt}`)
	return text
}

// renewAll asks cert-manager for new certificates, as `cmctl renew` does.
func (c cluster) renewAll() {
	c.t.Helper()
	text := c.kubectl("get", "certificates.cert-manager.io", "--selector", "holdfast.dev/cluster=db", "--output", "json")
	var list struct{ Items []map[string]any }
	if err := json.Unmarshal([]byte(text), &list); err != nil {
		c.t.Fatal(err)
	}
	for _, each := range list.Items {
		status, _ := each["status"].(map[string]any)
		conditions, _ := status["conditions"].([]any)
		status["conditions"] = append(conditions, map[string]any{
			"type": "Issuing", "status": "True", "reason": "ManuallyTriggered", "message": "by the test",
			"lastTransitionTime": time.Now().UTC().Format(time.RFC3339),
		})
		name, _ := each["metadata"].(map[string]any)["name"].(string)
		patch, err := json.Marshal(map[string]any{"status": status})
		if err != nil {
			c.t.Fatal(err)
		}
		c.kubectl("patch", "certificates.cert-manager.io", name, "--subresource=status", "--type=merge", "--patch", string(patch))
	}
}

func (c cluster) putSecret(name string, ca *authority.Authority, who authority.Identity) {
	c.t.Helper()
	data := map[string][]byte{"ca.crt": ca.PEM, "tls.crt": who.Cert, "tls.key": who.Key}
	object, err := json.Marshal(map[string]any{
		"apiVersion": "v1", "kind": "Secret", "metadata": map[string]string{"name": name, "namespace": c.ns}, "data": data,
	})
	if err != nil {
		c.t.Fatal(err)
	}
	apply(c.t, string(object))
}

// caller writes with a connection of its own each time, as a command does: none may fail.
type caller struct {
	load   *load
	stop   chan struct{}
	ended  sync.WaitGroup
	writes int
}

func startCaller(l *load, endpoint string, secured *tls.Config) *caller {
	c := &caller{load: l, stop: make(chan struct{})}
	c.ended.Go(func() {
		for ; ; c.writes++ {
			select {
			case <-c.stop:
				return
			case <-time.After(50 * time.Millisecond):
			}
			if err := c.call(endpoint, secured); err != nil {
				l.t.Errorf("a write over a new connection failed: %v", err)
			}
		}
	})
	return c
}

func (c *caller) call(endpoint string, secured *tls.Config) error {
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{endpoint}, TLS: secured, DialTimeout: callDeadline})
	if err != nil {
		return err
	}
	defer client.Close()
	return c.load.call(client, &history.Operation{
		Client: clients, Keys: []string{"register/caller"}, Kind: history.Write, Value: fmt.Sprintf("caller-%d", c.writes),
	})
}

func (c *caller) finish() {
	close(c.stop)
	c.ended.Wait()
	c.load.t.Logf("%d writes, each over a connection of its own", c.writes)
}

// Before cert-manager is there a cluster says what it waits for; then it comes up, and each of its
// certificates is renewed under load.
func TestCertManagerIssues(t *testing.T) {
	operator := startOperator(t)
	c := declareAs(t, "managed", fromCertManager())
	within(t, patience, "the condition says what is missing", func() error {
		status, reason, message := c.condition("TLSReady")
		if status != "False" || reason != "IssuerNotReady" || !strings.Contains(message, "cert-manager is not installed") {
			return fmt.Errorf("TLSReady is %s, %s: %s", status, reason, message)
		}
		events := c.kubectl("get", "events.events.k8s.io", "--output", "jsonpath={.items[*].reason}")
		if !strings.Contains(events, "IssuerNotReady") {
			return fmt.Errorf("events: %s", events)
		}
		return nil
	})
	startCertManager(t)
	apply(t, fmt.Sprintf(ownIssuer, c.ns, "ca-first"))
	within(t, patience, "the cluster is ready", c.isSettled)
	const host = "db.managed.svc"
	secured := c.followedTLS(t, host)
	l := startSecuredLoad(t, "https://"+host+".cluster.local:2379", secured)
	writer := startCaller(l, "https://"+host+":2379", secured)

	containers := c.restarts()
	step(t, l, "cert-manager renews", func(t *testing.T) {
		before := c.leaves()
		c.renewAll()
		within(t, patience, "every certificate is new", func() error { return c.hasRenewed(before) })
	})
	if now := c.restarts(); now != containers {
		t.Errorf("members restarted: %s before, %s after", containers, now)
	}
	writer.finish()
	l.finish()
	operator.stop()
	operator = startOperator(t)
	c.kubectl("delete", "hfc", "db", "--timeout=60s")
	within(t, patience, "nothing of it is left at cert-manager", func() error {
		left := c.kubectl("get", "certificates.cert-manager.io,secrets", "--selector", "holdfast.dev/cluster=db", "--output", "name")
		if left != "" {
			return fmt.Errorf("%s", left)
		}
		return nil
	})
	operator.stop()
	kubectl(t, "delete", "namespace", c.ns, "--timeout=90s")
}

// The issuers' CAs change, and the issuers: everyone trusts old and new before anyone shows the new.
func TestIssuersChange(t *testing.T) {
	operator := startOperator(t)
	startCertManager(t)
	c := declareAs(t, "issuers", "")
	c.awaitReady(3)
	const host = "db.issuers.svc"
	secured := c.followedTLS(t, host)
	l := startSecuredLoad(t, "https://"+host+".cluster.local:2379", secured)
	writer := startCaller(l, "https://"+host+":2379", secured)
	containers := c.restarts()

	change := func(name string, do func()) {
		t.Helper()
		step(t, l, name, func(t *testing.T) {
			before, trusted := c.leaves(), c.trusts()
			do()
			within(t, phasesPatience, "every certificate is of the new CA", func() error {
				if c.trusts() == trusted {
					return fmt.Errorf("the peers trust the old CA")
				}
				return c.hasRenewed(before)
			})
			if now := c.trusts(); strings.Count(now, "BEGIN") != 1 {
				t.Errorf("the peers trust more than one CA: %s", now)
			}
			if now := c.restarts(); now != containers {
				t.Errorf("members restarted: %s before, %s after", containers, now)
			}
		})
	}
	patch := func(side string) func() {
		return func() {
			c.kubectl("patch", "hfc", "db", "--type=json", "--patch", fmt.Sprintf(
				`[{"op":"replace","path":"/spec/tls/client","value":%[1]s},{"op":"replace","path":"/spec/tls/peer","value":%[1]s}]`, side))
		}
	}
	apply(t, fmt.Sprintf(ownIssuer, c.ns, "ca-first"))
	change("Builtin to CertManager", patch(`{"issuer":"CertManager","issuerRef":{"name":"own"}}`))
	change("cert-manager's CA changes", func() {
		apply(t, fmt.Sprintf(ownIssuer, c.ns, "ca-second"))
		within(t, patience, "the new CA", func() error {
			if c.value("ca-second", "tls.crt") == "" {
				return fmt.Errorf("ca-second is not issued")
			}
			return nil
		})
		c.renewAll()
	})
	change("CertManager to Secret", func() {
		mine := authority.New(t, "mine")
		c.putSecret("mine", mine, mine.Issue("db", authority.For("*.db-peers.issuers.svc", "db.issuers.svc", "localhost")))
		patch(`{"issuer":"Secret","secretRef":{"name":"mine"}}`)()
	})
	change("Secret to Builtin", patch(`{"issuer":"Builtin"}`))
	writer.finish()
	l.finish()
	left := c.kubectl("get", "certificates.cert-manager.io", "--selector", "holdfast.dev/cluster=db", "--output", "name")
	if left != "" {
		t.Errorf("cert-manager still has %s", left)
	}
	c.kubectl("delete", "hfc", "db", "--timeout=60s")
	operator.stop()
	kubectl(t, "delete", "namespace", c.ns, "--timeout=90s")
}
