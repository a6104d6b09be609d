package telemetry

import (
	"github.com/prometheus/client_golang/prometheus"

	"sluice/control"
)

var (
	nameAnswered  = describe("name_answered", "1 when the last lookup of the name brought an answer.", "service", "pool", "name")
	nameAddresses = describe("name_addresses", "Addresses that the name stands for, as last answered.", "service", "pool", "name")
	nameLookups   = describe("name_lookups_total", "Lookups of the name that ended.", "service", "pool", "name")
	nameFailures  = describe("name_lookup_failures_total", "Lookups of the name that brought no answer.", "service", "pool", "name")
	backendName   = describe("backend_name", "Always 1: says which name a backend came from.", "service", "pool", "backend", "name")
)

// collectNames tells of the names of a pool. A backend's name is a metric of its own, for its address alone identifies it
// in all others; a query joins the two.
func collectNames(ch chan<- prometheus.Metric, service string, p *control.PoolStatus) {
	for i := range p.Names {
		n := &p.Names[i]
		gauge(ch, nameAnswered, truth(n.Answered), service, p.Name, n.Name)
		gauge(ch, nameAddresses, float64(n.Addresses), service, p.Name, n.Name)
		counter(ch, nameLookups, int64(n.Lookups), service, p.Name, n.Name)
		counter(ch, nameFailures, int64(n.Failures), service, p.Name, n.Name)
	}
	for i := range p.Backends {
		if b := &p.Backends[i]; b.Name != "" {
			gauge(ch, backendName, 1, service, p.Name, b.Address, b.Name)
		}
	}
}
