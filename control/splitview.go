package control

import (
	"fmt"
	"time"
)

// SplitStatus is how a service is split, and how its requests found their pool since the split or the process began.
type SplitStatus struct {
	Since    time.Time   `json:"since"`
	Changed  time.Time   `json:"changed"` // when the shares or the rules were changed last
	Cause    Cause       `json:"cause"`   // of that
	Cookie   string      `json:"cookie"`
	Pools    []ArmStatus `json:"pools"` // the live one first
	Rules    []SplitRule `json:"rules,omitempty"`
	Kept     int64       `json:"kept"`     // by the number in their cookie
	Drawn    int64       `json:"drawn"`    // without one: a number was drawn
	Ruled    int64       `json:"ruled"`    // by a rule
	Stayed   int64       `json:"stayed"`   // pinned to a backend of the live pool since before the split
	Fallback int64       `json:"fallback"` // no backend of their pool could take them, and the live one did
	Unset    int64       `json:"unset"`    // a cookie was due on an answer that caches share, and left out
	Forged   int64       `json:"forged"`   // the cookie was not signed by us for this service, and ignored
}

// ArmStatus is what one pool takes of a service that is split.
type ArmStatus struct {
	Pool     string  `json:"pool"`
	Live     bool    `json:"live"`
	Share    float64 `json:"share"` // of the new visitors, in percent
	Release  string  `json:"release,omitempty"`
	Eligible int     `json:"eligible"`
	// Requests and Errors are what it took since it has a part, or since the process began, and how many of them were
	// answered 5xx or not as a whole.
	Requests uint64 `json:"requests"`
	Errors   uint64 `json:"errors"`
}

func (v *view) split(svc *Service) *SplitStatus {
	sp := svc.Split
	if sp == nil {
		return nil
	}
	part := v.built.services[svc.Name].parting
	n := part.counts
	out := &SplitStatus{
		Since: sp.Since, Changed: sp.At, Cause: sp.Cause, Cookie: part.tickets.Name(), Rules: sp.Rules,
		Kept: n.Kept.Load(), Drawn: n.Drawn.Load(), Ruled: n.Ruled.Load(), Stayed: n.Stayed.Load(), Fallback: n.Fallback.Load(),
		Unset: n.Unset.Load(), Forged: n.Forged.Load(),
	}
	out.Pools = append(out.Pools, v.arm(svc, svc.Live))
	for _, a := range sp.Arms {
		out.Pools = append(out.Pools, v.arm(svc, a.Pool))
	}
	return out
}

func (v *view) arm(svc *Service, pool string) ArmStatus {
	p, one := svc.Pool(pool), v.built.services[svc.Name]
	out := ArmStatus{Pool: pool, Live: pool == svc.Live, Share: svc.shares()[pool], Release: p.releases(), Eligible: p.eligible()}
	if f := one.service.FiguresOf(pool); f != nil {
		since := f.Sample().Minus(one.parting.began[pool])
		out.Requests, out.Errors = since.Requests, since.Errors
	}
	return out
}

// splitRollback is what a rollback would do while the service is split.
func (svc *Service) splitRollback() RollbackStatus {
	p := svc.Pool(svc.Live)
	out := RollbackStatus{Ready: p.eligible() > 0, Pool: p.Name, Release: p.releases()}
	out.Why = fmt.Sprintf("%d/%d healthy, it ends the split", p.eligible(), len(p.Backends))
	if !out.Ready {
		out.Why += ": " + p.absences()
	}
	return out
}
