package front

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"sluice/drain"
	"sluice/proxy"
	"sluice/upstream"
)

// protocol is one way to reach Sluice. Each behaviour is tested over all of them.
type protocol struct {
	name   string
	scheme string
	h2     bool
}

var protocols = []protocol{
	{"HTTP/1.1", "http", false},
	{"HTTP/1.1 over TLS", "https", false},
	{"HTTP/2", "https", true},
}

// setup is a Sluice before one backend, with a client of one protocol.
type setup struct {
	protocol
	t       *testing.T
	url     string
	addr    string
	client  *http.Client
	front   *Server
	proxy   *proxy.Proxy
	backend *upstream.Backend
	most    int64 // bytes of a body
	roots   *x509.CertPool
}

// overEach runs a behaviour over each protocol, in front of the handler as the backend.
func overEach(t *testing.T, handler http.HandlerFunc, behaviour func(*setup)) {
	for _, p := range protocols {
		t.Run(p.name, func(t *testing.T) { behaviour(newSetup(t, p, handler)) })
	}
}

// overEachWith is overEach with options of the test's own.
func overEachWith(t *testing.T, change func(*Options), handler http.HandlerFunc, behaviour func(*setup)) {
	for _, p := range protocols {
		t.Run(p.name, func(t *testing.T) { behaviour(newSetupWith(t, p, change, handler)) })
	}
}

func newSetup(t *testing.T, p protocol, handler http.HandlerFunc) *setup {
	t.Helper()
	return newSetupWith(t, p, func(*Options) {}, handler)
}

func newSetupWith(t *testing.T, p protocol, change func(*Options), handler http.HandlerFunc) *setup {
	t.Helper()
	origin := httptest.NewUnstartedServer(handler)
	origin.Config.DisableGeneralOptionsHandler = true
	origin.Start()
	t.Cleanup(origin.Close)
	s := &setup{protocol: p, t: t}
	s.backend = backendAt(origin.Listener.Addr().String())
	s.proxy = proxy.New(proxy.Timeouts{Response: 5 * time.Second, Body: 5 * time.Second, Write: 5 * time.Second}, nil)
	s.route(s.backend)
	opts := Options{Proxy: s.proxy, Timeouts: Timeouts{Idle: 10 * time.Second, Head: 2 * time.Second, TLSHandshake: 2 * time.Second}}
	change(&opts)
	s.proxy = opts.Proxy
	s.route(s.backend)
	s.front = New(opts)
	t.Cleanup(s.front.Close)
	var conf *tls.Config
	if p.scheme == "https" {
		conf, s.roots = selfSigned(t)
	}
	addr, err := s.front.Listen(p.scheme, "tcp", "127.0.0.1:0", conf)
	if err != nil {
		t.Fatal(err)
	}
	s.addr = addr.String()
	s.url = p.scheme + "://" + s.addr
	s.client = s.newClient()
	return s
}

func backendAt(address string) *upstream.Backend {
	return &upstream.Backend{
		Endpoint: upstream.NewEndpoint("tcp", address, upstream.Options{}),
		Name:     address, Pool: "blue", Service: "web", Weight: 1, Gate: drain.NewGate(),
	}
}

func (s *setup) route(backends ...*upstream.Backend) {
	s.t.Helper()
	snapshot, err := proxy.NewSnapshot(1, []*proxy.Service{{
		Name: "web", Path: "/", Live: upstream.NewPool("blue", upstream.RoundRobin, backends), Most: s.most,
	}})
	if err != nil {
		s.t.Fatal(err)
	}
	s.proxy.Swap(snapshot)
}

func (s *setup) newClient() *http.Client {
	tr := &http.Transport{Protocols: new(http.Protocols), DisableCompression: true, ExpectContinueTimeout: 3 * time.Second}
	if s.roots != nil {
		tr.TLSClientConfig = &tls.Config{RootCAs: s.roots, ServerName: "localhost"}
	}
	tr.Protocols.SetHTTP1(!s.h2)
	tr.Protocols.SetHTTP2(s.h2)
	s.t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: 20 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse
	}}
}

// dial opens a raw connection for what a well-behaved client would not send. Only for HTTP/1.1.
func (s *setup) dial() net.Conn {
	s.t.Helper()
	nc, err := net.Dial("tcp", s.addr)
	if err != nil {
		s.t.Fatal(err)
	}
	if s.roots != nil {
		nc = tls.Client(nc, &tls.Config{RootCAs: s.roots, ServerName: "localhost", NextProtos: []string{"http/1.1"}})
	}
	nc.SetDeadline(time.Now().Add(10 * time.Second))
	s.t.Cleanup(func() { nc.Close() })
	return nc
}

// waitFor polls a condition that another goroutine brings about.
func (s *setup) waitFor(what string, ok func() bool) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 8*time.Second)
	defer cancel()
	for !ok() {
		select {
		case <-ctx.Done():
			s.t.Fatalf("%s: did not come about", what)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

func selfSigned(t *testing.T) (*tls.Config, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(leaf)
	return &tls.Config{
		Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}},
		NextProtos:   []string{"h2", "http/1.1"},
	}, roots
}

// dyingBackend reads whatever comes and hangs up on it.
func dyingBackend(t *testing.T) *upstream.Backend {
	t.Helper()
	origin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		panic(http.ErrAbortHandler)
	}))
	t.Cleanup(origin.Close)
	return backendAt(origin.Listener.Addr().String())
}
