package proxy

import (
	"bytes"
	"strconv"

	"sluice/message"
)

var (
	nameConnection     = []byte("Connection")
	nameTE             = []byte("TE")
	nameUpgrade        = []byte("Upgrade")
	nameVia            = []byte("Via")
	nameXForwardedFor  = []byte("X-Forwarded-For")
	nameXForwardedHost = []byte("X-Forwarded-Host")
	nameXForwardedProt = []byte("X-Forwarded-Proto")
	nameXRequestID     = []byte("X-Request-Id")
	valueTE            = []byte("TE")
	valueTrailers      = []byte("trailers")
	valueUpgrade       = []byte("upgrade")
	valueClose         = []byte("close")
)

// prepare makes the head that the client sent into the one that backends get. It is done once; a retry sends the same.
func (p *Proxy) prepare(ex *Exchange) *Error {
	h := &ex.Request
	seen, twice := survey(h)
	ex.scratch = ex.scratch[:0]
	if seen.has(message.XRequestID) {
		ex.takeID()
	}
	if err := p.check(ex, seen, twice); err != nil {
		return err
	}
	if err := ex.takeTarget(h); err != nil {
		return err
	}
	if err := ex.takeMaxForwards(h, seen, twice); err != nil {
		return err
	}
	return p.rewrite(ex, seen, twice)
}

// check refuses what is never passed on. A request that is traced would come back with what it carries (RFC 9110
// §9.3.8), the client's secrets and what Sluice added to them.
func (p *Proxy) check(ex *Exchange, seen, twice idSet) *Error {
	switch {
	case string(ex.Request.Method) == "TRACE":
		return errTrace
	case seen.has(message.Via) && looped(&ex.Request, p.via):
		return errLoop
	case twice&once != 0, ex.Peer.Trusted && twice&onceTrusted != 0:
		return errTwice
	}
	return nil
}

// rewrite puts the fields of the next connection in the place of those of this one.
func (p *Proxy) rewrite(ex *Exchange, seen, twice idSet) *Error {
	h := &ex.Request
	host, proto := ex.claimed(message.XForwardedHost), ex.claimed(message.XForwardedProto)
	from := ex.chain(h)
	trailers := seen.has(message.TE) && h.Minor == 1 && wantsTrailers(h)
	upgrade := ex.upgrade(h, twice)
	if !filterRequest(h, ex.Peer.Trusted) {
		return errNominated
	}
	if twice.has(message.Cookie) {
		joinCookies(h)
	}
	h.Add(message.XForwardedFor, nameXForwardedFor, from)
	h.Add(message.XForwardedHost, nameXForwardedHost, or(host, h.Authority))
	h.Add(message.XForwardedProto, nameXForwardedProt, or(proto, ex.keep(ex.Peer.Scheme)))
	h.Add(message.XRequestID, nameXRequestID, ex.id.bytes())
	h.Add(message.Via, nameVia, p.via)
	ex.ask(h, upgrade, trailers)
	return nil
}

// looped reports whether the request has been through this very process before (RFC 9110 §7.6.3).
func looped(h *message.Head, via []byte) bool {
	for i := range h.Fields {
		if h.Fields[i].ID == message.Via && bytes.Contains(h.Fields[i].Value, via) {
			return true
		}
	}
	return false
}

// claimed is the value a trusted peer sent, or nil.
func (ex *Exchange) claimed(id message.ID) []byte {
	if !ex.Peer.Trusted {
		return nil
	}
	return ex.Request.Get(id)
}

func or(a, b []byte) []byte {
	if a != nil {
		return a
	}
	return b
}

// takeID takes the request id that came with the request over, so that one request has one name along its way. A client
// may choose it freely: it names the request in logs and receipts, and nothing is decided by it.
func (ex *Exchange) takeID() { ex.id.adopt(ex.Request.Get(message.XRequestID)) }

// takeMaxForwards counts an OPTIONS down, or makes Sluice its recipient where it has come as far as it may. With other
// methods the field means nothing and is passed on (RFC 9110 §7.6.2).
func (ex *Exchange) takeMaxForwards(h *message.Head, seen, twice idSet) *Error {
	ex.recipient = false
	if !seen.has(message.MaxForwards) || string(h.Method) != "OPTIONS" {
		return nil
	}
	n, ok := forwards(h.Get(message.MaxForwards))
	if !ok || twice.has(message.MaxForwards) {
		return errForwards
	}
	ex.recipient = n == 0
	for i := range h.Fields {
		if f := &h.Fields[i]; f.ID == message.MaxForwards {
			f.Value = strconv.AppendInt(nil, n-1, 10)
		}
	}
	return nil
}

