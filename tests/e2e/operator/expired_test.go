package operator

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

const shortLived = "  tls: {client: {duration: 2m, renewBefore: 30s}, peer: {duration: 2m, renewBefore: 30s}}\n"

// killMembers ends the processes of all members at once; their containers are started again.
func (c cluster) killMembers() {
	c.t.Helper()
	paths, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		c.t.Fatal(err)
	}
	killed := 0
	for _, path := range paths {
		line, _ := os.ReadFile(path) // it may have ended
		arguments := strings.Split(string(line), "\x00")
		ours := strings.HasSuffix(arguments[0], "holdfast") && strings.Contains(string(line), ".db-peers."+c.ns+".svc")
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		if !ours || err != nil {
			continue
		}
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			c.t.Fatal(err)
		}
		killed++
	}
	if killed != 3 {
		c.t.Fatalf("%d members ran, not 3", killed)
	}
}

// end of the certificate that a Secret holds.
func (c cluster) end(secret string) (time.Time, error) {
	block, _ := pem.Decode([]byte(c.value(secret, "tls.crt")))
	if block == nil {
		return time.Time{}, fmt.Errorf("%s holds no certificate", secret)
	}
	certificate, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return time.Time{}, err
	}
	return certificate.NotAfter, nil
}

func answer(endpoint string, secured *tls.Config, call func(context.Context, *clientv3.Client) error) error {
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{endpoint}, TLS: secured, DialTimeout: 2 * time.Second})
	if err != nil {
		return err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), callDeadline)
	defer cancel()
	return call(ctx, client)
}

// The operator was away for longer than its certificates last, and members started again meanwhile:
// nobody accepts anybody, there is no quorum, and the operator itself is turned away. It repairs that
// first, and no member is lost over it.
func TestExpiredCertificatesAreReplacedFirst(t *testing.T) {
	operator := startOperator(t)
	c := declareAs(t, "expired", shortLived)
	within(t, patience, "the cluster is ready", func() error { return c.isReady(3) })
	const host = "db.expired.svc"
	secured := c.followedTLS(t, host)
	endpoint := "https://" + host + ":2379"
	if err := answer(endpoint, secured, func(ctx context.Context, client *clientv3.Client) error {
		_, err := client.Put(ctx, "kept", "through it all")
		return err
	}); err != nil {
		t.Fatal(err)
	}
	operator.kill()
	last := time.Time{}
	for name := range c.leaves() {
		end, err := c.end(name)
		if err != nil {
			t.Fatal(err)
		}
		if end.After(last) {
			last = end
		}
	}
	within(t, patience, "every certificate has expired", func() error {
		if time.Now().Before(last.Add(time.Second)) {
			return fmt.Errorf("the last one ends at %v", last)
		}
		return nil
	})
	pods := c.kubectl("get", "pods", "--output", "jsonpath={.items[*].metadata.uid}")
	c.killMembers()
	get := func(ctx context.Context, client *clientv3.Client) error {
		response, err := client.Get(ctx, "kept")
		if err == nil && (len(response.Kvs) != 1 || string(response.Kvs[0].Value) != "through it all") {
			err = fmt.Errorf("kept is %v", response.Kvs)
		}
		return err
	}
	if err := answer(endpoint, secured, get); err == nil {
		t.Error("a member answers with an expired certificate")
	}

	operator = startOperator(t)
	began := time.Now()
	within(t, patience, "the cluster answers again", func() error {
		return errors.Join(answer(endpoint, secured, get), c.isReady(3))
	})
	t.Logf("repaired %.1f s after the operator came back", time.Since(began).Seconds())
	if now := c.kubectl("get", "pods", "--output", "jsonpath={.items[*].metadata.uid}"); now != pods {
		t.Errorf("Pods were made anew: %s before, %s after", pods, now)
	}
	operator.stop()
	operator = startOperator(t)
	c.kubectl("delete", "hfc", "db", "--timeout=60s")
	operator.stop()
	kubectl(t, "delete", "namespace", c.ns, "--timeout=90s")
}
