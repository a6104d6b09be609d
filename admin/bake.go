package admin

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"sluice/control"
)

// Both sides of bakes: the call that waits for a verdict, and the client that makes it. A bake belongs to nobody's connection:
// whoever lost his asks again.

// Baker is an operation that may wait for the verdict of a bake.
type Baker interface{ Bake() *control.BakeStatus }

// bakeOf is how the bake stands that an operation waits for; nil: it waits for none.
func bakeOf(op Operation) *control.BakeStatus {
	if b, bakes := op.(Baker); bakes {
		return b.Bake()
	}
	return nil
}

// forVerdict lengthens a wait for an operation that waits for a bake.
func (s *Server) forVerdict(w waiting, op Operation) waiting {
	if b := bakeOf(op); b != nil {
		return w.over(b, s.opts.Now())
	}
	return w
}

// over is the waiting of who named no limit, or one that a bake may well take.
func (w waiting) over(b *control.BakeStatus, at time.Time) waiting {
	w.limit = w.named
	if w.named == 0 {
		w.limit = longestWait + max(0, b.Ends.Sub(at))
	}
	return w
}

func (s *Server) bake(w http.ResponseWriter, r *http.Request, a arguments) error {
	wait, err := readWaiting(r, a)
	if err != nil {
		return err
	}
	op, err := s.opts.Controller.Bake(a.path[0])
	if err != nil {
		return err
	}
	return s.follow(w, r, op, s.forVerdict(wait, op))
}

// lengthOrOff reads a length of time, or 0 or off for none at all; nil when it is left out.
func (a arguments) lengthOrOff(name string) (*time.Duration, error) {
	v, given := a.values[name]
	if !given {
		return nil, nil
	}
	if v == "off" {
		return new(time.Duration), nil
	}
	d, err := time.ParseDuration(v)
	if err != nil || d < 0 {
		return nil, badArgument(fmt.Sprintf("%s is %q", name, v), "write a duration such as 60s, or off")
	}
	return &d, nil
}

func (f fixed) Bake(service string) (Operation, error) {
	return orError(f.Controller.Bake(service))
}

// Bake asks how the latest bake of a service stands, and waits for its verdict where want says so.
func (c *Client) Bake(ctx context.Context, service string, want Want) (Outcome, error) {
	return c.follow(ctx, http.MethodGet, servicePath(service, "bake"), url.Values{}, want)
}

// bakedWorse says what became of a release that is worse.
func bakedWorse(r control.Receipt) *Problem {
	b := r.Bake
	is := fmt.Sprintf("%s of %s is worse than %s: %s", side(b.To, b.Release), r.Service, side(b.From, b.FromRelease), b.Why)
	history := fmt.Sprintf("; `sluice history %s` keeps the figures", r.Service)
	switch {
	case b.State == control.BakedWorse:
		return problem(http.StatusConflict, "worse", is+"; it was not rolled back, and takes traffic", fmt.Sprintf("go back with `sluice rollback %s`", r.Service))
	case b.Split:
		return problem(http.StatusConflict, "worse", is+"; the split has ended, and "+side(b.From, b.FromRelease)+" takes all again", "mend the release and split again"+history)
	}
	return problem(http.StatusConflict, "worse", is+"; it was rolled back, and "+side(b.From, b.FromRelease)+" serves again", "mend the release and flip again"+history)
}

// judgeBake says when the release that was waited for did not pass. Too little traffic is neither: the receipt says so.
func (w waiting) judgeBake(r control.Receipt, over bool) *Problem {
	b := r.Bake
	if b == nil || !w.wait || !over {
		return nil
	}
	switch b.State {
	case control.RolledBack, control.BakedWorse:
		return bakedWorse(r)
	case control.Superseded:
		return problem(http.StatusConflict, "superseded", fmt.Sprintf("the bake of %s of %s has no verdict: %s", side(b.To, b.Release), r.Service, b.Why),
			fmt.Sprintf("look at `sluice history %s`", r.Service))
	}
	return nil
}

// side is "green v42", or the pool alone.
func side(pool, release string) string {
	if release == "" {
		return pool
	}
	return pool + " " + release
}
