package front

import (
	"os"
	"sync"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// restAfter is how long a connection waits for a request with its goroutine. A longer wait it spends in the lot.
const restAfter = 3 * time.Second

// lot keeps the connections that have been idle for a while. There they hold no goroutine, no stack and no exchange: a
// poller of the lot's own says when one has something to read, and it is then served again.
type lot struct {
	server *Server
	file   *os.File // the poller, itself in the runtime's; nil: there is none, and nobody rests
	raw    syscall.RawConn

	mu    sync.Mutex // guards what follows, and the members' part in the poller
	conns map[int32]*conn
	ended bool
}

func newLot(s *Server) *lot {
	l := &lot{server: s, conns: map[int32]*conn{}}
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return l
	}
	unix.SetNonblock(fd, true)
	file := os.NewFile(uintptr(fd), "")
	if l.raw, err = file.SyscallConn(); err != nil {
		file.Close()
		return l
	}
	l.file = file
	s.owned.Add(1)
	go l.watch()
	return l
}

// wakes is once for each time that a connection comes to rest: oneshot.
const wakes = unix.EPOLLIN | unix.EPOLLRDHUP | unix.EPOLLONESHOT

// park takes a connection in until it has something to read, or until a moment (zero: no end). The caller has nothing to
// do with it any more, unless park reports false.
func (l *lot) park(c *conn, until time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file == nil || l.ended {
		return false
	}
	fd := int32(c.bare.fd)
	op := unix.EPOLL_CTL_MOD
	if !c.known {
		op = unix.EPOLL_CTL_ADD
	}
	c.until = until
	if l.control(op, fd) != nil {
		return false
	}
	c.known = true
	l.conns[fd] = c
	return true
}

func (l *lot) control(op int, fd int32) (err error) {
	failed := l.raw.Control(func(poller uintptr) {
		err = unix.EpollCtl(int(poller), op, int(fd), &unix.EpollEvent{Events: wakes, Fd: fd})
	})
	if failed != nil {
		return failed
	}
	return err
}

// leave takes a connection out, and reports whether it was in. It is the caller's then.
func (l *lot) leave(c *conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	fd := int32(c.bare.fd)
	if l.conns[fd] != c {
		return false
	}
	delete(l.conns, fd)
	return true
}

func (l *lot) take(fd int32) *conn {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := l.conns[fd]
	delete(l.conns, fd)
	return c
}

// watch is the goroutine that has connections served which have something to read. It ends with end.
func (l *lot) watch() {
	defer l.server.owned.Done()
	for l.raw.Read(l.wake) == nil {
	}
}

// wake takes all events there are: the poller tells of new ones only.
func (l *lot) wake(poller uintptr) bool {
	var events [128]unix.EpollEvent
	for {
		n, errno := pollNow(poller, events[:])
		if errno != 0 && errno != unix.EINTR {
			return true
		}
		if n == 0 && errno == 0 {
			return false
		}
		for _, e := range events[:n] {
			if c := l.take(e.Fd); c != nil {
				l.server.resume(c)
			}
		}
	}
}

func pollNow(poller uintptr, events []unix.EpollEvent) (int, syscall.Errno) {
	n, _, errno := syscall.RawSyscall6(unix.SYS_EPOLL_PWAIT, poller, uintptr(unsafe.Pointer(&events[0])), uintptr(len(events)), 0, 0, 0)
	if errno != 0 {
		n = 0
	}
	return int(n), errno
}

// over lists those whose time is over.
func (l *lot) over(now time.Time) (over []*conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range l.conns {
		if !c.until.IsZero() && now.After(c.until) {
			over = append(over, c)
		}
	}
	return over
}

// end takes all out, and nobody in any more.
func (l *lot) end() (rest []*conn) {
	rest, first := l.clear()
	if first && l.file != nil {
		l.file.Close() // outside of the lock: it waits for the watch, which may be waiting for that
	}
	return rest
}

func (l *lot) clear() (rest []*conn, first bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range l.conns {
		rest = append(rest, c)
	}
	clear(l.conns)
	first, l.ended = !l.ended, true
	return rest, first
}
