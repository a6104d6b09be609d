package judge

import (
	"math"
	"time"
)

// Test is one watch over a new release beside an old one. Look about once a second: what comes between two looks is taken
// for what may have one cause. It is not for concurrent use.
type Test struct {
	rules    Rules
	bursts   Bursts
	looks    int
	seen     Sample // of the new release at the last look
	old, new arm
	timed    Histogram    // of the new release when its times began to count
	void     Sample       // what the new release served in looks that do not count
	probes   *probes      // nil: there are none
	health   [2]Health    // old and new
	waiting  [2]Histogram // the same
	sureAt   uint64       // requests at the last look for proof
	proof    bool         // that it is no worse
	worse    *Verdict     // once it was found; it stays
}

// New returns a Test that has seen nothing.
func New(rules Rules) *Test {
	return &Test{rules: rules, old: arm{perStretch: stretch}, new: arm{perStretch: stretch}}
}

// Before tells it how the errors and times of the old release were spread before the watch.
func (t *Test) Before(b Bursts) { t.bursts = b }

// Health tells it how the backends are; call it before a look. Of an old release that is not known, give none at all.
func (t *Test) Health(old, new Health) { t.health = [2]Health{old, new} }

// Waiting tells it how long requests have waited that are not answered yet: so long at least will they have taken. Call it
// before a look; an old release that does not serve any more has none.
func (t *Test) Waiting(old, new Histogram) { t.waiting = [2]Histogram{old, new} }

// Look judges by how both have served since the watch began. Where the old release serves nobody in that time, old is how
// it served before, and stays as it is.
func (t *Test) Look(old, new Sample) Verdict {
	if t.worse != nil {
		return *t.worse
	}
	t.looks++
	t.old.add(old, true)
	if t.probes.ailing() {
		t.void = t.void.Plus(new.Minus(t.seen))
	}
	t.seen = new
	new = new.Minus(t.void)
	t.new.add(new, t.looks > t.rules.WarmUp)
	if t.looks <= t.rules.WarmUp {
		t.timed = new.Latency
	}
	return t.judge(pair{old, new})
}

// End is the last look.
func (t *Test) End(old, new Sample) Verdict {
	v := t.Look(old, new)
	if v.Word == Worse {
		return v
	}
	p := pair{old, new.Minus(t.void)}
	if v = t.last(p, v); v.Word == NotEnough && !t.impaired() {
		t.byProbes(&v)
	}
	return v
}

// pair is both releases at one look.
type pair struct{ old, new Sample }

func (t *Test) judge(p pair) Verdict {
	v := t.figures(p)
	for _, worse := range []func(*pair, *Verdict) bool{t.down, t.failing, t.tripping, t.slow, t.failingProbes} {
		if worse(&p, &v) {
			v.Word, t.worse = Worse, &v
			return v
		}
	}
	v.Word, v.Why = NotEnough, t.soFar(&p)
	if t.proven(&p) {
		v.Word, v.Why = BetterOrEqual, "shown to be no worse: "+v.errors()
	}
	return v
}

// down judges by the backends alone. Where the old ones are down as well it is nothing about the release.
func (t *Test) down(_ *pair, v *Verdict) bool {
	old, new := t.health[0], t.health[1]
	switch {
	case new.Total > 0 && new.Up == 0 && (old.Total == 0 || old.Up > 0):
		v.Why = noneUp(new.Total)
	case 2*new.Up < new.Total && (old.Total == 0 || old.Up*new.Total > new.Up*old.Total):
		v.Why = fewUp(new)
	case t.rules.Falls > 0 && new.Falls >= t.rules.Falls && new.Falls > 2*old.Falls:
		v.Why = falls(new.Falls)
	default:
		return false
	}
	v.Signal = "health"
	return true
}

func (t *Test) failing(p *pair, v *Verdict) bool {
	v.Chance = t.more(p.new.errors(), p.old.errors(), &t.new.errors, &t.old.errors, forErrors)
	if v.Chance >= t.rules.FalseAlarms {
		return false
	}
	v.Signal, v.Why = "errors", v.errors()+t.unknown(p)+byChance(v.Chance)
	return true
}

