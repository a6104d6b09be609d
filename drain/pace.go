package drain

import (
	"cmp"
	"slices"
	"sort"
	"time"
)

const (
	// gap lies between two endings ahead of a deadline: 50 in a second. Each is a client that comes back at once, with a
	// handshake and whatever an app does for a newcomer, which costs most apps some ten milliseconds of work.
	gap = 20 * time.Millisecond
	// slack is how much more time than that is set aside, so that the rate may be halved and all are ended in time.
	slack = 2
	// slowest is how far the rate is brought down. Slower than that, too many would be left for the deadline, when
	// they would come as the herd that this is against.
	slowest = 4
	// lookAtStrain is how often the takers are looked at: 25 clients come back in that time.
	lookAtStrain = 500 * time.Millisecond
)

// pacer ends lasting work ahead of its deadline where there is much of it, so that its clients do not all come back at
// once. One piece alone has until its deadline; of n the last has, and the first as much less as it takes to end them
// one by one at ease. It is owned by the run.
//
// Where the window is too short for that, the endings are spread over what is left of it. A strain stretches the
// intervals, and they are taken anew from the time and the work that are left: those that were put off come nearer to
// the deadline, not behind it.
type pacer struct {
	line   []Item        // what may be ended early: the nearest deadline first, of one deadline the oldest first
	last   time.Duration // age of the run at the latest ending
	any    bool          // there was one
	slow   float64       // how far the interval is stretched: 1 to slowest
	looked time.Duration // age of the run at the latest look at the takers
}

// queue puts what can be ended early in order.
func (r *run) queue(items []Item) {
	r.pacer.line = r.pacer.line[:0]
	for _, it := range items {
		if it.Lasting && it.Cut != nil && !r.wasCut(&it) {
			r.pacer.line = append(r.pacer.line, it)
		}
	}
	slices.SortFunc(r.pacer.line, func(a, b Item) int {
		return cmp.Or(cmp.Compare(r.deadline(&a), r.deadline(&b)), a.Began.Compare(b.Began))
	})
}

// endEarly ends what is due, and returns when there will be something due again; negative: never.
func (r *run) endEarly(age time.Duration) (next time.Duration) {
	for len(r.pacer.line) > 0 {
		if next = r.nextEnding(age); next > age {
			return next
		}
		it := r.pacer.line[0]
		r.pacer.line = r.pacer.line[1:]
		if r.end(it, gap) {
			// A late wake-up is made good, so that the rate holds; but only one of a moment, or it would be a burst.
			r.pacer.last, r.pacer.any = max(next, age-pace), true
		}
	}
	return -1
}

// nextEnding is the age of the run at which the first in line is to be ended.
func (r *run) nextEnding(age time.Duration) time.Duration {
	p := &r.pacer
	begin, interval := r.deadline(&p.line[0]), gap
	for _, c := range Classes() {
		d := r.job.Policy.Deadline(c)
		n := sort.Search(len(p.line), func(i int) bool { return r.deadline(&p.line[i]) > d })
		if n == 0 {
			continue
		}
		begin = min(begin, d-time.Duration(n-1)*gap*slack)
		interval = min(interval, max(0, d-p.last)/time.Duration(n))
	}
	r.judge(age, begin)
	if !p.any {
		return max(0, begin)
	}
	return max(begin, p.last+time.Duration(float64(interval)*p.slow))
}

// judge looks at those who take the clients over, while there are any sent to them.
func (r *run) judge(age, begin time.Duration) {
	p := &r.pacer
	if r.job.Strain == nil || age < begin || age < p.looked+lookAtStrain {
		return
	}
	p.looked = age
	if r.job.Strain() {
		p.slow = min(p.slow*2, slowest)
	} else {
		p.slow = max(p.slow/2, 1)
	}
}
