package proxy

import (
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// smallBuffers keeps the kernel from hiding how a reader is.
func (w *world) smallBuffers() {
	raw, err := w.l.(*net.TCPListener).SyscallConn()
	if err != nil {
		w.t.Fatal(err)
	}
	raw.Control(func(fd uintptr) { unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_SNDBUF, 32<<10) })
}

// TestSteadyReaderIsServed: it takes less than one write gives it within the time for a write, yet goes on.
func TestSteadyReaderIsServed(t *testing.T) {
	const size = 768 << 10
	w := newWorld(t, 1, Timeouts{Response: 5 * time.Second, Body: 5 * time.Second, Write: 300 * time.Millisecond})
	w.smallBuffers()
	c := w.dial()
	c.Conn.(*net.TCPConn).SetReadBuffer(32 << 10)
	c.send(get)
	b := w.origins[0].conn()
	b.head()
	go b.Write(append(fmt.Appendf(nil, "%sContent-Length: %d\r\n\r\n", ok, size), make([]byte, size)...))
	c.has("HTTP/1.1 200")
	for left := int64(size); left > 0; left -= 16 << 10 {
		if n, err := io.CopyN(io.Discard, c.br, min(left, 16<<10)); err != nil {
			t.Fatalf("cut with %d left: %v", left-n, err)
		}
		time.Sleep(40 * time.Millisecond)
	}
	if o := w.over(); o.Err != nil {
		t.Errorf("%+v", o)
	}
}

// TestDrippingReaderIsCut: a byte now and then is no progress.
func TestDrippingReaderIsCut(t *testing.T) {
	w := newWorld(t, 1, Timeouts{Response: 5 * time.Second, Body: 5 * time.Second, Write: 200 * time.Millisecond})
	w.smallBuffers()
	c := w.dial()
	c.Conn.(*net.TCPConn).SetReadBuffer(32 << 10)
	c.send(get)
	b := w.origins[0].conn()
	b.head()
	go b.Write(append(fmt.Appendf(nil, "%sContent-Length: %d\r\n\r\n", ok, 8<<20), make([]byte, 8<<20)...))
	c.has("HTTP/1.1 200")
	one := make([]byte, 1)
	waitFor(t, "the backend is free", func() bool {
		c.Read(one)
		return w.origins[0].Gate.Inside() == 0
	})
	if o := w.over(); o.Err != errGone {
		t.Errorf("%+v", o)
	}
}
