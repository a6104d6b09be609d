package upstream

import "math/rand/v2"

// pick chooses among the backends that are not skipped; nil: there is none. key counts for Hash alone.
func (p *Pool) pick(skip *Tried, key uint64) *Backend {
	switch p.Balance {
	case RoundRobin:
		return p.inTurn(skip)
	case Hash:
		return p.hashed(skip, key)
	}
	return p.least(skip)
}

func (p *Pool) inTurn(skip *Tried) *Backend {
	if w := p.warming(); w != nil {
		return p.warmTurn(w, skip)
	}
	return p.nextTurn(skip)
}

// nextTurn takes one step on a counter that all claims share, and looks on from there by itself: claims that stepped
// past each other could all miss the one backend that is left.
func (p *Pool) nextTurn(skip *Tried) *Backend {
	n := uint32(len(p.turns))
	from := p.turn.Add(1) - 1
	for i := range n {
		b := p.turns[(from+i)%n]
		if skip.n == 0 || !skip.has(b.Endpoint) {
			return b
		}
	}
	return nil
}

// scanLimit is up to how many backends are all looked at. Beyond it the better of two random ones is taken, which
// balances nearly as well at a cost that does not grow.
const scanLimit = 16

// least begins with the backend whose turn it is. One that has nothing to do is taken at once: while there is little to
// do, requests then go round by weight, and not all to the heaviest.
func (p *Pool) least(skip *Tried) *Backend {
	best := p.inTurn(skip)
	if best == nil || best.Endpoint.active.Load() == 0 {
		return best
	}
	n, w := len(p.backends), p.warming()
	if n > scanLimit && skip.n == 0 {
		a, b := p.backends[rand.IntN(n)], p.backends[rand.IntN(n)]
		if lighter(b, a, w) {
			return b
		}
		return a
	}
	for _, b := range p.backends {
		if lighter(b, best, w) && (skip.n == 0 || !skip.has(b.Endpoint)) {
			best = b
		}
	}
	return best
}

// lighter compares requests per weight without dividing.
func lighter(a, b *Backend, w *warmth) bool {
	return (a.Endpoint.active.Load()+1)*w.weight(b) < (b.Endpoint.active.Load()+1)*w.weight(a)
}

// maxTurns bounds the length of a round, and so the memory of a pool and the work of making it. Weights that need a
// longer one to be exact are rounded.
const maxTurns = 4096

// shares are the weights in their smallest numbers, and their sum.
func shares(backends []*Backend) (list []int, total int) {
	unit, sum := 0, 0
	for _, b := range backends {
		sum += b.Weight
		unit = gcd(unit, b.Weight)
	}
	for _, b := range backends {
		share := b.Weight / unit
		if sum/unit > maxTurns {
			share = max(1, int(float64(b.Weight)/float64(sum)*maxTurns))
		}
		list = append(list, share)
		total += share
	}
	return list, total
}

// mix lays out one round so that heavy backends do not get their turns in a row: at each step the one furthest behind
// its share is next (smooth weighted round robin).
func mix(backends []*Backend) []*Backend {
	weights, total := shares(backends)
	credit := make([]int, len(backends))
	turns := make([]*Backend, 0, total)
	for len(turns) < total {
		best := 0
		for i, w := range weights {
			credit[i] += w
			if credit[i] > credit[best] {
				best = i
			}
		}
		credit[best] -= total
		turns = append(turns, backends[best])
	}
	return turns
}

func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}
