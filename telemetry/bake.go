package telemetry

import (
	"github.com/prometheus/client_golang/prometheus"

	"sluice/control"
)

var (
	bakeState = describe("bake", "1 for the state of the latest bake, while what it ended with is live.", "service", "state")
	bakeLeft  = describe("bake_seconds_left", "Until the end of the bake that goes on; 0 without one.", "service")
)

// collectBake says nothing of a service that never baked.
func collectBake(ch chan<- prometheus.Metric, service string, b *control.BakeStatus) {
	if b == nil {
		return
	}
	for _, state := range []control.BakeState{control.Baking, control.BakePassed, control.RolledBack, control.BakedWorse, control.NotEnough, control.Superseded} {
		gauge(ch, bakeState, truth(b.State == state), service, string(state))
	}
	gauge(ch, bakeLeft, b.Left, service)
}
