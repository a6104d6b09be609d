package http1

import (
	"sync/atomic"
	"time"
)

// Clock is looked at where asking for the time would be too dear: for the deadlines of each request, which are coarse
// anyway. Its owner calls Tick every ClockTick. A nil Clock is asked for the time.
type Clock struct{ now atomic.Int64 } // nanoseconds since origin

const (
	// ClockTick is how often a Clock is to be set.
	ClockTick = 100 * time.Millisecond
	// clockLag is by how much a Clock may be late: its owner may have had to wait for a processor.
	clockLag = 5 * ClockTick
)

// Tick sets the clock.
func (c *Clock) Tick() { c.now.Store(int64(time.Since(origin))) }

// Now is the time of the last tick.
func (c *Clock) Now() time.Time {
	if c == nil {
		return time.Now()
	}
	return origin.Add(time.Duration(c.now.Load()))
}

// sinceOrigin is the time since origin for a wait of d, and by how much it may be late. A short wait has no room for that.
func (c *Clock) sinceOrigin(d time.Duration) (now, lag time.Duration) {
	if c == nil || d < 8*clockLag {
		return time.Since(origin), 0
	}
	return time.Duration(c.now.Load()), clockLag
}

// origin is a moment to count from. The time since it is read off the monotonic clock alone, which costs half of what
// the time of day costs.
var origin = time.Now()
