package control

import (
	"fmt"
	"os"
	"time"

	"sluice/drain"
	"sluice/upstream"
)

// Status returns all that there is to see now. It waits for nothing, not even for a change that is being saved.
func (c *Controller) Status() Status {
	v := c.view()
	s := Status{
		Generation: v.state.Generation, Version: c.opts.Version, PID: os.Getpid(), Started: c.started,
		Draining: v.stopping, ConfigFile: c.opts.Config.File, StateDir: c.opts.Config.State, Damage: v.damage,
		Memory: c.memory(), Services: []ServiceStatus{},
	}
	for _, name := range v.state.Order {
		s.Services = append(s.Services, v.service(v.state.Services[name]))
	}
	return s
}

// ServiceStatus returns one service, and whether there is such.
func (c *Controller) ServiceStatus(name string) (ServiceStatus, bool) {
	v := c.view()
	svc := v.state.Services[name]
	if svc == nil {
		return ServiceStatus{}, false
	}
	return v.service(svc), true
}

// view is one look at everything.
type view struct {
	*now
	c     *Controller
	at    time.Time
	gates map[Key][]*drain.Gate // all gates of a backend that may have somebody inside
	by    map[*drain.Gate]map[drain.Class]int
}

func (c *Controller) view() *view {
	v := &view{now: c.now.Load(), c: c, at: c.opts.Now(), gates: map[Key][]*drain.Gate{}}
	for _, one := range v.built.services {
		for k, up := range one.open {
			v.gates[k] = append(v.gates[k], up.Gate)
		}
	}
	for _, l := range v.leaving {
		v.gates[l.Key] = append(v.gates[l.Key], l.gate)
	}
	return v
}

func (v *view) inside(k Key) (n int) {
	for _, g := range v.gates[k] {
		n += g.Inside()
	}
	return n
}

func (v *view) service(svc *Service) ServiceStatus {
	out := ServiceStatus{
		Name: svc.Name, Hosts: svc.File.Hosts, Path: svc.File.Path, Live: svc.Live, Previous: svc.Previous,
		Release: svc.Pool(svc.Live).releases(), Since: svc.Since, Cause: svc.Cause,
		Schema: svc.schemaStatus(), Retired: svc.retiredNames(), Rollback: v.rollback(svc), Drift: v.drift(svc), Traffic: v.traffic(svc.Name), Hold: v.hold(svc), Sticky: v.sticky(svc), Split: v.split(svc), Queue: v.queue(svc), Preview: v.previewed(svc), Bake: v.bake(svc),
	}
	for k := range v.gates {
		if k.Service == svc.Name {
			out.Inside += v.inside(k)
		}
	}
	for _, p := range svc.Pools {
		out.Pools = append(out.Pools, v.pool(svc, p))
	}
	return out
}

func (svc *Service) rollbackStatus() RollbackStatus {
	if svc.Split != nil {
		return svc.splitRollback()
	}
	p := svc.Pool(svc.Previous)
	if svc.Previous == "" || p == nil {
		return RollbackStatus{Why: "no previous pool"}
	}
	up := p.eligible()
	out := RollbackStatus{Ready: up > 0, Pool: p.Name, Release: p.releases(), Why: fmt.Sprintf("%d/%d healthy", up, len(p.Backends))}
	if up < len(p.Backends) {
		out.Why += ": " + p.absences()
	}
	old := svc.retiredBackends(p, false)
	switch err := svc.mayUse(p, false); {
	case up == 0 && len(old) > 0:
		out.Why = p.isRetired(old).Error()
	case err != nil:
		out.Ready, out.Schema = false, "refused"
		out.Why = err.Error()
	case up > 0 && p.schema() != nil:
		out.Schema = "ok"
		out.Why += ", schema ok"
	}
	return out
}

// absences says of each backend that would take no traffic why that is.
func (p *Pool) absences() string {
	var all []string
	for _, b := range p.Backends {
		if !b.Eligible() {
			all = append(all, b.Address()+" "+b.trouble())
		}
	}
	return list(append(all, p.unresolved()...))
}

func (v *view) pool(svc *Service, p *Pool) PoolStatus {
	up := p.eligible()
	out := PoolStatus{
		Name: p.Name, Live: p.Name == svc.Live, Release: p.releases(), Eligible: up,
		Armed: !svc.serves(p.Name) && up > 0 && up == p.ready(),
	}
	out.Schema, out.Preview, out.Served = p.schema(), svc.places(p.Name), v.served(svc.Name, p.Name)
	if svc.Split != nil {
		out.Share = svc.shares()[p.Name]
	}
	out.FailOpen = out.Live && svc.failOpen()
	for _, b := range p.Backends {
		one := v.backend(b)
		out.Inside += one.Inside
		out.Backends = append(out.Backends, one)
	}
	out.Names, out.Leaving = v.names(p), v.leavers(svc, p)
	for _, l := range out.Leaving {
		out.Inside += l.Inside
	}
	return out
}

