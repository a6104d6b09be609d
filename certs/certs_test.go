package certs

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// cert is a certificate to be made for a test.
type cert struct {
	name       string // of the files
	common     string
	dns        []string
	ips        []net.IP
	rsa        bool
	begin, end time.Duration // from now; zero: an hour ago, a year from now
	ocsp       string
}

var rsaKey = sync.OnceValue(func() crypto.Signer {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
})

// makeCert writes a self-signed certificate and its key into dir.
func makeCert(t *testing.T, dir string, c cert) Files {
	t.Helper()
	var key crypto.Signer = rsaKey()
	if !c.rsa {
		var err error
		if key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
			t.Fatal(err)
		}
	}
	if c.begin == 0 {
		c.begin = -time.Hour
	}
	if c.end == 0 {
		c.end = 365 * 24 * time.Hour
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: c.common},
		DNSNames: c.dns, IPAddresses: c.ips,
		NotBefore: time.Now().Add(c.begin), NotAfter: time.Now().Add(c.end),
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, IsCA: true, BasicConstraintsValid: true,
	}
	if c.ocsp != "" {
		template.OCSPServer = []string{c.ocsp}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	f := Files{Cert: filepath.Join(dir, c.name+".pem"), Key: filepath.Join(dir, c.name+".key")}
	writePEM(t, f.Cert, "CERTIFICATE", der)
	writePEM(t, f.Key, "PRIVATE KEY", pkcs8)
	return f
}

func writePEM(t *testing.T, path, kind string, der []byte) {
	t.Helper()
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
}

func newStore(t *testing.T, files ...Files) *Store {
	t.Helper()
	s, err := New(t.Context(), files)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// handshake connects to a server with conf over loopback and returns the client's view.
func handshake(t *testing.T, conf *tls.Config, client *tls.Config) (tls.ConnectionState, error) {
	t.Helper()
	listener, err := tls.Listen("tcp", "127.0.0.1:0", conf)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		conn, err := listener.Accept()
		if err == nil {
			conn.(*tls.Conn).Handshake()
			conn.Close()
		}
	}()
	defer func() { listener.Close(); <-done }()
	client.InsecureSkipVerify = true // the test looks at which certificate comes, not at who signed it
	conn, err := tls.Dial("tcp", listener.Addr().String(), client)
	if err != nil {
		return tls.ConnectionState{}, err
	}
	defer conn.Close()
	return conn.ConnectionState(), nil
}

func TestChoiceByName(t *testing.T) {
	dir := t.TempDir()
	s := newStore(t,
		makeCert(t, dir, cert{name: "first", common: "first", dns: []string{"first.example"}}),
		makeCert(t, dir, cert{name: "wild", common: "wild", dns: []string{"*.shop.example"}, rsa: true}),
		makeCert(t, dir, cert{name: "exact", common: "exact", dns: []string{"www.shop.example", "Upper.Example"}}),
		makeCert(t, dir, cert{name: "address", common: "address", ips: []net.IP{net.IPv4(127, 0, 0, 1)}}),
	)
	tests := []struct{ why, ask, want string }{
		{"its own name", "first.example", "first"},
		{"exact before wildcard", "www.shop.example", "exact"},
		{"wildcard", "api.shop.example", "wild"},
		{"a wildcard stands for one label", "a.b.shop.example", "first"},
		{"a wildcard does not cover the name above", "shop.example", "first"},
		{"case does not matter", "UPPER.example", "exact"},
		{"a name nobody has", "other.example", "first"},
		{"a name that is no name", "xn--a.-_.example", "first"},
		{"no name, but an address that is in a certificate", "", "address"},
	}
	for _, test := range tests {
		state, err := handshake(t, s.TLSConfig(), &tls.Config{ServerName: test.ask, NextProtos: []string{"h2", "http/1.1"}})
		if err != nil {
			t.Errorf("%s: %v", test.why, err)
			continue
		}
		if got := state.PeerCertificates[0].Subject.CommonName; got != test.want {
			t.Errorf("%s: %q got certificate %q, want %q", test.why, test.ask, got, test.want)
		}
		if state.NegotiatedProtocol != "h2" || state.OCSPResponse != nil {
			t.Errorf("%s: protocol %q, staple of %d bytes", test.why, state.NegotiatedProtocol, len(state.OCSPResponse))
		}
	}
}

// TestNoNameNoAddress: a client without a name, at an address no certificate has, gets the first.
func TestNoNameNoAddress(t *testing.T) {
	dir := t.TempDir()
	s := newStore(t, makeCert(t, dir, cert{name: "b", common: "b", dns: []string{"b.example"}}),
		makeCert(t, dir, cert{name: "a", common: "a", dns: []string{"a.example"}}))
	for range 5 {
		state, err := handshake(t, s.TLSConfig(), &tls.Config{})
		if err != nil || state.PeerCertificates[0].Subject.CommonName != "b" {
			t.Fatalf("%v, %v; want the first of the files", state.PeerCertificates, err)
		}
	}
}

