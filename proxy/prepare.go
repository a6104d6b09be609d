package proxy

import (
	"bytes"

	"sluice/message"
)

var (
	nameConnection     = []byte("Connection")
	nameUpgrade        = []byte("Upgrade")
	nameVia            = []byte("Via")
	nameXForwardedFor  = []byte("X-Forwarded-For")
	nameXForwardedHost = []byte("X-Forwarded-Host")
	nameXForwardedProt = []byte("X-Forwarded-Proto")
	nameXRequestID     = []byte("X-Request-Id")
	valueUpgrade       = []byte("upgrade")
	valueClose         = []byte("close")
)

// prepare makes the head that the client sent into the one that backends get. It is done once; a retry sends the same.
func (p *Proxy) prepare(ex *Exchange) *Error {
	h := &ex.Request
	if looped(h, p.via) {
		return errLoop
	}
	ex.scratch = ex.scratch[:0]
	if len(h.Authority) == 0 {
		h.Authority = ex.keep(ex.Peer.Local)
	}
	host, proto := ex.claimed(message.XForwardedHost), ex.claimed(message.XForwardedProto)
	from := ex.chain(h)
	ex.takeID()
	if !filterRequest(h, ex.Peer.Trusted) {
		return errNominated
	}
	h.Add(message.XForwardedFor, nameXForwardedFor, from)
	h.Add(message.XForwardedHost, nameXForwardedHost, or(host, h.Authority))
	h.Add(message.XForwardedProto, nameXForwardedProt, or(proto, ex.keep(ex.Peer.Scheme)))
	h.Add(message.XRequestID, nameXRequestID, ex.id.bytes())
	h.Add(message.Via, nameVia, p.via)
	ex.askUpgrade(h)
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
func (ex *Exchange) takeID() {
	if value := ex.Request.Get(message.XRequestID); value != nil {
		ex.id.adopt(value)
	}
}

// filterRequest takes out what ends here. It reports false when Connection names more fields than are looked for.
func filterRequest(h *message.Head, trusted bool) bool {
	gone := nominated(h)
	if len(gone) > maxNominated {
		return false
	}
	keepFields(h, func(f *message.Field) bool {
		switch {
		case dropRequest[f.ID] || !trusted && dropForged[f.ID]:
			return false
		case f.ID == message.XForwardedFor:
			return false
		case f.ID != message.Other:
			return true
		case alias(f.Name):
			return false
		}
		return gone == nil || !named(gone, f.Name)
	})
	return true
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

// askUpgrade passes on the wish for another protocol, always as a pair with Connection (RFC 9110 §7.8). HTTP/2 is not
// one of them: it would carry requests that nobody here has read. A request with a body cannot become a tunnel.
func (ex *Exchange) askUpgrade(h *message.Head) {
	if h.Upgrade == nil {
		return
	}
	if !message.IsToken(h.Upgrade) || message.EqualFold(h.Upgrade, "h2c") || !h.Framing.Empty() || ex.Client.Tunnel() == nil {
		h.Upgrade = nil
		return
	}
	h.Add(message.Connection, nameConnection, valueUpgrade)
	h.Add(message.Upgrade, nameUpgrade, h.Upgrade)
}

// filterResponse takes what is about the backend's connection out of a response. Content-Length is written anew from the
// framing where there is a body, and stays where it only tells the length of what a GET would have brought.
func filterResponse(h *message.Head) {
	gone := nominated(h)
	bodiless := h.Framing.Kind == message.None && h.Status >= 200 && h.Status != 204
	keepFields(h, func(f *message.Field) bool {
		switch {
		case f.ID == message.ContentLength:
			return bodiless
		case f.ID != message.Other:
			return !dropResponse[f.ID]
		}
		return gone == nil || !named(gone, f.Name)
	})
}
