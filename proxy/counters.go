package proxy

import (
	"sync/atomic"
	"time"
)

// Counters counts what a service answered. It outlives snapshots: control keeps one for each service. Adding to it is a
// few atomic adds, which is all that metrics cost a request.
type Counters struct {
	Status    [6]atomic.Int64 // by the first digit of the status; 0 is for no answer at all
	Retries   atomic.Int64
	Denied    atomic.Int64                      // failures that were not sent again because the budget was spent
	Lost      atomic.Int64                      // began to be answered and did not come to the end, by no fault of the client
	BytesIn   atomic.Int64                      // of request bodies
	BytesOut  atomic.Int64                      // of response bodies
	Took      [len(TookBounds) + 1]atomic.Int64 // requests by duration; the last is for all above
	TookSum   atomic.Int64                      // nanoseconds
	Pins      PinCounters                       // of a service that is sticky
	Lasting   LastingCounters                   // of event streams, downloads and upgraded connections
	Queued    atomic.Int64                      // requests that found each backend full, and waited
	Earlier   atomic.Int64                      // assets that came from the release before
	QueueLong atomic.Int64                      // those that waited as long as they may, and were refused
	QueueFull atomic.Int64                      // requests that were refused because as many waited as may
	budget    budget
}

// TookBounds are the upper bounds of Counters.Took.
var TookBounds = [...]time.Duration{
	time.Millisecond, 2500 * time.Microsecond, 5 * time.Millisecond, 10 * time.Millisecond, 25 * time.Millisecond,
	50 * time.Millisecond, 100 * time.Millisecond, 250 * time.Millisecond, 500 * time.Millisecond, time.Second,
	2500 * time.Millisecond, 5 * time.Second, 10 * time.Second,
}

func (c *Counters) add(ex *Exchange, took time.Duration) {
	c.Status[ex.Status/100%6].Add(1)
	c.Took[bucket(took)].Add(1)
	c.TookSum.Add(int64(took))
	addSome(&c.Retries, int64(ex.Retries))
	addSome(&c.BytesIn, ex.BytesIn)
	addSome(&c.BytesOut, ex.BytesOut)
	if ex.Lost() {
		c.Lost.Add(1)
	}
	c.Lasting.add(ex, took)
}

func addSome(to *atomic.Int64, n int64) {
	if n != 0 {
		to.Add(n)
	}
}

func bucket(took time.Duration) int {
	for i, bound := range TookBounds {
		if took <= bound {
			return i
		}
	}
	return len(TookBounds)
}
