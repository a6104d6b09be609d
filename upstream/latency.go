package upstream

import (
	"sync/atomic"
	"time"

	"sluice/judge"
)

// latencies keeps how long answers took, in buckets that each are a quarter of an octave wide: a median read off them is
// right to a tenth, which is enough to tell a server that takes several times as long as others.
type latencies struct{ buckets [judge.Buckets]atomic.Uint32 }

// add keeps one.
func (l *latencies) add(d time.Duration) { l.buckets[judge.Bucket(d)].Add(1) }

// take empties the buckets and returns how many there were, and their median; unless there are fewer than least.
func (l *latencies) take(least int) (samples int, median time.Duration) {
	sum := 0
	for i := range l.buckets {
		sum += int(l.buckets[i].Load())
	}
	if sum < least {
		return 0, 0
	}
	var counts [judge.Buckets]int
	for i := range l.buckets {
		if l.buckets[i].Load() != 0 {
			counts[i] = int(l.buckets[i].Swap(0))
			samples += counts[i]
		}
	}
	before := 0
	for i, n := range counts {
		if before += n; n > 0 && before*2 >= samples {
			return samples, judge.Middle(i)
		}
	}
	return 0, 0
}
