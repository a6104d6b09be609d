package upstream

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"sluice/drain"
)

// pool makes a pool of backends with these weights, named by their place.
func pool(balance Balance, weights ...int) *Pool {
	var list []*Backend
	for i, w := range weights {
		list = append(list, &Backend{
			Name: fmt.Sprint(i), Weight: w, Gate: drain.NewGate(),
			Endpoint: NewEndpoint("tcp", "127.0.0.1:1", Options{}),
		})
	}
	return NewPool("blue", balance, list)
}

// busy puts n requests on a backend.
func busy(b *Backend, n int) { b.Endpoint.active.Add(int64(n)) }

// once claims, releases, and returns whom it got.
func once(t *testing.T, p *Pool, tried *Tried) *Backend {
	t.Helper()
	lease, err := p.Claim(tried)
	if err != nil {
		t.Fatal(err)
	}
	lease.Release()
	return lease.Backend
}

var balances = map[string]Balance{"round_robin": RoundRobin, "least_requests": LeastRequests}

// TestWeightsAreExactPerRound: with nothing else to go by, each backend gets its share of each round. For
// least_requests too: an idle pool must not send all to its heaviest backend.
func TestWeightsAreExactPerRound(t *testing.T) {
	for name, balance := range balances {
		for _, weights := range [][]int{{1}, {1, 1, 1}, {2, 1}, {5, 1, 1}, {10, 20, 30}, {3, 0, 1}, {7, 11, 13, 1}} {
			p := pool(balance, weights...)
			round := 0
			for _, w := range p.backends {
				round += w.Weight
			}
			for r := range 3 {
				got := map[string]int{}
				for range round {
					got[once(t, p, &Tried{}).Name]++
				}
				for i, w := range weights {
					if got[fmt.Sprint(i)] != w {
						t.Errorf("%s %v round %d: backend %d got %d", name, weights, r, i, got[fmt.Sprint(i)])
					}
				}
			}
		}
	}
}

// TestRoundIsSmooth: the turns of a heavy backend are spread over the round.
func TestRoundIsSmooth(t *testing.T) {
	order := ""
	for _, b := range mix(pool(RoundRobin, 5, 1, 1).backends) {
		order += b.Name
	}
	if order != "0010200" {
		t.Errorf("the round is %s, want that of smooth weighted round robin", order)
	}
	for _, weights := range [][]int{{4, 4, 2}, {9, 3}, {100, 50, 50}, {1, 2, 3, 4, 5}} {
		p := pool(RoundRobin, weights...)
		given := map[*Backend]int{}
		for i, b := range p.turns {
			given[b]++
			sum, _ := shares(p.backends)
			due := float64(i+1) * float64(sum[slices.Index(p.backends, b)]) / float64(len(p.turns))
			if ahead := float64(given[b]) - due; ahead > 1 {
				t.Errorf("%v: after %d turns %s is %.2f turns ahead of its share", weights, i+1, b.Name, ahead)
			}
		}
	}
}

func TestRoundIsBounded(t *testing.T) {
	p := pool(RoundRobin, 65535, 65534, 1)
	if n := len(p.turns); n > maxTurns+3 {
		t.Errorf("a round of %d turns", n)
	}
	seen := map[string]int{}
	for _, b := range p.turns {
		seen[b.Name]++
	}
	if d := seen["0"] - seen["1"]; seen["2"] == 0 || d < -1 || d > 1 {
		t.Errorf("shares %v: rounded, but nobody forgotten", seen)
	}
	many := make([]int, 5000)
	for i := range many {
		many[i] = 1 + i%3
	}
	if n := len(pool(RoundRobin, many...).turns); n < 5000 || n > 10000 {
		t.Errorf("%d turns for 5000 backends", n)
	}
}

func TestLeastRequestsGoesByLoadAndWeight(t *testing.T) {
	tests := []struct {
		reason  string
		weights []int
		busy    []int
		want    string
	}{
		{"the one that has least to do", []int{1, 1, 1}, []int{3, 1, 2}, "1"},
		{"four requests on weight 4 are fewer than two on weight 1", []int{4, 1}, []int{4, 2}, "0"},
		{"weight does not outdo load without end", []int{2, 1}, []int{9, 1}, "1"},
		{"the next request would bring both to the same: the heavier", []int{3, 1}, []int{1, 1}, "0"},
	}
	for _, test := range tests {
		for range 10 {
			p := pool(LeastRequests, test.weights...)
			for i, n := range test.busy {
				busy(p.backends[i], n)
			}
			if got := once(t, p, &Tried{}); got.Name != test.want {
				t.Errorf("%s: got %s", test.reason, got.Name)
			}
		}
	}
}

