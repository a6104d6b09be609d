package deploy

import (
	"context"
	"errors"
	"time"

	"sluice/control"
	"sluice/judge"
)

// BakeControl is what ends bakes.
type BakeControl interface {
	Observed
	BakeFigures(service string, b *control.Bake) (old, new judge.Sample)
	Waiting(service, pool string) judge.Histogram
	Prober
	RollBackBake(ctx context.Context, service, id string, end control.BakeEnd) (*control.Operation, error)
	EndBake(service, id string, end control.BakeEnd) error
	StickBake(service, id, worse, stuck string) error
}

// Bakes are the trials of the services that bake. Each call of the watch ends in the State, where it is seen that it is over: so
// there is one verdict of a bake, whatever dies in between.
func Bakes(c BakeControl, now func() time.Time) Source {
	return func(s control.State) (all []Trial) {
		for _, name := range s.Order {
			if svc := s.Services[name]; svc.Bake.Running() {
				all = append(all, bakeTrial{c, now, svc, svc.Bake}.trial())
			}
		}
		return all
	}
}

// bakeTrial is one bake that goes on.
type bakeTrial struct {
	control BakeControl
	now     func() time.Time
	service *control.Service
	*control.Bake
}

func (b bakeTrial) trial() Trial {
	return Trial{
		ID: b.service.Name + "/" + b.ID, Rules: b.Rules, Bursts: b.Bursts, Ends: b.Ends,
		Figures: func() (old, new judge.Sample) { return b.control.BakeFigures(b.service.Name, b.Bake) },
		Health:  func() (old, new judge.Health) { return b.service.Standing(b.From.Pool), b.service.Standing(b.To.Pool) },
		Waiting: b.waiting,
		Probing: probesOf(b.control, b.service, b.From.Pool, b.To.Pool),
		Worse:   b.worse, Over: b.over,
	}
}

// waiting is what has no answer yet. The old pool of a flip serves nobody that could be compared.
func (b bakeTrial) waiting() (old, new judge.Histogram) {
	if b.Split {
		old = b.control.Waiting(b.service.Name, b.From.Pool)
	}
	return old, b.control.Waiting(b.service.Name, b.To.Pool)
}

// worse rolls back, if that is wanted and can be done. Where it cannot, it is tried at each look until the end: what is in the
// way may go.
func (b bakeTrial) worse(ctx context.Context, v judge.Verdict) {
	end := b.end(control.BakedWorse, v)
	if b.Reports {
		b.control.EndBake(b.service.Name, b.ID, end)
		return
	}
	_, err := b.control.RollBackBake(ctx, b.service.Name, b.ID, end)
	var r *control.Refusal
	switch {
	case err == nil:
	case !errors.As(err, &r) || r.Kind == "stopping":
	case !b.now().Before(b.Ends):
		end.Why += "; it could not be rolled back: " + r.What
		b.control.EndBake(b.service.Name, b.ID, end)
	default:
		b.stick(v.Why, r.What)
	}
}

// stick tells what is in the way, once for each reason.
func (b bakeTrial) stick(worse, stuck string) {
	if b.Stuck != stuck {
		b.control.StickBake(b.service.Name, b.ID, worse, stuck)
	}
}

func (b bakeTrial) over(v judge.Verdict) {
	state := control.NotEnough
	if v.Word == judge.BetterOrEqual {
		state = control.BakePassed
	}
	b.control.EndBake(b.service.Name, b.ID, b.end(state, v))
}

func (b bakeTrial) end(state control.BakeState, v judge.Verdict) control.BakeEnd {
	return control.BakeEnd{State: state, Why: v.Why, Signal: v.Signal, Old: v.Old, New: v.New}
}
