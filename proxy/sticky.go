package proxy

import (
	"bytes"
	"math/rand/v2"
	"strconv"
	"sync/atomic"
	"time"

	"sluice/message"
	"sluice/upstream"
)

// Sticky brings a client back to the backend that served it first, by a signed cookie that says nothing to anybody but
// Sluice. It never changes. Make one with NewSticky.
type Sticky struct {
	Cookie string        // its name
	TTL    time.Duration // how long a pin is good after it was set; 0: as long as the client keeps the cookie

	start  []byte // "name="
	end    []byte // the attributes but Secure
	secure bool   // Secure whatever the client came by
	signer *signer
}

// NewSticky returns what keeps the clients of a service, whose path is that of the cookie. Whoever has the secret may make
// pins; several Sluices that share it understand each other's.
func NewSticky(service, path, cookie string, ttl time.Duration, secret []byte) *Sticky {
	s := &Sticky{Cookie: cookie, TTL: ttl, start: []byte(cookie + "="), signer: newSigner(secret, service)}
	s.end = append(s.end, "; Path="+path...)
	if ttl > 0 {
		s.end = append(s.end, "; Max-Age="+strconv.FormatInt(int64(ttl/time.Second), 10)...)
	}
	s.end = append(s.end, "; HttpOnly; SameSite=Lax"...)
	// Clients take a name with such a prefix only from a cookie that is Secure.
	s.secure = prefixed(cookie, "__secure-") || prefixed(cookie, "__host-")
	return s
}

func prefixed(name, lower string) bool {
	return len(name) >= len(lower) && message.EqualFold([]byte(name[:len(lower)]), lower)
}

// ID is what a pin names a backend by: the same in all pools of the service, and never 0.
func (s *Sticky) ID(backend string) uint64 { return s.signer.id(backend) }

// PinCounters count what became of pins. Each exchange with a backend's answer is in one of the first four.
type PinCounters struct {
	Kept    atomic.Int64 // the client's pin was followed
	Set     atomic.Int64 // the client had none, and got one
	Moved   atomic.Int64 // the pin's backend could not be taken, and the client got another one
	Unset   atomic.Int64 // a pin was due, and the answer is one that caches share
	Forged  atomic.Int64 // the cookie was not signed by us for this service
	Expired atomic.Int64 // the cookie was past its time
}

// brought is what a client's cookie was found to be.
type brought uint8

const (
	noPin brought = iota
	goodPin
	expiredPin
	forgedPin
)

// hold is what an exchange knows of its client's pin.
type hold struct {
	by    *Sticky // whose cookie was looked for; nil: none yet
	pin   pin     // as the client brought it
	found brought
}

// wish is what the request asks of its pool.
func (ex *Exchange) wish() (ask upstream.Ask) {
	svc := ex.Service
	if s := svc.Sticky; s != nil {
		ex.readPin(s)
		if ex.hold.found == goodPin {
			ask.Pin = ex.hold.pin.id
		}
	}
	if ex.pool.Balance == upstream.Hash {
		ask.Key = ex.hashKey(&svc.HashBy)
	}
	return ask
}

// mostTried is how many cookies of the one name are looked at. A client sends several when services lie in each other's
// paths; each then has one of its own.
const mostTried = 4

// readPin reads the client's pin, unless that was done.
func (ex *Exchange) readPin(s *Sticky) {
	if ex.hold.by == nil || ex.hold.by.Cookie != s.Cookie {
		ex.hold = hold{by: s}
		ex.hold.takeFrom(&ex.Request, s, ex.Began)
	}
}

// takeFrom takes the cookie out of a request, and keeps what it says: it is Sluice's own and no business of the app.
// Several Cookie fields have been made one before.
func (h *hold) takeFrom(req *message.Head, s *Sticky, now time.Time) {
	for i := range req.Fields {
		if f := &req.Fields[i]; f.ID == message.Cookie {
			f.Value = h.take(s, f.Value, now)
			if len(f.Value) == 0 {
				keepFields(req, func(f *message.Field) bool { return f.ID != message.Cookie || len(f.Value) > 0 })
			}
			return
		}
	}
}

// take returns the list without the cookie, in the same memory.
func (h *hold) take(s *Sticky, list []byte, now time.Time) []byte {
	kept, tries := list[:0], 0
	for rest := list; len(rest) > 0; {
		var crumb []byte
		crumb, rest = nextCrumb(rest)
		value, ours := bytes.CutPrefix(trimCrumb(crumb), s.start)
		switch {
		case !ours:
			kept = append(kept, crumb...)
		case h.found != goodPin && tries < mostTried:
			tries++
			h.judge(s, value, now)
		}
	}
	if len(kept) == len(list) {
		return list
	}
	return trimCrumb(kept)
}

// judge keeps the best of what was found: a good pin above one that is past its time, and that above what is not ours.
func (h *hold) judge(s *Sticky, value []byte, now time.Time) {
	one, ok := s.signer.read(value)
	switch {
	case !ok:
		if h.found == noPin {
			h.found = forgedPin
		}
	case one.past(now, s.TTL):
		h.found = expiredPin
	default:
		h.pin, h.found = one, goodPin
	}
}

