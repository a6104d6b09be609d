package front

import (
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// socket is a client's connection in plain text. It joins the runtime's poller when it has to wait for the first time:
// one whose request is here when it is accepted, and which ends with the answer, never does.
//
// Until then its descriptor is bare. Each use of it holds the lock, so that a close from another goroutine cannot hand the
// number to another connection in the middle of one. No such use ever waits.
type socket struct {
	fd     int
	remote netip.AddrPort // not valid: a unix socket
	joined atomic.Pointer[polled]

	mu      sync.Mutex // guards what follows, and each use of the bare descriptor
	closed  bool
	readBy  time.Time // deadlines, kept until there is something that can wait
	writeBy time.Time
}

// polled is a descriptor in the poller.
type polled struct {
	file *os.File
	raw  syscall.RawConn
}

// join makes the descriptor one that can wait.
func (s *socket) join() (*polled, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p := s.joined.Load(); p != nil {
		return p, nil
	}
	if s.closed {
		return nil, net.ErrClosed
	}
	file := os.NewFile(uintptr(s.fd), "")
	raw, err := file.SyscallConn()
	if err == nil {
		err = file.SetReadDeadline(s.readBy)
	}
	if err == nil {
		err = file.SetWriteDeadline(s.writeBy)
	}
	if err != nil {
		s.closed = true
		file.Close()
		return nil, err
	}
	p := &polled{file: file, raw: raw}
	s.joined.Store(p)
	return p, nil
}

// bare lets f use the descriptor, unless it is in the poller already.
func (s *socket) bare(by *time.Time, f func(fd uintptr) bool) (done bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.joined.Load() != nil:
		return false, nil
	case s.closed:
		return false, net.ErrClosed
	case *by == longAgo:
		return false, os.ErrDeadlineExceeded
	}
	return f(uintptr(s.fd)), nil
}

// rawSocket is the socket as a syscall.RawConn.
type rawSocket struct{ s *socket }

// SyscallConn returns the descriptor to use and to wait on. It never fails.
func (s *socket) SyscallConn() (syscall.RawConn, error) { return rawSocket{s}, nil }

// Control runs f on the descriptor.
func (r rawSocket) Control(f func(fd uintptr)) error {
	if p := r.s.joined.Load(); p != nil {
		return p.raw.Control(f)
	}
	done, err := r.s.bare(new(time.Time), func(fd uintptr) bool { f(fd); return true })
	if done || err != nil {
		return err
	}
	return r.Control(f)
}

// Read calls f until it is done, and waits between the calls until the descriptor is readable.
func (r rawSocket) Read(f func(fd uintptr) bool) error {
	p, err := r.s.need(&r.s.readBy, f)
	if p == nil {
		return err
	}
	return p.raw.Read(f)
}

// Write is Read for writing.
func (r rawSocket) Write(f func(fd uintptr) bool) error {
	p, err := r.s.need(&r.s.writeBy, f)
	if p == nil {
		return err
	}
	return p.raw.Write(f)
}

// need returns where to wait, or nil when there is no need to.
func (s *socket) need(by *time.Time, f func(fd uintptr) bool) (*polled, error) {
	if p := s.joined.Load(); p != nil {
		return p, nil
	}
	if done, err := s.bare(by, f); done || err != nil {
		return nil, err
	}
	return s.join()
}

// Read reads what there is, waiting for it.
func (s *socket) Read(p []byte) (n int, err error) {
	var failed error
	err = rawSocket{s}.Read(func(fd uintptr) bool {
		n, failed = unix.Read(int(fd), p)
		return failed != unix.EAGAIN && failed != unix.EINTR
	})
	switch {
	case err != nil:
		return 0, err
	case failed != nil:
		return 0, &net.OpError{Op: "read", Net: "tcp", Err: failed}
	case n == 0 && len(p) > 0:
		return 0, io.EOF
	}
	return n, nil
}

// Write writes all of p.
func (s *socket) Write(p []byte) (n int, err error) {
	var failed error
	err = rawSocket{s}.Write(func(fd uintptr) bool {
		for n < len(p) && (failed == nil || failed == unix.EINTR) {
			var m int
			if m, failed = unix.SendmsgN(int(fd), p[n:], nil, nil, unix.MSG_NOSIGNAL); failed == nil {
				n += m
			}
		}
		again := failed == unix.EAGAIN
		if again {
			failed = nil
		}
		return !again
	})
	if err == nil && failed != nil {
		err = &net.OpError{Op: "write", Net: "tcp", Err: failed}
	}
	return n, err
}

