package telemetry

import (
	"github.com/prometheus/client_golang/prometheus"

	"sluice/control"
)

var (
	paused       = describe("paused", "1 while an operator has the service's new requests wait.", "service")
	heldNow      = describe("held", "Requests that wait for a backend.", "service")
	heldBytes    = describe("held_bytes", "Bytes of heads and bodies of those that wait.", "service")
	heldOldest   = describe("held_oldest_seconds", "How long the oldest of them has waited.", "service")
	heldTotal    = describe("held_total", "Requests that waited.", "service")
	heldReleased = describe("held_released_total", "Of those, let go to a backend.", "service")
	heldLeft     = describe("held_left_total", "Of those, given up by their clients.", "service")
	heldShed     = describe("held_shed_total", "Of those, answered 503, by the cap that was reached.", "service", "cap")
)

func collectHold(ch chan<- prometheus.Metric, service string, h *control.HoldStatus) {
	gauge(ch, paused, truth(h.Paused != nil), service)
	gauge(ch, heldNow, float64(h.Held), service)
	gauge(ch, heldBytes, float64(h.Bytes), service)
	gauge(ch, heldOldest, float64(h.OldestMS)/1000, service)
	counter(ch, heldTotal, h.Entered, service)
	counter(ch, heldReleased, h.Released, service)
	counter(ch, heldLeft, h.Left, service)
	counter(ch, heldShed, h.ShedBy.Age, service, "age")
	counter(ch, heldShed, h.ShedBy.Requests, service, "requests")
	counter(ch, heldShed, h.ShedBy.Bytes, service, "bytes")
}