// TestTwoKindsOfKey: old clients that know only RSA and new ones share a name.
func TestTwoKindsOfKey(t *testing.T) {
	dir := t.TempDir()
	s := newStore(t,
		makeCert(t, dir, cert{name: "new", common: "ecdsa", dns: []string{"shop.example"}}),
		makeCert(t, dir, cert{name: "old", common: "rsa", dns: []string{"shop.example"}, rsa: true}))
	for _, test := range []struct {
		why, want string
		suite     uint16
	}{
		{"knows RSA only", "rsa", tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256},
		{"knows ECDSA only", "ecdsa", tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256},
	} {
		state, err := handshake(t, s.TLSConfig(), &tls.Config{
			ServerName: "shop.example", MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{test.suite},
		})
		if err != nil || state.PeerCertificates[0].Subject.CommonName != test.want {
			t.Errorf("%s: %v, want %q", test.why, err, test.want)
		}
	}
}

func TestProtocols(t *testing.T) {
	s := newStore(t, makeCert(t, t.TempDir(), cert{name: "a", dns: []string{"a.example"}}))
	if _, err := handshake(t, s.TLSConfig(), &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}); err == nil {
		t.Error("TLS 1.1 was accepted")
	}
	if state, err := handshake(t, s.TLSConfig(), &tls.Config{NextProtos: []string{"http/1.1"}}); err != nil || state.NegotiatedProtocol != "http/1.1" {
		t.Errorf("HTTP/1.1 only: %q, %v", state.NegotiatedProtocol, err)
	}
	if _, err := handshake(t, s.TLSConfig(), &tls.Config{ServerName: "a.example", NextProtos: []string{"acme-tls/1"}}); err == nil {
		t.Error("an ACME challenge was answered though there is no ACME here")
	}
	conf := s.TLSConfig()
	conf.NextProtos = nil
	if got := s.TLSConfig().NextProtos; !slices.Equal(got, []string{"h2", "http/1.1"}) {
		t.Errorf("a caller's change reached others: %v", got)
	}
}

func TestNames(t *testing.T) {
	dir := t.TempDir()
	s := newStore(t,
		makeCert(t, dir, cert{name: "1", common: "ignored beside others", dns: []string{"B.example", "*.a.example"}}),
		makeCert(t, dir, cert{name: "2", dns: []string{"b.example"}, ips: []net.IP{net.ParseIP("::1")}}),
		makeCert(t, dir, cert{name: "3", common: "Old.Example"}))
	want := []string{"*.a.example", "::1", "b.example", "old.example"}
	if got := s.Names(); !slices.Equal(got, want) {
		t.Errorf("names %v, want %v", got, want)
	}
	if w := s.Warnings(); len(w) != 0 {
		t.Errorf("warnings %v", w)
	}
}

func TestDates(t *testing.T) {
	const day = 24 * time.Hour
	tests := []struct {
		why        string
		begin, end time.Duration
		contains   string // of the warning; empty: none
	}{
		{"expired", -10 * day, -day, "expired on " + time.Now().Add(-day).UTC().Format(time.DateOnly)},
		{"expires soon", -10 * day, 13 * day, "expires on " + time.Now().Add(13*day).UTC().Format(time.DateOnly)},
		{"expires later", -10 * day, 15 * day, ""},
		{"not valid yet", 2 * day, 90 * day, "is not valid before " + time.Now().Add(2*day).UTC().Format(time.DateOnly)},
	}
	for _, test := range tests {
		t.Run(test.why, func(t *testing.T) {
			f := makeCert(t, t.TempDir(), cert{name: "a", common: "a", dns: []string{"a.example"}, begin: test.begin, end: test.end})
			s := newStore(t, f)
			got := strings.Join(s.Warnings(), "\n")
			if test.contains == "" && got != "" || !strings.Contains(got, test.contains) || got != "" && !strings.Contains(got, f.Cert) {
				t.Errorf("warnings %q, want %q", got, test.contains)
			}
			state, err := handshake(t, s.TLSConfig(), &tls.Config{ServerName: "a.example"})
			if err != nil || state.PeerCertificates[0].Subject.CommonName != "a" {
				t.Errorf("it is served all the same, but: %v", err)
			}
		})
	}
}

