package proxy

import (
	"bytes"

	"sluice/message"
)

// upgrade decides whether the wish for another protocol is passed on (RFC 9110 §7.8); where not, the request goes on as
// it is, as the RFC has it. A request with a body cannot become a tunnel, and a list leaves open what it would become.
// The client's connection ends with the exchange in any case: what stands behind a request that asks for another
// protocol may be meant for that protocol, and must never be read as a request.
func (ex *Exchange) upgrade(h *message.Head, twice idSet) bool {
	if h.Upgrade == nil {
		return false
	}
	if !tunnels(h.Upgrade) || twice.has(message.Upgrade) || !h.Framing.Empty() || ex.Client.Tunnel() == nil {
		h.Upgrade = nil
		return false
	}
	ex.Close = true
	return true
}

// tunnels reports whether a protocol may be spoken through Sluice unread. Another HTTP may not: it would carry requests
// that nobody here has read; nor may TLS, which would hide them. A version ("HTTP/2.0") makes it no token.
func tunnels(protocol []byte) bool {
	switch n := len(protocol); {
	case !message.IsToken(protocol), message.EqualFold(protocol, "h2c"), message.EqualFold(protocol, "h2"), message.EqualFold(protocol, "h3"):
		return false
	case n >= 4 && message.EqualFold(protocol[:4], "http"), n >= 3 && message.EqualFold(protocol[:3], "tls"):
		return false
	}
	return true
}

// asked reports whether a 101 switches to the protocol that the client asked for. It has to say so in full: one Upgrade
// field, named in Connection (RFC 9110 §7.8, §15.2.2).
func (ex *Exchange) asked(h *message.Head) bool {
	fields, named := 0, false
	for i := range h.Fields {
		switch f := &h.Fields[i]; f.ID {
		case message.Upgrade:
			fields++
		case message.Connection:
			named = named || message.HasToken(f.Value, "upgrade")
		}
	}
	return ex.Request.Upgrade != nil && fields == 1 && named && bytes.EqualFold(h.Upgrade, ex.Request.Upgrade)
}
