package http1

import (
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// SendsFiles reports whether SendFile can be used: the socket is in reach, and the body is not in chunks.
func (c *Conn) SendsFiles() bool { return c.raw != nil && !c.out.chunked }

// fileTurn is how many bytes of a file are given to the kernel at once.
const fileTurn = 1 << 20

// SendFile writes up to n bytes of a file inside the kernel (sendfile), behind what waits to be written. It returns how many
// the reader took before it is to be waited for again: the caller then gives it new time. A file that ends before is
// io.ErrUnexpectedEOF.
func (c *Conn) SendFile(file *os.File, offset, n int64) (int64, error) {
	if err := c.Flush(); err != nil {
		return 0, err
	}
	raw, err := file.SyscallConn()
	if err != nil {
		return 0, err
	}
	s := sending{offset: offset, left: min(n, fileTurn)}
	control := func(in uintptr) {
		err = c.raw.Write(func(out uintptr) bool { return s.turn(int(out), int(in)) })
	}
	if failed := raw.Control(control); failed != nil {
		return 0, failed
	}
	c.out.total += uint64(s.sent)
	c.out.wrote = c.out.wrote || s.sent > 0
	if err == nil {
		err = s.err
	}
	return s.sent, err
}

// sending is a piece of a file on its way.
type sending struct {
	offset, left, sent int64
	err                error
}

// turn sends what the socket takes now, and reports whether it is not to be waited for.
func (s *sending) turn(out, in int) bool {
	for s.left > 0 {
		n, err := unix.Sendfile(out, in, &s.offset, int(s.left))
		switch {
		case err == unix.EINTR:
		case err == unix.EAGAIN:
			return s.sent > 0
		case err != nil:
			s.err = os.NewSyscallError("sendfile", err)
			return true
		case n == 0:
			s.err = io.ErrUnexpectedEOF
			return true
		}
		s.left, s.sent = s.left-int64(max(n, 0)), s.sent+int64(max(n, 0))
	}
	return true
}
