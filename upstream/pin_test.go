package upstream

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

// pinnable makes a pool whose backends can be pinned to: the ID of each is its place and one.
func pinnable(balance Balance, change func([]*Backend), weights ...int) *Pool {
	list := pool(balance, weights...).backends
	for i, b := range list {
		b.ID = uint64(i + 1)
	}
	if change != nil {
		change(list)
	}
	return NewPool("blue", balance, list)
}

func TestPinsAreKept(t *testing.T) {
	for _, balance := range []Balance{LeastRequests, RoundRobin, Hash} {
		p := pinnable(balance, nil, 1, 5, 1)
		busy(p.backends[2], 50)
		for range 20 {
			lease, err := p.ClaimFor(&Tried{}, Ask{Pin: 3, Key: rand.Uint64()})
			if err != nil || lease.Backend.Name != "2" {
				t.Fatalf("balance %d: pinned to 2, got %v, %v", balance, lease.Backend, err)
			}
			lease.Release()
		}
	}
}

// TestVoidPinsPickAnother: whatever is wrong with the backend that a pin names, the request goes elsewhere; only a closed
// gate means that there is a newer snapshot to look at.
func TestVoidPinsPickAnother(t *testing.T) {
	tests := []struct {
		reason string
		change func(list []*Backend)
		tried  bool
		want   error
	}{
		{"no backend has that ID", func(list []*Backend) { list[0].ID = 77 }, false, nil},
		{"it is at its cap", func(list []*Backend) { list[0].Max = 1; busy(list[0], 1) }, false, nil},
		{"it was tried", nil, true, nil},
		{"its weight is zero", func(list []*Backend) { list[0].Weight = 0 }, false, nil},
		{"its gate is closed", func(list []*Backend) { list[0].Gate.Close() }, false, ErrClosed},
		{"none has an ID", func(list []*Backend) { list[0].ID, list[1].ID = 0, 0; list[0].Weight = 0 }, false, nil},
	}
	for _, test := range tests {
		p := pinnable(LeastRequests, test.change, 1, 1)
		var tried Tried
		if test.tried {
			tried.Add(p.backends[0].Endpoint)
		}
		lease, err := p.ClaimFor(&tried, Ask{Pin: 1})
		if err != test.want || err == nil && test.reason != "no backend has that ID" && lease.Backend.Name != "1" {
			t.Errorf("%s: %v, %v", test.reason, lease.Backend, err)
		}
	}
}

// TestKeptForThePinned: a backend in drain that is kept takes those who are pinned to it, and nobody else, however much
// the others have to do.
func TestKeptForThePinned(t *testing.T) {
	for _, balance := range []Balance{LeastRequests, RoundRobin, Hash} {
		p := pinnable(balance, func(list []*Backend) { list[0].PinnedOnly = true; busy(list[1], 9) }, 1, 1)
		for range 10 {
			lease, err := p.ClaimFor(&Tried{}, Ask{Key: rand.Uint64()})
			if err != nil || lease.Backend.Name != "1" {
				t.Fatalf("balance %d: nobody is pinned, and got %v, %v", balance, lease.Backend, err)
			}
		}
		if lease, err := p.ClaimFor(&Tried{}, Ask{Pin: 1}); err != nil || lease.Backend.Name != "0" {
			t.Errorf("balance %d: pinned to what is kept, and got %v, %v", balance, lease.Backend, err)
		}
		alone := pinnable(balance, func(list []*Backend) { list[0].PinnedOnly = true }, 1)
		if _, err := alone.Claim(&Tried{}); err != ErrNoBackend {
			t.Errorf("balance %d: nothing but what is kept: %v", balance, err)
		}
	}
}

func TestPinsAreCounted(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	for _, n := range []int{0, 1, 10, 100, 1000, 10000} {
		p := NewPins(now)
		for range 3 { // who comes again is no other
			r := rand.New(rand.NewPCG(1, 2))
			for range n {
				p.See(r.Uint64(), now)
			}
		}
		got := p.Count(now)
		if off := math.Abs(float64(got - n)); off > 1+0.05*float64(n) {
			t.Errorf("%d clients, counted %d", n, got)
		}
	}
	var none *Pins
	if none.Count(now) != 0 || !none.Quiet(now) {
		t.Error("nobody counts, and somebody was seen")
	}
}

func TestPinsAreForgotten(t *testing.T) {
	now := time.Unix(1_700_000_000, 0).Truncate(Lately)
	p := NewPins(now)
	p.See(1, now)
	p.See(2, now.Add(Lately))
	for _, test := range []struct {
		after time.Duration
		want  int
	}{{Lately, 2}, {2*Lately - 1, 2}, {2 * Lately, 1}, {3 * Lately, 0}, {100 * Lately, 0}} {
		if got := p.Count(now.Add(test.after)); got != test.want {
			t.Errorf("after %s: %d, want %d", test.after, got, test.want)
		}
	}
	p.See(3, now.Add(2*Lately)) // in the place of the first stretch
	if got := p.Count(now.Add(2 * Lately)); got != 2 {
		t.Errorf("%d seen in this stretch and the one before, want 2", got)
	}
}

func TestQuietTakesItsTime(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	p := NewPins(now)
	if p.Quiet(now.Add(Lately)) {
		t.Error("nobody had the time to come")
	}
	if !p.Quiet(now.Add(Lately + 1)) {
		t.Error("nobody came for long enough")
	}
	p.See(1, now.Add(Lately))
	if p.Quiet(now.Add(2*Lately)) || !p.Quiet(now.Add(2*Lately+1)) {
		t.Error("quiet is counted from the last one that was seen")
	}
}
