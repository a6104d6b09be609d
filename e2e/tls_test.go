package e2e

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// certificate writes a self-signed pair for localhost and returns who trusts it.
func certificate(t *testing.T, dir string) *x509.CertPool {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{"localhost"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(100 * 24 * time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	write := func(name, kind string, bytes []byte) {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: bytes}), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("site.pem", "CERTIFICATE", der)
	write("site.key", "PRIVATE KEY", pkcs8)
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	return pool
}

// TestHTTPSAndHTTP2FromFiles reaches the app over TLS with both protocols, across a flip, on kept connections.
func TestHTTPSAndHTTP2FromFiles(t *testing.T) {
	blue, green := startApp(t, "v1", "127.0.0.1:0"), startApp(t, "v2", "127.0.0.1:0")
	s := newSluice(t, "")
	roots := certificate(t, s.dir)
	secure := freePort(t)
	text := fmt.Sprintf("listen: [http://%s, https://%s]\nadmin: unix://%s\nstate: %s\naccess_log: \"off\"\n"+
		"tls: {certificates: [{cert: site.pem, key: site.key}]}\n%s",
		s.listen, secure, s.socket(), s.stateDir(), twoPools(blue.address, green.address))
	if err := os.WriteFile(s.configFile(), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s.start().awaitRelease("v1")
	for name, h2 := range map[string]bool{"HTTP/1.1": false, "HTTP/2.0": true} {
		tr := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, ServerName: "localhost"}, Protocols: new(http.Protocols)}
		tr.Protocols.SetHTTP1(!h2)
		tr.Protocols.SetHTTP2(h2)
		client := &http.Client{Transport: tr, Timeout: 10 * time.Second}
		for _, pool := range []string{"green", "blue"} {
			s.must("flip", "web", pool)
			res, err := client.Get("https://" + secure + "/bytes/100000?seed=1")
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(res.Body)
			res.Body.Close()
			want := map[string]string{"green": "v2", "blue": "v1"}[pool]
			if err != nil || res.Proto != name || len(body) != 100000 || res.Header.Get("X-Release") != want {
				t.Errorf("%s after the flip to %s: %s, %d bytes of %s, %v", name, pool, res.Proto, len(body), res.Header.Get("X-Release"), err)
			}
		}
		tr.CloseIdleConnections()
	}
}
