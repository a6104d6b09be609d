package http1

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The calls below go to the kernel without telling the scheduler. That is right only because they never wait: the sockets
// are in non-blocking mode. What it saves is the scheduler's bookkeeping around each call and, on a busy core, that the
// connection's goroutine loses its processor to another thread in the middle of a short write.

// readSocket reads what is there; unix.EAGAIN means that there is nothing.
func readSocket(fd uintptr, p []byte) (int, syscall.Errno) {
	for {
		n, _, errno := syscall.RawSyscall(unix.SYS_READ, fd, uintptr(unsafe.Pointer(&p[0])), uintptr(len(p)))
		if errno != unix.EINTR {
			return int(n), errno
		}
	}
}

// writeSocket writes as much as fits; unix.EAGAIN means that nothing does.
func writeSocket(fd uintptr, p []byte) (int, syscall.Errno) {
	for {
		n, _, errno := syscall.RawSyscall(unix.SYS_WRITE, fd, uintptr(unsafe.Pointer(&p[0])), uintptr(len(p)))
		if errno != unix.EINTR {
			return int(n), errno
		}
	}
}

// pollSocket reports whether one of the events, an error or a hang-up is there now.
func pollSocket(fd uintptr, events int16) bool {
	fds := [1]unix.PollFd{{Fd: int32(fd), Events: events}}
	var now unix.Timespec
	n, _, errno := syscall.RawSyscall6(unix.SYS_PPOLL, uintptr(unsafe.Pointer(&fds[0])), 1, uintptr(unsafe.Pointer(&now)), 0, 0, 0)
	return errno != 0 && errno != unix.EINTR || n > 0
}
