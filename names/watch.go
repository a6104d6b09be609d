package names

import (
	"context"
	"slices"
	"sync"
	"time"
)

// Finding is what is known of a name. A lookup that fails takes no address away: the last ones that were known stay, for
// an outage of the DNS must not become one of the site.
type Finding struct {
	Answer   Answer    // the last good one; without addresses while there was none
	Failure  string    // why the last lookup brought nothing; empty: it did
	Absent   bool      // with Failure: the servers are sure of it
	Since    time.Time // when the lookups began to fail, or to succeed
	Asked    time.Time // when the last lookup ended; zero: none has
	Next     time.Time // when the next one is due
	Lookups  uint64
	Failures uint64
}

// Watch asks for one name for as long as it runs. All methods may be called concurrently, except that Run is called once.
type Watch struct {
	Name    Name
	resolve Lookup
	least   time.Duration
	most    time.Duration
	now     func() time.Time
	rnd     func() float64
	hurry   chan struct{} // holds at most one wish; written by anyone, read by Run

	mu     sync.Mutex
	latest Finding
	begun  uint64 // lookups that began
}

// Lookup asks once what a name stands for.
type Lookup func(context.Context, Name) (Answer, error)

// NewWatch returns a Watch that has not begun. An answer is asked for again when its lifetime is over, but not before
// least and not after most. rnd returns numbers in [0,1) and is only called from Run.
func NewWatch(n Name, resolve Lookup, least, most time.Duration, now func() time.Time, rnd func() float64) *Watch {
	return &Watch{Name: n, resolve: resolve, least: least, most: most, now: now, rnd: rnd, hurry: make(chan struct{}, 1)}
}

// hurryGap is the least time between two lookups of one name. A thousand servers that go down at once are one reason to
// look, and not a thousand. The length is arbitrary.
const hurryGap = 100 * time.Millisecond

// Hurry asks for a lookup now rather than at the end of the lifetime. A wish that comes during a lookup is met by
// another one after it. It returns the number that Finding.Lookups will have reached when the wish is met.
func (w *Watch) Hurry() uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	select {
	case w.hurry <- struct{}{}:
	default:
	}
	return w.begun + 1
}

// Latest returns what is known now.
func (w *Watch) Latest() Finding {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.latest
}

// Run looks the name up until ctx is done; it blocks. The first lookup begins at once. report is called from this
// goroutine after each lookup; changed is true when the addresses did, or when the lookups began to fail or to succeed.
func (w *Watch) Run(ctx context.Context, report func(f Finding, changed bool)) {
	fails := 0
	for ctx.Err() == nil {
		answer, err := w.look(ctx)
		if ctx.Err() != nil {
			return
		}
		if fails++; err == nil {
			fails = 0
		}
		delay := w.delay(answer.TTL, fails)
		report(w.learn(answer, err, delay))
		w.wait(ctx, delay)
	}
}

func (w *Watch) look(ctx context.Context) (Answer, error) {
	w.mu.Lock()
	w.begun++
	select {
	case <-w.hurry: // this lookup meets each wish until now
	default:
	}
	w.mu.Unlock()
	return w.resolve(ctx, w.Name)
}

// delay is how long to wait: the lifetime within its bounds, or after failures twice as long each time. It varies a
// little, so that many names do not march in step.
func (w *Watch) delay(ttl time.Duration, fails int) time.Duration {
	d := min(max(ttl, w.least), w.most)
	if fails > 0 {
		d = min(w.least<<min(fails-1, 16), w.most)
	}
	return d + time.Duration(w.rnd()*float64(d)/10)
}

// learn takes the outcome of a lookup into what is known.
func (w *Watch) learn(answer Answer, err error, delay time.Duration) (Finding, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	was := w.latest
	f := &w.latest
	f.Lookups++
	f.Asked = w.now()
	f.Next = f.Asked.Add(delay)
	f.Failure, f.Absent = "", false
	if err != nil {
		f.Failure, f.Absent = err.Error(), absent(err)
		f.Failures++
	} else {
		f.Answer = answer
	}
	turned := (f.Failure == "") != (was.Failure == "") || f.Absent != was.Absent
	if turned || was.Asked.IsZero() {
		f.Since = f.Asked
	}
	changed := turned || was.Asked.IsZero() || !slices.Equal(f.Answer.Addresses, was.Answer.Addresses) || f.Answer.More != was.Answer.More
	return *f, changed
}

// wait returns when the next lookup is due, wished for, or ctx is done.
func (w *Watch) wait(ctx context.Context, delay time.Duration) {
	gap := min(hurryGap, delay)
	if pause(ctx, gap, nil) {
		pause(ctx, delay-gap, w.hurry)
	}
}

// pause reports whether the time passed by.
func pause(ctx context.Context, d time.Duration, hurry <-chan struct{}) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-hurry:
	case <-ctx.Done():
	}
	return false
}
