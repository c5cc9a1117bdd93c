package operator

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"
)

// identity is what an application has mounted from the cluster's client Secret.
type identity struct {
	trusted     *x509.CertPool
	certificate tls.Certificate
}

func (c cluster) readIdentity() (*identity, error) {
	text, err := tryKubectl("--namespace", c.ns, "get", "secret", "db-client", "--output", "json")
	if err != nil {
		return nil, err
	}
	var secret struct{ Data map[string]string }
	if err := json.Unmarshal([]byte(text), &secret); err != nil {
		return nil, err
	}
	value := func(key string) []byte {
		decoded, _ := base64.StdEncoding.DecodeString(secret.Data[key])
		return decoded
	}
	certificate, err := tls.X509KeyPair(value("tls.crt"), value("tls.key"))
	if err != nil {
		return nil, err
	}
	id := &identity{trusted: x509.NewCertPool(), certificate: certificate}
	if !id.trusted.AppendCertsFromPEM(value("ca.crt")) {
		return nil, errors.New("ca.crt holds no certificate")
	}
	return id, nil
}

// followIdentity is what an application that takes a changed Secret up, as it must, goes by: what the
// Secret held a second ago at most.
func (c cluster) followIdentity(t *testing.T) *atomic.Pointer[identity] {
	t.Helper()
	var now atomic.Pointer[identity]
	read := func() error {
		id, err := c.readIdentity()
		if err == nil {
			now.Store(id)
		}
		return err
	}
	within(t, patience, "the applications' Secret", read)
	stop := make(chan struct{})
	t.Cleanup(func() { close(stop) })
	go func() {
		for {
			select {
			case <-stop:
				return
			case <-time.After(time.Second):
				_ = read()
			}
		}
	}()
	return &now
}

// followedTLS is the configuration of such an application.
func (c cluster) followedTLS(t *testing.T, host string) *tls.Config {
	t.Helper()
	now := c.followIdentity(t)
	return &tls.Config{
		ServerName: host,
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			return &now.Load().certificate, nil
		},
		InsecureSkipVerify: true, // verified below, against what is trusted now
		VerifyConnection: func(state tls.ConnectionState) error {
			intermediates := x509.NewCertPool()
			for _, each := range state.PeerCertificates[1:] {
				intermediates.AddCert(each)
			}
			_, err := state.PeerCertificates[0].Verify(x509.VerifyOptions{DNSName: host, Roots: now.Load().trusted, Intermediates: intermediates})
			return err
		},
	}
}

const rotation = `
apiVersion: holdfast.dev/v1alpha1
kind: HoldfastOperation
metadata: {name: %[2]s, namespace: %[1]s}
spec: {clusterRef: {name: db}, type: RotateCertificates, rotateCertificates: {scope: %[3]s}}
`

// restarts tells which containers run, and how often each was started again.
func (c cluster) restarts() string {
	c.t.Helper()
	return c.kubectl("get", "pods", "--output", "jsonpath={range .items[*]}{.metadata.uid}={.status.containerStatuses[0].restartCount} {end}")
}

func (c cluster) isComplete(operation string) error {
	text, err := tryKubectl("--namespace", c.ns, "get", "hfo", operation, "--output", "json")
	if err != nil {
		return err
	}
	var object struct {
		Status struct {
			Message    string
			Conditions []struct{ Type, Status string }
		}
	}
	if err := json.Unmarshal([]byte(text), &object); err != nil {
		return err
	}
	for _, condition := range object.Status.Conditions {
		if condition.Type == "Complete" && condition.Status == "True" {
			return nil
		}
	}
	return fmt.Errorf("%s: %+v", operation, object.Status)
}

// TLS on both sides is the default; keys, certificates and CAs change under load, and nobody is
// turned away.
func TestASecuredClusterRotatesEverything(t *testing.T) {
	operator := startOperator(t)
	began := time.Now()
	c := declareAs(t, "secured", "")
	c.awaitReady(3)
	t.Logf("three secured members are ready %.1f s after they were declared", time.Since(began).Seconds())
	const host = "db.secured.svc"
	l := startSecuredLoad(t, "https://"+host+".cluster.local:2379", c.followedTLS(t, host))

	before := c.restarts()
	for _, scope := range []string{"Leaves", "Authority"} {
		step(t, l, "rotate "+scope, func(t *testing.T) {
			name := map[string]string{"Leaves": "leaves", "Authority": "authority"}[scope]
			apply(t, fmt.Sprintf(rotation, c.ns, name, scope))
			within(t, 2*patience, "the rotation is complete", func() error { return c.isComplete(name) })
		})
	}
	if after := c.restarts(); after != before {
		t.Errorf("members restarted to take certificates up: %s before, %s after", before, after)
	}
	step(t, l, "grow to five", func(t *testing.T) {
		c.kubectl("scale", "hfc", "db", "--replicas=5")
		c.awaitReady(5)
	})
	l.finish()
	operator.stop()
	operator = startOperator(t)
	kubectl(t, "delete", "namespace", "secured", "--timeout=120s")
	operator.stop()
}
