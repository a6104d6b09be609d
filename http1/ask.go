package http1

import "errors"

// ErrStale says that a connection was not quiet before a request was written to it: the peer has ended it, or has sent
// what answers nothing that was asked. Not a byte of the request was written.
var ErrStale = errors.New("http1: the connection was not quiet")

// askState is how far an Ask came.
type askState uint8

const (
	askLook   askState = iota // the socket is to be quiet; leads to askListen, or to askWrite where the request does not fit
	askWrite                  // the request is being written outside of the wait for the answer
	askListen                 // the request was written; the answer is waited for
)

// Ask gives what waits to be written to the kernel and waits for the first bytes of an answer, which are then here to be
// read. The socket must be quiet before; otherwise the error is ErrStale.
//
// All of it is one visit to the poller. The poller tells of what arrives once it was entered, so:
//
//  1. enter the poller, which forgets what it has told;
//  2. read, and find nothing: whatever arrives from here on will be told;
//  3. write the request;
//  4. wait. The answer cannot have come before 3, so that it need not be looked for.
//
// It saves the look before the request and the read that finds nothing before the wait.
func (c *Conn) Ask() error {
	if c.raw == nil || c.in.unread() > 0 {
		return c.askHidden()
	}
	c.asked = askLook
	c.out.sent, c.out.err = 0, nil
	c.in.release()
	if err := c.wait(c.onAsk); err != nil || c.asked == askListen {
		return err
	}
	return c.askSlowly()
}

func (c *Conn) askHidden() error {
	c.asked = askLook
	if !c.Quiet() {
		return ErrStale
	}
	if err := c.Flush(); err != nil {
		return err
	}
	c.asked = askListen
	return c.fill()
}

func (c *Conn) askReady(fd uintptr) bool {
	if c.asked == askListen {
		return c.readReady(fd)
	}
	if !quietSocket(fd) {
		c.readErr = ErrStale
		return true
	}
	if c.asked = askWrite; !c.writeReady(fd) {
		return true
	}
	c.out.release()
	if c.readErr = c.out.err; c.readErr != nil {
		return true
	}
	c.asked = askListen
	return false
}

// askSlowly writes the rest of a request that the socket's buffer had no room for.
func (c *Conn) askSlowly() error {
	err := c.raw.Write(c.onWritable)
	if err == nil {
		err = c.out.err
	}
	c.out.release()
	if err != nil {
		return err
	}
	c.asked = askListen
	return c.firstRead()
}

// Asked reports whether the last Ask came to write the whole request.
func (c *Conn) Asked() bool { return c.asked == askListen }
