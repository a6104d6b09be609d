package healthcheck

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// busiest returns the most starts that fall into one window of that length.
func busiest(starts []time.Time, window time.Duration) (most int) {
	for i, from := 0, 0; i < len(starts); i++ {
		for starts[i].Sub(starts[from]) >= window {
			from++
		}
		most = max(most, i-from+1)
	}
	return most
}

// TestThousandCheckersDoNotMarchInStep starts a thousand checkers at one moment and looks at one minute of them.
func TestThousandCheckersDoNotMarchInStep(t *testing.T) {
	const n, perSecond, burst = 1000, 2000, 32
	synctest.Test(t, func(t *testing.T) {
		pacer := NewPacer(perSecond, burst, time.Now)
		p := &script{answer: always(true)}
		ctx, cancel := context.WithCancel(t.Context())
		var all sync.WaitGroup
		begun := time.Now()
		spec := Spec{Interval: 2 * time.Second, FastInterval: 500 * time.Millisecond, Rise: 2, Fall: 3, Spread: true}
		for i := range n {
			random := rand.New(rand.NewPCG(1, uint64(i)))
			c := NewChecker(pacer.Pace(p), spec, random.Float64)
			all.Go(func() { c.Run(ctx, func(Verdict, bool) {}) })
		}
		time.Sleep(time.Minute)
		cancel()
		all.Wait()
		starts := p.times()
		checkFirstRound(t, starts[:n], begun, perSecond, burst)
		later := slices.DeleteFunc(slices.Clone(starts), func(at time.Time) bool { return at.Sub(begun) < time.Second })
		const window = 100 * time.Millisecond
		if most := busiest(later, window); most > n/20*2 {
			t.Errorf("%d checks began within %v, want about %d", most, window, n/20)
		} else {
			t.Logf("first round within %v; later %d within %v at most, %d on average", starts[n-1].Sub(begun), most, window, n/20)
		}
	})
}

func checkFirstRound(t *testing.T, first []time.Time, begun time.Time, perSecond, burst int) {
	t.Helper()
	if at := first[burst-1].Sub(begun); at != 0 {
		t.Errorf("the first %d checks waited %v", burst, at)
	}
	const window = 100 * time.Millisecond
	if most, allowed := busiest(first, window), burst+perSecond/10; most > allowed {
		t.Errorf("%d checks began within %v, want %d at most", most, window, allowed)
	}
	if took := first[len(first)-1].Sub(begun); took > 500*time.Millisecond {
		t.Errorf("the last first check came after %v", took)
	}
}

func TestPacerKeepsNobodyFromLeaving(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pacer := NewPacer(1, 1, time.Now)
		p := pacer.Pace(&script{answer: always(true)})
		p.Probe(t.Context())
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		if r := p.Probe(ctx); !r.Cancelled {
			t.Errorf("%+v", r)
		}
	})
}

// TestPacerForgetsOldTurns: a quiet time does not save up turns beyond the burst.
func TestPacerForgetsOldTurns(t *testing.T) {
	now := epoch
	p := NewPacer(10, 3, func() time.Time { return now })
	for _, quiet := range []time.Duration{0, time.Hour} {
		now = now.Add(quiet)
		for i, want := range []time.Duration{0, 0, 0, 100 * time.Millisecond, 200 * time.Millisecond} {
			if got := max(p.turn(), 0); got != want {
				t.Errorf("turn %d: waits %v, want %v", i, got, want)
			}
		}
	}
}
