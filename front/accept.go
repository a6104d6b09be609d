package front

import (
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// acceptBatch is how many connections are accepted before those that were get a turn.
const acceptBatch = 64

// keepAlive is after how long a silent connection is asked by the kernel whether its peer is still there, and how often.
const keepAlive = 15

// listenConfig sets on the listener what each connection inherits from it (Linux), so that none has to be told.
var listenConfig = net.ListenConfig{KeepAlive: -1, Control: func(network, _ string, raw syscall.RawConn) error {
	if network == "unix" {
		return nil
	}
	return prepare(raw)
}}

// prepare sets what connections inherit, on a listener.
func prepare(raw syscall.RawConn) error {
	return raw.Control(func(fd uintptr) {
		unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
		unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1)
		unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, keepAlive)
		unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, keepAlive)
		unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_DEFER_ACCEPT, int(deferFor/time.Second))
	})
}

// acceptor is a listener in plain text. It passes by what the net package does for each connection: one of which nothing
// is known but its descriptor and its peer costs one system call.
type acceptor struct {
	net.Listener
	file   *os.File // the same socket, to wait on
	raw    syscall.RawConn
	server *Server
	door   string // of proxy.Peer
	closed atomic.Bool
	failed error
}

func (s *Server) newAcceptor(l net.Listener) (*acceptor, error) {
	filer, ok := l.(interface{ File() (*os.File, error) })
	if !ok {
		return nil, fmt.Errorf("front: %T has no descriptor", l)
	}
	file, err := filer.File()
	if err != nil {
		return nil, err
	}
	raw, err := file.SyscallConn()
	if err != nil {
		file.Close()
		return nil, err
	}
	return &acceptor{Listener: l, file: file, raw: raw, server: s}, nil
}

// SyscallConn is the listener's descriptor.
func (a *acceptor) SyscallConn() (syscall.RawConn, error) { return a.raw, nil }

// SetDeadline ends a wait for connections at a moment.
func (a *acceptor) SetDeadline(t time.Time) error { return a.file.SetReadDeadline(t) }

// Close closes the listener, and ends a wait for connections.
func (a *acceptor) Close() error {
	a.closed.Store(true)
	return errors.Join(a.file.Close(), a.Listener.Close())
}

// run is the goroutine of a listener in plain text; it ends when the listener is closed, or closes it when its deadline is
// over.
func (a *acceptor) run() {
	defer a.server.accepts.Done()
	defer a.Close()
	var pause time.Duration
	for {
		err := a.accept()
		switch {
		case a.closed.Load():
			return
		case errors.Is(err, os.ErrDeadlineExceeded):
			a.drain()
			return
		case err != nil:
			pause = a.server.acceptFailed(pause, err)
		default:
			pause = 0
			runtime.Gosched()
		}
	}
}

// accept waits for connections and takes a batch of them.
func (a *acceptor) accept() error {
	a.failed = nil
	if err := a.raw.Read(a.batch); err != nil {
		return err
	}
	return a.failed
}

func (a *acceptor) batch(listener uintptr) bool {
	for range acceptBatch {
		switch errno := a.one(listener); errno {
		case 0, unix.EINTR, unix.ECONNABORTED:
		case unix.EAGAIN:
			return false
		default:
			a.failed = errno
			return true
		}
	}
	return true
}

// drain takes the connections that wait in the listener, without waiting for more: its close, which follows at once,
// would reset them, and they may carry requests already.
func (a *acceptor) drain() {
	a.raw.Control(func(listener uintptr) {
		for {
			if errno := a.one(listener); errno != 0 && errno != unix.EINTR && errno != unix.ECONNABORTED {
				return
			}
		}
	})
}

func (a *acceptor) one(listener uintptr) syscall.Errno {
	var from unix.RawSockaddrAny
	size := uint32(unsafe.Sizeof(from))
	fd, _, errno := syscall.RawSyscall6(unix.SYS_ACCEPT4, listener, uintptr(unsafe.Pointer(&from)),
		uintptr(unsafe.Pointer(&size)), unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0, 0)
	if errno == 0 {
		a.server.admitPlain(int(fd), &from, a.door)
	}
	return errno
}

func (s *Server) admitPlain(fd int, from *unix.RawSockaddrAny, door string) {
	if !s.enter() {
		closeSocket(fd)
		return
	}
	c := s.newConn()
	nc := &socket{fd: fd, remote: addrPort(from)}
	c.begin(nc, nc, "http", door)
	s.workers.serve(c)
}
