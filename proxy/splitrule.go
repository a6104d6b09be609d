package proxy

import (
	"net/netip"

	"sluice/message"
	"sluice/upstream"
)

// Rule sends some requests of a split service to one pool, whatever their visitor's number. It goes by one of a field, a
// cookie and an address.
type Rule struct {
	Pool   *upstream.Pool // nil: the live one
	Header string         // in lower case; a field of that name is Value
	Cookie string         // the first cookie of that name is Value
	Value  string
	From   netip.Prefix // the client's address is in it
}

// rule returns the first rule that the request meets, or nil.
func (s *Split) rule(ex *Exchange) *Rule {
	for i := range s.Rules {
		if r := &s.Rules[i]; r.meets(ex) {
			return r
		}
	}
	return nil
}

func (r *Rule) meets(ex *Exchange) bool {
	switch {
	case r.Header != "":
		return hasField(&ex.Request, r.Header, r.Value)
	case r.Cookie != "":
		return string(cookieValue(ex.Request.Get(message.Cookie), r.Cookie)) == r.Value
	}
	address, err := netip.ParseAddr(string(ex.clientAddress()))
	return err == nil && r.From.Contains(address.Unmap().WithZone(""))
}

func hasField(h *message.Head, lower, value string) bool {
	for i := range h.Fields {
		if f := &h.Fields[i]; message.EqualFold(f.Name, lower) && string(f.Value) == value {
			return true
		}
	}
	return false
}
