package control

import (
	"fmt"
	"time"
)

// ReleaseHold says whether the servers of a release are still needed.
type ReleaseHold struct {
	Service string     `json:"service"`
	Release string     `json:"release"`
	Hold    bool       `json:"hold"` // do not stop them
	Why     string     `json:"why"`
	Until   *time.Time `json:"until,omitempty"` // when the reason is over at the latest
}

// HoldRelease tells whether a script may stop the servers of a release. They are needed while something is inside of them,
// they take the traffic, or a rollback would go to them and its window is not over. A window other than zero counts in place
// of the service's own.
func (c *Controller) HoldRelease(service, release string, window time.Duration) (ReleaseHold, error) {
	v := c.view()
	svc, err := v.state.find(service, nil)
	if err != nil {
		return ReleaseHold{}, err
	}
	out := ReleaseHold{Service: service, Release: release}
	out.Hold, out.Why, out.Until = v.needs(svc, release, window)
	return out, nil
}

func (v *view) needs(svc *Service, release string, window time.Duration) (hold bool, why string, until *time.Time) {
	inside := append(v.insiders(svc, release), v.waiters(svc, release)...)
	live, previous := svc.serving(release), svc.presentIn(svc.Previous, release)
	end := svc.windowEnd()
	if window > 0 && svc.Back != nil {
		end = svc.Back.Since.Add(window)
	}
	switch {
	case len(live) > 0:
		return true, live[0].What, nil
	case len(inside) > 0:
		return true, inside[0].What, inside[0].Ends
	case svc.Bake.wayBack(release):
		way := svc.Bake.blocker()
		return true, way.What, way.Ends
	case svc.retired(release):
		return false, "it is retired", nil
	case len(previous) == 0:
		return false, "nothing is inside of it, and neither the live pool nor the one that a rollback goes to is of it", nil
	}
	if err := svc.mayUse(svc.Pool(svc.Previous), false); err != nil {
		return false, "a rollback to it is refused: " + err.Error(), nil
	}
	if !end.IsZero() && !end.After(v.at) {
		return false, fmt.Sprintf("a rollback would go to it, but its window is over since %s", end.UTC().Format(time.RFC3339)), nil
	}
	return true, previous[0].What, timeOf(end)
}

// serving are the backends of the pools that new requests go to which run the release, or may.
func (svc *Service) serving(release string) (all []Blocker) {
	for _, p := range svc.Pools {
		if svc.serves(p.Name) {
			all = append(all, svc.presentIn(p.Name, release)...)
		}
	}
	return all
}

// presentIn are the backends of one pool that run the release, or may.
func (svc *Service) presentIn(pool, release string) (all []Blocker) {
	p := svc.Pool(pool)
	if p == nil {
		return nil
	}
	for _, b := range p.Backends {
		if one, is := svc.presence(b, release); is {
			all = append(all, one)
		}
	}
	return all
}
