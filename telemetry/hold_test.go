package telemetry

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"sluice/control"
	"sluice/proxy"
)

func TestMetricsOfAPause(t *testing.T) {
	status := control.Status{Services: []control.ServiceStatus{
		{Name: "web", Path: "/", Hold: control.HoldStatus{
			Paused: &control.Pause{}, Held: 3, Bytes: 512, OldestMS: 1500, Entered: 20, Released: 10, Left: 1, Shed: 6,
			ShedBy: control.ShedBy{Age: 1, Requests: 2, Bytes: 3},
		}},
		{Name: "api", Path: "/api"},
	}}
	got := scrape(t, Sources{
		Status: func() control.Status { return status }, Proxy: proxy.New(proxy.Timeouts{}, nil),
		Connections: func() int { return 0 }, Dropped: func() int64 { return 0 },
	})
	for _, want := range []string{
		`sluice_paused{service="web"} 1`, `sluice_paused{service="api"} 0`,
		`sluice_held{service="web"} 3`, `sluice_held_bytes{service="web"} 512`, `sluice_held_oldest_seconds{service="web"} 1.5`,
		`sluice_held_total{service="web"} 20`, `sluice_held_released_total{service="web"} 10`, `sluice_held_left_total{service="web"} 1`,
		`sluice_held_shed_total{cap="age",service="web"} 1`, `sluice_held_shed_total{cap="requests",service="web"} 2`,
		`sluice_held_shed_total{cap="bytes",service="web"} 3`,
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %s", want)
		}
	}
}

func TestAccessLineOfOneThatWaited(t *testing.T) {
	var out bytes.Buffer
	log := NewAccessLog(&out, nil)
	ex := proxy.NewExchange(nil, nil)
	ex.Status, ex.Held = 200, 1500*time.Millisecond
	log.Done(ex, 2*time.Second)
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), `"held_ms":1500`) {
		t.Error(out.String())
	}
}
