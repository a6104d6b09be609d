package control

import (
	"cmp"
	"maps"
)

// What a new file makes of the way back, and of what a rollback has brought back.

// back reads the options of the way back anew, as their pools may be others by now. A way of which nothing is saved began
// with the live pool.
func (j *joiner) back(svc *Service, old savedService) *Back {
	switch {
	case svc.Previous == "":
		return nil
	case old.Back == nil || svc.Previous != old.Previous:
		return &Back{Since: svc.Since}
	}
	return old.Back.under(svc.Written)
}

// restored goes on while the pool is live that it came back with, and the file says of the options what it said then.
func (j *joiner) restored(s State, svc *Service, old *Restored) *Service {
	if old == nil || old.Pool != svc.Live {
		return svc
	}
	to := cmp.Or(old.Release, old.Pool)
	if !maps.Equal(svc.Written.Section.Options(), old.File) {
		j.ended(svc.Name, "the file says something else of %s since the rollback to %s brought back its options: the file wins", svc.Name, to)
		return svc
	}
	file, err := svc.Written.With(old.Options)
	if err != nil {
		j.ended(svc.Name, "the options of %s in %s cannot be used any more: %s; those of the file hold", to, svc.Name, firstProblem(err))
		return svc
	}
	file, missing := svc.yielding(s, file)
	if missing == "" {
		return svc.holding(file, old)
	}
	j.ended(svc.Name, "of what the rollback of %s to %s brought back, %s", svc.Name, to, missing)
	next := *old
	next.Options, next.Missing = file.Section.Options(), missing
	return svc.holding(file, &next)
}
