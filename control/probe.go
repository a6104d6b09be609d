package control

import (
	"context"
	"strings"

	"sluice/drain"
	"sluice/judge"
	"sluice/proxy"
	"sluice/upstream"
)

// Probe sends a probe to a pool as it is now, and counts what comes of it. Where nobody of the pool would take traffic there is
// nobody to ask, and its health says the rest.
func (c *Controller) Probe(ctx context.Context, service, pool string, figures *proxy.Figures, what *proxy.Probe) {
	to := c.Probed(service, pool, figures)
	if to == nil {
		return
	}
	asked := *what
	if asked.Host == "" {
		asked.Host = c.hostOf(service)
	}
	c.opts.Proxy.Probe(ctx, to, &asked)
}

// hostOf is a host that the service answers to.
func (c *Controller) hostOf(service string) string {
	svc := c.State().Services[service]
	if svc == nil || len(svc.File.Hosts) == 0 {
		return "localhost"
	}
	return strings.Replace(svc.File.Hosts[0], "*", "sluice-probe", 1)
}

// Waiting tells how long the requests of a pool have waited that it has not begun to answer.
func (c *Controller) Waiting(service, pool string) judge.Histogram {
	return c.opts.Proxy.Ledger.Waiting(service, pool)
}

// Probed returns a pool of a service as probes are to see it now, or nil: none of its backends would take traffic. Probes
// use the connections of the pool and none of its gates, so that no drain waits for them.
func (c *Controller) Probed(service, pool string, figures *proxy.Figures) *proxy.Probed {
	now := c.now.Load()
	svc, one := now.state.Services[service], now.built.services[service]
	if svc == nil || svc.Pool(pool) == nil {
		return nil
	}
	var able []*Backend
	for _, b := range svc.Pool(pool).Backends {
		if b.Eligible() {
			able = append(able, b)
		}
	}
	if len(able) == 0 {
		return nil
	}
	// Any of them, whatever their weight is: each is to be seen.
	b := able[int(c.opts.Rand()*float64(len(able)))%len(able)]
	to, err := proxy.NewProbed(one.service, upstream.NewPool(pool, upstream.RoundRobin, []*upstream.Backend{{
		Endpoint: now.built.endpoints[address{b.Network, b.Dial}], Service: b.Service, Pool: pool, Name: b.Address(),
		Release: b.Health.Release, Weight: 1, Gate: drain.NewGate(), Files: folderOf(svc.File, b, one.at(b.Key)),
	}}), figures)
	if err != nil {
		return nil // a service that is served has a path that can be
	}
	return to
}
