package front

import (
	"io"
	"net"
	"sync"
	"testing"
	"time"
)

// TestCloseAmidstEverything: a server is closed while connections are accepted, rest, wake and go. It must come to its end:
// whoever closes a descriptor waits for who uses it, and must hold nothing that they wait for.
func TestCloseAmidstEverything(t *testing.T) {
	for range 20 {
		s := newSetup(t, protocols[0], ok)
		kept := make([]*keptConn, 10)
		for i := range kept {
			kept[i] = keep(s)
			kept[i].get()
		}
		waitUntil(t, "all rest", func() bool { s.front.restNow(); return s.front.resting() == len(kept) })
		var busy sync.WaitGroup
		stop := make(chan struct{})
		for _, k := range kept {
			busy.Add(2)
			go func() { defer busy.Done(); k.Close() }()
			go func() { defer busy.Done(); s.connectUntil(stop) }()
		}
		closed := make(chan struct{})
		go func() { s.front.Close(); close(closed) }()
		select {
		case <-closed:
		case <-time.After(10 * time.Second):
			t.Fatal("the server does not come to its end")
		}
		close(stop)
		busy.Wait()
	}
}

// connectUntil opens connections and sends a request on each.
func (s *setup) connectUntil(stop <-chan struct{}) {
	for {
		select {
		case <-stop:
			return
		default:
		}
		if nc, err := net.Dial("tcp", s.addr); err == nil {
			io.WriteString(nc, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
			nc.Close()
		}
	}
}

// restNow sends all idle connections to rest, as if their time had come.
func (s *Server) restNow() {
	s.each(func(c *conn) {
		if c.idle.Load() {
			c.ExpireReads(time.Nanosecond)
		}
	})
}
