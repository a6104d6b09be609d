package http1

import (
	"sluice/message"
)

// ReadResponse reads the next response head, interim ones (1xx) included: they come one by one. toHEAD says that the
// request was a HEAD. Errors are those of ReadRequest; io.EOF means that not one byte of a response came.
func (c *Conn) ReadResponse(h *message.Head, toHEAD bool, waits Waits) error {
	c.head = headState{}
	if err := c.readHead(h, statusLine, waits); err != nil {
		return err
	}
	if err := checkResponse(h, toHEAD); err != nil {
		return err
	}
	c.beginBody(h.Framing)
	return nil
}

// ReleaseHead says that the head last read is no longer needed, so that the body may use its place.
func (c *Conn) ReleaseHead() { c.in.floor = 0 }

// statusLine reads `HTTP-version SP status-code SP [ reason-phrase ]` (RFC 9112 §4). The second space is not demanded:
// servers leave it out with the phrase, and nothing can hide there.
func statusLine(h *message.Head, line []byte, _ *Limits) error {
	if len(line) < 12 || line[8] != ' ' {
		return errStatusLine
	}
	minor, err := version(line[:8])
	if err != nil {
		return errStatusLine
	}
	status, rest := line[9:12], line[12:]
	if !digit(status[0]) || !digit(status[1]) || !digit(status[2]) || status[0] < '1' || status[0] > '5' {
		return errStatusLine
	}
	if len(rest) > 0 && (rest[0] != ' ' || !message.IsValue(rest)) {
		return errStatusLine
	}
	h.Minor = minor
	h.Status = int(status[0]-'0')*100 + int(status[1]-'0')*10 + int(status[2]-'0')
	h.Reason = message.Trim(rest)
	return nil
}

// checkResponse finds how the body ends, in the order of RFC 9112 §6.3.
func checkResponse(h *message.Head, toHEAD bool) error {
	f, err := scanFraming(h)
	if err != nil {
		return err
	}
	if err := checkBodiless(h, &f); err != nil {
		return err
	}
	h.Close = closes(h.Minor, &f)
	if h.Status == 101 {
		h.Upgrade = f.upgrade
	}
	switch {
	case toHEAD || h.Status < 200 || h.Status == 204 || h.Status == 304:
		h.Framing = message.Framing{Kind: message.None}
	case f.coded:
		h.Framing = message.Framing{Kind: message.Chunked}
	case f.length >= 0:
		h.Framing = message.Framing{Kind: message.Length, Length: f.length}
	default:
		h.Framing = message.Framing{Kind: message.UntilClose}
		h.Close = true
	}
	return nil
}

// checkBodiless holds the rules for a 1xx and a 204, which have no body and must not frame one (RFC 9112 §6.1, RFC 9110
// §8.6): a peer that does means to send one, or to be misread. A length of 0 is let through, though a server must not
// send it: many do, and it is true.
func checkBodiless(h *message.Head, f *framingFields) error {
	switch {
	case h.Status >= 200 && h.Status != 204:
		return nil
	case f.coded || f.length > 0:
		return errBodiless
	case h.Status < 200 && h.Minor == 0:
		return errInterim
	case h.Status == 101 && (len(f.upgrade) == 0 || !f.upgrades):
		return errSwitch
	}
	return nil
}
