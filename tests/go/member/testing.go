package member

import (
	"crypto/tls"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
)

// Patience bounds each wait of a test for one member; reaching it is a failure, never the expected
// way.
const Patience = 60 * time.Second

// EndWith kills the member when the test ends; the log of one that failed ends with the member's.
func (m *Member) EndWith(t testing.TB) {
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the log of %s ends:\n%s", m.Name(), m.LogTail(15))
		}
		m.Kill()
	})
}

// Connect returns an official client of the endpoints that is closed when the test ends; a nil
// config is for servers without TLS.
func Connect(t testing.TB, config *tls.Config, endpoints ...string) *clientv3.Client {
	t.Helper()
	client, err := clientv3.New(clientv3.Config{Endpoints: endpoints, TLS: config, DialTimeout: Patience, Logger: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	return client
}
