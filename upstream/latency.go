package upstream

import (
	"math/bits"
	"sync/atomic"
	"time"
)

// latencies keeps how long answers took, in buckets that each are a quarter of an octave wide: a median read off them is
// right to a tenth, which is enough to tell a server that takes several times as long as others.
type latencies struct{ buckets [lastBucket + 1]atomic.Uint32 }

// lastBucket begins at two minutes and takes all above.
const lastBucket = 103

// add keeps one.
func (l *latencies) add(d time.Duration) { l.buckets[latencyBucket(d)].Add(1) }

// take empties the buckets and returns how many there were, and their median; unless there are fewer than least.
func (l *latencies) take(least int) (samples int, median time.Duration) {
	sum := 0
	for i := range l.buckets {
		sum += int(l.buckets[i].Load())
	}
	if sum < least {
		return 0, 0
	}
	var counts [lastBucket + 1]int
	for i := range l.buckets {
		if l.buckets[i].Load() != 0 {
			counts[i] = int(l.buckets[i].Swap(0))
			samples += counts[i]
		}
	}
	before := 0
	for i, n := range counts {
		if before += n; n > 0 && before*2 >= samples {
			return samples, middleOf(i)
		}
	}
	return 0, 0
}

// latencyBucket numbers the quarters of each octave of units, which are some microseconds.
func latencyBucket(d time.Duration) int {
	units := uint64(max(d, 0)) >> 10
	if units < 4 {
		return int(units)
	}
	octave := bits.Len64(units) - 1
	return min((octave-1)*4+int(units>>(octave-2)&3), lastBucket)
}

// middleOf is the middle of a bucket.
func middleOf(bucket int) time.Duration {
	if bucket < 4 {
		return time.Duration(bucket)<<10 + 1<<9
	}
	octave := bucket/4 + 1
	width := uint64(1) << (octave - 2)
	return time.Duration(uint64(4+bucket%4)*width<<10 + width<<9)
}
