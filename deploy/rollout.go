// Package deploy is the record of a deployment that goes over several changes: which step of it is under way, what follows,
// and who is at work on it. It is made of pure steps over an immutable record, which control saves. It refuses to know how a
// step is carried out, and who asks for it by which way.
package deploy

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"sluice/control"
)

// Status is how a rollout as a whole stands.
type Status string

const (
	Running   Status = "running"   // bringing the release
	Reverting Status = "reverting" // bringing back the former one, after a failure
	Stopped   Status = "stopped"   // nobody is at work on it; it can be resumed
	Done      Status = "done"
	Reverted  Status = "reverted"
	Aborted   Status = "aborted"
)

// Over reports that nothing more will come of the rollout.
func (s Status) Over() bool { return s == Done || s == Reverted || s == Aborted }

// Step is what is under way with one backend. It is recorded before it begins, so that whoever resumes knows what may have
// happened.
type Step string

const (
	Waiting Step = "waiting"
	Drain   Step = "drain" // no new requests; what is inside finishes
	Exec    Step = "exec"  // the command runs
	Ready   Step = "ready" // waits for the backend to be well and of the release, and then in rotation
	Ended   Step = "done"
	Failed  Step = "failed"   // left in drain
	Back    Step = "reverted" // on the former release again
)

func (s Step) active() bool { return s == Drain || s == Exec || s == Ready }

// Rollout is the record of one rollout. It never changes: Take returns the next one.
type Rollout struct {
	ID           string        `json:"id"`
	Service      string        `json:"service"`
	Pool         string        `json:"pool"`
	Release      string        `json:"release,omitempty"` // that each backend has to report; empty: any
	Status       Status        `json:"status"`
	Why          string        `json:"why,omitempty"` // it is stopped, or being reverted
	Batch        int           `json:"batch"`
	MinAvailable int           `json:"min_available"`
	OnFailure    string        `json:"on_failure"` // "stop" or "revert"
	PauseBetween time.Duration `json:"pause_between_ns,omitempty"`
	Timeout      time.Duration `json:"timeout_ns"` // of the command, and of the wait for a backend to be well
	Lease        time.Duration `json:"lease_ns"`   // how long its holder may be silent
	Began        time.Time     `json:"began"`
	Ended        *time.Time    `json:"ended,omitempty"`
	Cause        control.Cause `json:"cause"`
	Holder       Holder        `json:"holder"`
	Backends     []Member      `json:"backends"` // in the order in which they are rolled
	Skipped      []string      `json:"skipped,omitempty"`
	Reverting    bool          `json:"reverting,omitempty"`
	Stopping     string        `json:"stopping,omitempty"` // why it is to stop once nothing is under way
}

// Holder is who is at work on a rollout.
type Holder struct {
	Who   string    `json:"who"`
	Since time.Time `json:"since"`
	Seen  time.Time `json:"seen"` // when it was last heard of
}

// Member is one backend in a rollout.
type Member struct {
	Address  string    `json:"address"`
	Former   string    `json:"former,omitempty"`  // the release before
	Release  string    `json:"release,omitempty"` // that it reported at the end
	Step     Step      `json:"step"`
	Revert   bool      `json:"revert,omitempty"` // its steps bring back the former release
	Why      string    `json:"why,omitempty"`    // it failed
	Since    time.Time `json:"since"`
	Finished int       `json:"finished"` // requests that were inside when it was drained
	Cut      int       `json:"cut"`
}

// Wants is the release that the backend has to report at the end of its steps.
func (r Rollout) Wants(m Member) string {
	if m.Revert {
		return m.Former
	}
	return r.Release
}

// Task is a step to be carried out next.
type Task struct {
	Member int
	Step   Step
}

// Next says what is to be done now: the steps under way, or the first of the next batch. They may be carried out at the same
// time, and the next ones are known when each of them was reported. There is none when the rollout has stopped or ended.
func (r Rollout) Next() []Task {
	if r.Status != Running && r.Status != Reverting {
		return nil
	}
	var tasks []Task
	for i, m := range r.Backends {
		if m.Step.active() {
			tasks = append(tasks, Task{i, m.Step})
		}
	}
	if len(tasks) > 0 {
		return tasks
	}
	for _, i := range r.begins() {
		tasks = append(tasks, Task{i, Drain})
	}
	return tasks
}

// begins are those whose steps may begin now: the next batch, or what is left of one of which nothing but drains has begun.
func (r Rollout) begins() (all []int) {
	room := r.Batch
	for _, m := range r.Backends {
		switch {
		case m.Step == Exec, m.Step == Ready:
			return nil
		case m.Step == Drain:
			room--
		}
	}
	for _, i := range r.order() {
		if r.due(r.Backends[i]) && len(all) < room && r.Stopping == "" {
			all = append(all, i)
		}
	}
	return all
}

// order is that of the plan, and the reverse of it when reverting; then those that failed come first, as they serve nobody.
func (r Rollout) order() []int {
	var failed, rest []int
	for i, m := range r.Backends {
		if r.Status == Reverting && m.Step == Failed {
			failed = append(failed, i)
		} else {
			rest = append(rest, i)
		}
	}
	if r.Status == Reverting {
		slices.Reverse(rest)
	}
	return append(failed, rest...)
}

// due reports that the steps of a backend are still to begin.
func (r Rollout) due(m Member) bool {
	if r.Status == Reverting {
		return (m.Step == Ended || m.Step == Failed) && !m.Revert
	}
	return m.Step == Waiting
}

