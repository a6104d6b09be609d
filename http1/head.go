package http1

import (
	"bytes"
	"io"
	"time"

	"sluice/message"
)

// headState is how far the head at hand has been read.
type headState struct {
	request bool
	skipped bool // the one empty line that may stand before a request was there
	lines   int
	begun   bool // at least one byte of it is here
}

// tooLong is the answer to a head beyond the limit. In a request's first line it can only be the target.
func (s *headState) tooLong() error {
	if s.request && s.lines == 0 {
		return errTargetLong
	}
	return errHeadLong
}

// Waits says how long the parts of a read may take. Zero means no limit.
type Waits struct {
	First time.Duration // for the first byte of a message
	Head  time.Duration // from its first byte to the end of the head
}

// startLine reads the first line of a head into h.
type startLine func(h *message.Head, line []byte, limits *Limits) error

// readHead reads one head. It returns io.EOF when the peer ended its side before the first byte.
func (c *Conn) readHead(h *message.Head, start startLine, waits Waits) error {
	if c.body.kind != message.None && !c.body.done {
		return errUnread
	}
	c.in.next()
	c.restart(h)
	for {
		done, err := c.parseLines(h, start)
		if done || err != nil {
			return err
		}
		if err := c.readMore(h, waits); err != nil {
			return err
		}
	}
}

// HeadBegun reports whether the head that was being read last had begun to arrive: a wait that ended before was idle.
func (c *Conn) HeadBegun() bool { return c.head.lines > 0 || c.in.unread() > 0 }

// restart begins the head anew at the first unread byte.
func (c *Conn) restart(h *message.Head) {
	h.Reset()
	c.head.lines, c.head.begun = 0, false
	c.body = bodyState{trailers: c.body.trailers[:0]}
	c.in.floor, c.in.scan = c.in.r, c.in.r
}

// parseLines takes whole lines off the input until the empty one that ends the head.
func (c *Conn) parseLines(h *message.Head, start startLine) (done bool, err error) {
	for {
		line, ok, err := c.in.line()
		if err != nil && c.in.r+c.toLF() >= c.in.floor+c.limits.Head || c.in.r-c.in.floor > c.limits.Head {
			return false, c.head.tooLong()
		}
		if !ok {
			return false, err
		}
		if len(line) == 0 && c.skipEmpty() {
			continue
		}
		if len(line) == 0 && c.head.lines > 0 {
			return true, nil
		}
		if err := c.parseLine(h, line, start); err != nil {
			return false, err
		}
		c.head.lines++
	}
}

// toLF is how far away the next LF is. A line that ends badly beyond a limit is too long, as it would have been told
// before its end had come: the verdict must not depend on how the bytes arrive.
func (c *Conn) toLF() int { return bytes.IndexByte(c.in.buf[c.in.r:c.in.w], '\n') }

// skipEmpty ignores one empty line before a request: "a server that is expecting to receive and parse a request-line
// SHOULD ignore at least one empty line" (RFC 9112 §2.2). The connection is as idle after it as before.
func (c *Conn) skipEmpty() bool {
	if c.head.lines > 0 || !c.head.request || c.head.skipped {
		return false
	}
	c.head.skipped, c.head.begun = true, false
	c.in.floor = c.in.r
	return true
}

func (c *Conn) parseLine(h *message.Head, line []byte, start startLine) error {
	if c.head.lines == 0 {
		return start(h, line, c.limits)
	}
	switch most := c.limits.Field; {
	case c.head.lines > c.limits.Fields:
		return errFieldCount
	case most > 0 && len(line) > most:
		return errFieldLong
	}
	return appendField(&h.Fields, line)
}

// readMore reads again into a head that is not whole. A head that outgrows its buffer is moved to a large one and
// parsed from its beginning, because its slices would otherwise point into the old buffer.
func (c *Conn) readMore(h *message.Head, waits Waits) error {
	switch {
	case c.in.unread() == 0 && c.head.lines == 0:
		c.ArmRead(waits.First)
	case !c.head.begun:
		c.head.begun = true
		c.ArmRead(waits.Head)
	}
	if err := c.headRoom(h); err != nil {
		return err
	}
	err := c.fill()
	if err == io.EOF && (c.in.unread() > 0 || c.head.lines > 0) {
		return ErrTruncated
	}
	return err
}

func (c *Conn) headRoom(h *message.Head) error {
	if c.in.buf == nil || c.in.w < len(c.in.buf) && c.in.w-c.in.floor < c.limits.Head {
		return nil
	}
	if c.in.w-c.in.floor >= min(c.limits.Head, largeSize) {
		return c.head.tooLong()
	}
	begun, size := c.head.begun, len(c.in.buf)
	if c.in.floor == 0 {
		size = largeSize
	}
	c.in.r = c.in.floor
	c.in.move(c.in.floor, size)
	c.restart(h)
	c.head.begun = begun
	return nil
}

// appendField reads one field line (RFC 9112 §5). A line that begins with white space would continue the one before it
// (obs-fold, §5.2); its name is then no token, and it is refused like white space before the colon (§5.1).
func appendField(fields *[]message.Field, line []byte) error {
	colon := message.TokenLength(line)
	if colon == 0 || colon == len(line) || line[colon] != ':' {
		return errFieldLine
	}
	value := message.Trim(line[colon+1:])
	if !message.IsValue(value) {
		return errFieldLine
	}
	name := line[:colon]
	*fields = append(*fields, message.Field{Name: name, Value: value, ID: message.Lookup(name)})
	return nil
}
