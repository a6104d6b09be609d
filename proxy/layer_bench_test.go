package proxy

import (
	"fmt"
	"testing"
)

// BenchmarkRouteHosts asks for each of so many hosts in turn: a table that is looked at in one place only would always be
// in the cache.
func BenchmarkRouteHosts(b *testing.B) {
	for _, n := range []int{1, 100, 10_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			var services []*Service
			hosts := make([][]byte, n)
			for i := range n {
				host := fmt.Sprintf("h%d.example.com", i)
				hosts[i] = []byte(host)
				services = append(services, service(host, "/", host))
			}
			s, err := NewSnapshot(1, services)
			if err != nil {
				b.Fatal(err)
			}
			path, at := []byte("/index.html"), 0
			b.ReportAllocs()
			for b.Loop() {
				if s.Route(hosts[at], path) == nil {
					b.Fatal("no service")
				}
				if at++; at == n {
					at = 0
				}
			}
		})
	}
}
