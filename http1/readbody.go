package http1

import "sluice/message"

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
	n, err := c.nc.Read(p[:min(int64(len(p)), c.body.left)])
	c.body.left -= int64(n)
	c.body.done = c.body.left == 0
	if n > 0 {
		return n, nil
	}
	return 0, truncated(err)
}
