package proxy

import (
	"sync"
	"time"
)

// Resend is how often a service's requests may be sent again.
type Resend struct {
	Attempts int     // how often one is sent at most, the first time included
	Share    float64 // how many may be done twice, as a share of those that succeed
}

// defaultResend is for services that say nothing.
var defaultResend = &Resend{Attempts: 4, Share: 0.2}

// budget bounds the work that is given to backends twice. Without a bound, backends that fail under load get up to four
// times that load. It is a bucket that successful requests fill; nothing is counted for it but when one is to be spent.
//
// What it is not asked for is a request of which a backend has read nothing: to send that again gives it no work twice.
type budget struct {
	mu        sync.Mutex
	tokens    float64
	most      float64   // what the bucket holds
	succeeded int64     // requests, when it was last looked at
	at        time.Time // when that was
	rated     time.Time // when most was found
	ratedAt   int64     // and how many requests had succeeded by then
}

const (
	// leastBudget is how many retries each second are free, so that a service with little traffic has any.
	leastBudget = 10
	// budgetSpan is for how long unspent budget is kept: long enough for all that was under way at a server that died at
	// once, and short enough that over ten seconds of a failure the share holds.
	budgetSpan = 5 * time.Second
)

// begin starts the time, once.
func (b *budget) begin(now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.at.IsZero() {
		b.at, b.rated = now, now
		b.tokens, b.most = leastBudget, leastBudget
	}
}

// spend takes one retry out, and reports whether there was one. succeeded is how many requests have by now.
func (b *budget) spend(share float64, succeeded int64, now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if since := now.Sub(b.rated); since >= time.Second {
		rate := float64(succeeded-b.ratedAt) / since.Seconds()
		b.most = max(leastBudget, share*rate*budgetSpan.Seconds())
		b.rated, b.ratedAt = now, succeeded
	}
	free := leastBudget * now.Sub(b.at).Seconds()
	b.tokens = min(b.tokens+share*float64(succeeded-b.succeeded)+free, b.most)
	b.at, b.succeeded = now, succeeded
	if share <= 0 || b.tokens < 1 {
		return false
	}
	b.tokens--
	return true
}

// succeeded is how many requests were answered by a backend, and not with a failure.
func (c *Counters) succeeded() int64 {
	return c.Status[1].Load() + c.Status[2].Load() + c.Status[3].Load() + c.Status[4].Load()
}
