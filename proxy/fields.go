package proxy

import (
	"bytes"

	"sluice/message"
)

// dropRequest are fields of a request that end here: they are about this connection (RFC 9110 §7.6.1), or are written
// anew for the next.
var dropRequest = ids(message.Connection, message.ContentLength, message.Expect, message.Host, message.HTTP2Settings,
	message.KeepAlive, message.ProxyConnection, message.TE, message.TransferEncoding, message.Upgrade,
	message.XForwardedHost, message.XForwardedProto, message.XRequestID)

// dropForged are fields that only a trusted peer may send: they say where a request came from.
var dropForged = ids(message.Forwarded, message.XForwardedFor, message.XRealIP)

var dropResponse = ids(message.Connection, message.KeepAlive, message.ProxyConnection, message.TransferEncoding,
	message.Upgrade)

// dropTrailer are fields that must not come behind a body: they frame, route or authorise (RFC 9110 §6.5.1).
var dropTrailer = ids(message.Connection, message.ContentLength, message.ContentType, message.CacheControl,
	message.Expect, message.Forwarded, message.Host, message.KeepAlive, message.TE, message.Trailer,
	message.TransferEncoding, message.Upgrade, message.Via, message.XForwardedFor, message.XForwardedHost,
	message.XForwardedProto, message.XRealIP, message.XRequestID)

func ids(list ...message.ID) (set [64]bool) {
	for _, id := range list {
		set[id] = true
	}
	return set
}

// keepFields keeps the fields that are not dropped, in order and in place.
func keepFields(h *message.Head, keep func(*message.Field) bool) {
	kept := h.Fields[:0]
	for i := range h.Fields {
		if keep(&h.Fields[i]) {
			kept = append(kept, h.Fields[i])
		}
	}
	h.Fields = kept
}

// maxNominated is how many fields may be named in Connection. Nobody names more than a few, and each is compared with
// each field there is.
const maxNominated = 32

// nominated returns what the Connection fields name beside their usual tokens, or nil, which is the usual. It stops
// behind maxNominated.
func nominated(h *message.Head) (names [][]byte) {
	for i := range h.Fields {
		if h.Fields[i].ID != message.Connection {
			continue
		}
		for list := h.Fields[i].Value; len(list) > 0 && len(names) <= maxNominated; {
			var name []byte
			name, list = message.NextToken(list)
			if nominable(name) {
				names = append(names, name)
			}
		}
	}
	return names
}

// nominable reports whether a field may be named in Connection for removal. Those that Sluice has a rule for may not: a
// client could otherwise take away what the backend relies on.
func nominable(name []byte) bool {
	switch {
	case len(name) == 0, message.EqualFold(name, "close"), message.Lookup(name) != message.Other:
		return false
	case message.EqualFold(name, "authorization"), message.EqualFold(name, "cookie"), message.EqualFold(name, "set-cookie"):
		return false
	}
	return true
}

func named(names [][]byte, name []byte) bool {
	for _, n := range names {
		if bytes.EqualFold(n, name) {
			return true
		}
	}
	return false
}

// alias reports a name that a server may read as one of ours because it takes "_" for "-", as CGI does.
func alias(name []byte) bool {
	if bytes.IndexByte(name, '_') < 0 || len(name) > maxID {
		return false
	}
	var folded [maxID]byte
	n := copy(folded[:], name)
	for i := range folded[:n] {
		if folded[i] == '_' {
			folded[i] = '-'
		}
	}
	id := message.Lookup(folded[:n])
	return dropRequest[id] || dropForged[id]
}

// keepTrailers takes what must not be a trailer out.
func keepTrailers(fields []message.Field) []message.Field {
	kept := fields[:0]
	for _, f := range fields {
		if !dropTrailer[f.ID] && !message.EqualFold(f.Name, "authorization") && !message.EqualFold(f.Name, "set-cookie") {
			kept = append(kept, f)
		}
	}
	return kept
}
