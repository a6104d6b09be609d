package healthcheck

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// script is a Prober that answers as told and remembers when it was asked.
type script struct {
	answer func(n int, ctx context.Context) Result

	mu    sync.Mutex
	asked []time.Time
}

func (s *script) Probe(ctx context.Context) Result {
	s.mu.Lock()
	n := len(s.asked)
	s.asked = append(s.asked, time.Now())
	s.mu.Unlock()
	r := s.answer(n, ctx)
	r.At = time.Now()
	return r
}

func (s *script) times() []time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.asked)
}

// gaps returns the time between the checks so far.
func (s *script) gaps() []time.Duration {
	var gaps []time.Duration
	asked := s.times()
	for i := 1; i < len(asked); i++ {
		gaps = append(gaps, asked[i].Sub(asked[i-1]))
	}
	return gaps
}

func always(ok bool) func(int, context.Context) Result {
	return func(int, context.Context) Result { return Result{OK: ok, Reason: reasonFor(ok)} }
}

func middle() float64 { return 0.5 }

var calm = Spec{Interval: 2 * time.Second, FastInterval: 500 * time.Millisecond, Rise: 2, Fall: 3}

// run starts c in the bubble; the reports are read with the returned func, and the checker is stopped by the test's end.
func run(t *testing.T, c *Checker) (reports func() []report) {
	ctx, cancel := context.WithCancel(t.Context())
	var mu sync.Mutex
	var got []report
	done := make(chan struct{})
	go func() {
		defer close(done)
		c.Run(ctx, func(v Verdict, changed bool) {
			mu.Lock()
			defer mu.Unlock()
			got = append(got, report{v, changed})
		})
	}()
	t.Cleanup(func() { cancel(); <-done })
	return func() []report {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(got)
	}
}

type report struct {
	v       Verdict
	changed bool
}

func TestCheckerTiming(t *testing.T) {
	fast, slow := calm.FastInterval, calm.Interval
	tests := []struct {
		why     string
		results []bool // the last one goes on for ever
		want    []time.Duration
	}{
		{"a good server is checked at once, then at the interval", []bool{true}, []time.Duration{slow, slow, slow}},
		{"an unknown one fast, a down one at the interval", []bool{false}, []time.Duration{fast, fast, slow, slow}},
		{"a run against up is fast", []bool{true, false, true}, []time.Duration{slow, fast, slow, slow}},
		{"a run against down is fast until it is up", []bool{false, false, false, true}, []time.Duration{fast, fast, slow, fast, slow}},
	}
	for _, test := range tests {
		t.Run(test.why, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				begun := time.Now()
				p := &script{answer: func(n int, _ context.Context) Result {
					ok := test.results[min(n, len(test.results)-1)]
					return Result{OK: ok, Reason: reasonFor(ok)}
				}}
				run(t, NewChecker(p, calm, middle))
				time.Sleep(20 * time.Second)
				synctest.Wait()
				if first := p.times()[0]; first != begun {
					t.Errorf("the first check came %v late", first.Sub(begun))
				}
				if got := p.gaps()[:len(test.want)]; !slices.Equal(got, test.want) {
					t.Errorf("gaps %v, want %v", got, test.want)
				}
			})
		})
	}
}

func TestJitterBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		draws := []float64{0, 0.25, 0.5, 0.75, 0.999999}
		n := 0
		p := &script{answer: always(true)}
		run(t, NewChecker(p, calm, func() float64 { n++; return draws[(n-1)%len(draws)] }))
		time.Sleep(time.Minute)
		synctest.Wait()
		low, high := 2*time.Second*9/10, 2*time.Second*11/10
		gaps := p.gaps()
		if slices.Min(gaps) != low || slices.Max(gaps) >= high || slices.Max(gaps) < high-time.Millisecond {
			t.Errorf("gaps from %v to %v, want %v up to just under %v", slices.Min(gaps), slices.Max(gaps), low, high)
		}
	})
}

func TestReportsChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		results := []Result{
			{Reason: "refused"}, {OK: true, Release: "v1"}, {OK: true, Release: "v1"}, {OK: true, Release: "v2"},
			{Reason: "refused"}, {Reason: "refused"}, {Reason: "refused"}, {Reason: "refused"}, {Reason: "status 503, want 200"},
		}
		want := []bool{true, true, false, true, false, false, true, false, true, false}
		p := &script{answer: func(n int, _ context.Context) Result { return results[min(n, len(results)-1)] }}
		c := NewChecker(p, calm, middle)
		reports := run(t, c)
		time.Sleep(time.Minute)
		synctest.Wait()
		got := reports()
		for i := range want {
			if got[i].changed != want[i] {
				t.Errorf("report %d %+v: changed %v, want %v", i, got[i].v, got[i].changed, want[i])
			}
		}
		if last := got[len(got)-1].v; last != c.Latest() || last.State != Down || last.Release != "v2" {
			t.Errorf("last report %+v, latest %+v", last, c.Latest())
		}
	})
}

func TestHurry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &script{answer: always(true)}
		c := NewChecker(p, calm, middle)
		run(t, c)
		time.Sleep(time.Second)
		c.Hurry()
		c.Hurry()
		c.Hurry()
		synctest.Wait()
		if got := p.gaps(); !slices.Equal(got, []time.Duration{time.Second}) {
			t.Errorf("gaps %v, want one check at once", got)
		}
		time.Sleep(calm.Interval)
		synctest.Wait()
		if got := p.gaps(); !slices.Equal(got, []time.Duration{time.Second, calm.Interval}) {
			t.Errorf("gaps %v, want the interval after the hurried one", got)
		}
	})
}

func TestHurryIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &script{answer: always(true)}
		c := NewChecker(p, calm, middle)
		run(t, c)
		for range 1000 { // a failing request each millisecond
			time.Sleep(time.Millisecond)
			c.Hurry()
		}
		synctest.Wait()
		if n := len(p.times()); n < 15 || n > 21 {
			t.Errorf("%d checks in a second of hurry, want about one each %v", n, hurryGap)
		}
	})
}

func TestHurryDuringProbe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &script{answer: func(int, context.Context) Result {
			time.Sleep(300 * time.Millisecond)
			return Result{OK: true}
		}}
		c := NewChecker(p, calm, middle)
		run(t, c)
		time.Sleep(100 * time.Millisecond)
		c.Hurry() // the probe under way may have looked before the trouble
		time.Sleep(time.Second)
		synctest.Wait()
		if got := p.gaps(); !slices.Equal(got, []time.Duration{300*time.Millisecond + hurryGap}) {
			t.Errorf("gaps %v, want a second check right after the first", got)
		}
	})
}

// TestResetDuringProbe: a probe that began before the reset brings a pass; it must not count, though it ignores its
// cancellation.
func TestResetDuringProbe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &script{answer: func(n int, ctx context.Context) Result {
			if n == 0 {
				time.Sleep(300 * time.Millisecond)
				return Result{OK: true, Release: "old"}
			}
			return Result{Reason: "refused"}
		}}
		c := NewChecker(p, calm, middle)
		reports := run(t, c)
		time.Sleep(100 * time.Millisecond)
		if e := c.Reset(); e != 1 {
			t.Errorf("epoch %d, want 1", e)
		}
		time.Sleep(200 * time.Millisecond)
		synctest.Wait()
		got := reports()
		if len(got) != 1 || got[0].v.State != Unknown || got[0].v.Release != "" || got[0].v.Epoch != 1 || !got[0].changed {
			t.Errorf("reports %+v, want only the refusal that came after the reset", got)
		}
		if gaps := p.gaps(); !slices.Equal(gaps, []time.Duration{300 * time.Millisecond}) {
			t.Errorf("gaps %v, want the next check at the end of the first", gaps)
		}
	})
}

func TestResetCallsOffProbe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &script{answer: func(n int, ctx context.Context) Result {
			if n == 0 {
				<-ctx.Done()
				return Result{Cancelled: true, Reason: "check called off"}
			}
			return Result{OK: true}
		}}
		c := NewChecker(p, calm, middle)
		reports := run(t, c)
		time.Sleep(100 * time.Millisecond)
		c.Reset()
		synctest.Wait()
		if got := reports(); len(got) != 1 || got[0].v.State != Up || got[0].v.Fails != 0 {
			t.Errorf("reports %+v, want one pass", got)
		}
		if gaps := p.gaps(); !slices.Equal(gaps, []time.Duration{100 * time.Millisecond}) {
			t.Errorf("gaps %v, want the check right after the reset", gaps)
		}
	})
}

func TestResetBetweenChecks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &script{answer: always(true)}
		c := NewChecker(p, calm, middle)
		run(t, c)
		time.Sleep(10 * time.Millisecond) // inside the gap that holds back a hurry
		c.Reset()
		if v := c.Latest(); v.Epoch != 1 {
			t.Errorf("after the reset the verdict is %+v", v)
		}
		synctest.Wait()
		if v := c.Latest(); v.State != Up || v.Epoch != 1 || v.Passes != 1 || v.Since != time.Now() {
			t.Errorf("after the next check the verdict is %+v", v)
		}
		if gaps := p.gaps(); !slices.Equal(gaps, []time.Duration{10 * time.Millisecond}) {
			t.Errorf("gaps %v, want the check at once", gaps)
		}
	})
}

func TestCancelNeverCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		p := &script{answer: func(n int, ctx context.Context) Result {
			if n < 2 {
				return Result{OK: true}
			}
			<-ctx.Done()
			return Result{Cancelled: true, Reason: "check called off"}
		}}
		c := NewChecker(p, Spec{Fall: 1}, middle)
		var reports atomic.Int32
		go func() {
			time.Sleep(3 * time.Second)
			cancel()
		}()
		c.Run(ctx, func(Verdict, bool) { reports.Add(1) })
		if v := c.Latest(); v.State != Up || v.Fails != 0 || reports.Load() != 2 {
			t.Errorf("verdict %+v after %d reports; the check called off at the end must not show", v, reports.Load())
		}
	})
}

func TestOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &script{answer: always(false)}
		c := NewChecker(p, Spec{Off: true}, middle)
		reports := run(t, c)
		time.Sleep(time.Hour)
		c.Hurry()
		synctest.Wait()
		got := reports()
		if len(got) != 1 || got[0].v.State != Up || got[0].v.Reason != "not checked" || !got[0].changed {
			t.Errorf("reports %+v, want up once", got)
		}
		c.Reset()
		synctest.Wait()
		if got = reports(); len(got) != 2 || got[1].v.State != Up || got[1].v.Epoch != 1 {
			t.Errorf("reports after the reset %+v, want up in the new epoch", got)
		}
		if n := len(p.times()); n != 0 {
			t.Errorf("%d probes though checks are off", n)
		}
	})
}

// TestConcurrentUse lets the race detector look at every method at once, and checks that no report goes back in epoch.
func TestConcurrentUse(t *testing.T) {
	p := &script{answer: always(true)}
	c := NewChecker(p, Spec{Interval: time.Microsecond}, middle)
	reports := run(t, c)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 200 {
				c.Hurry()
				c.Reset()
				c.Latest()
			}
		})
	}
	wg.Wait()
	got := reports()
	if !slices.IsSortedFunc(got, func(a, b report) int { return int(a.v.Epoch) - int(b.v.Epoch) }) {
		t.Error("a verdict of an earlier epoch was reported after a later one")
	}
}
