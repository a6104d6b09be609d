package deploy

import (
	"fmt"

	"sluice/control"
)

// Brief is the rollout as a status shows it.
func (h Held) Brief() *control.RolloutStatus {
	out := &control.RolloutStatus{
		ID: h.ID, Status: string(h.Status), Why: h.Why, Pool: h.Pool, Release: h.Release, Of: len(h.Backends), By: h.Cause.By, Who: h.Holder.Who,
		Alive: h.Alive, Seen: h.Holder.Seen, Began: h.Began, Ended: h.Ended, Outcome: h.Outcome(), Next: h.advice(),
	}
	end := Ended
	if h.Reverting {
		end = Back
	}
	for _, m := range h.Backends {
		switch {
		case m.Step == end:
			out.Finished++
		case m.Step.active() && !h.Status.Over():
			out.Steps = append(out.Steps, control.RolloutStep{Backend: m.Address, Step: string(m.Step), Since: m.Since})
		}
	}
	return out
}

// advice says how to go on with a rollout that nobody is at work on.
func (h Held) advice() string {
	switch {
	case h.Status.Over():
		return ""
	case h.Status == Stopped:
		return h.ways()
	case !h.Alive:
		return "its command is gone: " + h.ways()
	}
	return ""
}

// ways are those out of a rollout that does not go on by itself.
func (r Rollout) ways() string {
	return fmt.Sprintf("go on with `sluice rollout %s --resume %s --exec CMD`, or give it up with `sluice rollout %s --abort %s`", r.Service, r.ID, r.Service, r.ID)
}
