package proxy

import (
	"slices"
	"time"

	"sluice/drain"
)

// gates are those whose insides are asked for; nil: all.
type gates map[*drain.Gate]struct{}

func newGates(list []*drain.Gate) gates {
	if len(list) == 0 {
		return nil
	}
	g := make(gates, len(list))
	for _, one := range list {
		g[one] = struct{}{}
	}
	return g
}

func (g gates) has(one *drain.Gate) bool {
	_, ok := g[one]
	return g == nil || ok
}

// Look counts what is inside of the gates, of any with none given, and lists the oldest: at most as many as limit says.
// Its cost in memory is bounded by that, however much is inside.
func (l *Ledger) Look(limit int, list ...*drain.Gate) drain.Listing {
	out := drain.Listing{Items: []drain.Item{}}
	now, wanted := time.Now(), newGates(list)
	found := oldest{most: limit}
	l.each(func(ex *Exchange) {
		if s, ok := ex.sighted(wanted, now); ok {
			out.Count(s.class, 1)
			found.add(s)
		}
	})
	found.trim()
	for _, s := range found.all {
		switch it, ok := s.ex.item(wanted, now); {
		case ok && it.Key == any(s.key):
			out.Items = append(out.Items, it)
		default: // it ended between the two looks
			out.Count(s.class, -1)
		}
	}
	out.More = out.Total - len(out.Items)
	return out
}

// Taken is what work is told apart by that is inside of a gate.
type Taken struct {
	Gate    *drain.Gate
	Release string // which the backend reported when it took the work
	Class   drain.Class
}

// ByRelease counts what is inside of the gates.
func (l *Ledger) ByRelease(list ...*drain.Gate) map[Taken]int {
	out, now, wanted := map[Taken]int{}, time.Now(), newGates(list)
	l.each(func(ex *Exchange) {
		if t, ok := ex.taken(wanted, now); ok {
			out[t]++
		}
	})
	return out
}

func (ex *Exchange) taken(wanted gates, now time.Time) (Taken, bool) {
	ex.mu.Lock()
	defer ex.mu.Unlock()
	if ex.gate == nil || ex.Backend == nil || !wanted.has(ex.gate) {
		return Taken{}, false
	}
	return Taken{ex.gate, ex.Backend.Release, ex.drainClass(now)}, true
}

// ByGate counts what is inside of each gate that holds anything.
func (l *Ledger) ByGate() map[*drain.Gate]map[drain.Class]int {
	out, now := map[*drain.Gate]map[drain.Class]int{}, time.Now()
	l.each(func(ex *Exchange) {
		s, inside := ex.sighted(nil, now)
		switch {
		case !inside:
			return
		case out[s.gate] == nil:
			out[s.gate] = map[drain.Class]int{}
		}
		out[s.gate][s.class]++
	})
	return out
}

// sighting is an exchange that was seen inside, before anything of it is copied.
type sighting struct {
	ex    *Exchange
	gate  *drain.Gate
	key   [2]uint64
	class drain.Class
	began time.Time
}

func (ex *Exchange) sighted(wanted gates, now time.Time) (sighting, bool) {
	ex.mu.Lock()
	defer ex.mu.Unlock()
	if ex.gate == nil || !wanted.has(ex.gate) {
		return sighting{}, false
	}
	return sighting{ex, ex.gate, ex.id.key(), ex.drainClass(now), ex.Began}, true
}

// oldest keeps the oldest of what it is given, in room for twice as many.
type oldest struct {
	most  int
	all   []sighting
	bound time.Time // what began later is not among them; zero: not known yet
}

func (o *oldest) add(s sighting) {
	if !o.bound.IsZero() && s.began.After(o.bound) {
		return
	}
	if o.all = append(o.all, s); len(o.all) >= 2*o.most+1 {
		o.trim()
	}
}

func (o *oldest) trim() {
	slices.SortFunc(o.all, func(a, b sighting) int { return a.began.Compare(b.began) })
	o.all = o.all[:min(len(o.all), o.most)]
	if n := len(o.all); n > 0 && n == o.most {
		o.bound = o.all[n-1].began
	}
}

// Texts of clients are cut to these lengths where people read them: a ledger of a hundred thousand entries must fit into
// memory, and into a terminal. The lengths are arbitrary; a host of 255 bytes is the longest that DNS has.
const (
	longestMethod = 32
	longestHost   = 255
	longestPath   = 512
)

// shown is text of a client's as it may stand in logs, in JSON and on terminals: what is too long lacks its middle, and
// each byte that is no visible ASCII is written as in a URL.
func shown(b []byte, most int) string {
	if len(b) <= most && allVisible(b) {
		return string(b)
	}
	if len(b) <= most {
		return string(visible(nil, b))
	}
	half := most / 2
	out := visible(make([]byte, 0, most+8), b[:half])
	out = append(out, "…"...)
	return string(visible(out, b[len(b)-half:]))
}

func allVisible(b []byte) bool {
	return !slices.ContainsFunc(b, func(c byte) bool { return c <= 0x20 || c >= 0x7f })
}

func visible(out, b []byte) []byte {
	const digits = "0123456789ABCDEF"
	for _, c := range b {
		if c <= 0x20 || c >= 0x7f {
			out = append(out, '%', digits[c>>4], digits[c&15])
		} else {
			out = append(out, c)
		}
	}
	return out
}
