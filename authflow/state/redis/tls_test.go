package redis

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/kycvs/caddy-kycvs/authflow/state/redis/redistest"
)

// certificate writes a certificate for 127.0.0.1, which signs itself and serves
// for both ends, and its key.
func certificate(t *testing.T) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "kycvs test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for path, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "PRIVATE KEY", Bytes: keyDER}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key
}

func TestTLS(t *testing.T) {
	cert, key := certificate(t)
	port := redistest.FreePort(t)
	redistest.Start(t, "--tls-port", strconv.Itoa(port), "--tls-cert-file", cert, "--tls-key-file", key, "--tls-ca-cert-file", cert, "--tls-auth-clients", "yes")
	rediss, plain := fmt.Sprintf("rediss://127.0.0.1:%d", port), fmt.Sprintf("redis://127.0.0.1:%d", port)
	for _, c := range []struct {
		name string
		cfg  Config
		want string // part of the error; "" if it answers
	}{
		{"both certificates", Config{URLs: []string{rediss}, TLS: &TLS{CAFile: cert, CertFile: cert, KeyFile: key}}, ""},
		{"tls without rediss", Config{URLs: []string{plain}, TLS: &TLS{CAFile: cert, CertFile: cert, KeyFile: key}}, ""},
		{"no certificate of ours", Config{URLs: []string{rediss}, TLS: &TLS{CAFile: cert}}, "state redis: "}, // the server's alert, or that it hung up
		{"unknown authority", Config{URLs: []string{rediss}}, "unknown authority"},
		{"another name", Config{URLs: []string{strings.Replace(rediss, "127.0.0.1", "localhost", 1)}, TLS: &TLS{CAFile: cert}}, "localhost"},
		{"no TLS", Config{URLs: []string{plain}}, "state redis: "},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := open(t, c.cfg).Ready(t.Context())
			switch {
			case c.want == "" && err != nil:
				t.Fatal(err)
			case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
				t.Fatalf("got %v, want %q in it", err, c.want)
			}
		})
	}
}
