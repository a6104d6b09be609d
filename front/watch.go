package front

import (
	"runtime"
	"runtime/debug"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"sluice/http1"
)

const (
	// watchEvery is how often clients that nobody reads from are looked at. Looking costs a busy connection nothing and a
	// waiting one a system call.
	watchEvery = http1.ClockTick
	// goneLooks is for how many looks a client must have ended its side, and taken nothing, before its request is given
	// up: one that only half-closed still gets a quick answer, and a slow one for as long as it flows.
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
			s.opts.Clock.Tick()
			s.lookAround(time.Now())
		case <-s.gate.Empty():
			return
		}
	}
}

func (s *Server) lookAround(now time.Time) {
	s.each(func(c *conn) { c.lookForClient(now.Add(-watchEvery)) })
	if s.workers.sweep(now) {
		giveMemoryBack()
	}
	for _, c := range s.lot.over(now) {
		s.wakeUp(c)
	}
}

// giveMemoryBack gives the kernel what is not in use any more. It takes two rounds of the collector for what was kept for
// use again to be let go.
func giveMemoryBack() {
	runtime.GC()
	debug.FreeOSMemory()
}

func (c *conn) lookForClient(before time.Time) {
	if c.socket == nil || c.ex == nil || !c.ex.Unwatched(before) || !http1.Gone(c.socket) || c.takesOn() {
		c.goneFor = 0
		return
	}
	if c.goneFor++; c.goneFor >= goneLooks {
		c.ex.ClientGone()
		c.Interrupt() // a write that waits for it ends too
	}
}

// takesOn reports that the client has acknowledged bytes since the last look: it ended its side, but reads on.
func (c *conn) takesOn() bool {
	before := c.acked
	c.acked = acknowledged(c.socket)
	return c.acked > before
}

// acknowledged is how many bytes the peer of a TCP socket has taken so far; 0 where nobody knows.
func acknowledged(raw syscall.RawConn) (n uint64) {
	raw.Control(func(fd uintptr) {
		if info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO); err == nil {
			n = info.Bytes_acked
		}
	})
	return n
}
