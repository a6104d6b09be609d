package telemetry

import (
	"github.com/prometheus/client_golang/prometheus"

	"sluice/control"
)

var (
	queueWaiting = describe("queue_waiting", "Requests that wait now, because each backend is at its max_connections.", "service")
	queuedTotal  = describe("queued_total", "Requests that waited so.", "service")
	queueRefused = describe("queue_refused_total", "Requests that were answered 503: full, as many waited as may; wait, they had waited as long as they may.", "service", "why")
	memoryHeld   = describe("memory_held_bytes", "Memory that the process holds, without what the kernel holds for it.")
	memoryLimit  = describe("memory_limit_bytes", "Above this new requests are answered with 503.")
	shedding     = describe("shedding", "1 while they are.")
	shedTotal    = describe("shed_total", "Requests answered with 503 for want of memory.")
)

func collectMemory(ch chan<- prometheus.Metric, m *control.MemoryStatus) {
	if m == nil {
		return
	}
	gauge(ch, memoryHeld, float64(m.Held))
	gauge(ch, memoryLimit, float64(m.Limit))
	gauge(ch, shedding, truth(m.Full))
	counter(ch, shedTotal, m.Shed)
}

func collectQueue(ch chan<- prometheus.Metric, service string, q *control.QueueStatus) {
	if q == nil {
		return
	}
	gauge(ch, queueWaiting, float64(q.Waiting), service)
	counter(ch, queuedTotal, q.Queued, service)
	counter(ch, queueRefused, q.Full, service, "full")
	counter(ch, queueRefused, q.Long, service, "wait")
}
