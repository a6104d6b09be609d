package control

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"sluice/config"
	"sluice/judge"
)

// The pool of a split is judged beside the live one, as a bake that goes on while both serve: for a while after each change of
// its share, at the end of which there is a verdict, and for worse alone from then on to the end of the split.

// judgedFor is how long it is to a verdict where nobody says so.
const judgedFor = 10 * time.Minute

// judging has a split judge its pool from this change on. With all at one pool it is a flip, which bakes as any other.
func judging(change Change, service string, want BakeWant, look func(from, to string) watched, m moment) Change {
	return func(s State) (State, error) {
		next, err := change(s)
		if err != nil {
			return next, err
		}
		was, is := s.Services[service], next.Services[service]
		if was.Live != is.Live {
			return baking(func(State) (State, error) { return next, nil }, service, want, look, m)(s)
		}
		length, err := want.splitLength(is)
		if err != nil || is.Split == nil {
			return next, err
		}
		return next.with(is.judgedFrom(was, want, length, strconv.FormatUint(s.Generation+1, 10), look, m)), nil
	}
}

// judgedFrom goes on to judge where the share of the pool is what it was, and begins anew where it is another: what was seen
// then says little of now.
func (svc *Service) judgedFrom(was *Service, want BakeWant, length time.Duration, id string, look func(from, to string) watched, m moment) *Service {
	next, sp := *svc, *svc.Split
	next.Split = &sp
	goesOn := want.For == nil && was.Split != nil && was.Split.Judged && was.Split.Arms[0].sameShare(&sp.Arms[0])
	switch sp.Judged = length > 0; {
	case !sp.Judged:
		next.Bake = svc.Bake.superseded(m)
	case !goesOn:
		next.Bake = svc.beside(length, id, look(svc.Live, sp.Arms[0].Pool), m)
	}
	return &next
}

// splitLength is 0 for what is not judged: several pools at once, and one that has no share.
func (w BakeWant) splitLength(svc *Service) (time.Duration, error) {
	length, err := w.length(svc)
	switch {
	case err != nil || svc.Split == nil:
		return 0, err
	case len(svc.Split.Arms) > 1 && w.asks():
		return 0, &Refusal{Kind: "conflict", What: fmt.Sprintf("%d pools take shares, and one at a time can be judged", len(svc.Split.Arms)), Hint: "split by one pool, or leave out --judge"}
	case len(svc.Split.Arms) > 1, svc.Split.Arms[0].Share() == 0 && !w.asks():
		return 0, nil
	case w.For == nil && length == 0:
		return judgedFor, nil
	}
	return length, nil
}

// again reports that a split which stays as it is is to be judged otherwise: not any more, or once more as that had ended.
func (w BakeWant) again(svc *Service) bool {
	switch {
	case w.For == nil:
		return false
	case *w.For == 0:
		return svc.Split.Judged
	}
	return !svc.Bake.Running()
}

func (a *Arm) sameShare(other *Arm) bool {
	return a.Pool == other.Pool && a.Share() == other.Share() && a.Since.Equal(other.Since)
}

// beside is the judging of the pool of a split, for so long.
func (svc *Service) beside(length time.Duration, id string, w watched, m moment) *Bake {
	return &Bake{
		ID: id, Split: true, From: svc.baked(svc.Live), To: svc.baked(svc.Split.Arms[0].Pool), Began: m.at, Ends: m.at.Add(length), Cause: m.cause,
		Rules: judgeRules(&svc.File.Bake, length), Reports: svc.File.Bake.OnWorse == config.OnWorseReport,
		start: w.start, oldStart: w.oldStart,
	}
}

func (svc *Service) stillBakes() error {
	return &Refusal{
		Kind: "conflict",
		What: fmt.Sprintf("%s of %s still bakes, until %s", svc.Bake.To, svc.Name, svc.Bake.Ends.Format(time.TimeOnly)),
		Hint: fmt.Sprintf("wait for the verdict with `sluice bake %s`, then split", svc.Name),
	}
}

// Guarded reports that the service is split, judged, and has had its verdict: from now on only worse counts.
func (svc *Service) Guarded() bool {
	return svc.Split != nil && svc.Split.Judged && len(svc.Split.Arms) == 1 && !svc.Bake.Running() && svc.File.Bake.OnWorse != config.OnWorseReport
}

// SplitRules are what the pool of a split is judged by.
func (svc *Service) SplitRules() judge.Rules { return judgeRules(&svc.File.Bake, judgedFor) }

// SplitFigures is what the live pool and that of the split did since the split, or since the process began.
func (c *Controller) SplitFigures(service string) (old, new judge.Sample) {
	one := c.now.Load().built.services[service]
	if one == nil || one.parting == nil {
		return old, new
	}
	since := func(pool string) judge.Sample { return c.sample(service, pool).Minus(one.parting.began[pool]) }
	return since(one.from.Live), since(one.from.Split.Arms[0].Pool)
}

// EndSplit ends a split because its pool is worse, unless it has ended.
func (c *Controller) EndSplit(ctx context.Context, service string, id uint64, why string) (*Operation, error) {
	began := c.opts.Now()
	cause := Cause{By: "judge", Via: "watch", Verb: "rollback", Note: why}.whole("rollback")
	change := func(s State) (State, error) {
		if svc := s.Services[service]; svc == nil || svc.Split == nil || svc.Split.ID != id {
			return s, ErrUnchanged
		}
		return rollback(service, FlipWant{}, moment{c.opts.Now(), cause})(s)
	}
	return c.switchPool(ctx, service, change, cause, order{began: began})
}
