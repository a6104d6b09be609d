package proxy

import (
	"time"

	"sluice/drain"
	"sluice/upstream"
)

// ended decides whether an attempt that failed is made again, and tells a backend's drain how this one ended. It is
// called while the lease is held, so that a drain cannot be over before it knows.
func (p *Proxy) ended(ex *Exchange, lease *upstream.Lease, err error) error {
	err = ex.missed(lease, err)
	if ex.again = err != nil && ex.mayRepeat(err); ex.again {
		ex.countReset(lease.Backend, err)
	}
	if gate := lease.Backend.Gate; gate.Closed() {
		gate.Ended(p.ending(ex, err))
	}
	return err
}

// ending is for the receipt. What was to be cut and came to its own end first has finished.
func (p *Proxy) ending(ex *Exchange, err error) drain.Ending {
	now := time.Now()
	e := drain.Ending{Key: ex.id.key(), Class: ex.drainClass(now)}
	switch {
	case ex.cut.Load() && !ex.whole:
		it := ex.described(now)
		e.Outcome, e.Item = drain.WasCut, &it
	case err == nil || ex.gone.Load():
	case ex.again && p.elsewhere(ex):
		e.Outcome = drain.Retried
	case ex.last != nil && ex.last.Fault == ByBackend:
		e.Outcome = drain.Failed
	}
	return e
}

// elsewhere reports whether a pool that the request may go to has a backend that has not failed it yet.
func (p *Proxy) elsewhere(ex *Exchange) bool {
	svc := p.serviceNow(ex)
	return svc != nil && (svc.Live.Others(&ex.tried) || svc.Split.others(ex))
}

// serviceNow is the service that the request would go to if it came now, or nil.
func (p *Proxy) serviceNow(ex *Exchange) *Service {
	s := p.live.Load()
	svc := s.behind(ex.Peer.Door).Route(ex.Request.Authority, ex.Request.Path())
	if svc == nil {
		return nil
	}
	return ex.preview(s, svc)
}
