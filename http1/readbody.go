package http1

import (
	"golang.org/x/sys/unix"

	"sluice/message"
)

// ReadBody is Next into the caller's memory. A body that is read so takes no buffer beside the one that holds the head,
// however long it is announced to be: who waits for many slow bodies holds no more than has come of each.
// It is for requests, whose bodies end by their own framing.
func (c *Conn) ReadBody(p []byte) (int, error) {
	if c.body.kind == message.Length && c.body.left > 0 && c.in.unread() == 0 {
		return c.readDirect(p)
	}
	c.body.sip = len(p)
	b, err := c.Next()
	c.body.sip = 0
	return copy(p, b), err
}

// readDirect reads a body of known length past the buffer.
func (c *Conn) readDirect(p []byte) (int, error) {
	n, err := c.readInto(p[:min(int64(len(p)), c.body.left)])
	c.body.left -= int64(n)
	c.body.done = c.body.left == 0
	return n, truncated(err)
}

// readInto waits for bytes and reads once.
func (c *Conn) readInto(p []byte) (n int, err error) {
	if c.raw == nil {
		if n, err = c.nc.Read(p); n > 0 {
			err = nil
		}
		return n, err
	}
	c.into, c.brought = p, 0
	err = c.wait(c.onInto)
	c.into = nil
	return c.brought, err
}

func (c *Conn) intoReady(fd uintptr) bool {
	n, errno := readSocket(fd, c.into)
	if errno == unix.EAGAIN {
		c.in.hasten(fd)
		return false
	}
	c.brought = c.came(n, errno)
	return true
}
