package http1

import (
	"net"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The calls below go to the kernel without telling the scheduler. That is right only because they never wait: the sockets
// are in non-blocking mode. What it saves is the scheduler's bookkeeping around each call and, on a busy core, that the
// connection's goroutine loses its processor to another thread in the middle of a short write.
//
// They are the calls for sockets, not those for files: recvfrom and sendto pass by what the kernel does for any file.

// readSocket reads what is there; unix.EAGAIN means that there is nothing.
func readSocket(fd uintptr, p []byte) (int, syscall.Errno) {
	for {
		n, _, errno := syscall.RawSyscall6(unix.SYS_RECVFROM, fd, uintptr(unsafe.Pointer(&p[0])), uintptr(len(p)), 0, 0, 0)
		if errno != unix.EINTR {
			return int(n), errno
		}
	}
}

// writeSocket writes as much as fits; unix.EAGAIN means that nothing does.
func writeSocket(fd uintptr, p []byte) (int, syscall.Errno) {
	for {
		n, _, errno := syscall.RawSyscall6(unix.SYS_SENDTO, fd, uintptr(unsafe.Pointer(&p[0])), uintptr(len(p)), unix.MSG_NOSIGNAL, 0, 0)
		if errno != unix.EINTR {
			return int(n), errno
		}
	}
}

// writeSocketBoth is writeSocket for two pieces, neither of which is empty.
func writeSocketBoth(fd uintptr, p, q []byte) (int, syscall.Errno) {
	pieces := [2]unix.Iovec{{Base: &p[0], Len: uint64(len(p))}, {Base: &q[0], Len: uint64(len(q))}}
	message := unix.Msghdr{Iov: &pieces[0], Iovlen: 2}
	for {
		n, _, errno := syscall.RawSyscall(unix.SYS_SENDMSG, fd, uintptr(unsafe.Pointer(&message)), unix.MSG_NOSIGNAL)
		if errno != unix.EINTR {
			return int(n), errno
		}
	}
}

// quietSocket reports that there is nothing to read: no byte, no end, no error. It takes nothing off.
func quietSocket(fd uintptr) bool {
	var one [1]byte
	for {
		_, _, errno := syscall.RawSyscall6(unix.SYS_RECVFROM, fd, uintptr(unsafe.Pointer(&one[0])), 1, unix.MSG_PEEK, 0, 0)
		if errno != unix.EINTR {
			return errno == unix.EAGAIN
		}
	}
}

// ackAtOnce sends the acknowledgement that is due, and those of what comes until something is written.
func ackAtOnce(fd uintptr) { setQuickAck(fd, 1) }

// AckWithAnswers has acknowledgements wait for an answer that carries them. The kernel begins so by itself, until an answer
// came later than its acknowledgement could wait, which is 40 ms.
func AckWithAnswers(fd uintptr) { setQuickAck(fd, 0) }

// setQuickAck fails for other sockets than those of TCP, where there is nothing to set.
func setQuickAck(fd uintptr, value int32) {
	syscall.RawSyscall6(unix.SYS_SETSOCKOPT, fd, unix.IPPROTO_TCP, unix.TCP_QUICKACK, uintptr(unsafe.Pointer(&value)), unsafe.Sizeof(value), 0)
}

// pollSocket reports whether one of the events, an error or a hang-up is there now.
func pollSocket(fd uintptr, events int16) bool {
	fds := [1]unix.PollFd{{Fd: int32(fd), Events: events}}
	var now unix.Timespec
	n, _, errno := syscall.RawSyscall6(unix.SYS_PPOLL, uintptr(unsafe.Pointer(&fds[0])), 1, uintptr(unsafe.Pointer(&now)), 0, 0, 0)
	return errno != 0 && errno != unix.EINTR || n > 0
}

func readError(errno syscall.Errno) error { return &net.OpError{Op: "read", Net: "tcp", Err: errno} }

func writeError(errno syscall.Errno) error { return &net.OpError{Op: "write", Net: "tcp", Err: errno} }
