//go:build !race

package upstream

import (
	"context"
	"io"
	"net"
	"path/filepath"
	"testing"
	"time"

	"sluice/drain"
	"sluice/message"
)

// answering is a pool of one backend that answers whatever comes.
func answering(t testing.TB, network string) *Pool {
	t.Helper()
	address := "127.0.0.1:0"
	if network == "unix" {
		address = filepath.Join(t.TempDir(), "s.sock")
	}
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	e := NewEndpoint(network, l.Addr().String(), Options{})
	t.Cleanup(func() { l.Close(); e.CloseIdle() })
	go answerAll(l)
	return NewPool("blue", RoundRobin, []*Backend{{Endpoint: e, Weight: 1, Gate: drain.NewGate()}})
}

func answerAll(l net.Listener) {
	for {
		nc, err := l.Accept()
		if err != nil {
			return
		}
		go answerEach(nc)
	}
}

func answerEach(nc net.Conn) {
	defer nc.Close()
	response := []byte("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nDate: Mon, 02 Nov 2026 10:00:00 GMT\r\nContent-Length: 5\r\n\r\nhello")
	buf := make([]byte, 4096)
	for {
		if _, err := nc.Read(buf); err != nil {
			return
		}
		if _, err := nc.Write(response); err != nil {
			return
		}
	}
}

// askOnce claims, makes one request on an idle connection, reads its answer and gives all back.
func askOnce(t testing.TB, p *Pool, tried *Tried, request, response *message.Head) {
	lease, err := p.Claim(tried)
	if err != nil {
		t.Fatal(err)
	}
	defer lease.Release()
	c, err := lease.Connect(context.Background(), time.Now(), false)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Send(request, nil, time.Minute); err != nil {
		t.Fatal(err)
	}
	if err := c.Receive(response, false, time.Minute); err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := c.HTTP().Next(); err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	lease.Reuse(c)
}

func BenchmarkRoundTrip(b *testing.B) {
	for _, network := range []string{"tcp", "unix"} {
		b.Run(network, func(b *testing.B) {
			p, tried, request, response := answering(b, network), new(Tried), getHead(), new(message.Head)
			b.ReportAllocs()
			for b.Loop() {
				askOnce(b, p, tried, request, response)
			}
		})
	}
}

// TestRoundTripAllocatesNothing: claim, an idle connection, a request, its answer, and the way back.
func TestRoundTripAllocatesNothing(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		p, tried, request, response := answering(t, network), new(Tried), getHead(), new(message.Head)
		once := func() { askOnce(t, p, tried, request, response) }
		for range 10 {
			once()
		}
		if n := testing.AllocsPerRun(500, once); n != 0 {
			t.Errorf("%s: %v allocations", network, n)
		}
	}
}