func TestTwoChoicesAvoidTheBusiest(t *testing.T) {
	weights := make([]int, 40)
	for i := range weights {
		weights[i] = 1
	}
	p := pool(LeastRequests, weights...)
	for _, b := range p.backends {
		busy(b, 5)
	}
	busy(p.backends[7], 1000)
	got := 0
	for range 2000 {
		if once(t, p, &Tried{}).Name == "7" {
			got++
		}
	}
	if got > 20 { // both choices must fall on it: one in 1600
		t.Errorf("the busiest of 40 got %d of 2000", got)
	}
}

func TestTwoChoicesSpread(t *testing.T) {
	weights := make([]int, 100)
	for i := range weights {
		weights[i] = 1
	}
	p := pool(LeastRequests, weights...)
	for range 10000 {
		if _, err := p.Claim(&Tried{}); err != nil {
			t.Fatal(err)
		}
	}
	for _, b := range p.backends {
		if n := b.Endpoint.Active(); n < 90 || n > 110 {
			t.Errorf("backend %s has %d of 10000 requests on 100 backends", b.Name, n)
		}
	}
}

func TestTriedBackendsAreLeftOut(t *testing.T) {
	for name, balance := range balances {
		for _, size := range []int{2, 4, 20} {
			weights := make([]int, size)
			for i := range weights {
				weights[i] = 1 + i%2
			}
			p := pool(balance, weights...)
			var tried Tried
			for range min(size-1, 4) {
				b := once(t, p, &tried)
				if tried.has(b.Endpoint) {
					t.Fatalf("%s of %d: %s was tried before", name, size, b.Name)
				}
				tried.Add(b.Endpoint)
			}
		}
		p := pool(balance, 1, 1)
		var tried Tried
		tried.Add(p.backends[0].Endpoint)
		tried.Add(p.backends[1].Endpoint)
		if _, err := p.Claim(&tried); err != ErrNoBackend {
			t.Errorf("%s: all were tried: %v", name, err)
		}
		if tried.Reset(); once(t, p, &tried) == nil {
			t.Error("Reset forgot nothing")
		}
	}
}

// TestTheLastBackendIsFoundByAll: one of two was tried by all claims. They step a common counter, and must not step past
// each other so that some of them find nobody.
func TestTheLastBackendIsFoundByAll(t *testing.T) {
	for name, balance := range balances {
		p := pool(balance, 1, 1, 1)
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				var tried Tried
				tried.Add(p.backends[0].Endpoint)
				tried.Add(p.backends[2].Endpoint)
				for range 20000 {
					lease, err := p.Claim(&tried)
					if err != nil {
						t.Errorf("%s: %v", name, err)
						return
					}
					lease.Release()
				}
			})
		}
		wg.Wait()
	}
}

func TestCapsAreKept(t *testing.T) {
	for name, balance := range balances {
		for _, size := range []int{1, 3, 7, 20} {
			p := pool(balance, make([]int, size)...)
			for range size {
				p.backends = append(p.backends, &Backend{Weight: 1, Max: 2, Gate: drain.NewGate(), Endpoint: NewEndpoint("tcp", "x", Options{})})
			}
			p = NewPool("blue", balance, p.backends)
			var leases []Lease
			for range 2 * size {
				l, err := p.Claim(&Tried{})
				if err != nil {
					t.Fatalf("%s: claim %d of %d: %v", name, len(leases)+1, 2*size, err)
				}
				leases = append(leases, l)
			}
			if _, err := p.Claim(&Tried{}); err != ErrFull {
				t.Errorf("%s of %d: all are full: %v", name, size, err)
			}
			leases[0].Release()
			if l, err := p.Claim(&Tried{}); err != nil || l.Backend != leases[0].Backend {
				t.Errorf("%s of %d: the place that came free was not found: %v", name, size, err)
			}
		}
	}
}

