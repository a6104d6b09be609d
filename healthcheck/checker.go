package healthcheck

import (
	"context"
	"sync"
	"time"
)

// hurryGap is the least time from the end of one check to a hurried one. Whoever hurries may do so for each failed
// request; a failing server must not be checked a thousand times a second for it. The length is arbitrary.
const hurryGap = 50 * time.Millisecond

// jitter is the share of an interval by which it varies to either side, so that many checkers do not march in step.
const jitter = 0.1

// Prober asks a server once. Probe returns soon after ctx is done, with a result marked Cancelled.
type Prober interface {
	Probe(ctx context.Context) Result
}

// Checker probes one server for as long as it runs and keeps the latest verdict. All methods may be called
// concurrently, except that Run is called once.
type Checker struct {
	prober Prober
	spec   Spec
	rnd    func() float64
	hurry  chan struct{} // holds at most one wish for a check; written by anyone, read by Run
	reset  chan struct{} // the same, for what must not wait for hurryGap
	calm   bool          // the first pause after a pass has begun; owned by Run

	mu      sync.Mutex
	verdict Verdict
	asked   time.Time          // when the server asked for its drain, while Run has not taken that in; zero: it has
	abort   context.CancelFunc // ends the probe under way; nil between probes
}

// NewChecker returns a Checker that has not begun. rnd returns numbers in [0,1) and is only called from Run.
func NewChecker(p Prober, spec Spec, rnd func() float64) *Checker {
	return &Checker{
		prober: p, spec: spec.normal(), rnd: rnd,
		hurry: make(chan struct{}, 1), reset: make(chan struct{}, 1),
	}
}

// Latest returns the verdict now.
func (c *Checker) Latest() Verdict {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.verdict
}

// Hurry asks for a check now rather than at the end of the interval. Wishes that come together are one. A wish that
// comes during a check is met by another one after it, for the check under way may have asked too early.
func (c *Checker) Hurry() { wish(c.hurry) }

// Reset forgets everything found so far and asks for a check now. It returns the epoch of the verdicts that follow;
// a verdict of an earlier epoch that is still being reported must be ignored. A probe begun before is called off,
// and its result does not count even if it had already come.
func (c *Checker) Reset() (epoch uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.verdict, c.asked = Verdict{Epoch: c.verdict.Epoch + 1}, time.Time{}
	if c.abort != nil {
		c.abort()
	}
	wish(c.reset)
	return c.verdict.Epoch
}

// Drain takes in that the server asked for its own drain outside of a check, as in an answer to a client. It is reported
// at once, and the server comes back by passing checks. A probe under way is called off: it may have asked before.
func (c *Checker) Drain(at time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked = at
	if c.abort != nil {
		c.abort()
	}
	wish(c.reset)
}

// heard takes what the server asked for into the verdict, if it did.
func (c *Checker) heard() (v Verdict, counts bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.asked.IsZero() || c.spec.Off {
		return Verdict{}, false
	}
	r := Result{At: c.asked, Draining: true, Reason: DrainingReason}
	c.asked = time.Time{}
	grant(c.reset)
	c.verdict = c.verdict.Next(r, c.spec.Rise, c.spec.Fall)
	return c.verdict, true
}

// wish leaves a wish in ch unless there is one already.
func wish(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}

// grant takes the wish out of ch, if there is one.
func grant(ch chan struct{}) {
	select {
	case <-ch:
	default:
	}
}

// Run checks until ctx is done; it blocks. The first check begins at once. report is called from this goroutine
// after every check that counts; changed is true only when the state, the release or the epoch changed or, while the
// server is not up, the reason. No report begins once ctx is done.
func (c *Checker) Run(ctx context.Context, report func(v Verdict, changed bool)) {
	var told Verdict
	for ctx.Err() == nil {
		if v, counts := c.check(ctx); counts && ctx.Err() == nil {
			report(v, v.differs(told))
			told = v
		}
		c.wait(ctx)
	}
}

// check makes one probe and takes its result into the verdict, unless a reset came in between. What the server asked
// for by itself stands for a probe.
func (c *Checker) check(ctx context.Context) (v Verdict, counts bool) {
	if v, counts = c.heard(); counts {
		return v, true
	}
	ctx, epoch := c.begin(ctx)
	result := uncheckedResult
	if !c.spec.Off {
		result = c.prober.Probe(ctx)
	}
	return c.finish(epoch, result)
}

// uncheckedResult stands for the check of a server that is not to be checked.
var uncheckedResult = Result{OK: true}

// begin opens a probe, which meets every wish made until now.
func (c *Checker) begin(ctx context.Context) (probe context.Context, epoch uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	grant(c.hurry)
	grant(c.reset)
	probe, c.abort = context.WithCancel(ctx)
	return probe, c.verdict.Epoch
}

// finish closes the probe of that epoch.
func (c *Checker) finish(epoch uint64, r Result) (v Verdict, counts bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.abort()
	c.abort = nil
	if r.Cancelled || epoch != c.verdict.Epoch {
		return Verdict{}, false
	}
	c.verdict = c.verdict.Next(r, c.spec.Rise, c.spec.Fall)
	if c.spec.Off {
		c.verdict.Reason = "not checked"
	}
	return c.verdict, true
}

// wait returns when the next check is due, or ctx is done.
func (c *Checker) wait(ctx context.Context) {
	if c.spec.Off {
		c.pause(ctx, nil, nil)
		return
	}
	due := c.pauseLength()
	gap := min(hurryGap, due)
	if c.pause(ctx, time.After(gap), nil) {
		c.pause(ctx, time.After(due-gap), c.hurry)
	}
}

// pause waits for the timer, a hurry, a reset or the end of ctx. It says whether it was one of the first two.
func (c *Checker) pause(ctx context.Context, timer <-chan time.Time, hurry <-chan struct{}) bool {
	select {
	case <-timer:
		return true
	case <-hurry:
		return true
	case <-c.reset:
	case <-ctx.Done():
	}
	return false
}

// pauseLength is how long to wait for the next check. The first pause of a server that is well may be any part of the
// interval: those that began together are apart from then on.
func (c *Checker) pauseLength() time.Duration {
	d := c.spec.Interval
	switch v := c.Latest(); {
	case v.Transitional():
		d = c.spec.FastInterval
	case c.spec.Spread && !c.calm && v.State == Up:
		c.calm = true
		return time.Duration(float64(d) * c.rnd())
	}
	return time.Duration(float64(d) * (1 - jitter + 2*jitter*c.rnd()))
}
