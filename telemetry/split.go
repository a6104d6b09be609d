package telemetry

import (
	"github.com/prometheus/client_golang/prometheus"

	"sluice/control"
)

var (
	poolShare  = describe("pool_share", "The pool's share of its service's new visitors, from 0 to 1.", "service", "pool")
	splitTotal = describe("split_requests_total", "How requests found their pool since their service is split.", "service", "how")
)

func collectSplit(ch chan<- prometheus.Metric, svc *control.ServiceStatus) {
	for i := range svc.Pools {
		share := svc.Pools[i].Share / 100
		if svc.Split == nil {
			share = truth(svc.Pools[i].Live)
		}
		gauge(ch, poolShare, share, svc.Name, svc.Pools[i].Name)
	}
	if svc.Split == nil {
		return
	}
	for how, n := range map[string]int64{
		"kept": svc.Split.Kept, "drawn": svc.Split.Drawn, "ruled": svc.Split.Ruled, "stayed": svc.Split.Stayed,
		"fallback": svc.Split.Fallback, "unset": svc.Split.Unset, "forged": svc.Split.Forged,
	} {
		counter(ch, splitTotal, n, svc.Name, how)
	}
}
