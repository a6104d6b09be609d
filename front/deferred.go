package front

import (
	"net"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// The kernel is asked to hand a connection over with its first bytes (TCP_DEFER_ACCEPT): who accepts it finds the request
// there, and need not wait for it. One that stays silent is handed over after deferFor, when the kernel has asked its
// peer again; a flood of silent ones makes the kernel answer with cookies, which are not held back.
//
// A listener that closes resets what it holds back. So Sluice's exit first ends the deferring, and then waits for what is
// on its way.
const (
	deferFor = time.Second
	// deferredWait is longer than the kernel holds anything back that is still there: deferFor, and a round trip.
	deferredWait = deferFor + 500*time.Millisecond
	deferredLook = 20 * time.Millisecond
)

// deferAccept sets for how long connections to a listener are held back at most; 0 is not at all.
func deferAccept(raw syscall.RawConn, d time.Duration) {
	raw.Control(func(fd uintptr) {
		unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_DEFER_ACCEPT, int(d/time.Second))
	})
}

// awaitDeferred ends the deferring of all listeners and returns when nothing is on its way to them, or will be waited for.
// The accept loops must still run.
func (s *Server) awaitDeferred() {
	s.mu.Lock()
	listeners := s.listeners
	s.mu.Unlock()
	var ports []int
	for _, l := range listeners {
		at, tcp := l.Addr().(*net.TCPAddr)
		if raw := rawOf(l); tcp && raw != nil {
			deferAccept(raw, 0)
			ports = append(ports, at.Port)
		}
	}
	for end := time.Now().Add(deferredWait); opening(ports) && time.Now().Before(end); {
		time.Sleep(deferredLook)
	}
}

// rawOf is the descriptor of a listener, or nil.
func rawOf(l net.Listener) syscall.RawConn {
	if sc, ok := l.(syscall.Conn); ok {
		if raw, err := sc.SyscallConn(); err == nil {
			return raw
		}
	}
	return nil
}
