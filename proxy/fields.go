package proxy

import (
	"bytes"

	"sluice/message"
)

// idSet is a set of known field names.
type idSet uint64

func ids(list ...message.ID) (set idSet) {
	for _, id := range list {
		set |= 1 << id
	}
	return set
}

func (s idSet) has(id message.ID) bool { return s>>id&1 != 0 }

// dropRequest are fields of a request that end here: they are about this connection (RFC 9110 §7.6.1), are meant for a
// proxy that asks for credentials (§11.7.2), or are written anew for the next. CGI makes "Proxy" the address of a proxy
// for the program's own requests, and no protocol knows it.
var dropRequest = ids(message.Connection, message.ContentLength, message.Expect, message.Host, message.HTTP2Settings,
	message.KeepAlive, message.Proxy, message.ProxyAuthenticate, message.ProxyAuthorization, message.ProxyConnection,
	message.SluiceDrain, message.TE, message.TransferEncoding, message.Upgrade, message.XForwardedFor, message.XForwardedHost,
	message.XForwardedProto, message.XRequestID)

// dropForged are fields that only a trusted peer may send: they say where a request came from, or what it asked for
// before somebody rewrote it.
var dropForged = ids(message.CFConnectingIP, message.ClientIP, message.Forwarded, message.ForwardedFor,
	message.FrontEndHTTPS, message.TrueClientIP, message.XClientIP, message.XClusterClientIP, message.XForwarded,
	message.XOriginalHost, message.XOriginalURL, message.XRealIP, message.XRewriteURL, message.XURLScheme)

// once are fields that have one value. Of two, one server takes the first and another the last: "a sender MUST NOT
// generate multiple field lines with the same name" (RFC 9110 §5.3). Those that frame and route are counted as they are
// read.
var once = ids(message.Authorization, message.ContentType)

// onceTrusted are the same of a trusted peer; from another one they do not count.
var onceTrusted = ids(message.XForwardedHost, message.XForwardedProto, message.XRealIP)

var dropResponse = ids(message.Connection, message.KeepAlive, message.ProxyAuthenticate, message.ProxyConnection,
	message.SluiceDrain, message.TE, message.TransferEncoding, message.Upgrade)

// survey finds which known fields a head has, and which of them more than once.
func survey(h *message.Head) (seen, twice idSet) {
	for i := range h.Fields {
		bit := idSet(1) << h.Fields[i].ID
		twice |= seen & bit
		seen |= bit
	}
	return seen, twice
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
	return len(name) > 0 && !message.EqualFold(name, "close") && message.Lookup(name) == message.Other && !forwarding(name)
}

func named(names [][]byte, name []byte) bool {
	for _, n := range names {
		if bytes.EqualFold(n, name) {
			return true
		}
	}
	return false
}

const forwardingPrefix = "x-forwarded-"

// forwarding reports a name of the family that says where a request came from; each server knows more of them.
func forwarding(name []byte) bool {
	n := len(forwardingPrefix)
	return len(name) > n && name[0]|0x20 == 'x' && message.EqualFold(name[:n], forwardingPrefix)
}

// alphanumeric are the bytes that names keep in the variables that CGI makes of them; the dash is what ours have beside.
var alphanumeric = func() (t [256]bool) {
	for _, c := range []byte("-0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ") {
		t[c] = true
	}
	return t
}()

// alias reports a name that a server may read as one that Sluice has a rule for, because it takes "_", "." or another
// such byte for "-", as CGI and its successors do. One at the end or the beginning may get lost on the way.
func alias(name []byte) bool {
	for _, c := range name {
		if !alphanumeric[c] {
			return aliasOf(name)
		}
	}
	return false
}

// longestAlias is longer than any name there is a rule for, with room for what gets lost.
const longestAlias = 64

func aliasOf(name []byte) bool {
	var room [longestAlias]byte
	folded := room[:copy(room[:], name)]
	for i, c := range folded {
		if !alphanumeric[c] {
			folded[i] = '-'
		}
	}
	folded = bytes.Trim(folded, "-")
	return forwarding(folded) || len(name) <= longestAlias && message.Lookup(folded) != message.Other
}

// noTrailers are fields that Sluice has no other rule for, but that must not come behind a body: they frame, ask for
// something else, authenticate, say how to read the content or how to handle the response (RFC 9110 §6.5.1).
var noTrailers = []string{"accept-ranges", "age", "authentication-info", "content-encoding", "content-location",
	"content-range", "expires", "if-match", "if-modified-since", "if-none-match", "if-range", "if-unmodified-since",
	"location", "pragma", "proxy-authentication-info", "range", "retry-after", "vary", "warning", "www-authenticate"}

// keepTrailers takes what must not be a trailer out.
func keepTrailers(fields []message.Field) []message.Field {
	kept := fields[:0]
	for _, f := range fields {
		if f.ID == message.Other && !forwarding(f.Name) && !alias(f.Name) && !among(noTrailers, f.Name) {
			kept = append(kept, f)
		}
	}
	return kept
}

func among(lower []string, name []byte) bool {
	for _, l := range lower {
		if message.EqualFold(name, l) {
			return true
		}
	}
	return false
}
