package telemetry

import (
	"strings"
	"testing"

	"sluice/control"
	"sluice/proxy"
)

func TestNameMetrics(t *testing.T) {
	p := proxy.New(proxy.Timeouts{}, nil)
	snapshot, err := proxy.NewSnapshot(1, nil)
	if err != nil {
		t.Fatal(err)
	}
	p.Swap(snapshot)
	status := control.Status{Services: []control.ServiceStatus{{Name: "web", Path: "/", Pools: []control.PoolStatus{{
		Name: "blue",
		Names: []control.NameStatus{
			{Name: "app:80", Answered: true, Addresses: 3, Lookups: 9, Failures: 2}, {Name: "next:80", Lookups: 1, Failures: 1},
		},
		Backends: []control.BackendStatus{{Address: "10.0.0.1:80", Name: "app:80"}, {Address: "10.0.0.9:80"}},
	}}}}}
	got := scrape(t, Sources{
		Status: func() control.Status { return status }, Proxy: p,
		Connections: func() int { return 0 }, Dropped: func() int64 { return 0 },
	})
	for _, want := range []string{
		`sluice_name_answered{name="app:80",pool="blue",service="web"} 1`,
		`sluice_name_answered{name="next:80",pool="blue",service="web"} 0`,
		`sluice_name_addresses{name="app:80",pool="blue",service="web"} 3`,
		`sluice_name_lookups_total{name="app:80",pool="blue",service="web"} 9`,
		`sluice_name_lookup_failures_total{name="next:80",pool="blue",service="web"} 1`,
		`sluice_backend_name{backend="10.0.0.1:80",name="app:80",pool="blue",service="web"} 1`,
	} {
		if !strings.Contains(got, want+"\n") {
			t.Errorf("no %s", want)
		}
	}
	if strings.Contains(got, `sluice_backend_name{backend="10.0.0.9:80"`) {
		t.Error("a backend without a name has one")
	}
}
