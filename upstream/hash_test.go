package upstream

import (
	"fmt"
	"hash/fnv"
	"math"
	"sync/atomic"
	"testing"
)

// hashed makes a pool of backends that are named by their place and count what they have together.
func hashed(old *Pool, weights ...int) *Pool {
	list := pool(Hash, weights...).backends
	load := &atomic.Int64{}
	for _, b := range list {
		b.Load = load
	}
	return NewPoolAfter(old, "blue", Hash, list)
}

// homes is where each of many keys goes while nothing is inside.
func homes(t *testing.T, p *Pool) []string {
	all := make([]string, 20000)
	for i := range all {
		lease, err := p.ClaimFor(&Tried{}, Ask{Key: KeyOf(fmt.Sprint("key ", i))})
		if err != nil {
			t.Fatal(err)
		}
		all[i] = lease.Backend.Name
		lease.Release()
	}
	return all
}

func without(p *Pool, name string) (list []*Backend) {
	for _, b := range p.backends {
		if b.Name != name {
			list = append(list, b)
		}
	}
	return list
}

// TestOnlyTheKeysOfWhoLeavesMove, and only keys that are now its own move to who comes; whichever way the table came about.
func TestOnlyTheKeysOfWhoLeavesMove(t *testing.T) {
	for _, weights := range [][]int{{1, 1}, {1, 1, 1, 1, 1}, {5, 1, 3, 1}, {1000, 1, 500}, make([]int, 40)} {
		for i := range weights {
			weights[i] = max(weights[i], 1)
		}
		full := hashed(nil, weights...)
		before := homes(t, full)
		less := NewPoolAfter(full, "blue", Hash, without(full, "1"))
		moved := 0
		for i, home := range homes(t, less) {
			if home != before[i] {
				moved++
			}
			if (home != before[i]) != (before[i] == "1") {
				t.Fatalf("%v: key %d was on %s, and is on %s after 1 left", weights, i, before[i], home)
			}
		}
		back := NewPoolAfter(less, "blue", Hash, full.backends)
		for slot, owner := range back.table.owner {
			if owner != full.table.owner[slot] {
				t.Fatalf("%v: slot %d has another owner after 1 left and came back", weights, slot)
			}
		}
		t.Logf("%d backends: %d of %d keys moved", len(weights), moved, len(before))
	}
}

// TestAnotherWeightMovesOnlyToOrFromIt: a weight that rises takes keys and moves none between the others.
func TestAnotherWeightMovesOnlyToOrFromIt(t *testing.T) {
	low := hashed(nil, 2, 2, 2, 2)
	before := homes(t, low)
	high := hashed(low, 2, 2, 2, 8)
	after := homes(t, high)
	gained := 0
	for i := range after {
		if after[i] != before[i] {
			gained++
			if after[i] != "3" {
				t.Fatalf("key %d moved from %s to %s", i, before[i], after[i])
			}
		}
	}
	if gained == 0 {
		t.Error("four times the weight took no key")
	}
	again := homes(t, hashed(high, 2, 2, 2, 2))
	for i := range again {
		if again[i] != before[i] {
			t.Fatalf("key %d is on %s once the weights are as they were, and was on %s", i, again[i], before[i])
		}
	}
}

func TestHashGoesByWeight(t *testing.T) {
	for _, weights := range [][]int{{1}, {1, 1}, {3, 1}, {1, 2, 3, 4}, {100, 300}, {1, 1, 1, 1, 1, 1, 1, 1, 1, 1}} {
		p := hashed(nil, weights...)
		got := map[string]int{}
		all := homes(t, p)
		for _, home := range all {
			got[home]++
		}
		for _, b := range p.backends {
			due := float64(len(all)) * float64(b.Weight) / float64(p.table.total)
			if d := math.Abs(float64(got[b.Name])-due) / due; d > 0.1 {
				t.Errorf("%v: %s has %d keys, %.0f are due", weights, b.Name, got[b.Name], due)
			}
		}
	}
}

