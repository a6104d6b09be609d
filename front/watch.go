package front

import (
	"time"

	"sluice/http1"
)

const (
	// watchEvery is how often clients that nobody reads from are looked at. Looking costs a busy connection nothing and a
	// waiting one a system call.
	watchEvery = 100 * time.Millisecond
	// goneLooks is for how many looks a client must have ended its side before its request is given up: one that only
	// half-closed and waits for a quick answer still gets it.
	goneLooks = 5
)

// watch is the goroutine that notices clients that left while a backend is at work for them. It ends with the last
// connection, after the gate was closed.
func (s *Server) watch() {
	defer s.owned.Done()
	ticker := time.NewTicker(watchEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			before := time.Now().Add(-watchEvery)
			s.each(func(c *conn) { c.lookForClient(before) })
		case <-s.gate.Empty():
			return
		}
	}
}

func (c *conn) lookForClient(before time.Time) {
	if c.socket == nil || !c.ex.Unwatched(before) || !http1.Gone(c.socket) {
		c.goneFor = 0
		return
	}
	if c.goneFor++; c.goneFor >= goneLooks {
		c.ex.ClientGone()
	}
}
