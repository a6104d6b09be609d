package http1

import "sluice/message"

// framingFields is what the fields of a head say about its framing and its connection, before any of it is judged.
type framingFields struct {
	host    []byte
	hosts   int
	length  int64 // -1: no Content-Length
	coded   bool  // Transfer-Encoding: chunked
	close   bool  // Connection: close
	keep    bool  // Connection: keep-alive
	expect  []byte
	upgrade []byte

	upgrades bool // Connection: upgrade
}

// scanFraming reads the framing fields and refuses what RFC 9112 §6.3 calls unrecoverable, or ought to be an error.
func scanFraming(h *message.Head) (framingFields, error) {
	f := framingFields{length: -1}
	for i := range h.Fields {
		field := &h.Fields[i]
		if field.ID == message.Other {
			continue
		}
		if err := f.take(field, h.Minor); err != nil {
			return f, err
		}
	}
	if f.coded && f.length >= 0 {
		return f, errLengthAndCoding
	}
	return f, nil
}

func (f *framingFields) take(field *message.Field, minor uint8) error {
	switch field.ID {
	case message.Host:
		f.host = field.Value
		f.hosts++
	case message.ContentLength:
		return f.takeLength(field.Value)
	case message.TransferEncoding:
		return f.takeCoding(field.Value, minor)
	case message.Connection:
		f.takeConnection(field.Value)
	case message.Expect:
		f.takeExpect(field.Value)
	case message.Upgrade:
		f.upgrade = field.Value
	}
	return nil
}

// maxLengthDigits keeps the number below 10^18, well inside an int64.
const maxLengthDigits = 18

func (f *framingFields) takeLength(value []byte) error {
	if f.length >= 0 {
		return errLengthTwice
	}
	if len(value) == 0 || len(value) > maxLengthDigits {
		return errLength
	}
	n := int64(0)
	for _, c := range value {
		if !digit(c) {
			return errLength
		}
		n = n*10 + int64(c-'0')
	}
	f.length = n
	return nil
}

func (f *framingFields) takeCoding(value []byte, minor uint8) error {
	switch {
	case minor == 0:
		return errCodingIn10
	case f.coded:
		return errCodingTwice
	case !message.EqualFold(value, "chunked"):
		return otherCoding(value)
	}
	f.coded = true
	return nil
}

// otherCoding tells what cannot be framed, as chunked is not the last coding or not a plain one (RFC 9112 §6.3 item 4),
// from what is well framed by codings that are not known here (§6.1).
func otherCoding(list []byte) error {
	for last := false; !last; {
		var member []byte
		member, list = message.NextToken(list)
		if last = message.EqualFold(member, "chunked"); last && list == nil {
			return errCodingUnknown
		}
		if last || !message.IsToken(member) || list == nil {
			break
		}
	}
	return errCoding
}

func (f *framingFields) takeConnection(list []byte) {
	for len(list) > 0 {
		var member []byte
		member, list = message.NextToken(list)
		switch {
		case message.EqualFold(member, "close"):
			f.close = true
		case message.EqualFold(member, "keep-alive"):
			f.keep = true
		case message.EqualFold(member, "upgrade"):
			f.upgrades = true
		}
	}
}

// takeExpect keeps the first expectation that cannot be met: another field beside it does not take it back.
func (f *framingFields) takeExpect(value []byte) {
	if f.expect == nil || message.EqualFold(f.expect, continues) {
		f.expect = value
	}
}

const continues = "100-continue"

// closes decides whether the connection ends after the message (RFC 9112 §9.3).
func closes(minor uint8, f *framingFields) bool { return f.close || minor == 0 && !f.keep }