// TestAHotKeySinksNoBackend: everybody asks for one key. Its backend takes no more than five quarters of its share, and the
// rest is spread over the others, none of which takes more either.
func TestAHotKeySinksNoBackend(t *testing.T) {
	for _, weights := range [][]int{{1, 1}, {1, 1, 1, 1}, {4, 2, 1, 1}, {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1}} {
		p := hashed(nil, weights...)
		const all = 2000
		home := ""
		for i := range all {
			lease, err := p.ClaimFor(&Tried{}, Ask{Key: 7})
			if err != nil {
				t.Fatal(err)
			}
			if i == 0 {
				home = lease.Backend.Name
			}
		}
		for _, b := range p.backends {
			share := float64(all) * float64(b.Weight) / float64(p.table.total)
			if n := b.Gate.Inside(); float64(n) > 1.25*share+1 {
				t.Errorf("%v: %s has %d inside, its share is %.0f", weights, b.Name, n, share)
			} else if b.Name == home && float64(n) < share {
				t.Errorf("%v: the key's own backend has %d inside, less than its share of %.0f", weights, n, share)
			}
		}
	}
}

// TestFewRequestsStayAtHome: as long as there is little to do a key keeps its backend.
func TestFewRequestsStayAtHome(t *testing.T) {
	p := hashed(nil, 1, 1, 1, 1, 1)
	var first *Backend
	for range fewRequests {
		lease, _ := p.ClaimFor(&Tried{}, Ask{Key: 7})
		if first == nil {
			first = lease.Backend
		}
		if lease.Backend != first {
			t.Errorf("%d inside, and a request went elsewhere", first.Gate.Inside())
		}
	}
}

// TestSharesOfTheSameKeysAgree: two processes that know the same names place keys alike, in whatever order they have them.
func TestSharesOfTheSameKeysAgree(t *testing.T) {
	p := hashed(nil, 1, 2, 3)
	q := NewPool("blue", Hash, []*Backend{p.backends[2], p.backends[0], p.backends[1]})
	a, b := homes(t, p), homes(t, q)
	for i := range a {
		if a[i] != b[i] {
			t.Fatalf("key %d: %s and %s", i, a[i], b[i])
		}
	}
	plain := fnv.New64a()
	plain.Write([]byte("sluice"))
	if k := KeyOf("sluice"); k != plain.Sum64() || k != KeyOf([]byte("sluice")) {
		t.Errorf("KeyOf is %x", k)
	}
}

func TestHashedLoadIsGivenBack(t *testing.T) {
	p := hashed(nil, 1, 1)
	lease, _ := p.ClaimFor(&Tried{}, Ask{Key: 1})
	if n := lease.Backend.Load.Load(); n != 1 {
		t.Errorf("%d counted with one inside", n)
	}
	lease.Release()
	if n := p.backends[0].Load.Load(); n != 0 {
		t.Errorf("%d counted with none inside", n)
	}
}

func TestHashedClaimAllocatesNothing(t *testing.T) {
	for _, n := range []int{1, 3, 40} {
		p := hashed(nil, make([]int, n)...)
		for range n {
			p.backends = append(p.backends, pool(Hash, 1).backends...)
		}
		p = NewPool("blue", Hash, p.backends)
		var tried Tried
		if got := testing.AllocsPerRun(500, func() {
			lease, _ := p.ClaimFor(&tried, Ask{Key: 3, Pin: 9})
			lease.Release()
		}); got != 0 {
			t.Errorf("%d backends: %v allocations per claim", n, got)
		}
	}
}

func BenchmarkHashedClaim(b *testing.B) {
	for _, n := range []int{1, 3, 16, 1000} {
		weights := make([]int, n)
		for i := range weights {
			weights[i] = 1
		}
		p := hashed(nil, weights...)
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			b.ReportAllocs()
			var tried Tried
			key := uint64(0)
			for b.Loop() {
				key++
				lease, err := p.ClaimFor(&tried, Ask{Key: key})
				if err != nil {
					b.Fatal(err)
				}
				lease.Release()
			}
		})
	}
}

// BenchmarkHashTable is what a pool costs: from nothing, and when one of its backends left.
func BenchmarkHashTable(b *testing.B) {
	for _, n := range []int{10, 100, 1000} {
		weights := make([]int, n)
		for i := range weights {
			weights[i] = 1 + i%3
		}
		full := hashed(nil, weights...)
		less := without(full, "3")
		b.Run(fmt.Sprintf("new/%d", n), func(b *testing.B) {
			for b.Loop() {
				newTable(nil, full.backends)
			}
		})
		b.Run(fmt.Sprintf("one-left/%d", n), func(b *testing.B) {
			for b.Loop() {
				newTable(full.table, less)
			}
		})
	}
}
