package tls

import (
	"crypto/tls"
	"crypto/x509"
	"os"
	"path/filepath"
	"testing"

	"holdfast/tests/go/authority"
)

// loopbackAuthority is a CA whose certificates are for members and clients of this machine.
type loopbackAuthority struct{ *authority.Authority }

func newAuthority(t *testing.T, name string) *loopbackAuthority {
	t.Helper()
	return &loopbackAuthority{authority.New(t, name)}
}

// issue makes a certificate for loopback, good for both sides, unless change says otherwise.
func (a *loopbackAuthority) issue(name string, change ...func(*x509.Certificate)) authority.Identity {
	return a.Issue(name, append([]func(*x509.Certificate){authority.For("localhost"), authority.At("127.0.0.1")}, change...)...)
}

// client is how a program with this identity speaks to servers that the authorities vouch for.
func client(t *testing.T, shown authority.Identity, trusted ...*loopbackAuthority) *tls.Config {
	t.Helper()
	config := &tls.Config{RootCAs: x509.NewCertPool()}
	for _, each := range trusted {
		config.RootCAs.AddCert(each.Certificate())
	}
	if shown.Cert != nil {
		pair, err := tls.X509KeyPair(shown.Cert, shown.Key)
		if err != nil {
			t.Fatal(err)
		}
		// Shown whatever CAs the server names: a wrong one is to be refused by the server.
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
	}
	return config
}

// folder holds a member's certificate files.
type folder struct {
	t    *testing.T
	path string
}

func (f folder) file(name string) string { return filepath.Join(f.path, name) }

// write replaces a file's content by renaming, as those do who rotate certificates well.
func (f folder) write(name string, content []byte) {
	f.t.Helper()
	if err := os.WriteFile(f.file(name+".new"), content, 0o600); err != nil {
		f.t.Fatal(err)
	}
	if err := os.Rename(f.file(name+".new"), f.file(name)); err != nil {
		f.t.Fatal(err)
	}
}

// show writes NAME.crt and NAME.key.
func (f folder) show(name string, what authority.Identity) {
	f.write(name+".crt", what.Cert)
	f.write(name+".key", what.Key)
}
