package front

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"testing"
	"time"
)

// resting is how many connections of a server are in its lot.
func (s *Server) resting() int {
	s.lot.mu.Lock()
	defer s.lot.mu.Unlock()
	return len(s.lot.conns)
}

func (w *workers) idling() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.idle)
}

// keptConn is a client's connection that carries one request after the other.
type keptConn struct {
	t *testing.T
	net.Conn
	br *bufio.Reader
}

func keep(s *setup) *keptConn {
	nc, err := net.Dial("tcp", s.addr)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { nc.Close() })
	nc.SetDeadline(time.Now().Add(20 * time.Second))
	return &keptConn{t: s.t, Conn: nc, br: bufio.NewReader(nc)}
}

func (k *keptConn) get() { k.t.Helper(); k.ask("/") }

func (k *keptConn) ask(path string) {
	k.t.Helper()
	io.WriteString(k, "GET "+path+" HTTP/1.1\r\nHost: x\r\n\r\n")
	res, err := http.ReadResponse(k.br, nil)
	if err != nil || res.StatusCode != 200 {
		k.t.Fatalf("%+v, %v", res, err)
	}
	io.Copy(io.Discard, res.Body)
}

func ok(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "ok") }

// TestConnectionsRest: they hold no goroutine and no exchange, and go on when a request comes.
func TestConnectionsRest(t *testing.T) {
	s := newSetup(t, protocols[0], ok)
	var all [20]*keptConn
	for i := range all {
		all[i] = keep(s)
		all[i].get()
	}
	silent := keep(s) // nothing ever came on it
	waitUntil(t, "all rest", func() bool { return s.front.resting() == len(all)+1 })
	s.front.each(func(c *conn) {
		if c.ex != nil {
			t.Error("one that rests has an exchange")
		}
	})
	for _, k := range all {
		k.get()
		k.get()
	}
	silent.get()
	if s.front.resting() != 0 || s.front.Connections() < len(all)+1 {
		t.Errorf("%d rest, %d are open", s.front.resting(), s.front.Connections())
	}
	waitUntil(t, "they rest again", func() bool { return s.front.resting() == len(all)+1 })
	all[0].get()
	all[1].Close()
	waitUntil(t, "the end of one is noticed", func() bool { return s.front.Connections() == len(all) })
}

// TestRestHasAnEnd: at the end of its time a connection is closed, and not before.
func TestRestHasAnEnd(t *testing.T) {
	const idle = restAfter + time.Second
	s := newSetupWith(t, protocols[0], func(o *Options) { o.Timeouts.Idle = idle }, ok)
	k := keep(s)
	k.get()
	began := time.Now()
	waitUntil(t, "it rests", func() bool { return s.front.resting() == 1 })
	if _, err := k.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("%v", err)
	}
	if took := time.Since(began); took < idle || took > 2*idle {
		t.Errorf("closed after %v, want %v", took, idle)
	}
	waitUntil(t, "it is forgotten", func() bool { return s.front.Connections() == 0 && s.front.resting() == 0 })
}

// TestGoroutinesServeAgain: a connection after the other takes one goroutine.
func TestGoroutinesServeAgain(t *testing.T) {
	s := newSetup(t, protocols[0], ok)
	for range 50 {
		k := keep(s)
		k.get()
		k.Close()
		waitUntil(t, "it is over", func() bool { return s.front.Connections() == 0 && s.front.workers.idling() == 1 })
	}
	waitUntil(t, "the goroutine ends when nothing comes", func() bool { return s.front.workers.idling() == 0 })
}