func (v *view) backend(b *Backend) BackendStatus {
	state, kind, reason := b.condition()
	out := BackendStatus{
		Address: b.Address(), Name: b.Name, Gone: b.Gone, Weight: b.Weight, Admin: b.Admin, Health: state, Kind: kind, Reason: reason, Release: b.Health.Release,
		Expected: b.Want, Since: b.since(), Inside: v.inside(b.Key), Pins: v.pins(b.Key), KeepUntil: timeOf(b.Keep),
	}
	out.Schema = schemaRange(b.Health.Schema)
	if b.Decided != nil {
		out.Cause = &b.Decided.Cause
	}
	if ch := v.checks[b.Key]; ch != nil {
		out.Checked = ch.checker.Latest().Checked
	}
	if out.Inside > 0 {
		out.InsideBy = v.classes(b.Key)
	}
	v.stay(b, &out)
	if e := v.built.endpoints[address{b.Network, b.Dial}]; e != nil {
		out.Idle, out.Requests, out.Failures = e.Idle(), e.Stats.Requests.Load(), e.Stats.Failures.Load()
		out.KeepAlive = keepAlive(e.KeepAlive())
	}
	return out
}

func keepAlive(k upstream.KeepAlive) *KeepAliveStatus {
	if k.Announced == 0 && k.Seen == 0 && k.Sure == 0 {
		return nil
	}
	return &KeepAliveStatus{k.Announced.Seconds(), k.Seen.Seconds(), k.Limit.Seconds(), k.Sure.Seconds()}
}

func (v *view) classes(k Key) map[drain.Class]int {
	if v.by == nil {
		v.by = v.c.opts.Proxy.Ledger.ByGate() // one look for all backends
	}
	sum := map[drain.Class]int{}
	for _, g := range v.gates[k] {
		for class, n := range v.by[g] {
			sum[class] += n
		}
	}
	return sum
}

func (v *view) traffic(service string) Traffic {
	n := v.built.services[service].service.Counters
	out := Traffic{Retries: n.Retries.Load(), Denied: n.Denied.Load(), Lost: n.Lost.Load(), Earlier: n.Earlier.Load()}
	for i := range n.Status {
		out.Status[i] = n.Status[i].Load()
		out.Requests += out.Status[i]
	}
	return out
}

func (v *view) sticky(svc *Service) *StickyStatus {
	if svc.File.Sticky == nil {
		return nil
	}
	n := &v.built.services[svc.Name].service.Pins
	return &StickyStatus{
		Cookie: svc.File.Sticky.Cookie, Kept: n.Kept.Load(), Set: n.Set.Load(), Moved: n.Moved.Load(), Unset: n.Unset.Load(),
		Forged: n.Forged.Load(), Expired: n.Expired.Load(),
	}
}

// pins counts the clients of a backend that takes traffic.
func (v *view) pins(k Key) int {
	if up := v.built.services[k.Service].open[k]; up != nil {
		return up.Pins.Count(v.at)
	}
	return 0
}

// drift lists where a decision stands against the file.
func (v *view) drift(svc *Service) []Drift {
	var all []Drift
	if d := svc.Decided; d != nil && d.Value != svc.File.Live {
		all = append(all, v.difference("live", svc.File.Live, d))
	}
	for _, p := range svc.Pools {
		for _, b := range p.Backends {
			if d := b.Decided; d != nil && b.Admin != Ready {
				all = append(all, v.difference("backend "+p.Name+"/"+b.Address(), string(Ready), d))
			}
		}
	}
	return append(all, svc.Restored.drift(v.at)...)
}

func (v *view) difference(what, file string, d *Decision) Drift {
	why := done(d.Cause.Verb)
	if d.Cause.By != "" {
		why += " by " + d.Cause.By
	}
	return Drift{What: what, Decided: d.Value, File: file, Why: why + " " + ago(v.at.Sub(d.At))}
}

// done is what was done, by the verb of its cause.
func done(verb string) string {
	switch verb {
	case "flip":
		return "flipped"
	case "rollback":
		return "rolled back"
	case "drain":
		return "drained"
	case "maint":
		return "put in maint"
	}
	return "decided (" + verb + ")"
}

func ago(d time.Duration) string {
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%ds ago", int(max(d, 0).Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%dm ago", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh ago", int(d.Hours()))
	}
	return fmt.Sprintf("%dd ago", int(d.Hours()/24))
}
