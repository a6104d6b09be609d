package judge

import "math"

// count is how often something happened, of how many times that it could.
type count struct{ hits, all float64 }

func (c count) plus(o count) count  { return count{c.hits + o.hits, c.all + o.all} }
func (c count) minus(o count) count { return count{max(0, c.hits-o.hits), max(0, c.all-o.all)} }

func (c count) share() float64 {
	if c.all == 0 {
		return 0
	}
	return c.hits / c.all
}

// witness is a count with the number that its evidence is divided by, because what it counts comes in bursts: one, where it
// does not. That is what a quasi-likelihood does (Wedderburn 1974).
type witness struct {
	count
	bursts float64
}

// misses is how often it did not happen.
func (w witness) misses() witness { return witness{count{max(0, w.all-w.hits), w.all}, w.bursts} }

// bets is over how many alternatives a gambler spreads one half of the money: each is twice as near to what is tested as
// the one before, and the last one 0.02 percentage points from it, which is nearer than any margin that makes sense. The
// other half is kept, so that no run of luck ruins him for good.
const bets = 13

// missed is what a miss leaves of the money on each bet, as a logarithm.
var missed = func() (l [bets]float64) {
	for j := range l {
		l[j] = math.Log1p(-math.Ldexp(1, -j))
	}
	return l
}()

// above is a test martingale against "it happens with a probability of at most p": the logarithm of what a gambler has
// made of 1 who bets that it is more. Is it at most p, then he wins no more than he loses on average, whatever came before,
// and that he ever has w or more has a probability of at most 1/w (Ville 1939). So it may be looked at at any time. The bets
// are a mixture of likelihood ratios (Robbins 1970; of many: Johari et al., "Always valid inference", 2022).
func (w witness) above(p float64) float64 {
	if p >= 1 {
		return 0
	}
	if p <= 0 && w.hits > 0 {
		return math.Inf(1)
	}
	sum := logSum{}
	sum.add(math.Log(0.5))
	for j, stake := 0, math.Log(0.5/bets); j < bets; j++ {
		won := stake
		if w.hits > 0 {
			won += w.hits * math.Log1p((1-p)/p*math.Ldexp(1, -j))
		}
		if miss := w.all - w.hits; miss > 0 {
			won += miss * missed[j]
		}
		sum.add(won)
	}
	return sum.log() / w.bursts
}

// below is the same against "at least p".
func (w witness) below(p float64) float64 { return w.misses().above(1 - p) }

// logSum adds numbers that are given by their logarithms.
type logSum struct{ most, sum float64 }

func (s *logSum) add(x float64) {
	switch {
	case s.sum > 0 && x < s.most-40: // adds nothing that a float64 could hold
	case s.sum == 0:
		s.most, s.sum = x, 1
	case x > s.most:
		s.sum = s.sum*math.Exp(s.most-x) + 1
		s.most = x
	default:
		s.sum += math.Exp(x - s.most)
	}
}

func (s *logSum) log() float64 { return s.most + math.Log(s.sum) }

// exceeds is the evidence, as a logarithm, against "the new share is at most what bound makes of the old share", whatever
// the old share is, but for that it is at most most. For each share that the old one may have, one gambler bets that the
// new one is above the bound, and with what he has then that the old one is below. For the share that is the true one this
// is a martingale, and the poorest of all gamblers is not richer (Ramdas et al. 2022, on e-processes). Where it is clear that
// he has less than enough, he is not looked for.
func exceeds(new, old witness, bound func(float64) float64, most, enough float64) float64 {
	likely := min(most, old.share())
	if new.share() <= bound(likely) {
		return 0 // who bets on this share has lost both bets
	}
	has := func(q float64) float64 { return new.above(bound(q)) + old.below(q) }
	if won := has(likely); won < enough {
		return won
	}
	return least(func(x float64) float64 { return has(most / (1 + math.Exp(-x))) })
}

// fallsShort is the evidence against "the new share is at least what bound makes of the old share".
func fallsShort(new, old witness, bound func(float64) float64, enough float64) float64 {
	return exceeds(new.misses(), old.misses(), func(q float64) float64 { return 1 - bound(1-q) }, 1, enough)
}

// least is the least of a function of one valley, from odds of one to a trillion to those of a trillion to one.
func least(f func(float64) float64) float64 {
	const end, cells = 28.0, 14
	at, low := -end, f(-end)
	for i := 1; i <= cells; i++ {
		if x := -end + 2*end*float64(i)/cells; f(x) < low {
			at, low = x, f(x)
		}
	}
	a, b := at-2*end/cells, at+2*end/cells
	const golden = 0.6180339887498949
	c, d := b-golden*(b-a), a+golden*(b-a)
	fc, fd := f(c), f(d)
	for range 36 {
		if fc < fd {
			b, d, fd = d, c, fc
			c = b - golden*(b-a)
			fc = f(c)
		} else {
			a, c, fc = c, d, fd
			d = a + golden*(b-a)
			fd = f(d)
		}
	}
	return min(low, fc, fd)
}
