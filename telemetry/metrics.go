package telemetry

import (
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"sluice/control"
	"sluice/drain"
	"sluice/healthcheck"
	"sluice/proxy"
)

// Sources are what the metrics are read from when someone asks. A request costs nothing more than the counters that the
// proxy keeps anyway.
type Sources struct {
	Status      func() control.Status
	Proxy       *proxy.Proxy // whose snapshot holds each service's counters
	Connections func() int   // clients' connections that are open
	Dropped     func() int64 // lines of the access log that were lost
}

// Metrics returns a handler that answers with the Prometheus text format. It holds a registry of its own.
func Metrics(from Sources) http.Handler {
	registry := prometheus.NewRegistry()
	registry.MustRegister(
		&collector{from},
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	return promhttp.HandlerFor(registry, promhttp.HandlerOpts{MaxRequestsInFlight: mostScrapes})
}

// mostScrapes bounds how many scrapes run at once; one Prometheus needs one, and a pair of them two.
const mostScrapes = 4

// collector reads everything at the moment of a scrape.
type collector struct{ from Sources }

func describe(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("sluice_"+name, help, labels, nil)
}

var (
	requestsTotal    = describe("requests_total", "Requests answered, by first digit of the status; none: nothing was sent.", "service", "code")
	requestDuration  = describe("request_duration_seconds", "From the request's head to the response's last byte.", "service")
	retriesTotal     = describe("retries_total", "Requests sent again to another backend.", "service")
	deniedTotal      = describe("retries_denied_total", "Failed requests that were not sent again because the retry budget was spent.", "service")
	lostTotal        = describe("lost_total", "Responses that broke off, by no fault of the client.", "service")
	earlierTotal     = describe("assets_from_previous_total", "Requests under `assets` for what the live release has not and the one before had.", "service")
	previewTotal     = describe("preview_requests_total", "Requests to previews, by first digit of the status; none is in the other metrics of its service.", "service", "code")
	pinsTotal        = describe("pins_total", "What became of the pins of sticky clients.", "service", "outcome")
	receivedBytes    = describe("request_body_bytes_total", "Bytes of request bodies.", "service")
	sentBytes        = describe("response_body_bytes_total", "Bytes of response bodies.", "service")
	backendUp        = describe("backend_up", "1 when the last checks found the backend up.", "service", "pool", "backend")
	backendReady     = describe("backend_ready", "1 when the operator wants the backend to take requests.", "service", "pool", "backend")
	backendInside    = describe("backend_inside", "Requests inside of the backend now, by class.", "service", "pool", "backend", "class")
	backendRequests  = describe("backend_requests_total", "Round trips begun.", "service", "pool", "backend")
	backendFailures  = describe("backend_failures_total", "Round trips without a whole response.", "service", "pool", "backend")
	backendIdle      = describe("backend_idle_connections", "Connections kept for the next request.", "service", "pool", "backend")
	backendKeepAlive = describe("backend_keep_alive_seconds", "How old an idle connection may be: limit for any request, sure for one that cannot be sent again; announced and seen are what the server says and did.", "service", "pool", "backend", "what")
	backendEjected   = describe("backend_ejected", "1 while the backend takes no requests because of how it served them.", "service", "pool", "backend")
	backendEjections = describe("backend_ejections_total", "How often that came about.", "service", "pool", "backend")
	poolFailOpen     = describe("pool_fail_open", "1 while so few backends are up that the checks are not believed.", "service", "pool")
	poolRequests     = describe("pool_requests_total", "Requests that ended at the pool, by first digit of the status; none: without a whole answer, by the backend's fault. Without those that a client left or a drain cut.", "service", "pool", "code")
	poolResets       = describe("pool_resets_total", "Round trips that failed by the backend's fault and were made good by another.", "service", "pool")
	poolLive         = describe("pool_live", "1 for the pool that takes its service's requests.", "service", "pool", "release")
	rollbackReady    = describe("rollback_ready", "1 while a rollback would be made if it was asked for, and its window is not over.", "service")
	rollbackWindow   = describe("rollback_window_end_seconds", "When the window of the rollback is over or was, as a Unix time; left out where it ends with the next flip alone.", "service")
	generation       = describe("generation", "Counts decisions; it survives restarts.")
	connections      = describe("connections", "Connections of clients that are open.")
	accessLogDropped = describe("access_log_dropped_total", "Lines of the access log that could not be written.")
	buildInfo        = describe("build_info", "Always 1.", "version")
)

// Describe says nothing: the labels depend on the configuration, so this is an unchecked collector.
func (c *collector) Describe(chan<- *prometheus.Desc) {}

// Collect sends all metrics.
func (c *collector) Collect(ch chan<- prometheus.Metric) {
	status := c.from.Status()
	snapshot := c.from.Proxy.Snapshot()
	gauge(ch, generation, float64(status.Generation))
	gauge(ch, connections, float64(c.from.Connections()))
	counter(ch, accessLogDropped, c.from.Dropped())
	collectMemory(ch, status.Memory)
	gauge(ch, buildInfo, 1, status.Version)
	for i := range status.Services {
		svc := &status.Services[i]
		if n := countersOf(snapshot, svc); n != nil {
			collectService(ch, svc.Name, n)
		}
		gauge(ch, rollbackReady, truth(svc.Rollback.Ready), svc.Name)
		collectPreview(ch, svc.Name, svc.Preview)
		if end := svc.Rollback.Expires; end != nil {
			gauge(ch, rollbackWindow, float64(end.Unix()), svc.Name)
		}
		collectHold(ch, svc.Name, &svc.Hold)
		collectQueue(ch, svc.Name, svc.Queue)
		collectBake(ch, svc.Name, svc.Bake)
		for j := range svc.Pools {
			collectPool(ch, svc.Name, &svc.Pools[j])
		}
		collectSplit(ch, svc)
	}
}

// countersOf asks the snapshot for the service at the service's own route.
func countersOf(s *proxy.Snapshot, svc *control.ServiceStatus) *proxy.Counters {
	host := ""
	if len(svc.Hosts) > 0 {
		host = strings.Replace(svc.Hosts[0], "*", "sluice-metrics", 1)
	}
	found := s.Route([]byte(host), []byte(svc.Path))
	if found == nil || found.Name != svc.Name {
		return nil
	}
	return found.Counters
}

func collectService(ch chan<- prometheus.Metric, name string, n *proxy.Counters) {
	for digit := range n.Status {
		counter(ch, requestsTotal, n.Status[digit].Load(), name, codeOf(digit))
	}
	counter(ch, retriesTotal, n.Retries.Load(), name)
	counter(ch, deniedTotal, n.Denied.Load(), name)
	counter(ch, earlierTotal, n.Earlier.Load(), name)
	counter(ch, lostTotal, n.Lost.Load(), name)
	counter(ch, receivedBytes, n.BytesIn.Load(), name)
	counter(ch, sentBytes, n.BytesOut.Load(), name)
	collectPins(ch, name, &n.Pins)
	buckets, count := map[float64]uint64{}, uint64(0)
	for i, bound := range proxy.TookBounds {
		count += uint64(n.Took[i].Load())
		buckets[bound.Seconds()] = count
	}
	count += uint64(n.Took[len(proxy.TookBounds)].Load())
	sum := float64(n.TookSum.Load()) / 1e9
	ch <- prometheus.MustNewConstHistogram(requestDuration, count, sum, buckets, name)
}

func codeOf(digit int) string {
	if digit == 0 {
		return "none"
	}
	return strconv.Itoa(digit) + "xx"
}

// collectPreview says nothing of a service without previews.
func collectPreview(ch chan<- prometheus.Metric, name string, p *control.PreviewStatus) {
	if p == nil {
		return
	}
	for digit, n := range p.Status {
		counter(ch, previewTotal, n, name, codeOf(digit))
	}
}

// collectPins says nothing of a service that is not sticky, as it has seen no pin.
func collectPins(ch chan<- prometheus.Metric, name string, n *proxy.PinCounters) {
	all := []struct {
		outcome string
		count   *atomic.Int64
	}{{"kept", &n.Kept}, {"set", &n.Set}, {"moved", &n.Moved}, {"unset", &n.Unset}, {"forged", &n.Forged}, {"expired", &n.Expired}}
	if n.Kept.Load()+n.Set.Load()+n.Unset.Load()+n.Moved.Load() == 0 {
		return
	}
	for _, one := range all {
		counter(ch, pinsTotal, one.count.Load(), name, one.outcome)
	}
}

func collectPool(ch chan<- prometheus.Metric, service string, p *control.PoolStatus) {
	gauge(ch, poolLive, truth(p.Live), service, p.Name, p.Release)
	collectNames(ch, service, p)
	gauge(ch, poolFailOpen, truth(p.FailOpen), service, p.Name)
	collectServed(ch, service, p)
	for i := range p.Backends {
		b := &p.Backends[i]
		gauge(ch, backendUp, truth(b.Health == healthcheck.Up), service, p.Name, b.Address)
		gauge(ch, backendReady, truth(b.Admin == control.Ready), service, p.Name, b.Address)
		gauge(ch, backendIdle, float64(b.Idle), service, p.Name, b.Address)
		counter(ch, backendRequests, b.Requests, service, p.Name, b.Address)
		counter(ch, backendFailures, b.Failures, service, p.Name, b.Address)
		collectKeepAlive(ch, service, p.Name, b)
		gauge(ch, backendEjected, truth(b.Ejected != nil), service, p.Name, b.Address)
		counter(ch, backendEjections, int64(b.Ejections), service, p.Name, b.Address)
		for _, class := range drain.Classes() {
			gauge(ch, backendInside, float64(b.InsideBy[class]), service, p.Name, b.Address, class.String())
		}
	}
}

func collectServed(ch chan<- prometheus.Metric, service string, p *control.PoolStatus) {
	served := p.Served
	if served == nil {
		return
	}
	for digit, n := range served.Answers {
		counter(ch, poolRequests, int64(n), service, p.Name, codeOf(digit))
	}
	counter(ch, poolResets, int64(served.Resets), service, p.Name)
}

// collectKeepAlive tells what was learnt; of a backend of which nothing was, nothing.
func collectKeepAlive(ch chan<- prometheus.Metric, service, pool string, b *control.BackendStatus) {
	k := b.KeepAlive
	if k == nil {
		return
	}
	for what, seconds := range map[string]float64{"announced": k.Announced, "seen": k.Seen, "limit": k.Limit, "sure": k.Sure} {
		if seconds > 0 {
			gauge(ch, backendKeepAlive, seconds, service, pool, b.Address, what)
		}
	}
}

func truth(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}

func gauge(ch chan<- prometheus.Metric, d *prometheus.Desc, v float64, labels ...string) {
	ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
}

func counter(ch chan<- prometheus.Metric, d *prometheus.Desc, v int64, labels ...string) {
	ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
}
