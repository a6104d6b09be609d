package http1

import (
	"bytes"
	"io"

	"sluice/message"
)

// chunkPart is what comes next in a chunked body (RFC 9112 §7.1).
type chunkPart uint8

const (
	chunkSize    chunkPart = iota // a size line; leads to chunkData, or to chunkTrailer after the last chunk
	chunkData                     // the data; leads to chunkEnd
	chunkEnd                      // the CRLF after the data; leads to chunkSize
	chunkTrailer                  // trailer fields until an empty line, which ends the body
)

const (
	maxChunkLine  = 256     // a size line with its extensions, which nobody needs
	maxExtensions = 4 << 10 // of all extensions in a body: small chunks with long extensions are an attack
	maxSizeDigits = 15      // below 2^60
	trailerFields = 64      // of a trailer section: a checksum or a status, not a second head
)

func (c *Conn) nextOfChunks() ([]byte, error) {
	for {
		if c.body.chunk == chunkData {
			if err := c.moreBody(); err != nil {
				return nil, truncated(err)
			}
			return c.takeChunk(), nil
		}
		if err := c.nextChunkLine(); err != nil {
			return nil, err
		}
	}
}

func (c *Conn) takeChunk() []byte {
	p := c.takeBody()
	if c.body.left == 0 {
		c.body.chunk = chunkEnd
		c.eagerEnd()
	}
	return p
}

// eagerEnd reads on over the framing that is at hand already, so that the end of the body is known together with its last
// bytes and the two can be passed on in one write. What is wrong there is told by the next call of Next.
func (c *Conn) eagerEnd() {
	for c.body.chunk != chunkData && !c.body.done {
		ok, err := c.chunkLine()
		if c.body.err = err; !ok || err != nil {
			return
		}
	}
}

// nextChunkLine takes one line of the framing, waiting for it. It returns io.EOF after the last.
func (c *Conn) nextChunkLine() error {
	ok, err := c.chunkLine()
	switch {
	case err != nil:
		return err
	case !ok && c.in.unread() > c.lineLimit()+len("\r"):
		return c.tooLong()
	case !ok:
		return truncated(c.fillBody())
	case c.body.done:
		return io.EOF
	}
	return nil
}

// lineLimit is how long the line at hand may be, without its CRLF.
func (c *Conn) lineLimit() int {
	switch c.body.chunk {
	case chunkTrailer:
		// What waits for its end must fit the buffer, whatever the limit.
		return max(0, min(c.limits.Trailers-c.body.trailing, largeSize/2))
	case chunkEnd:
		return 0
	}
	return maxChunkLine
}

func (c *Conn) tooLong() error {
	if c.body.chunk == chunkTrailer {
		return errTrailers
	}
	return errChunk
}

// chunkAhead reports whether the framing at hand leads to something that can be told without waiting. A line that is
// only half here does not: who held its output back for it could wait for as long as the peer likes. Nor does a size that
// begins with 0, which is most likely the last: the trailer section may be half here too.
func (c *Conn) chunkAhead() bool {
	unread := c.in.buf[c.in.r:c.in.w]
	i := bytes.IndexByte(unread, '\n')
	return i >= 0 && i+1 < len(unread) && unread[0] != '0'
}

// chunkLine takes one line of the framing if it is at hand.
func (c *Conn) chunkLine() (ok bool, err error) {
	line, ok, err := c.in.line()
	switch {
	case err != nil && c.toLF() > c.lineLimit()+len("\r"):
		return false, c.tooLong()
	case !ok:
		return false, err
	}
	switch c.body.chunk {
	case chunkSize:
		return true, c.takeSize(line)
	case chunkEnd:
		if len(line) != 0 {
			return true, errChunk
		}
		c.body.chunk = chunkSize
		return true, nil
	default:
		return true, c.takeTrailer(line)
	}
}

// takeSize reads `chunk-size [ chunk-ext ]` (RFC 9112 §7.1). Extensions are bounded, read over and never passed on.
func (c *Conn) takeSize(line []byte) error {
	digits := 0
	size := int64(0)
	for digits < len(line) {
		d := unhex(line[digits])
		if d < 0 {
			break
		}
		size = size<<4 | int64(d)
		if digits++; digits > maxSizeDigits {
			return errChunk
		}
	}
	if digits == 0 || !c.allowExtension(line[digits:]) || len(line) > maxChunkLine {
		return errChunk
	}
	c.body.left, c.body.chunk = size, chunkData
	if size == 0 {
		c.body.chunk = chunkTrailer
	}
	return nil
}

func (c *Conn) allowExtension(ext []byte) bool {
	if len(ext) == 0 {
		return true
	}
	c.body.extra += len(ext)
	return c.body.extra <= maxExtensions && isExtension(ext)
}

func (c *Conn) takeTrailer(line []byte) error {
	if len(line) == 0 {
		c.body.done = true
		return nil
	}
	if len(line) > c.lineLimit() || len(c.body.trailers) >= trailerFields {
		return errTrailers
	}
	c.body.trailing += len(line)
	// A copy: the buffer below may move while the rest of the section arrives.
	if err := appendField(&c.body.trailers, append([]byte(nil), line...)); err != nil {
		return err
	}
	if last := len(c.body.trailers) - 1; !mayTrail(c.body.trailers[last].ID) {
		c.body.trailers = c.body.trailers[:last]
	}
	return nil
}

// mayTrail drops fields that frame a message or speak of its connection: a trailer section must not have them (RFC 9110
// §6.5.1), and who merged one into the head would see another message.
func mayTrail(id message.ID) bool {
	switch id {
	case message.Connection, message.ContentLength, message.Expect, message.Host, message.KeepAlive, message.ProxyConnection,
		message.TE, message.Trailer, message.TransferEncoding, message.Upgrade:
		return false
	}
	return true
}

func unhex(b byte) int {
	switch {
	case '0' <= b && b <= '9':
		return int(b - '0')
	case 'a' <= b && b <= 'f':
		return int(b-'a') + 10
	case 'A' <= b && b <= 'F':
		return int(b-'A') + 10
	}
	return -1
}
