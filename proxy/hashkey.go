package proxy

import (
	"bytes"

	"sluice/message"
	"sluice/upstream"
)

// HashBy says what a pool that goes by upstream.Hash takes the key of a request from. A request without it goes by its
// client's address, as all do with the zero value.
type HashBy struct {
	Cookie string
	Header string // in lower case
}

func (ex *Exchange) hashKey(by *HashBy) uint64 {
	var text []byte
	switch {
	case by.Cookie != "":
		text = cookieValue(ex.Request.Get(message.Cookie), by.Cookie)
	case by.Header != "":
		text = fieldValue(&ex.Request, by.Header)
	}
	if len(text) == 0 {
		text = ex.clientAddress()
	}
	return upstream.KeyOf(text)
}

// cookieValue returns the first cookie of that name.
func cookieValue(list []byte, name string) []byte {
	for len(list) > 0 {
		var crumb []byte
		crumb, list = nextCrumb(list)
		crumb = trimCrumb(crumb)
		if n := len(name); len(crumb) > n && crumb[n] == '=' && string(crumb[:n]) == name {
			return crumb[n+1:]
		}
	}
	return nil
}

func fieldValue(h *message.Head, lower string) []byte {
	for i := range h.Fields {
		if f := &h.Fields[i]; message.EqualFold(f.Name, lower) {
			return f.Value
		}
	}
	return nil
}

// clientAddress is where the request came from: the peer, or whom a trusted peer had it from.
func (ex *Exchange) clientAddress() []byte {
	chain := ex.Request.Get(message.XForwardedFor)
	if !ex.Peer.Trusted {
		return chain
	}
	peer := bytes.LastIndexByte(chain, ',')
	if peer < 0 {
		return chain
	}
	before := chain[:peer]
	return message.Trim(before[bytes.LastIndexByte(before, ',')+1:])
}