// Close closes the connection at once. In the poller that waits for who uses the descriptor, so no lock is held for it.
func (s *socket) Close() error {
	if done, err := s.closeBare(); done {
		return err
	}
	return s.joined.Load().file.Close()
}

// closeBare closes a descriptor that is not in the poller.
func (s *socket) closeBare() (done bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.joined.Load() != nil:
		return false, nil
	case s.closed:
		return true, net.ErrClosed
	}
	s.closed = true
	return true, closeSocket(s.fd)
}

// closeSocket goes to the kernel without telling the scheduler: without SO_LINGER a close never waits.
func closeSocket(fd int) error {
	if _, _, errno := syscall.RawSyscall(unix.SYS_CLOSE, uintptr(fd), 0, 0); errno != 0 {
		return errno
	}
	return nil
}

// CloseWrite ends our side.
func (s *socket) CloseWrite() error {
	var failed error
	err := rawSocket{s}.Control(func(fd uintptr) { failed = unix.Shutdown(int(fd), unix.SHUT_WR) })
	if err == nil {
		err = failed
	}
	return err
}

// ResetOnClose makes the close a reset.
func (s *socket) ResetOnClose() {
	rawSocket{s}.Control(func(fd uintptr) {
		unix.SetsockoptLinger(int(fd), unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
	})
}

// SetDeadline bounds reads and writes.
func (s *socket) SetDeadline(t time.Time) error {
	if err := s.SetReadDeadline(t); err != nil {
		return err
	}
	return s.SetWriteDeadline(t)
}

// SetReadDeadline bounds reads, those that wait now too.
func (s *socket) SetReadDeadline(t time.Time) error {
	if p := s.keep(&s.readBy, t); p != nil {
		return p.file.SetReadDeadline(t)
	}
	return nil
}

// SetWriteDeadline bounds writes, those that wait now too.
func (s *socket) SetWriteDeadline(t time.Time) error {
	if p := s.keep(&s.writeBy, t); p != nil {
		return p.file.SetWriteDeadline(t)
	}
	return nil
}

// keep keeps a deadline until the socket can wait, or returns what can.
func (s *socket) keep(by *time.Time, t time.Time) *polled {
	if p := s.joined.Load(); p != nil {
		return p
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	*by = t
	return s.joined.Load()
}

// RemoteAddr is the client's.
func (s *socket) RemoteAddr() net.Addr { return addrOf(s.remote) }

// LocalAddr asks the kernel: hardly anyone wants to know.
func (s *socket) LocalAddr() net.Addr {
	var local netip.AddrPort
	rawSocket{s}.Control(func(fd uintptr) {
		var from unix.RawSockaddrAny
		size := uint32(unsafe.Sizeof(from))
		syscall.RawSyscall(unix.SYS_GETSOCKNAME, fd, uintptr(unsafe.Pointer(&from)), uintptr(unsafe.Pointer(&size)))
		local = addrPort(&from)
	})
	return addrOf(local)
}

func addrOf(a netip.AddrPort) net.Addr {
	if !a.IsValid() {
		return &net.UnixAddr{Net: "unix"}
	}
	return net.TCPAddrFromAddrPort(a)
}

// addrPort reads an address as the kernel writes it; it is not valid for other families than IP.
func addrPort(from *unix.RawSockaddrAny) netip.AddrPort {
	switch from.Addr.Family {
	case unix.AF_INET:
		a := (*unix.RawSockaddrInet4)(unsafe.Pointer(from))
		return netip.AddrPortFrom(netip.AddrFrom4(a.Addr), networkOrder(a.Port))
	case unix.AF_INET6:
		a := (*unix.RawSockaddrInet6)(unsafe.Pointer(from))
		return netip.AddrPortFrom(netip.AddrFrom16(a.Addr).Unmap(), networkOrder(a.Port))
	}
	return netip.AddrPort{}
}

func networkOrder(port uint16) uint16 {
	b := (*[2]byte)(unsafe.Pointer(&port))
	return uint16(b[0])<<8 | uint16(b[1])
}

var _ net.Conn = (*socket)(nil)
