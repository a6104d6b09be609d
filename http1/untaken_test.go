package http1

import (
	"io"
	"net"
	"testing"
	"time"

	"sluice/message"
)

// acquainted is a connection that has carried a request and its answer, and the peer's end of it.
func acquainted(t *testing.T) (*Conn, *net.TCPConn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	nc, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	peer, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	c := NewConn(nc, &DefaultLimits)
	t.Cleanup(func() { c.Close(); c.Release(); peer.Close() })
	writeGet(t, c)
	takeAll(t, peer)
	io.WriteString(peer, "HTTP/1.1 204 No Content\r\n\r\n")
	if err := c.ReadResponse(&message.Head{}, false, Waits{First: time.Second}); err != nil {
		t.Fatal(err)
	}
	c.Park()
	return c, peer.(*net.TCPConn)
}

var wholeGet = "GET / HTTP/1.1\r\nHost: x\r\n\r\n"

func writeGet(t *testing.T, c *Conn) {
	t.Helper()
	c.BeginMessage()
	c.WriteRequest(&message.Head{Method: []byte("GET"), Target: []byte("/"), Authority: []byte("x")})
	if err := c.Flush(); err != nil {
		t.Fatal(err)
	}
}

func takeAll(t *testing.T, peer net.Conn) {
	t.Helper()
	if _, err := io.ReadFull(peer, make([]byte, len(wholeGet))); err != nil {
		t.Fatal(err)
	}
}

// TestUntaken plays each order in which a request and the end of its connection can meet. Only one proves that nobody read
// the request.
func TestUntaken(t *testing.T) {
	tests := []struct {
		reason string
		meet   func(c *Conn, peer *net.TCPConn)
		proof  bool
	}{
		{"the peer was gone before it came", func(c *Conn, peer *net.TCPConn) { peer.Close(); writeGet(t, c) }, true},
		{"it was read, and the peer left", func(c *Conn, peer *net.TCPConn) { writeGet(t, c); takeAll(t, peer); peer.Close() }, false},
		{"it was here, unread, when the peer left", func(c *Conn, peer *net.TCPConn) { writeGet(t, c); peer.Close() }, false},
		{"half of it was read", func(c *Conn, peer *net.TCPConn) { writeGet(t, c); peer.Read(make([]byte, 5)); peer.Close() }, false},
		{"it was read, and the peer reset", func(c *Conn, peer *net.TCPConn) {
			writeGet(t, c)
			takeAll(t, peer)
			peer.SetLinger(0)
			peer.Close()
		}, false},
		{"the peer had ended only its own side", func(c *Conn, peer *net.TCPConn) { peer.CloseWrite(); writeGet(t, c) }, false},
		{"and read it", func(c *Conn, peer *net.TCPConn) { peer.CloseWrite(); writeGet(t, c); takeAll(t, peer) }, false},
		{"the peer had reset before", func(c *Conn, peer *net.TCPConn) {
			peer.SetLinger(0)
			peer.Close()
			time.Sleep(time.Millisecond)
			c.BeginMessage()
		}, false},
	}
	for _, test := range tests {
		c, peer := acquainted(t)
		test.meet(c, peer)
		c.ArmRead(time.Second)
		err := c.ReadResponse(&message.Head{}, false, Waits{First: 50 * time.Millisecond})
		if err == nil {
			t.Fatalf("%s: an answer came", test.reason)
		}
		if got := c.Untaken(err, 50*time.Millisecond); got != test.proof {
			t.Errorf("%s (%v): proved %v", test.reason, err, got)
		}
	}
}

// TestIdleUntilEnd: the kernel knows when the peer ended a connection, however late one asks.
func TestIdleUntilEnd(t *testing.T) {
	c, peer := acquainted(t)
	if _, ended := c.IdleUntilEnd(); ended {
		t.Error("an open connection has ended")
	}
	time.Sleep(100 * time.Millisecond)
	peer.Close()
	time.Sleep(100 * time.Millisecond)
	if idle, ended := c.IdleUntilEnd(); !ended || idle < 80*time.Millisecond || idle > 180*time.Millisecond {
		t.Errorf("%s, %v", idle, ended)
	}
}
