package judge

// RecentStep is how many seconds there are to be from one Add to the next.
const RecentStep = stretch

// recentSteps are ten minutes: long enough for a baseline of some thousand requests where there are ten in a second, and
// short enough for it to be about this hour.
const recentSteps = 40

// Recent keeps how a release has served in the last minutes: the baseline of a bake. The zero value is empty.
type Recent struct {
	all  [recentSteps + 1]Sample
	next int
	n    int
}

// Add is told how the release has served until now, every RecentStep seconds.
func (r *Recent) Add(until Sample) {
	r.all[r.next] = until
	r.next = (r.next + 1) % len(r.all)
	r.n = min(r.n+1, len(r.all))
}

// Baseline is how it served in that time, and how that was spread.
func (r *Recent) Baseline() (Sample, Bursts) {
	if r.n == 0 {
		return Sample{}, Bursts{}
	}
	oldest := r.at(0)
	a := arm{before: oldest, perStretch: 1}
	for i := 1; i < r.n; i++ {
		a.add(r.at(i), true)
	}
	whole := r.at(r.n - 1).Minus(oldest)
	slow := max(a.slower[Bucket(whole.Latency.Quantile(0.5))].excess(), a.slower[Bucket(whole.Latency.Quantile(0.95))].excess())
	return whole, Bursts{max(a.errors.excess(), a.trips.excess()), slow}
}

// at is the i-th of those that are kept, oldest first.
func (r *Recent) at(i int) Sample { return r.all[(r.next-r.n+i+len(r.all))%len(r.all)] }
