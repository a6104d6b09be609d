package proxy

import "sluice/upstream"

// claim finds the service and enters a backend of the pool that the request goes to. A gate that was closed in between means
// that there is a newer snapshot: the request goes by that one.
func (p *Proxy) claim(ex *Exchange) (upstream.Lease, *Error) {
	defer ex.unqueue()
	for {
		s, refusal := p.route(ex)
		ex.keepPlace()
		if s.passes != nil && ex.asksLink(s) {
			return upstream.Lease{}, errLink
		}
		if refusal == nil && ex.holds() {
			ex.unqueue()
			if refusal = p.wait(ex); refusal == nil {
				continue
			}
		}
		if refusal != nil {
			return upstream.Lease{}, refusal
		}
		lease, err := ex.claimInTurn()
		switch {
		case err == nil:
			ex.Backend = lease.Backend
			return lease, nil
		case err == upstream.ErrClosed && p.live.Load() != s:
			continue
		case err != upstream.ErrClosed && ex.worn:
			ex.worn = false // there is no other backend for it, and nothing against the same one
			ex.tried.Reset()
			continue
		case err != upstream.ErrClosed && ex.fallsBack():
			continue
		case err == upstream.ErrFull:
			if refusal = p.full(ex); refusal == nil {
				continue
			}
			return upstream.Lease{}, refusal
		}
		return upstream.Lease{}, ex.refusedFor(ex.Service.nobody())
	}
}

// full has a request wait that found each backend full, and returns nil when it is worth looking again.
func (p *Proxy) full(ex *Exchange) *Error {
	refusal := p.queue(ex)
	if refusal != nil {
		refusal = p.waitAgain(ex, refusal)
	}
	return refusal
}

// route finds the service in the snapshot of the moment, and the pool of it that the request goes to, and refuses what it
// would take from nobody.
func (p *Proxy) route(ex *Exchange) (*Snapshot, *Error) {
	s := p.live.Load()
	if ex.probed != nil {
		s = ex.probed.snapshot
	}
	if err := ex.find(s); err != nil {
		return s, err
	}
	if ex.Service.exceeds(ex.Request.Framing.Length) {
		return s, errBodyLarge
	}
	ex.pool = ex.Service.Live
	if ex.Service.Split != nil {
		ex.assign(p.Rand)
	}
	return s, nil
}

// holds reports that the request waits: nobody of the live pool takes it, and it is for no other one.
func (ex *Exchange) holds() bool { return ex.Service.Hold && ex.pool == ex.Service.Live }
