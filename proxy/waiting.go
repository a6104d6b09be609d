package proxy

import (
	"time"

	"sluice/drain"
	"sluice/judge"
)

// Waiting tells how long the requests have waited by now that a pool has not begun to answer: what takes forever is in no
// figures yet. Left out are uploads, which may still be on their way, and what did not come straight to the backend. Its
// cost is that of a look at all that is inside; ask once a second.
func (l *Ledger) Waiting(service, pool string) (h judge.Histogram) {
	now := time.Now()
	l.each(func(ex *Exchange) {
		if d, ok := ex.waits(service, pool, now); ok {
			h[judge.Bucket(d)]++
		}
	})
	return h
}

func (ex *Exchange) waits(service, pool string, now time.Time) (time.Duration, bool) {
	ex.mu.Lock()
	defer ex.mu.Unlock()
	switch b := ex.Backend; {
	case ex.gate == nil, b == nil, b.Files != nil, b.Pool != pool, b.Service != service:
		return 0, false
	case !ex.headAt.IsZero(), !ex.straight, drain.Class(ex.class.Load()) != drain.Request:
		return 0, false
	}
	return now.Sub(ex.Began), true
}
