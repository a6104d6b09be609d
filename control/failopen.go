package control

import (
	"fmt"
	"time"

	"sluice/healthcheck"
)

// failOpen reports that so few of the live pool's backends are up that the checks are not believed, or that those few would
// be crushed, and that there are others to turn to.
func (svc *Service) failOpen() bool {
	n := svc.headcount()
	return n.in < n.needed(svc.File.FailOpen) && svc.opened() > 0
}

// opened counts the backends that fail open, if it comes to that.
func (svc *Service) opened() (n int) {
	for _, b := range svc.Pool(svc.Live).Backends {
		if b.Weight > 0 && b.mayFailOpen() {
			n++
		}
	}
	return n
}

// mayFailOpen reports that a backend may take requests though its checks fail. It was up once since it was last said to be
// ready: what never was may not even be the right program.
func (b *Backend) mayFailOpen() bool {
	return b.Admin == Ready && b.Health.State == healthcheck.Down && b.Risen && !b.Ejection.Out() &&
		b.objection() == healthcheck.None && b.Health.Kind != healthcheck.Draining
}

// chosen are the backends that new requests go to.
func (svc *Service) chosen() []*Backend {
	var all []*Backend
	open, allDown := svc.failOpen(), svc.gap().open
	for _, b := range svc.Pool(svc.Live).Backends {
		if b.Eligible() || open && b.mayFailOpen() || allDown && svc.failsOpen(b) {
			all = append(all, b)
		}
	}
	return all
}

// shifts tells what a step did beside what it was made for: who is ejected, or no longer, and which pool fails open.
func (c *Controller) shifts(was, is State) []Event {
	var all []Event
	at := c.opts.Now()
	for svc, b := range is.backends {
		if old := was.Backend(b.Key); old != nil && old.Incarnation == b.Incarnation && old.Ejection != b.Ejection {
			all = append(all, Event{Kind: "eject", Pool: b.Pool(), Backend: b.Address(), Service: b.Service, Text: svc.ejectionText(old, b, at)})
		}
	}
	for _, name := range is.Order {
		svc, old := is.Services[name], was.Services[name]
		if e, tells := svc.readiness(old, at); svc != old && tells {
			all = append(all, e)
		}
		before := old != nil && old.Pool(old.Live) != nil && old.failOpen()
		if svc != old && svc.failOpen() != before {
			all = append(all, Event{Kind: "fail_open", Service: name, Pool: svc.Live, Text: svc.openText()})
		}
	}
	for i := range all {
		all[i].Time, all[i].Generation = at, is.Generation
	}
	return all
}

func (svc *Service) openText() string {
	n := svc.headcount()
	text := fmt.Sprintf("%d of %d ready backends of %s/%s are up", n.in, n.ready, svc.Name, svc.Live)
	if !svc.failOpen() {
		return "the checks are believed again: " + text
	}
	return fmt.Sprintf("fail-open: %s, and fail_open is %d%%: the checks are not believed, requests go also to %d that fail them", text, svc.File.FailOpen, svc.opened())
}

func (svc *Service) ejectionText(was, is *Backend, at time.Time) string {
	e := is.Ejection
	switch {
	case e.Out() && e.Times > 1:
		return fmt.Sprintf("%s is ejected for %s, number %d in a row: %s", is.Key, e.Until.Sub(e.Since), e.Times, e.Why)
	case e.Out():
		return fmt.Sprintf("%s is ejected for %s: %s", is.Key, e.Until.Sub(e.Since), e.Why)
	case is.Pool() != svc.Live:
		return fmt.Sprintf("%s is no longer ejected: its pool is not live any more", is.Key)
	case at.Before(was.Ejection.Until) && !was.Ejection.early:
		return fmt.Sprintf("%s is no longer ejected, before its time: it is needed", is.Key)
	}
	return fmt.Sprintf("%s is no longer ejected, after %s", is.Key, at.Sub(was.Ejection.Since).Round(time.Millisecond))
}
