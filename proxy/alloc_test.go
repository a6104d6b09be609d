//go:build !race

package proxy

import (
	"net"
	"testing"
	"time"

	"sluice/http1"
)

var request = []byte("GET /index.html?x=1 HTTP/1.1\r\nHost: example.com\r\nUser-Agent: test\r\nAccept: */*\r\nConnection: keep-alive\r\n\r\n")

// roundTrips is a client's connection of which each call of one serves one request.
type roundTrips struct {
	*link
	client net.Conn
	proxy  *Proxy
	buf    []byte
}

func newRoundTrips(t testing.TB) *roundTrips {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go acceptAll(l)
	o := &origin{Backend: backendOf(l)}
	w := &world{proxy: New(generous, nil), origins: []*origin{o}}
	w.route(1)
	front, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &roundTrips{proxy: w.proxy, buf: make([]byte, 4096)}
	if r.client, err = net.Dial("tcp", front.Addr().String()); err != nil {
		t.Fatal(err)
	}
	nc, err := front.Accept()
	if err != nil {
		t.Fatal(err)
	}
	r.link = &link{Conn: http1.NewConn(nc, &http1.DefaultLimits), plain: nc}
	r.ex = NewExchange(r.link, &Peer{Address: "192.0.2.7", Scheme: "http"})
	t.Cleanup(func() { front.Close(); l.Close(); r.client.Close(); nc.Close(); o.Endpoint.CloseIdle() })
	return r
}

func (r *roundTrips) one(t testing.TB) {
	r.client.Write(request)
	if err := r.ReadRequest(&r.ex.Request, http1.Waits{First: time.Minute, Head: time.Minute}); err != nil {
		t.Fatal(err)
	}
	r.ex.Reset(time.Now())
	r.proxy.Serve(r.ex)
	if r.ex.Err != nil {
		t.Fatal(r.ex.Err)
	}
	if n, err := r.client.Read(r.buf); err != nil || n < 5 || string(r.buf[n-5:n]) != "hello" {
		t.Fatal(n, err)
	}
}

// TestServingAllocatesNothing: a kept connection on both sides, and a request as most are.
func TestServingAllocatesNothing(t *testing.T) {
	r := newRoundTrips(t)
	for range 100 {
		r.one(t)
	}
	if n := testing.AllocsPerRun(500, func() { r.one(t) }); n != 0 {
		t.Errorf("%v allocations per request", n)
	}
}

var (
	upload     = []byte("PUT /index.html HTTP/1.1\r\nHost: example.com\r\nContent-Length: 5\r\n\r\n")
	uploadBody = []byte("hello")
)

// late serves one request whose body comes behind its head.
func (r *roundTrips) late(t testing.TB) {
	r.client.Write(upload)
	if err := r.ReadRequest(&r.ex.Request, http1.Waits{First: time.Minute, Head: time.Minute}); err != nil {
		t.Fatal(err)
	}
	r.ex.Reset(time.Now())
	r.client.Write(uploadBody)
	r.proxy.Serve(r.ex)
	if r.ex.Err != nil || !r.ex.intake.used {
		t.Fatal(r.ex.Err, r.ex.intake.used)
	}
	r.client.Read(r.buf)
}

// TestTakingInAllocatesNothing: the memory of a body that comes late is used again.
func TestTakingInAllocatesNothing(t *testing.T) {
	r := newRoundTrips(t)
	for range 100 {
		r.late(t)
	}
	if n := testing.AllocsPerRun(500, func() { r.late(t) }); n != 0 {
		t.Errorf("%v allocations per request", n)
	}
}

func BenchmarkServe(b *testing.B) {
	r := newRoundTrips(b)
	b.ReportAllocs()
	for b.Loop() {
		r.one(b)
	}
}
