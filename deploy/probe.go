package deploy

import (
	"context"
	"slices"
	"sync"
	"time"

	"sluice/config"
	"sluice/control"
	"sluice/judge"
	"sluice/proxy"
)

// Probing is what is asked of both releases of a trial while it goes on. The zero value asks nothing.
type Probing struct {
	Every time.Duration
	Ask   []proxy.Probe // in turn
	// Old and New send a probe to one of the releases as it is now, and count what comes of it; they return when it is over.
	Old, New func(context.Context, *proxy.Figures, *proxy.Probe)
}

// Prober sends a probe to a pool as it is now, counts what comes of it, and returns when it is over.
type Prober interface {
	Probe(ctx context.Context, service, pool string, figures *proxy.Figures, what *proxy.Probe)
}

// probesOf are those that the file has for a service.
func probesOf(p Prober, svc *control.Service, old, new string) Probing {
	file := &svc.File.Bake
	to := func(pool string) func(context.Context, *proxy.Figures, *proxy.Probe) {
		return func(ctx context.Context, f *proxy.Figures, what *proxy.Probe) { p.Probe(ctx, svc.Name, pool, f, what) }
	}
	all := Probing{Every: file.Every, Old: to(old), New: to(new)}
	for i := range file.Probes {
		all.Ask = append(all.Ask, probeOf(&file.Probes[i]))
	}
	return all
}

func probeOf(p *config.Probe) proxy.Probe {
	return proxy.Probe{Method: p.Method, Host: p.Host, Target: p.Path, Timeout: p.Timeout, Good: func(status int) bool {
		return slices.ContainsFunc(p.Status, func(r config.StatusRange) bool { return r.Low <= status && status <= r.High })
	}}
}

// probing has a goroutine for each release, so that one that answers slowly does not hold up the other.
type probing struct {
	Probing
	cancel   context.CancelFunc
	running  sync.WaitGroup
	old, new proxy.Figures
}

// start begins to ask; it returns nil where there is nothing to ask.
func (p Probing) start(ctx context.Context) *probing {
	if len(p.Ask) == 0 {
		return nil
	}
	ctx, cancel := context.WithCancel(ctx)
	g := &probing{Probing: p, cancel: cancel}
	g.running.Add(2)
	go g.ask(ctx, g.Old, &g.old)
	go g.ask(ctx, g.New, &g.new)
	return g
}

// stop ends what is under way, and returns when nothing is.
func (g *probing) stop() {
	if g != nil {
		g.cancel()
		g.running.Wait()
	}
}

// ask is the goroutine of one release.
func (g *probing) ask(ctx context.Context, send func(context.Context, *proxy.Figures, *proxy.Probe), figures *proxy.Figures) {
	defer g.running.Done()
	ticker := time.NewTicker(g.Every)
	defer ticker.Stop()
	for i := 0; ctx.Err() == nil; i++ {
		send(ctx, figures, &g.Ask[i%len(g.Ask)])
		select {
		case <-ticker.C:
		case <-ctx.Done():
		}
	}
}

// tell tells a test what came of it so far.
func (g *probing) tell(t *judge.Test) {
	if g != nil {
		t.Probes(g.old.Sample(), g.new.Sample())
	}
}
