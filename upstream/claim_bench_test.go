package upstream

import (
	"fmt"
	"testing"
)

func BenchmarkClaim(b *testing.B) {
	for name, balance := range balances {
		for _, n := range []int{1, 3, 16, 100, 1000} {
			for _, load := range []int{0, 1} {
				weights := make([]int, n)
				for i := range weights {
					weights[i] = 1
				}
				p := pool(balance, weights...)
				for _, be := range p.backends {
					busy(be, load)
				}
				b.Run(fmt.Sprintf("%s/%d/load=%d", name, n, load), func(b *testing.B) {
					b.ReportAllocs()
					var tried Tried
					for b.Loop() {
						lease, err := p.Claim(&tried)
						if err != nil {
							b.Fatal(err)
						}
						lease.Release()
					}
				})
			}
		}
	}
}

func TestClaimAllocatesNothing(t *testing.T) {
	for name, balance := range balances {
		for _, n := range []int{1, 3, 40} {
			weights := make([]int, n)
			for i := range weights {
				weights[i] = 1
			}
			p := pool(balance, weights...)
			var tried Tried
			if got := testing.AllocsPerRun(500, func() {
				lease, _ := p.Claim(&tried)
				lease.Release()
			}); got != 0 {
				t.Errorf("%s of %d: %v allocations per claim", name, n, got)
			}
		}
	}
}
