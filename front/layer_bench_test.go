//go:build !race

package front

import (
	"bytes"
	"net"
	"path/filepath"
	"testing"
	"time"

	"sluice/drain"
	"sluice/proxy"
	"sluice/upstream"
)

var (
	question = []byte("GET /index.html?x=1 HTTP/1.1\r\nHost: example.com\r\nUser-Agent: test\r\nAccept: */*\r\n\r\n")
	reply    = []byte("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nDate: Mon, 02 Nov 2026 10:00:00 GMT\r\nContent-Length: 5\r\n\r\nhello")
)

// road is a whole Sluice between a client and a backend that answers whatever comes.
type road struct {
	t       testing.TB
	network string
	address string
}

func newRoad(t testing.TB, network string) *road {
	t.Helper()
	l, err := net.Listen(network, addressOf(t, network))
	if err != nil {
		t.Fatal(err)
	}
	go answerAll(l)
	e := upstream.NewEndpoint(network, l.Addr().String(), upstream.Options{})
	p := proxy.New(proxy.Timeouts{Response: time.Minute, Body: time.Minute, Write: time.Minute}, nil)
	backend := &upstream.Backend{Endpoint: e, Name: "one", Pool: "blue", Service: "web", Weight: 1, Gate: drain.NewGate()}
	snapshot, err := proxy.NewSnapshot(1, []*proxy.Service{{Name: "web", Path: "/", Live: upstream.NewPool("blue", upstream.RoundRobin, []*upstream.Backend{backend})}})
	if err != nil {
		t.Fatal(err)
	}
	p.Swap(snapshot)
	front := New(Options{Proxy: p, Timeouts: Timeouts{Idle: time.Minute, Head: time.Minute}})
	t.Cleanup(func() { front.Close(); l.Close(); e.CloseIdle() })
	at, err := front.Listen("http", network, addressOf(t, network), nil)
	if err != nil {
		t.Fatal(err)
	}
	return &road{t: t, network: network, address: at.String()}
}

func addressOf(t testing.TB, network string) string {
	if network == "unix" {
		return filepath.Join(t.TempDir(), "s.sock")
	}
	return "127.0.0.1:0"
}

func answerAll(l net.Listener) {
	for {
		nc, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer nc.Close()
			buf := make([]byte, 4096)
			for {
				if _, err := nc.Read(buf); err != nil {
					return
				}
				if _, err := nc.Write(reply); err != nil {
					return
				}
			}
		}()
	}
}

// traveller is a client's connection. Its requests come one after the other.
type traveller struct {
	net.Conn
	buf []byte
}

func (r *road) traveller() *traveller {
	nc, err := net.Dial(r.network, r.address)
	if err != nil {
		r.t.Fatal(err)
	}
	return &traveller{Conn: nc, buf: make([]byte, 4096)}
}

func (c *traveller) once() bool {
	if _, err := c.Write(question); err != nil {
		return false
	}
	n, err := c.Read(c.buf) // one write of a small response is one read here
	return err == nil && bytes.HasSuffix(c.buf[:n], []byte("\r\n\r\nhello"))
}

func BenchmarkProxy(b *testing.B) {
	for _, network := range []string{"tcp", "unix"} {
		b.Run(network, func(b *testing.B) {
			c := newRoad(b, network).traveller()
			defer c.Close()
			b.ReportAllocs()
			for b.Loop() {
				if !c.once() {
					b.Fatal("no answer")
				}
			}
		})
	}
}

func BenchmarkProxyParallel(b *testing.B) {
	r := newRoad(b, "tcp")
	b.SetParallelism(16)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		c := r.traveller()
		defer c.Close()
		for pb.Next() {
			if !c.once() {
				b.Error("no answer")
				return
			}
		}
	})
}

// TestWholeWayAllocatesNothing counts what the whole process allocates while requests go through it: client, front, proxy,
// connection to the backend, and the backend. What the clock of the watch costs is less than one in a request.
func TestWholeWayAllocatesNothing(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		c := newRoad(t, network).traveller()
		once := func() {
			if !c.once() {
				t.Fatal("no answer")
			}
		}
		for range 100 {
			once()
		}
		if n := testing.AllocsPerRun(1000, once); n != 0 {
			t.Errorf("%s: %v allocations per request", network, n)
		}
		c.Close()
	}
}