// TestRefusedClaimsTakeNoPlace: claims at the cap come and go beside one that fits. None that fits may be refused
// because another one is just being refused.
func TestRefusedClaimsTakeNoPlace(t *testing.T) {
	p := pool(RoundRobin, 1)
	b := p.backends[0]
	b.Max = 1
	held, _ := p.Claim(&Tried{})
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			for range 20000 {
				if l, err := p.Claim(&Tried{}); err == nil {
					t.Error("two inside with a cap of one")
					l.Release()
				}
			}
		})
	}
	for range 20000 {
		if n := b.Endpoint.Active(); n != 1 {
			t.Fatalf("%d active with one inside", n)
		}
	}
	wg.Wait()
	held.Release()
}

func TestClaimSaysWhyItFailed(t *testing.T) {
	closed := func(p *Pool) { p.backends[1].Gate.Close() }
	full := func(p *Pool) {
		p.backends[0].Max, p.backends[1].Max = 1, 1
		busy(p.backends[0], 1)
		busy(p.backends[1], 1)
	}
	tests := []struct {
		reason string
		pool   *Pool
		before func(*Pool)
		want   error
	}{
		{"no backend at all", pool(RoundRobin), nil, ErrNoBackend},
		{"none with a weight", pool(LeastRequests, 0, 0), nil, ErrNoBackend},
		{"a closed gate: there is a newer snapshot", pool(RoundRobin, 0, 1), func(p *Pool) { p.backends[0].Gate.Close() }, ErrClosed},
		{"all at their cap", pool(RoundRobin, 1, 1), full, ErrFull},
		{"one full, one closed", pool(RoundRobin, 1, 1), func(p *Pool) { full(p); p.backends[1].Max = 0; closed(p) }, ErrClosed},
	}
	for _, test := range tests {
		if test.before != nil {
			test.before(test.pool)
		}
		lease, err := test.pool.Claim(&Tried{})
		if !errors.Is(err, test.want) || lease.Held() {
			t.Errorf("%s: %v", test.reason, err)
		}
	}
}

func TestRefusedClaimLeavesNoTrace(t *testing.T) {
	p := pool(RoundRobin, 1)
	p.backends[0].Gate.Close()
	p.Claim(&Tried{})
	if n := p.backends[0].Endpoint.Active(); n != 0 {
		t.Errorf("%d active after a refusal", n)
	}
}

func TestLeaseIsReleasedOnce(t *testing.T) {
	p := pool(RoundRobin, 1)
	l, err := p.Claim(&Tried{})
	if err != nil || !l.Held() || p.backends[0].Gate.Inside() != 1 || p.backends[0].Endpoint.Active() != 1 {
		t.Fatalf("%v, held %v", err, l.Held())
	}
	l.Release()
	if l.Held() || p.backends[0].Gate.Inside() != 0 || p.backends[0].Endpoint.Active() != 0 {
		t.Error("the lease was not given back whole")
	}
	defer func() {
		if r := recover(); r != "upstream: lease released twice" {
			t.Errorf("a second release: %v", r)
		}
	}()
	l.Release()
}

// TestClaimAlwaysEnds: whatever the pool, a claim returns, and what it returns is right.
func TestClaimAlwaysEnds(t *testing.T) {
	for range 3000 {
		weights := make([]int, rand.IntN(24))
		for i := range weights {
			weights[i] = rand.IntN(5)
		}
		p := pool(Balance(rand.IntN(2)), weights...)
		var tried Tried
		for _, b := range p.backends {
			b.Max = rand.IntN(3)
			busy(b, rand.IntN(3))
			if rand.IntN(8) == 0 {
				b.Gate.Close()
			}
			if rand.IntN(4) == 0 {
				tried.Add(b.Endpoint)
			}
		}
		checkClaim(t, p, &tried)
	}
}

func checkClaim(t *testing.T, p *Pool, tried *Tried) {
	t.Helper()
	open, closed, left := 0, 0, 0
	for _, b := range p.backends {
		if tried.has(b.Endpoint) {
			continue
		}
		left++
		fits := b.Max == 0 || b.Endpoint.Active() < b.Max
		if fits && b.Gate.Closed() {
			closed++
		} else if fits {
			open++
		}
	}
	lease, err := p.Claim(tried)
	switch {
	case err == nil && (open == 0 || tried.has(lease.Backend.Endpoint) || lease.Backend.Gate.Closed()):
		t.Fatalf("claimed %s, which may not be", lease.Backend.Name)
	case err == ErrClosed && closed == 0, err == ErrNoBackend && left > 0, err == ErrFull && (open+closed > 0 || left == 0):
		t.Fatalf("%v with %d open, %d closed, %d left", err, open, closed, left)
	}
}
