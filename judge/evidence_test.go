package judge

import (
	"math"
	"math/rand/v2"
	"testing"
)

// plain is not discounted.
func plain(c count) witness { return witness{c, 1} }

// TestLuckHasItsPrice is what all else rests on: a gambler who bets against what is true gets to w with a probability of
// at most 1/w, although he may stop whenever he likes.
func TestLuckHasItsPrice(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	const runs, steps, w = 1000, 300, 20
	for _, p := range []float64{0.001, 0.02, 0.3, 0.9} {
		rich := [2]int{}
		for range runs {
			var c count
			got := [2]bool{}
			for range steps {
				c.all++
				if r.Float64() < p {
					c.hits++
				}
				got[0] = got[0] || plain(c).above(p) >= math.Log(w)
				got[1] = got[1] || plain(c).below(p) >= math.Log(w)
			}
			for i := range got {
				if got[i] {
					rich[i]++
				}
			}
		}
		for i := range rich {
			if most := atMost(runs, 1.0/w); rich[i] > most {
				t.Errorf("%v, bet %d: rich %d times of %d, at most %d", p, i, rich[i], runs, most)
			}
		}
	}
}

// atMost is how often of n something of probability p happens, but once in a thousand tests or less.
func atMost(n int, p float64) int {
	mean := float64(n) * p
	return int(mean + 3.3*math.Sqrt(mean*(1-p)) + 1)
}

// TestPoorestIsFound beside the dumb way: all shares that the old release may have, one by one.
func TestPoorestIsFound(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	rules := Defaults()
	for range 300 {
		old := count{all: math.Floor(math.Exp(r.Float64() * 14))}
		new := count{all: math.Floor(math.Exp(r.Float64() * 14))}
		old.hits, new.hits = math.Floor(old.all*math.Pow(r.Float64(), 6)), math.Floor(new.all*math.Pow(r.Float64(), 3))
		got := exceeds(plain(new), plain(old), rules.most, 1, math.Inf(-1))
		if new.share() <= rules.most(old.share()) {
			if got > 0 {
				t.Errorf("new %v, old %v: %v", new, old, got)
			}
			continue
		}
		want := math.Inf(1)
		for x := -28.0; x <= 28; x += 1.0 / 64 {
			q := 1 / (1 + math.Exp(-x))
			want = min(want, plain(new).above(rules.most(q))+plain(old).below(q))
		}
		if got > want+0.01*math.Abs(want)+0.05 {
			t.Errorf("new %v, old %v: %.3f, and there is one with %.3f", new, old, got, want)
		}
	}
}

// TestMoreErrorsAreMoreEvidence, and more of the old release's less.
func TestMoreErrorsAreMoreEvidence(t *testing.T) {
	rules, never := Defaults(), math.Inf(-1)
	for _, n := range []float64{60, 1000, 50000} {
		before := math.Inf(-1)
		for hits := 0.0; hits <= n; hits += max(1, n/50) {
			got := max(0, exceeds(plain(count{hits, n}), plain(count{n / 100, n}), rules.most, 1, never))
			if hits > n/50 && got < before-1e-6 {
				t.Errorf("%v of %v: %v after %v", hits, n, got, before)
			}
			before = got
		}
		before = math.Inf(1)
		for hits := 0.0; hits <= n; hits += max(1, n/50) {
			got := max(0, exceeds(plain(count{n / 5, n}), plain(count{hits, n}), rules.most, 1, never))
			if hits < n/5 && got > before+1e-6 {
				t.Errorf("old %v of %v: %v after %v", hits, n, got, before)
			}
			before = got
		}
	}
}
