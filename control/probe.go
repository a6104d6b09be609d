package control

import (
	"sluice/drain"
	"sluice/proxy"
	"sluice/upstream"
)

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
