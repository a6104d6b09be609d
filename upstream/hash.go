package upstream

import (
	"math"
	"slices"
)

// slotBits says how many slots keys fall into. With 16,384 of them ten backends get shares that differ by some 2.5 %, a
// hundred by 8 %; what is left of it, and keys that are asked for more than others, the bound on the load takes care of.
const (
	slotBits = 14
	slots    = 1 << slotBits
)

// table gives each slot to one backend: the one whose own hash with the slot is the best, by weight (rendezvous hashing).
// What one backend gets depends on no other, so that one that leaves takes along only its own slots, and one that comes
// takes only what is now its own. A table never changes.
type table struct {
	shares []share
	owner  []int32 // by slot: a place in shares, and in the pool's backends
	total  int64   // of all weights
}

// share is all that a table knows of a backend.
type share struct {
	name   string
	weight int
	seed   uint64
}

// tableAfter returns the table of a pool that takes the place of old; nil: there are no backends.
func tableAfter(old *Pool, name string, backends []*Backend) *table {
	if len(backends) == 0 {
		return nil
	}
	if old == nil || old.Balance != Hash || old.Name != name {
		return newTable(nil, backends)
	}
	return newTable(old.table, backends)
}

// newTable works only out what is another than before, which may be nil: a check that flaps among a thousand backends
// must not cost sixteen million hashes.
func newTable(before *table, backends []*Backend) *table {
	t := &table{}
	for _, b := range backends {
		t.shares = append(t.shares, share{b.Name, b.Weight, KeyOf([]byte(b.Name))})
		t.total += int64(b.Weight)
	}
	if before != nil && slices.Equal(t.shares, before.shares) {
		return before
	}
	stays, fresh := t.since(before)
	t.owner = make([]int32, slots)
	all := make([]int32, len(t.shares))
	for i := range all {
		all[i] = int32(i)
	}
	for slot := range t.owner {
		if before != nil && stays[before.owner[slot]] >= 0 {
			t.owner[slot] = t.best(slot, stays[before.owner[slot]], fresh)
		} else {
			t.owner[slot] = t.best(slot, all[0], all[1:])
		}
	}
	return t
}

// since tells where each share of the table before is now, -1 for one that is gone, and which are new. One with another
// weight is both.
func (t *table) since(before *table) (stays, fresh []int32) {
	known := map[share]int32{}
	for i, s := range t.shares {
		known[s] = int32(i)
	}
	if before != nil {
		for _, s := range before.shares {
			at, ok := known[s]
			if !ok {
				at = -1
			}
			stays = append(stays, at)
			delete(known, s)
		}
	}
	for i, s := range t.shares {
		if _, ok := known[s]; ok {
			fresh = append(fresh, int32(i))
		}
	}
	return stays, fresh
}

// best returns which of the first and the others a slot falls to. Of two that are alike it is the one whose name comes
// first, so that it does not matter what the table before was.
func (t *table) best(slot int, first int32, others []int32) int32 {
	if len(others) == 0 {
		return first
	}
	best, least := first, t.shares[first].distance(slot)
	for _, i := range others {
		d := t.shares[i].distance(slot)
		if d < least || d == least && t.shares[i].name < t.shares[best].name {
			best, least = i, d
		}
	}
	return best
}

// distance is how far a backend is from a slot: exponentially distributed, at a rate of its weight, so that each is the
// nearest for just its share of the slots.
func (s *share) distance(slot int) float64 {
	u := scramble(s.seed ^ scramble(uint64(slot)))
	return -math.Log((float64(u>>11)+0.5)/(1<<53)) / float64(s.weight)
}

// probes is how many other slots a key tries whose own backend has too much to do. Each key tries others, so that what
// one backend cannot take is spread over all.
const probes = 8

// hashed takes the backend of the key's slot, or of the next slot that the key leads to, that is not past its bound and
// has come to its weight; in the end the one with the fewest requests, which never is.
func (p *Pool) hashed(skip *Tried, key uint64) *Backend {
	if p.table == nil {
		return nil
	}
	w := p.warming()
	for i := range uint64(probes) {
		b := p.backends[p.table.owner[scramble(key+i)>>(64-slotBits)]]
		if !skip.has(b.Endpoint) && p.bears(b) && (w == nil || w.accepts(b)) {
			return b
		}
	}
	return p.least(skip)
}

// fewRequests is what a backend takes of its keys whatever the others do: below it to spread would only cost the warmth
// of its cache. The number is arbitrary.
const fewRequests = 4

// bears reports whether a backend has room for one more of its keys: bounded load, at most five quarters of what would be
// its share if all requests were spread by weight. A key that is asked for more than others does not sink its backend.
func (p *Pool) bears(b *Backend) bool {
	inside := int64(b.Gate.Inside())
	return inside < fewRequests || b.Load == nil || inside*4*p.table.total < (b.Load.Load()+1)*5*int64(b.Weight)
}

// KeyOf hashes a text to a key (FNV-1a). It is the same in each process, so that several Sluices agree.
func KeyOf[T string | []byte](text T) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(text) {
		h = (h ^ uint64(text[i])) * 1099511628211
	}
	return h
}

// scramble spreads what differs in any bit over all (the finalizer of SplitMix64).
func scramble(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
