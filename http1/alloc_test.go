//go:build !race

package http1

import (
	"io"
	"net"
	"testing"
	"time"

	"sluice/message"
)

var patience = Waits{First: time.Minute, Head: time.Minute}

// exchange is one request and its response over a connection, on both sides.
func exchange(t testing.TB, client, server *Conn, q, s, a, b *message.Head, body []byte) {
	client.BeginMessage()
	client.ArmWrite(time.Minute)
	if client.WriteRequest(q) != nil || client.Flush() != nil {
		t.Fatal("request not written")
	}
	if err := server.ReadRequest(s, patience); err != nil {
		t.Fatal(err)
	}
	server.BeginMessage()
	server.ArmWrite(time.Minute)
	if server.WriteResponse(a) != nil || server.WriteBody(body) != nil || server.EndBody(nil) != nil || server.Flush() != nil {
		t.Fatal("response not written")
	}
	if err := client.ReadResponse(b, false, patience); err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := client.Next(); err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	if !client.Park() || !server.Park() || !client.Quiet() {
		t.Fatal("not clean")
	}
}

// The promise of the engine: a request in steady state allocates nothing, on neither side, with its waits and its looks
// at the socket.
func TestSteadyStateAllocatesNothing(t *testing.T) {
	for name, row := range map[string]struct {
		framing message.Framing
		body    int
	}{
		"empty": {lengthOf(0), 0}, "small": {lengthOf(1000), 1000}, "writev": {lengthOf(20_000), 20_000},
		"chunked": {coded, 1000}, "chunked writev": {coded, 20_000},
	} {
		for kind, pair := range map[string]func(testing.TB) (net.Conn, net.Conn){
			"unix": socketPair,
			"tcp":  func(t testing.TB) (net.Conn, net.Conn) { return dialed(t, "tcp") },
		} {
			a, b := pair(t)
			client, server := NewConn(a, &DefaultLimits), NewConn(b, &DefaultLimits)
			q := head("GET", "/path?query=1", "example.com", message.Framing{}, "Accept", "*/*", "User-Agent", "test", "X-Request-Id", "1")
			r := reply(200, "OK", row.framing, "Content-Type", "text/plain", "Date", "now")
			body := make([]byte, row.body)
			s, back := new(message.Head), new(message.Head)
			once := func() { exchange(t, client, server, q, s, r, back, body) }
			for range 10 {
				once()
			}
			if n := testing.AllocsPerRun(500, once); n != 0 {
				t.Errorf("%s over %s: %v allocations", name, kind, n)
			}
		}
	}
}

// Where the socket is hidden, as under TLS, the wait is done in another way, which costs no memory either.
func TestHiddenSocketAllocatesNothing(t *testing.T) {
	wire := []byte(get("GET /path HTTP/1.1"))
	f := &feed{}
	c := NewConn(f, &DefaultLimits)
	var h message.Head
	n := testing.AllocsPerRun(500, func() {
		f.in = wire
		if err := c.ReadRequest(&h, patience); err != nil {
			t.Fatal(err)
		}
		c.Park()
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}