// mostForwards is the largest Max-Forwards that is told apart: "the recipient's maximum supported value for Max-Forwards"
// (RFC 9110 §7.6.2).
const mostForwards = 1000

func forwards(digits []byte) (n int64, ok bool) {
	for _, c := range digits {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = min(n*10+int64(c-'0'), mostForwards)
	}
	return n, len(digits) > 0
}

// filterRequest takes out what ends here. It reports false when Connection names more fields than are looked for.
func filterRequest(h *message.Head, trusted bool) bool {
	gone := nominated(h)
	if len(gone) > maxNominated {
		return false
	}
	drop := dropRequest
	if !trusted {
		drop |= dropForged
	}
	keepFields(h, func(f *message.Field) bool {
		switch {
		case f.ID != message.Other:
			return !drop.has(f.ID)
		case alias(f.Name), !trusted && forwarding(f.Name):
			return false
		}
		return gone == nil || !named(gone, f.Name)
	})
	return true
}

// joinCookies makes one field of several, as HTTP/2 clients send them (RFC 9113 §8.2.3): servers would read the first,
// the last, or a list with commas. Empty ones leave nothing: a separator at the end would be followed by a space, which
// is no part of a value.
func joinCookies(h *message.Head) {
	var crumbs [][]byte
	for i := range h.Fields {
		if f := &h.Fields[i]; f.ID == message.Cookie && len(f.Value) > 0 {
			crumbs = append(crumbs, f.Value)
		}
	}
	joined := bytes.Join(crumbs, []byte("; "))
	keepFields(h, func(f *message.Field) bool {
		if f.ID != message.Cookie {
			return true
		}
		f.Value, joined = joined, nil
		return len(f.Value) > 0
	})
}

// chain writes where the request came from: the client alone, or behind what a trusted peer says of it.
func (ex *Exchange) chain(h *message.Head) []byte {
	start := len(ex.scratch)
	for i := range h.Fields {
		if f := &h.Fields[i]; f.ID == message.XForwardedFor && ex.Peer.Trusted {
			ex.scratch = append(ex.scratch, f.Value...)
			ex.scratch = append(ex.scratch, ", "...)
		}
	}
	ex.scratch = append(ex.scratch, ex.Peer.Address...)
	return ex.scratch[start:]
}

// keep copies a string behind what is kept for this request already.
func (ex *Exchange) keep(s string) []byte {
	start := len(ex.scratch)
	ex.scratch = append(ex.scratch, s...)
	return ex.scratch[start:]
}

// wantsTrailers finds the one member of TE that outlives a connection: Sluice passes trailers on (RFC 9110 §6.5.1).
func wantsTrailers(h *message.Head) bool {
	for i := range h.Fields {
		if f := &h.Fields[i]; f.ID == message.TE && message.HasToken(f.Value, "trailers") {
			return true
		}
	}
	return false
}

// ask adds the wishes that are about the next connection, each named in Connection (RFC 9110 §7.6.1, §10.1.4).
func (ex *Exchange) ask(h *message.Head, upgrade, trailers bool) {
	switch {
	case upgrade:
		h.Add(message.Connection, nameConnection, valueUpgrade)
		h.Add(message.Upgrade, nameUpgrade, h.Upgrade)
	case trailers:
		h.Add(message.Connection, nameConnection, valueTE)
		h.Add(message.TE, nameTE, valueTrailers)
	}
}

// filterResponse takes what is about the backend's connection out of a response. Content-Length is written anew from the
// framing where there is a body, and stays where it only tells the length of what a GET would have brought. drain is what
// the backend asks for itself; ok is false when Connection names more fields than are looked for.
func filterResponse(h *message.Head) (drain, ok bool) {
	gone := nominated(h)
	if len(gone) > maxNominated {
		return false, false
	}
	bodiless := h.Framing.Kind == message.None && h.Status >= 200 && h.Status != 204
	keepFields(h, func(f *message.Field) bool {
		switch {
		case f.ID == message.ContentLength:
			return bodiless
		case dropResponse.has(f.ID):
			drain = drain || f.ID == message.SluiceDrain && isTrue(f.Value)
			return false
		case f.ID != message.Other:
			return true
		}
		return gone == nil || !named(gone, f.Name)
	})
	return drain, true
}

func isTrue(value []byte) bool { return string(value) == "1" || string(value) == "true" }