// tripping judges by the round trips, of which a retry hides those that fail from the clients.
func (t *Test) tripping(p *pair, v *Verdict) bool {
	v.Chance = t.more(p.new.trips(), p.old.trips(), &t.new.trips, &t.old.trips, forTrips)
	if v.Chance >= t.rules.FalseAlarms {
		return false
	}
	v.Signal, v.Why = "resets", shares("failed round trips", p.new.trips(), p.old.trips())+t.unknown(p)+byChance(v.Chance)
	return true
}

// more is how likely it is, at most, that it would ever look so bad by chance. It has to look so without the worst two looks
// too: one moment of trouble is no verdict.
func (t *Test) more(new, old count, now, then *spread, weight float64) float64 {
	if !t.tells(new) {
		return 1
	}
	enough, found := t.enough(weight), math.Inf(1)
	before := t.witness(old, t.bursts.Errors, now, then, then)
	for _, c := range []count{new, new.minus(now.worst)} {
		found = min(found, exceeds(t.witness(c, t.bursts.Errors, now, then, now), before, t.rules.most, t.most(old), enough))
		if found < enough {
			return 1
		}
	}
	return chance(found, weight)
}

// witness discounts a count by how what it counts varied at the old release, before the watch and in it. What varies with
// time does so the more against chance the more requests come in a time. Where the old release serves no more, it is taken
// to have had as many as the new one has.
func (t *Test) witness(c count, before float64, now, then, of *spread) witness {
	if of.active < 2 {
		of = now
	}
	return witness{c, 1 + max(before, then.excess())*of.perStretch()}
}

// enough is the evidence that a verdict needs, as a logarithm.
func (t *Test) enough(weight float64) float64 { return -math.Log(t.rules.FalseAlarms * weight) }

// chance is the same the other way.
func chance(evidence, weight float64) float64 { return min(1, math.Exp(-evidence)/weight) }

// tells reports that there are enough errors, and of enough requests, to be worth a look.
func (t *Test) tells(new count) bool {
	if new.all >= float64(t.rules.MinRequests) {
		return new.hits >= fewestErrors
	}
	return t.rules.Broken > 0 && new.hits >= float64(t.rules.Broken) && 2*new.hits >= new.all
}

// most is the largest share of errors that the old release may have.
func (t *Test) most(old count) float64 {
	if t.known(old) || old.share() > presumed {
		return 1
	}
	return presumed
}

func (t *Test) known(old count) bool { return old.all >= float64(t.rules.MinRequests) }

// slow judges by the times. They are compared from the end of the warm-up on.
func (t *Test) slow(p *pair, v *Verdict) bool {
	old, new := t.taken(p)
	if t.looks <= t.rules.WarmUp || new.Count() < uint64(t.rules.MinRequests) {
		return false
	}
	for _, q := range t.rules.Quantiles {
		if v.Chance = t.slower(&new, &old, q); v.Chance < t.rules.FalseAlarms {
			v.Signal = quantileName(q)
			v.Why = slower(q, &new, &old) + t.unanswered() + byChance(v.Chance)
			return true
		}
	}
	return false
}

// taken is how long requests took, or have taken so far. Of the new release, what came in the warm-up is left out.
func (t *Test) taken(p *pair) (old, new Histogram) {
	old, new = p.old.Latency, p.new.Latency
	for b := range new {
		old[b] += t.waiting[0][b]
		new[b] = less(new[b], t.timed[b]) + t.waiting[1][b]
	}
	return old, new
}

// slower is how likely it is, at most, that a quantile would ever look so much slower by chance.
func (t *Test) slower(new, old *Histogram, q float64) float64 {
	weight := forLatency / float64(len(t.rules.Quantiles))
	usual := old.within(q)
	if new.over(t.rules.slowest(usual)).share() <= 1-q {
		return 1
	}
	enough, found := t.enough(weight), math.Inf(1)
	for _, without := range []bool{false, true} {
		has := func(x time.Duration) float64 {
			limit := t.rules.slowest(x)
			c := new.over(limit)
			if without {
				c = c.minus(t.new.slower[Bucket(limit)].worst)
			}
			now, then := t.times(c, old.over(x), usual)
			return now.above(1-q) + then.below(1-q)
		}
		if found = min(found, slowest(has, old, usual, enough)); found < enough {
			return 1
		}
	}
	return chance(found, weight)
}

