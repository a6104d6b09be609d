package deploy

import (
	"context"
	"strconv"

	"sluice/control"
	"sluice/judge"
)

// SplitControl is what ends splits.
type SplitControl interface {
	SplitFigures(service string) (old, new judge.Sample)
	Waiting(service, pool string) judge.Histogram
	Prober
	EndSplit(ctx context.Context, service string, id uint64, why string) (*control.Operation, error)
}

// Splits are the trials of services that are split and have had their verdict. There is no other end to them than worse: then
// the split ends, as soon as it can.
func Splits(c SplitControl) Source {
	return func(s control.State) (all []Trial) {
		for _, name := range s.Order {
			if svc := s.Services[name]; svc.Guarded() {
				all = append(all, splitTrial(c, svc))
			}
		}
		return all
	}
}

func splitTrial(c SplitControl, svc *control.Service) Trial {
	id, pool := svc.Split.ID, svc.Split.Arms[0].Pool
	return Trial{
		ID: svc.Name + "/split/" + strconv.FormatUint(id, 10), Rules: svc.SplitRules(),
		Figures: func() (old, new judge.Sample) { return c.SplitFigures(svc.Name) },
		Health:  func() (old, new judge.Health) { return svc.Standing(svc.Live), svc.Standing(pool) },
		Waiting: func() (old, new judge.Histogram) { return c.Waiting(svc.Name, svc.Live), c.Waiting(svc.Name, pool) },
		Probing: probesOf(c, svc, svc.Live, pool),
		Worse:   func(ctx context.Context, v judge.Verdict) { c.EndSplit(ctx, svc.Name, id, v.Why) },
		Over:    func(judge.Verdict) {},
	}
}
