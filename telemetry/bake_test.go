package telemetry

import (
	"strings"
	"testing"

	"sluice/control"
	"sluice/proxy"
)

func TestMetricsOfABake(t *testing.T) {
	status := control.Status{Services: []control.ServiceStatus{
		{Name: "web", Path: "/", Bake: &control.BakeStatus{State: control.Baking, Left: 41.5}},
		{Name: "api", Path: "/api", Bake: &control.BakeStatus{State: control.RolledBack}},
		{Name: "old", Path: "/old"},
	}}
	got := scrape(t, Sources{
		Status: func() control.Status { return status }, Proxy: proxy.New(proxy.Timeouts{}, nil),
		Connections: func() int { return 0 }, Dropped: func() int64 { return 0 },
	})
	for _, want := range []string{
		`sluice_bake{service="web",state="baking"} 1`, `sluice_bake{service="web",state="rolled_back"} 0`, `sluice_bake_seconds_left{service="web"} 41.5`,
		`sluice_bake{service="api",state="baking"} 0`, `sluice_bake{service="api",state="rolled_back"} 1`, `sluice_bake_seconds_left{service="api"} 0`,
	} {
		if !strings.Contains(got, want+"\n") {
			t.Errorf("no %s", want)
		}
	}
	if strings.Contains(got, `service="old",state=`) {
		t.Error("a service that never baked has a state")
	}
}
