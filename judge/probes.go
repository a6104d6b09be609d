package judge

// probes are requests of Sluice's own to both releases, which are judged beside those of visitors and apart from them: what
// they ask for is not what visitors do. The old release answers them too while nobody else asks it anything, which tells
// what hits both from what is wrong with one.
type probes struct {
	test     *Test
	old, new Sample
	verdict  Verdict
	left     int // looks for which an error of the old release is still good
}

// ailingFor is how many looks an error of the old release is good for. Probes are few, and not each fails in an outage.
const ailingFor = 5

// mostAsked is how many probes are needed at most, whatever is asked of visitors: they are few.
const mostAsked = 50

// Probes tells it how both have answered probes since the watch began. Call it before a look, from the first one on: what
// false alarms there may be is then divided between probes and visitors.
//
// In a look in which the old release fails its probes, and for a little longer, what visitors meet at the new one says
// nothing of it, and does not count.
func (t *Test) Probes(old, new Sample) {
	if t.probes == nil {
		t.rules.FalseAlarms /= 2
		rules := t.rules
		rules.MinRequests = min(rules.MinRequests, mostAsked)
		t.probes = &probes{test: New(rules)}
	}
	p := t.probes
	p.left = max(0, p.left-1)
	if old.Minus(p.old).Errors > 0 && (p.answers(old) || p.test.looks < stretch) {
		p.left = ailingFor
	}
	p.old, p.new = old, new
	p.verdict = p.test.Look(old, new)
}

// answers reports that the old release does most probes well. One that never does has nothing to tell, but for the first
// moments, in which nobody knows that yet.
func (p *probes) answers(old Sample) bool { return 2*old.Errors < old.Requests }

func (p *probes) ailing() bool { return p != nil && p.left > 0 }

// failingProbes is worse by probes.
func (t *Test) failingProbes(_ *pair, v *Verdict) bool {
	if t.probes == nil || t.probes.verdict.Word != Worse {
		return false
	}
	by := t.probes.verdict
	v.Signal, v.Chance, v.Why = by.Signal, by.Chance, "probes: "+by.Why
	return true
}

// byProbes has probes speak where visitors are too few.
func (t *Test) byProbes(v *Verdict) {
	if t.probes == nil || !t.probes.answers(t.probes.old) {
		return
	}
	if by := t.probes.test.End(t.probes.old, t.probes.new); by.Word == BetterOrEqual {
		v.Word, v.Excess, v.Why = by.Word, by.Excess, "by probes, "+by.Why+"; "+v.Why
	}
}
