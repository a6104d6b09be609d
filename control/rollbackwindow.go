package control

import (
	"fmt"
	"time"
)

// windowEnd is when the window of the way back is over; zero: it ends with the next flip alone, or there is no way back.
func (svc *Service) windowEnd() time.Time {
	if w := svc.Written.Rollback.Window; svc.Back != nil && w > 0 {
		return svc.Back.Since.Add(w)
	}
	return time.Time{}
}

// windowOver reports that nobody counts on the way back any more.
func (svc *Service) windowOver(at time.Time) bool {
	end := svc.windowEnd()
	return !end.IsZero() && !end.After(at)
}

// windowText is "until 2026-01-02T12:30:00Z", or nothing where there is no end. It says the same before and after.
func (svc *Service) windowText() string {
	end := svc.windowEnd()
	if end.IsZero() {
		return ""
	}
	return " (window until " + end.UTC().Format(time.RFC3339) + ")"
}

// The states of a rollback. One that is expired would still be made.
const (
	rollbackReady    = "ready"
	rollbackExpired  = "expired"
	rollbackNotReady = "not_ready"
)

// rollbackAt says how the way back stands at a time.
func (svc *Service) rollbackAt(at time.Time) RollbackStatus {
	out := svc.rollbackStatus()
	out.State, out.Expires = rollbackNotReady, timeOf(svc.windowEnd())
	if out.Ready {
		out.State = rollbackReady
	}
	if out.Ready && svc.windowOver(at) {
		out.Ready, out.State = false, rollbackExpired
	}
	return out
}

// rollback is that, with what would come back beside the pool.
func (v *view) rollback(svc *Service) RollbackStatus {
	out := svc.rollbackAt(v.at)
	if out.State == rollbackNotReady {
		return out
	}
	file, missing := svc.returning(v.state, svc.Back, svc.Pool(svc.Previous))
	out.Missing = missing
	if file != svc.Written {
		for _, d := range file.Section.Options().Differences(svc.Written.Section.Options()) {
			out.Options = append(out.Options, d.Key)
		}
	}
	return out
}

// tellWindows returns what tells of each window that has ended since the last look, and says when the next one ends. What
// had ended before the process began was told then, or is old.
func (c *Controller) tellWindows() func() (wait time.Duration, any bool) {
	looked := c.started
	return func() (wait time.Duration, any bool) {
		s, at := c.State(), c.opts.Now()
		for _, name := range s.Order {
			svc := s.Services[name]
			end := svc.windowEnd()
			switch left := end.Sub(at); {
			case end.IsZero():
			case left > 0 && (!any || left < wait):
				wait, any = left, true
			case left <= 0 && end.After(looked):
				c.tell(svc.windowEvent(at, s.Generation))
			}
		}
		looked = at
		return wait, any
	}
}

func (svc *Service) windowEvent(at time.Time, generation uint64) Event {
	to := svc.Previous
	if svc.Back.Release != "" {
		to = fmt.Sprintf("%s (%s)", svc.Back.Release, svc.Previous)
	}
	return Event{
		Time: at, Kind: "rollback_expired", Service: svc.Name, Pool: svc.Previous, Generation: generation,
		Text: fmt.Sprintf("the rollback window of %s to %s is over: its servers may be stopped; while they are up, a rollback still goes there", svc.Name, to),
	}
}
