package proxy

import (
	"sync/atomic"
	"time"

	"sluice/message"
	"sluice/upstream"
)

// Split gives shares of a service's new visitors to other pools than the live one, which takes all others. A visitor draws a
// number, once, and a signed cookie brings it back: which pool takes it follows from the number alone, so that a share that
// grows moves only as many as it has to. It never changes. Make one with NewSplit.
type Split struct {
	Tickets *Tickets
	Arms    []Arm
	Rules   []Rule // the first that a request meets says where it goes, whatever its number
	Counts  *SplitCounters
}

// Arm is a pool beside the live one, and the numbers whose visitors go there.
type Arm struct {
	Pool  *upstream.Pool
	Spans []Span
}

// Span are the numbers from From to below To.
type Span struct{ From, To uint32 }

// Numbers is how many numbers there are: a share is exact to a hundredth of a percent.
const Numbers = 10_000

// SplitCounters count how requests of a split service found their pool. Each is in one of the first four.
type SplitCounters struct {
	Drawn    atomic.Int64 // without a cookie of this split: a number was drawn
	Kept     atomic.Int64 // by the number in the cookie
	Ruled    atomic.Int64 // by a rule
	Stayed   atomic.Int64 // pinned to a backend of the live pool since before the split
	Fallback atomic.Int64 // for an arm of which no backend could take it: they went to the live pool
	Unset    atomic.Int64 // a cookie was due, and the answer is one that caches share
	Forged   atomic.Int64 // the cookie was not signed by us for this service
}

// Tickets are the cookies of one split. They never change. Make them with NewTickets.
type Tickets struct {
	ID     uint64 // no other split of the service has it: its cookies mean nothing to another
	cookie *Sticky
}

// ticketTTL is how long a visitor that does not come back is remembered. It is longer than a canary lasts, and short enough
// that browsers do not send for months what means nothing any more.
const ticketTTL = 7 * 24 * time.Hour

// NewTickets returns the cookies of a split. Its secret may be that of pins: neither is taken for the other.
func NewTickets(service, path string, id uint64, secret []byte) *Tickets {
	return &Tickets{ID: id, cookie: NewSticky(service+"\x00split", path, SplitCookie(service), ticketTTL, secret)}
}

// SplitCookie is the name of the cookie that a service is split by.
func SplitCookie(service string) string { return "sluice_split_" + service }

// visit is what an exchange knows of its visitor, while its service is split.
type visit struct {
	card    hold   // the cookie; of no cookie while it was not looked for
	number  uint32 // from the cookie, or drawn
	drawn   uint64 // the split that number was drawn for; 0: none
	how     assignment
	spurned bool // no backend of its arm could take it
}

// assignment is how a request found its pool.
type assignment uint8

const (
	unassigned assignment = iota
	byNumber              // its visitor came with one
	byDraw
	byRule
	byPin
)

// assign chooses the pool of a request whose service is split.
func (ex *Exchange) assign(random func() float64) {
	v, s := &ex.visit, ex.Service.Split
	v.look(&ex.Request, s.Tickets.cookie, ex.Began)
	pool := s.choose(ex, random)
	if pool != nil && !v.spurned {
		ex.pool = pool
	}
}

// look takes the cookie out of the request, once: it is no business of the app.
func (v *visit) look(h *message.Head, cookie *Sticky, now time.Time) {
	if v.card.by == nil || v.card.by.Cookie != cookie.Cookie {
		v.card = hold{by: cookie}
		v.card.takeFrom(h, cookie, now)
	}
}

// choose returns the pool of an arm, or nil for the live one.
func (s *Split) choose(ex *Exchange, random func() float64) *upstream.Pool {
	v := &ex.visit
	if r := s.rule(ex); r != nil {
		v.how = byRule
		return r.Pool
	}
	switch {
	case v.card.found == goodPin && v.card.pin.id == s.Tickets.ID:
		v.how, v.number = byNumber, v.card.pin.client
	case !s.hasShares():
		v.how = unassigned
		return nil
	case ex.isPinnedHere():
		v.how = byPin
		return nil
	case v.drawn != s.Tickets.ID:
		v.drawn, v.number = s.Tickets.ID, min(uint32(random()*Numbers), Numbers-1)
		fallthrough
	default:
		v.how = byDraw
	}
	return s.of(v.number)
}

// hasShares reports whether any number goes to an arm; if not, there is nothing to draw one for.
func (s *Split) hasShares() bool {
	for i := range s.Arms {
		if len(s.Arms[i].Spans) > 0 {
			return true
		}
	}
	return false
}

// of returns the pool of the arm that a number goes to, or nil for the live one.
func (s *Split) of(number uint32) *upstream.Pool {
	for i := range s.Arms {
		for _, span := range s.Arms[i].Spans {
			if span.From <= number && number < span.To {
				return s.Arms[i].Pool
			}
		}
	}
	return nil
}

// isPinnedHere reports a visitor that is pinned to a backend of the live pool and has no number: it was here before the
// split, and its session stays where it is.
func (ex *Exchange) isPinnedHere() bool {
	sticky := ex.Service.Sticky
	if sticky == nil {
		return false
	}
	ex.readPin(sticky)
	return ex.hold.found == goodPin && ex.Service.Live.Pinned(ex.hold.pin.id)
}

// fallsBack sends a request to the live pool that no backend of its arm can take, and reports that it was for an arm.
func (ex *Exchange) fallsBack() bool {
	if ex.pool == ex.Service.Live || ex.Service.Split == nil || ex.visit.how == unassigned {
		return false
	}
	ex.visit.spurned = true
	ex.Service.Split.Counts.Fallback.Add(1)
	return true
}

// ticket counts how the request found its pool, and adds the cookie to the answer where it is due. A visitor that was to
// be in an arm, and could not, is not bound to it by its first visit.
func (ex *Exchange) ticket(h *message.Head) {
	v, s := &ex.visit, ex.Service.Split
	s.Counts.add(v)
	if v.how != byDraw && v.how != byNumber || v.how == byDraw && v.spurned {
		return
	}
	next := pin{id: s.Tickets.ID, client: v.number, expires: uint32(ex.Began.Add(ticketTTL).Unix())}
	switch {
	case v.how == byNumber && v.card.pin.expires >= uint32(ex.Began.Add(ticketTTL/2).Unix()):
	case sharedByCaches(h):
		s.Counts.Unset.Add(1)
	default:
		h.Add(message.SetCookie, nameSetCookie, ex.cookie(s.Tickets.cookie, next))
		keepPrivate(h)
	}
}

func (n *SplitCounters) add(v *visit) {
	if v.card.found == forgedPin {
		n.Forged.Add(1)
	}
	switch v.how {
	case byNumber:
		n.Kept.Add(1)
	case byDraw:
		n.Drawn.Add(1)
	case byRule:
		n.Ruled.Add(1)
	case byPin:
		n.Stayed.Add(1)
	}
}

// others reports whether the arm that the last attempt was in has a backend that has not failed the request yet.
func (s *Split) others(ex *Exchange) bool {
	if s == nil {
		return false
	}
	for i := range s.Arms {
		if p := s.Arms[i].Pool; p.Name == ex.pool.Name && p.Others(&ex.tried) {
			return true
		}
	}
	return false
}

// Name is how the cookie is called.
func (t *Tickets) Name() string { return t.cookie.Cookie }
