package front

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
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

// opening reports whether a connection to one of the ports is being opened, as far as the kernel tells.
func opening(ports []int) bool {
	if len(ports) == 0 {
		return false
	}
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		if f, err := os.Open(table); err == nil {
			found := anyOpening(f, ports)
			f.Close()
			if found {
				return true
			}
		}
	}
	return false
}

// anyOpening looks for a socket in the state SYN_RECV (3) with one of the local ports, in a table of the form
// "0: 0100007F:1F90 0200007F:C350 03 …".
func anyOpening(table io.Reader, ports []int) bool {
	lines := bufio.NewScanner(table)
	for lines.Scan() {
		f := strings.Fields(lines.Text())
		if len(f) < 4 || f[3] != "03" {
			continue
		}
		for _, port := range ports {
			if strings.HasSuffix(f[1], fmt.Sprintf(":%04X", port)) {
				return true
			}
		}
	}
	return false
}