// nextCrumb cuts the first cookie off a list, with the separator behind it (RFC 6265 §4.2.1).
func nextCrumb(list []byte) (crumb, rest []byte) {
	if i := bytes.IndexByte(list, ';'); i >= 0 {
		return list[:i+1], list[i+1:]
	}
	return list, nil
}

func trimCrumb(crumb []byte) []byte {
	for n := len(crumb); n > 0 && (crumb[n-1] == ';' || crumb[n-1] == ' ' || crumb[n-1] == '\t'); n = len(crumb) {
		crumb = crumb[:n-1]
	}
	return message.Trim(crumb)
}

// stick counts what became of the client's pin, and adds a new one to the answer where it is due. It is called once for
// each exchange, when it is certain that this answer is the one that the client gets.
func (ex *Exchange) stick(h *message.Head) {
	if ex.Service.Split != nil {
		ex.ticket(h)
	}
	s, b := ex.Service.Sticky, ex.Backend
	if s == nil || b.ID == 0 {
		return
	}
	n := &ex.Service.Pins
	n.found(ex.hold.found)
	kept := ex.hold.found == goodPin && ex.hold.pin.id == b.ID
	next := s.renewed(ex.hold.pin, b.ID, ex.Began, ex.hold.found == goodPin)
	if b.Pins != nil {
		b.Pins.See(uint64(next.client), ex.Began)
	}
	switch {
	case kept && next == ex.hold.pin:
		n.Kept.Add(1)
	case sharedByCaches(h):
		n.Unset.Add(1)
	default:
		n.given(kept, ex.hold.found == goodPin)
		h.Add(message.SetCookie, nameSetCookie, ex.cookie(s, next))
		keepPrivate(h)
	}
}

func (n *PinCounters) found(what brought) {
	switch what {
	case forgedPin:
		n.Forged.Add(1)
	case expiredPin:
		n.Expired.Add(1)
	}
}

func (n *PinCounters) given(kept, had bool) {
	switch {
	case kept:
		n.Kept.Add(1)
	case had:
		n.Moved.Add(1)
	default:
		n.Set.Add(1)
	}
}

// renewed is the pin that the client should have from now on. One that stays is made anew in the second half of its
// time, so that a client who comes often enough never loses it.
func (s *Sticky) renewed(old pin, id uint64, now time.Time, had bool) pin {
	next := pin{id: id, client: old.client, expires: old.expires}
	if !had {
		next.client = rand.Uint32()
	}
	half := uint32(now.Add(s.TTL / 2).Unix())
	switch {
	case s.TTL == 0:
		next.expires = 0
	case !had || old.id != id || old.expires < half:
		next.expires = uint32(now.Add(s.TTL).Unix())
	}
	return next
}

// cookie is the value of a Set-Cookie field.
func (ex *Exchange) cookie(s *Sticky, p pin) []byte {
	from := len(ex.scratch)
	ex.scratch = append(ex.scratch, s.start...)
	ex.scratch = s.signer.write(ex.scratch, p)
	ex.scratch = append(ex.scratch, s.end...)
	if s.secure || bytes.HasPrefix(ex.Request.Get(message.XForwardedProto), schemeHTTPS) {
		ex.scratch = append(ex.scratch, "; Secure"...)
	}
	return ex.scratch[from:]
}

var (
	nameSetCookie = []byte("Set-Cookie")
	valuePrivate  = []byte("private")
	schemeHTTPS   = []byte("https")
)

// sharedByCaches reports an answer that its app gives to caches to hand to everybody (RFC 9111 §5.2.2.9, §5.2.2.10, RFC
// 9213). A pin on it would be handed out too, and it belongs to nobody's session.
func sharedByCaches(h *message.Head) bool {
	if h.Status == 101 || isPrivate(h) {
		return false
	}
	for i := range h.Fields {
		switch f := &h.Fields[i]; {
		case f.ID == message.CacheControl && hasDirective(f.Value, "public", "s-maxage"):
			return true
		case f.ID == message.Other && (message.EqualFold(f.Name, "cdn-cache-control") || message.EqualFold(f.Name, "surrogate-control")):
			return true
		}
	}
	return false
}

// keepPrivate tells shared caches to leave an answer with a pin alone (RFC 9111 §5.2.2.7): many are kept without a word
// from the app.
func keepPrivate(h *message.Head) {
	if h.Status != 101 && !isPrivate(h) {
		h.Add(message.CacheControl, nameCacheControl, valuePrivate)
	}
}

func isPrivate(h *message.Head) bool {
	for i := range h.Fields {
		if f := &h.Fields[i]; f.ID == message.CacheControl && hasDirective(f.Value, "private", "no-store") {
			return true
		}
	}
	return false
}

// hasDirective reports whether a Cache-Control has one of two directives, with an argument or without.
func hasDirective(list []byte, one, other string) bool {
	for len(list) > 0 {
		var member []byte
		member, list = message.NextToken(list)
		if i := bytes.IndexByte(member, '='); i >= 0 {
			member = member[:i]
		}
		if message.EqualFold(member, one) || message.EqualFold(member, other) {
			return true
		}
	}
	return false
}
