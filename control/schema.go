package control

import (
	"fmt"
	"time"

	"sluice/healthcheck"
)

// Backends may say which schema the database has and with which ones their build works. A pool that does not work with the
// schema there is gets no traffic by a command. Whoever takes traffic already keeps it: taking a server out for what a
// migration did would make an outage of it.

// schemaSays is the backend whose word on the database is the newest, or nil. That is the one that changed its word last:
// an app that read the version when it began goes on to say what was so then.
func (svc *Service) schemaSays() *Backend {
	var newest *Backend
	for _, p := range svc.Pools {
		for _, b := range p.Backends {
			if s := b.Health.Schema; s.Known() && (newest == nil || newer(s, newest.Health.Schema)) {
				newest = b
			}
		}
	}
	return newest
}

func newer(a, b healthcheck.Schema) bool {
	return a.Since.After(b.Since) || a.Since.Equal(b.Since) && a.Have > b.Have
}

// mayUse refuses a pool of which a ready backend does not work with the schema, or says of it what cannot be understood.
// One that says nothing is not asked: its app knows nothing of this.
func (svc *Service) mayUse(p *Pool, force bool) error {
	says := svc.schemaSays()
	var faults, misfits []string
	for _, b := range p.Backends {
		s := b.Health.Schema
		switch {
		case b.Admin != Ready || !s.Given:
		case s.Fault != "":
			faults = append(faults, fmt.Sprintf("%s (release %s): %s", b.Address(), orNone(b.Health.Release), s.Fault))
		case says != nil && !s.Fits(says.Health.Schema.Have):
			misfits = append(misfits, fmt.Sprintf("%s (release %s) works with %d to %d", b.Address(), orNone(b.Health.Release), s.Min, s.Max))
		}
	}
	switch {
	case force:
	case len(misfits) > 0:
		return misfit(p.Name, says, misfits)
	case len(faults) > 0:
		return &Refusal{
			Kind: "schema",
			What: fmt.Sprintf("%s does not say with which schema it works: %s", p.Name, list(faults)),
			Hint: "mend the health answer to hold {\"schema\": {\"have\": 812, \"min\": 808, \"max\": 830}}, or write `schema: off` under `health` if that field is not meant for Sluice",
		}
	}
	return nil
}

func misfit(pool string, says *Backend, misfits []string) error {
	have := says.Health.Schema.Have
	return &Refusal{
		Kind: "schema",
		What: fmt.Sprintf("%s does not work with schema %d, which %s/%s finds: %s", pool, have, says.Pool(), says.Address(), list(misfits)),
		Hint: fmt.Sprintf("migrate first, or take a release that works with %d; `--force --note WHY` goes on all the same", have),
	}
}

// schema is what all ready backends of the pool work with that speak of it; nil: none does.
func (p *Pool) schema() *SchemaRange {
	var out *SchemaRange
	for _, b := range p.Backends {
		one := schemaRange(b.Health.Schema)
		switch {
		case one == nil || b.Admin != Ready:
		case one.Fault != "":
			return &SchemaRange{Fault: b.Address() + ": " + one.Fault}
		case out == nil:
			out = &SchemaRange{Min: one.Min, Max: one.Max}
		default:
			out.Min, out.Max = max(out.Min, one.Min), min(out.Max, one.Max)
		}
	}
	return out
}

func schemaRange(s healthcheck.Schema) *SchemaRange {
	switch {
	case !s.Given:
		return nil
	case s.Fault != "":
		return &SchemaRange{Fault: s.Fault}
	}
	return &SchemaRange{Have: s.Have, Min: s.Min, Max: s.Max}
}

func (svc *Service) schemaStatus() *SchemaStatus {
	b := svc.schemaSays()
	if b == nil {
		return nil
	}
	return &SchemaStatus{Have: b.Health.Schema.Have, By: b.Pool() + "/" + b.Address(), Said: b.Health.Schema.Since}
}

// readiness tells when a rollback has become possible, or is no longer, since before.
func (svc *Service) readiness(before *Service, at time.Time) (Event, bool) {
	is, was := svc.rollbackAt(at), RollbackStatus{}
	if before != nil {
		was = before.rollbackAt(at)
	}
	if is.Ready == was.Ready {
		return Event{}, false
	}
	e := Event{Kind: "rollback_ready", Service: svc.Name, Pool: is.Pool}
	switch to := is.Release; {
	case is.Ready && to != "":
		e.Text = fmt.Sprintf("rollback of %s is READY → %s (%s)", svc.Name, to, is.Pool)
	case is.Ready:
		e.Text = fmt.Sprintf("rollback of %s is READY → %s", svc.Name, is.Pool)
	default:
		e.Kind, e.Text = "rollback_not_ready", fmt.Sprintf("rollback of %s is NOT READY any more: %s", svc.Name, is.Why)
	}
	return e, true
}
