package apiserver

import (
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
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"
)

const (
	// Token is the only user's, who may do everything.
	Token = "e2e-token"
	// KubeconfigFile is that user's kubeconfig, within an Identity's folder.
	KubeconfigFile = "kubeconfig"
	// CertificateFile is the server's certificate, which is its own authority.
	CertificateFile = "tls.crt"
	// AccountKeyFile holds the key that service accounts' tokens are signed with.
	AccountKeyFile = "sa.key"
)

// Identity is what an API server on 127.0.0.1 and its only user know each other by: files in a folder.
type Identity struct {
	dir  string
	port int
	pool *x509.CertPool
}

// WriteIdentity makes the server's self-signed certificate, the key of service accounts' tokens, the
// user's token and the kubeconfig.
func WriteIdentity(dir string, port int) (*Identity, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "e2e"}, IsCA: true, BasicConstraintsValid: true,
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
	i := &Identity{dir: dir, port: port, pool: x509.NewCertPool()}
	i.pool.AppendCertsFromPEM(certificate)
	kubeconfig, err := i.kubeconfig()
	if err != nil {
		return nil, err
	}
	for name, content := range map[string][]byte{
		CertificateFile: certificate,
		"tls.key":       pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: keyDER}),
		AccountKeyFile:  pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(accounts)}),
		"tokens.csv":    []byte(Token + ",e2e,e2e,system:masters\n"),
		KubeconfigFile:  kubeconfig,
	} {
		if err := os.WriteFile(i.path(name), content, 0o600); err != nil {
			return nil, err
		}
	}
	return i, nil
}

// Flags are those of a kube-apiserver that has this identity.
func (i *Identity) Flags() []string {
	return []string{
		"--bind-address=127.0.0.1", "--advertise-address=127.0.0.1", fmt.Sprintf("--secure-port=%d", i.port),
		"--tls-cert-file=" + i.path(CertificateFile), "--tls-private-key-file=" + i.path("tls.key"),
		"--token-auth-file=" + i.path("tokens.csv"),
		"--service-account-issuer=https://kubernetes.default.svc", "--service-cluster-ip-range=10.96.0.0/16",
		"--service-account-signing-key-file=" + i.path(AccountKeyFile), "--service-account-key-file=" + i.path(AccountKeyFile),
	}
}

// Client trusts the server; requests must carry the Token.
func (i *Identity) Client() *http.Client {
	return &http.Client{Transport: &http.Transport{
		TLSClientConfig:     &tls.Config{RootCAs: i.pool},
		MaxIdleConnsPerHost: 64,
		ForceAttemptHTTP2:   true,
	}}
}

func (i *Identity) path(name string) string { return filepath.Join(i.dir, name) }

func (i *Identity) kubeconfig() ([]byte, error) {
	server := fmt.Sprintf("https://127.0.0.1:%d", i.port)
	return json.Marshal(map[string]any{ // JSON is YAML
		"apiVersion": "v1", "kind": "Config", "current-context": "e2e",
		"clusters": []any{map[string]any{"name": "e2e", "cluster": map[string]any{"server": server, "certificate-authority": i.path(CertificateFile)}}},
		"users":    []any{map[string]any{"name": "e2e", "user": map[string]any{"token": Token}}},
		"contexts": []any{map[string]any{"name": "e2e", "context": map[string]any{"cluster": "e2e", "user": "e2e"}}},
	})
}