// Report is what came of a step, and the step that begins now.
type Report struct {
	Backend  string // its address; empty: the rollout is to stop, for Why
	To       Step
	Why      string // of Failed; of Waiting: why the rollout stops with that
	Release  string // that the backend reports
	Finished int
	Cut      int
}

// follows is which step may come after which. A step may be reported twice: the answer to the first report may be lost.
//
//	waiting → drain → exec → ready → done           with a revert: done, failed → drain → exec → ready → reverted
//	          drain → waiting (undone)              and from each of the three to failed
var follows = map[Step][]Step{
	Waiting: {Drain},
	Drain:   {Exec, Waiting, Failed},
	Exec:    {Ready, Failed},
	Ready:   {Ended, Back, Failed},
	Ended:   {Drain},
	Failed:  {Drain},
}

// Take returns the rollout after a report. A report that does not fit is a *control.Refusal.
func (r Rollout) Take(rep Report, at time.Time) (Rollout, error) {
	if r.Status != Running && r.Status != Reverting {
		return r, refuse("rollout %s is %s: nothing is under way", "look at it with `sluice rollout "+r.Service+" --show`", r.ID, r.Status)
	}
	if rep.Backend == "" {
		r.Stopping = rep.Why
		return r.settle(at), nil
	}
	i := slices.IndexFunc(r.Backends, func(m Member) bool { return m.Address == rep.Backend })
	if i < 0 {
		return r, refuse("rollout %s has no backend %q", "name one that it lists", r.ID, rep.Backend)
	}
	m := r.Backends[i]
	if m.Step == rep.To {
		return r, nil
	}
	if err := r.fits(m, rep.To); err != nil {
		return r, err
	}
	r.Backends = slices.Clone(r.Backends)
	r.Backends[i] = r.moved(m, rep, at)
	if rep.To == Waiting && rep.Why != "" {
		r.Stopping = rep.Why
	}
	return r.settle(at), nil
}

func (r Rollout) fits(m Member, to Step) error {
	ok := slices.Contains(follows[m.Step], to)
	switch to {
	case Drain:
		ok = ok && slices.ContainsFunc(r.begins(), func(i int) bool { return r.Backends[i].Address == m.Address })
	case Ended:
		ok = ok && !m.Revert
	case Back:
		ok = ok && m.Revert
	}
	if !ok {
		return refuse("%s cannot go from %s to %s in rollout %s", "ask the rollout what is next", m.Address, m.Step, to, r.ID)
	}
	return nil
}

func (r Rollout) moved(m Member, rep Report, at time.Time) Member {
	switch rep.To {
	case Drain:
		m.Revert = r.Status == Reverting
	case Waiting:
		if m.Revert { // it still has to be brought back
			rep.To, m.Revert = Ended, false
		}
	}
	m.Step, m.Why, m.Since = rep.To, rep.Why, at
	m.Finished, m.Cut = m.Finished+rep.Finished, m.Cut+rep.Cut
	if rep.Release != "" {
		m.Release = rep.Release
	}
	return m
}

// settle decides what a rollout comes to when nothing is under way in it.
func (r Rollout) settle(at time.Time) Rollout {
	if slices.ContainsFunc(r.Backends, func(m Member) bool { return m.Step.active() }) {
		return r
	}
	failure := r.failure()
	switch {
	case r.Status == Running && failure != "" && r.OnFailure == "revert" && r.Stopping == "":
		r.Status, r.Reverting, r.Why = Reverting, true, failure
	case failure != "":
		r.Status, r.Why = Stopped, failure
	case r.Stopping != "" && slices.ContainsFunc(r.Backends, r.due):
		r.Status, r.Why = Stopped, r.Stopping
	case slices.ContainsFunc(r.Backends, r.due):
	case r.Status == Reverting:
		r.Status, r.Ended = Reverted, &at
	default:
		r.Status, r.Ended = Done, &at
	}
	return r
}

// failure names those that failed at what is being done now.
func (r Rollout) failure() string {
	var all []string
	for _, m := range r.Backends {
		if m.Step == Failed && m.Revert == r.Reverting {
			all = append(all, m.Address+": "+m.Why)
		}
	}
	return strings.Join(all, "; ")
}

// resumed is the rollout with another holder. What failed is begun anew, and so is a command that was under way: whether it
// ran is not known, nor whether its backend is still in drain. To drain twice costs nothing.
func (r Rollout) resumed(who string, at time.Time) Rollout {
	r.Backends = slices.Clone(r.Backends)
	for i, m := range r.Backends {
		if m.Step == Exec || m.Step == Failed && m.Revert == r.Reverting && r.Status == Stopped {
			r.Backends[i].Step, r.Backends[i].Why, r.Backends[i].Since = Drain, "", at
		}
	}
	if r.Status == Stopped {
		r.Status, r.Why = Running, ""
		if r.Reverting {
			r.Status = Reverting
		}
	}
	r.Stopping, r.Holder = "", Holder{Who: who, Since: at, Seen: at}
	return r
}

// Sums are what finished and what was cut in all drains.
func (r Rollout) Sums() (finished, cut int) {
	for _, m := range r.Backends {
		finished, cut = finished+m.Finished, cut+m.Cut
	}
	return finished, cut
}

func refuse(what, hint string, args ...any) error {
	return &control.Refusal{Kind: "conflict", What: fmt.Sprintf(what, args...), Hint: hint}
}
