package telemetry

import (
	"github.com/prometheus/client_golang/prometheus"

	"sluice/control"
)

var (
	queueWaiting = describe("queue_waiting", "Requests that wait now, because each backend is at its max_connections.", "service")
	queuedTotal  = describe("queued_total", "Requests that waited so.", "service")
	queueRefused = describe("queue_refused_total", "Requests that were answered 503: full, as many waited as may; wait, they had waited as long as they may.", "service", "why")
)

func collectQueue(ch chan<- prometheus.Metric, service string, q *control.QueueStatus) {
	if q == nil {
		return
	}
	gauge(ch, queueWaiting, float64(q.Waiting), service)
	counter(ch, queuedTotal, q.Queued, service)
	counter(ch, queueRefused, q.Full, service, "full")
	counter(ch, queueRefused, q.Long, service, "wait")
}