func TestBadFiles(t *testing.T) {
	dir := t.TempDir()
	good := makeCert(t, dir, cert{name: "good", dns: []string{"good.example"}})
	other := makeCert(t, dir, cert{name: "other", dns: []string{"other.example"}})
	rsaPair := makeCert(t, dir, cert{name: "rsa", dns: []string{"rsa.example"}, rsa: true})
	nameless := makeCert(t, dir, cert{name: "nameless"})
	file := func(name string, data []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	block := func(kind string, headers map[string]string) []byte {
		return pem.EncodeToMemory(&pem.Block{Type: kind, Headers: headers, Bytes: []byte("xx")})
	}
	missing := filepath.Join(dir, "missing.pem")
	text := file("text.pem", []byte("hello"))
	locked := file("locked.key", block("ENCRYPTED PRIVATE KEY", nil))
	oldLocked := file("oldlocked.key", block("RSA PRIVATE KEY", map[string]string{"Proc-Type": "4,ENCRYPTED", "DEK-Info": "AES"}))
	broken := file("broken.pem", block("CERTIFICATE", nil))
	huge := file("huge.pem", make([]byte, maxFile+1))
	tests := []struct {
		why      string
		files    []Files
		contains []string
	}{
		{"none at all", nil, []string{"no certificate is configured", "tls.certificates"}},
		{"certificate missing", []Files{good, {missing, good.Key}}, []string{`the certificate file "` + missing, "no such file", "check the path"}},
		{"key missing", []Files{{good.Cert, missing}}, []string{`the key file "` + missing, "check the path"}},
		{"path left empty", []Files{{good.Cert, ""}}, []string{`the key file ""`, "check the path"}},
		{"a folder", []Files{{dir, good.Key}}, []string{dir, "is a directory"}},
		{"not PEM", []Files{{good.Cert, text}}, []string{"key file " + text, "is not PEM"}},
		{"huge", []Files{{huge, good.Key}}, []string{huge, "over 1 MiB"}},
		{"key of another certificate", []Files{{good.Cert, other.Key}}, []string{other.Key + " does not belong to certificate " + good.Cert}},
		{"key of another kind", []Files{{good.Cert, rsaPair.Key}}, []string{rsaPair.Key + " does not belong to certificate " + good.Cert}},
		{"swapped", []Files{{good.Key, good.Cert}}, []string{"are swapped", "exchange `cert` and `key`"}},
		{"key twice", []Files{{good.Key, good.Key}}, []string{good.Key + " holds no certificate"}},
		{"certificate twice", []Files{{good.Cert, good.Cert}}, []string{good.Cert + " holds no private key"}},
		{"encrypted", []Files{{good.Cert, locked}}, []string{locked + " is encrypted", "openssl pkey"}},
		{"encrypted the old way", []Files{{good.Cert, oldLocked}}, []string{oldLocked + " is encrypted"}},
		{"broken certificate", []Files{{broken, good.Key}}, []string{broken, "make or export both anew"}},
		{"no names", []Files{nameless}, []string{nameless.Cert + " names no host", "subjectAltName"}},
	}
	for _, test := range tests {
		s, err := New(t.Context(), test.files)
		if err == nil {
			s.Close()
			t.Errorf("%s: accepted", test.why)
			continue
		}
		for _, part := range test.contains {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%s: error %q lacks %q", test.why, err, part)
			}
		}
	}
}

// TestNoNetworkNoFiles: a certificate with a responder address does not make anyone call it, and certmagic has no place
// to keep files in.
func TestNoNetworkNoFiles(t *testing.T) {
	responder, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := newStore(t, makeCert(t, t.TempDir(), cert{name: "a", dns: []string{"a.example"}, ocsp: "http://" + responder.Addr().String()}))
	for _, name := range []string{"a.example", "unknown.example"} {
		if _, err := handshake(t, s.TLSConfig(), &tls.Config{ServerName: name}); err != nil {
			t.Error(err)
		}
	}
	responder.(*net.TCPListener).SetDeadline(time.Now().Add(50 * time.Millisecond))
	if _, err := responder.Accept(); err == nil {
		t.Error("the responder was called")
	}
	responder.Close()
	if (s.config.Storage != nothing{}) || len(s.config.Issuers) != 0 || s.config.OnDemand != nil {
		t.Errorf("certmagic was given storage %T and issuers %v", s.config.Storage, s.config.Issuers)
	}
}

func TestCloseEndsTheWork(t *testing.T) {
	f := makeCert(t, t.TempDir(), cert{name: "a", dns: []string{"a.example"}})
	before := runtime.NumGoroutine()
	for range 20 {
		s, err := New(context.Background(), []Files{f, f})
		if err != nil {
			t.Fatal(err)
		}
		s.Close()
		s.Close()
	}
	for range 100 {
		if runtime.NumGoroutine() <= before {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("%d goroutines, before there were %d", runtime.NumGoroutine(), before)
}

func TestConcurrentHandshakes(t *testing.T) {
	dir := t.TempDir()
	s := newStore(t, makeCert(t, dir, cert{name: "a", dns: []string{"a.example"}}), makeCert(t, dir, cert{name: "b", dns: []string{"*.b.example"}}))
	var wg sync.WaitGroup
	for _, name := range []string{"a.example", "x.b.example", "unknown.example", ""} {
		wg.Go(func() {
			for range 50 {
				c, err := s.choose(&tls.ClientHelloInfo{ServerName: name, SupportedVersions: []uint16{tls.VersionTLS13}})
				if err != nil || len(c.Certificate) == 0 {
					t.Errorf("%q: %v", name, err)
				}
				s.Names()
				s.Warnings()
			}
		})
	}
	wg.Wait()
}
