package http1

import (
	"io"

	"sluice/message"
)

// bodyState is how far the body at hand has been read.
type bodyState struct {
	kind     message.Kind
	left     int64 // bytes to come: of the body, or of the chunk
	large    bool  // worth a large buffer
	sip      int   // how much may be taken at once; 0: all there is
	done     bool
	chunk    chunkPart
	trailers []message.Field
	extra    int   // bytes of chunk extensions so far
	trailing int   // bytes of the trailer section so far
	err      error // found while looking ahead; told by the next call of Next
}

func (c *Conn) beginBody(f message.Framing) {
	c.in.floor = c.in.r
	c.body = bodyState{kind: f.Kind, left: f.Length, trailers: c.body.trailers[:0]}
	c.body.large = f.Kind == message.Chunked || f.Kind == message.UntilClose || f.Length > smallSize
	c.body.done = f.Empty()
}

// BodyDone reports whether the body of the message last read has been read to its end.
func (c *Conn) BodyDone() bool { return c.body.done }

// BodyBuffered reports whether more of the body can be had without waiting.
func (c *Conn) BodyBuffered() bool {
	switch {
	case c.body.done:
		return false
	case c.body.err != nil:
		return true
	case c.body.kind == message.Chunked && c.body.chunk != chunkData:
		return c.chunkAhead()
	}
	return c.in.unread() > 0
}

// WholeBody returns the body when its length is known and all of it is here already, without taking it off: it can be
// had again until the next message is read. ok is false otherwise.
func (c *Conn) WholeBody() (body []byte, ok bool) {
	if c.body.done {
		return nil, true
	}
	if c.body.kind != message.Length || c.body.left > int64(c.in.unread()) {
		return nil, false
	}
	return c.in.buf[c.in.r : c.in.r+int(c.body.left)], true
}

// SkipBody takes a body that WholeBody returned off the input.
func (c *Conn) SkipBody() {
	c.in.r += int(c.body.left)
	c.in.scan = c.in.r
	c.body.left, c.body.done = 0, true
}

// Gather waits until all of the body is in the buffer, so that WholeBody has it. It does so only for a body of known
// length that fits, and otherwise returns at once.
func (c *Conn) Gather() error {
	if c.body.kind != message.Length || c.body.left > largeSize {
		return nil
	}
	if int(c.body.left) > len(c.in.buf)-c.in.r {
		c.in.split(largeSize)
	}
	for int64(c.in.unread()) < c.body.left {
		if err := c.fill(); err != nil {
			return truncated(err)
		}
	}
	return nil
}

// Trailers returns the trailer fields of a chunked body that has been read to its end. They live until the next read.
func (c *Conn) Trailers() []message.Field { return c.body.trailers }

// Next returns the next bytes of the body, in the connection's own buffer: they live until the next call. At the end it
// returns io.EOF. ErrTruncated means that the peer ended its side first: the message must not be passed on as whole.
func (c *Conn) Next() ([]byte, error) {
	switch {
	case c.body.err != nil:
		return nil, c.body.err
	case c.body.done:
		return nil, io.EOF
	case c.body.kind == message.Length:
		return c.nextOfLength()
	case c.body.kind == message.Chunked:
		return c.nextOfChunks()
	default:
		return c.nextUntilClose()
	}
}

func (c *Conn) nextOfLength() ([]byte, error) {
	if err := c.moreBody(); err != nil {
		return nil, truncated(err)
	}
	p := c.takeBody()
	c.body.done = c.body.left == 0
	return p, nil
}

func (c *Conn) nextUntilClose() ([]byte, error) {
	err := c.moreBody()
	if err == io.EOF {
		c.body.done = true
		return nil, io.EOF
	}
	if err != nil {
		return nil, err
	}
	p := c.in.buf[c.in.r:c.in.w]
	c.in.r = c.in.w
	return p, nil
}

// moreBody makes sure that there is at least one unread byte.
func (c *Conn) moreBody() error {
	if c.in.unread() > 0 {
		return nil
	}
	return c.fillBody()
}

func (c *Conn) fillBody() error {
	if c.in.buf != nil {
		c.in.bodyRoom(c.body.large && c.body.sip == 0)
	}
	return c.fill()
}

// takeBody takes the unread bytes that belong to the body or the chunk.
func (c *Conn) takeBody() []byte {
	n := min(int64(c.in.unread()), c.body.left)
	if c.body.sip > 0 {
		n = min(n, int64(c.body.sip))
	}
	p := c.in.buf[c.in.r : c.in.r+int(n)]
	c.in.r += int(n)
	c.in.scan = c.in.r
	c.body.left -= n
	return p
}

// BecomeTunnel turns what follows into one body without framing that lasts until the peer ends its side: the connection
// carries another protocol from here on (RFC 9110 §7.8). Writes go out as they are.
func (c *Conn) BecomeTunnel() {
	c.body = bodyState{kind: message.UntilClose}
	c.in.floor = 0
	c.out.chunked = false
}