// times are what is counted of the times of both, discounted by how the old one's varied about what is usual.
func (t *Test) times(new, old count, usual time.Duration) (now, then witness) {
	b := Bucket(usual)
	n, o := &t.new.slower[b], &t.old.slower[b]
	return t.witness(new, t.bursts.Latency, n, o, n), t.witness(old, t.bursts.Latency, n, o, o)
}

// slowest is the least of f for all times that the quantile of the old release may have; it is not looked for where the
// most likely one is below enough already. Below the quickest and above the slowest answer nothing changes at the old one.
func slowest(f func(time.Duration) float64, old *Histogram, usual time.Duration, enough float64) float64 {
	found := f(usual)
	if found >= enough {
		found = min(found, f(Lowest(Buckets-1)))
	}
	for b := 0; b < Buckets-1 && found >= enough; b++ {
		if old[b] == 0 && old[b+1] == 0 {
			continue
		}
		low := Lowest(b)
		for quarter := range time.Duration(4) {
			found = min(found, f(low+(Lowest(b+1)-low)*quarter/4))
		}
	}
	return found
}

// within is the time in which a share of the answers came. Within a bucket they are taken to be spread evenly.
func (h *Histogram) within(q float64) time.Duration {
	left := q * float64(h.Count())
	for b, k := range h[:Buckets-1] {
		if n := float64(k); n > 0 && left <= n {
			return Lowest(b) + time.Duration(left/n*float64(Lowest(b+1)-Lowest(b)))
		}
		left -= float64(k)
	}
	return Lowest(Buckets - 1)
}

// over is how many answers took longer than a time.
func (h *Histogram) over(d time.Duration) count {
	b := Bucket(d)
	above := float64(h.From(b + 1))
	if b < Buckets-1 {
		width := Lowest(b+1) - Lowest(b)
		above += float64(h[b]) * float64(Lowest(b+1)-d) / float64(width)
	}
	return count{above, float64(h.Count())}
}

// proven reports that it is no worse, by errors and by times, as sure as a statement has to be. It is looked for anew when
// there are some more requests to go by.
func (t *Test) proven(p *pair) bool {
	if n := p.new.Requests; n >= t.sureAt {
		t.sureAt, t.proof = n+n/16+1, t.proves(p)
	}
	return t.proof && !t.impaired()
}

func (t *Test) proves(p *pair) bool {
	if p.new.Requests < uint64(t.rules.MinRequests) || !t.known(p.old.errors()) {
		return false
	}
	now, then := t.failures(p.new.errors(), p.old.errors())
	return fallsShort(now, then, t.rules.most, statement) >= statement && t.asQuick(p)
}

// failures are what is counted of the errors of both, discounted.
func (t *Test) failures(new, old count) (now, then witness) {
	n, o := &t.new.errors, &t.old.errors
	return t.witness(new, t.bursts.Errors, n, o, n), t.witness(old, t.bursts.Errors, n, o, o)
}

// asQuick is about the first quantile alone, the median: of the slow ones there are too few to prove much.
func (t *Test) asQuick(p *pair) bool {
	if len(t.rules.Quantiles) == 0 {
		return true
	}
	q := t.rules.Quantiles[0]
	old, new := t.taken(p)
	usual := old.within(q)
	return slowest(func(x time.Duration) float64 {
		now, then := t.times(new.over(t.rules.slowest(x)), old.over(x), usual)
		return now.below(1-q) + then.above(1-q)
	}, &old, usual, statement) >= statement
}

// impaired reports that fewer of the new backends are up than there are to be.
func (t *Test) impaired() bool { return t.health[1].Up < t.health[1].Total }

// excess is how many more errors the new release may still have, as a share.
func (t *Test) excess(new, old count) float64 {
	now, then := t.failures(new, old)
	low, high := 0.0, 1.0
	for range 14 {
		middle := (low + high) / 2
		if fallsShort(now, then, func(q float64) float64 { return min(1, q+middle) }, statement) >= statement {
			high = middle
		} else {
			low = middle
		}
	}
	return high
}
