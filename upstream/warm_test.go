package upstream

import (
	"fmt"
	"testing"
	"time"
)

// warmPool is a pool whose backends began at these times, in seconds; less than zero: they are warm. now is set by the test.
func warmPool(balance Balance, now *time.Time, span time.Duration, began ...int) *Pool {
	weights := make([]int, len(began))
	for i := range weights {
		weights[i] = 1
	}
	list := pool(balance, weights...).backends
	for i, at := range began {
		if at >= 0 {
			list[i].Warming = &Warming{From: time.Unix(int64(at), 0), Span: span, Now: func() time.Time { return *now }}
		}
	}
	return NewPool("blue", balance, list)
}

// sharesOf claims and releases n times and returns each backend's part.
func sharesOf(t *testing.T, p *Pool, n int) []float64 {
	t.Helper()
	got := map[string]int{}
	for range n {
		got[once(t, p, &Tried{}).Name]++
	}
	parts := make([]float64, len(p.backends))
	for i := range parts {
		parts[i] = float64(got[fmt.Sprint(i)]) / float64(n)
	}
	return parts
}

func near(got, want float64) bool { return got > want-0.01 && got < want+0.01 }

// TestShareRisesWithTime: one of four comes back. What it does not take goes to all others alike, and in the end it has as
// much as they have. For least_requests too, where an idle newcomer would otherwise be everybody's choice.
func TestShareRisesWithTime(t *testing.T) {
	for name, balance := range balances {
		now := time.Unix(0, 0)
		p := warmPool(balance, &now, 10*time.Second, -1, -1, -1, 0)
		for second := range 13 {
			now = time.Unix(int64(second), 0)
			got := sharesOf(t, p, 6000)
			share := min(1, 0.1+0.09*float64(second))
			if want := share / (3 + share); !near(got[3], want) {
				t.Errorf("%s after %ds: %.3f of the requests, want %.3f", name, second, got[3], want)
			}
			for i := range 3 {
				if want := 1 / (3 + share); !near(got[i], want) {
					t.Errorf("%s after %ds: backend %d has %.3f, want %.3f", name, second, i, got[i], want)
				}
			}
		}
		if p.warm.Load() != nil {
			t.Errorf("%s: the end is not noticed", name)
		}
	}
}

// TestShareUnderLoad that never lets go: least_requests fills by what each weighs now.
func TestShareUnderLoad(t *testing.T) {
	now := time.Unix(0, 0)
	p := warmPool(LeastRequests, &now, 10*time.Second, -1, -1, 0)
	for _, second := range []int64{0, 5, 10} {
		now = time.Unix(second, 0)
		var held []Lease
		for range 300 {
			lease, err := p.Claim(&Tried{})
			if err != nil {
				t.Fatal(err)
			}
			held = append(held, lease)
		}
		share := p.backends[2].Warming.Share(now)
		got, want := p.backends[2].Endpoint.Active(), int(300*share/(2+share))
		if got < want-2 || got > want+2 {
			t.Errorf("after %ds %d of 300 are inside the newcomer, want %d", second, got, want)
		}
		for i := range held {
			held[i].Release()
		}
	}
}

// TestAFreshPoolRefusesNobody: where all are new, nobody is spared, and the balance is that of a warm pool.
func TestAFreshPoolRefusesNobody(t *testing.T) {
	for name, balance := range balances {
		now := time.Unix(0, 0)
		p := warmPool(balance, &now, 10*time.Second, 0, 0, 0)
		for second := range 12 {
			now = time.Unix(int64(second), 0)
			before := p.turn.Load()
			for i, got := range sharesOf(t, p, 300) {
				if !near(got, 1.0/3) {
					t.Errorf("%s after %ds: backend %d has %.3f", name, second, i, got)
				}
			}
			if turns := p.turn.Load() - before; turns != 300 {
				t.Errorf("%s after %ds: %d turns for 300 requests: some were left out", name, second, turns)
			}
		}
	}
}

// TestTheOnlyOneTakesAll, however cold it is, also when it is the last that was not tried.
func TestTheOnlyOneTakesAll(t *testing.T) {
	for name, balance := range balances {
		now := time.Unix(0, 0)
		if got := sharesOf(t, warmPool(balance, &now, time.Minute, 0), 100); got[0] != 1 {
			t.Errorf("%s: %v", name, got)
		}
		p := warmPool(balance, &now, time.Minute, -1, 0)
		for range 100 {
			var tried Tried
			tried.Add(p.backends[0].Endpoint)
			if once(t, p, &tried) != p.backends[1] {
				t.Errorf("%s: somebody else", name)
			}
		}
		tried := Tried{}
		tried.Add(p.backends[0].Endpoint)
		tried.Add(p.backends[1].Endpoint)
		if _, err := p.Claim(&tried); err != ErrNoBackend {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestManyNewcomers: one that is warm among nine that are not. Each share is measured by it, and the claims end.
func TestManyNewcomers(t *testing.T) {
	now := time.Unix(0, 0)
	p := warmPool(RoundRobin, &now, 10*time.Second, -1, 0, 0, 0, 0, 0, 0, 0, 0, 0)
	got := sharesOf(t, p, 20000)
	if want := 1 / 1.9; !near(got[0], want) {
		t.Errorf("the warm one has %.3f, want %.3f", got[0], want)
	}
}

func TestOneAfterTheOther(t *testing.T) {
	now := time.Unix(5, 0)
	p := warmPool(RoundRobin, &now, 10*time.Second, 0, 5)
	if got, want := sharesOf(t, p, 6000)[1], 0.1/(0.55+0.1); !near(got, want) {
		t.Errorf("the younger one has %.3f, want %.3f: it is measured by the older", got, want)
	}
}

func TestWarmingClaimsAllocateNothing(t *testing.T) {
	now := time.Unix(0, 0)
	p := warmPool(LeastRequests, &now, 10*time.Second, -1, 0, 0)
	busy(p.backends[0], 1)
	var tried Tried
	if n := testing.AllocsPerRun(500, func() {
		lease, _ := p.Claim(&tried)
		lease.Release()
	}); n != 0 {
		t.Errorf("%v allocations per claim", n)
	}
}
