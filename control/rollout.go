package control

import (
	"encoding/json"
	"maps"
	"time"
)

// Record is a step of what is kept beside the State about a service: it gets the State and what was recorded of the service
// last, and returns what is to stand in its place and the line about it for the history. It is pure, and may refuse.
type Record func(s State, last []byte) (next []byte, text string, err error)

// Record keeps the record of a service, saved with the line about it as one. It is no change of the State as others see it:
// the generation stays, so that a script's If-Match is not broken by a rollout's bookkeeping, and nothing is built anew.
func (c *Controller) Record(service string, step Record, cause Cause) error {
	cause = cause.whole("rollout")
	e, err := c.record(service, step, cause)
	if err != nil {
		return err
	}
	c.tell(Event{Time: e.Time, Kind: "rollout", Service: service, Text: e.Text, Cause: &cause, Generation: e.Generation})
	return nil
}

func (c *Controller) record(service string, step Record, cause Cause) (Entry, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	was := c.now.Load()
	if err := c.refuses(was); err != nil {
		return Entry{}, err
	}
	if _, err := was.state.find(service, nil); err != nil {
		return Entry{}, err
	}
	doc, text, err := step(was.state, was.state.Rollouts[service])
	if err != nil {
		return Entry{}, err
	}
	next := *was
	next.state.Rollouts = maps.Clone(was.state.Rollouts)
	if next.state.Rollouts == nil {
		next.state.Rollouts = map[string]json.RawMessage{}
	}
	next.state.Rollouts[service] = doc
	e := c.entry("rollout", next.state.Generation, service, cause, text)
	e.ID = cause.Rollout
	if err := c.save(next.state, e); err != nil {
		return Entry{}, err
	}
	c.now.Store(&next)
	return e, nil
}

// RolloutStatus is the latest rollout of a service, in short. It is filled in by those who know what the records mean.
type RolloutStatus struct {
	ID       string        `json:"id"`
	Status   string        `json:"status"` // "running", "reverting", "stopped", "done", "reverted" or "aborted"
	Why      string        `json:"why,omitempty"`
	Pool     string        `json:"pool"`
	Release  string        `json:"release,omitempty"`
	Steps    []RolloutStep `json:"steps,omitempty"` // under way now
	Finished int           `json:"finished"`        // backends that have it behind them
	Of       int           `json:"of"`
	By       string        `json:"by"`            // who asked for it
	Who      string        `json:"who,omitempty"` // the command at work on it
	Alive    bool          `json:"alive"`         // and whether that was heard of lately
	Seen     time.Time     `json:"seen"`
	Began    time.Time     `json:"began"`
	Ended    *time.Time    `json:"ended,omitempty"`
	Outcome  string        `json:"outcome"`        // all of it in one line
	Next     string        `json:"next,omitempty"` // how to go on, where somebody has to
}

// RolloutStep is a step that is under way with one backend.
type RolloutStep struct {
	Backend string    `json:"backend"`
	Step    string    `json:"step"`
	Since   time.Time `json:"since"`
}

// Holds says whether new requests of the service wait while the operator has taken each backend out.
func (svc *Service) Holds() bool { return svc.File.Hold.On }

// MayExpect refuses a release that the file does not expect of the pool.
func (svc *Service) MayExpect(pool, release string) error { return svc.mayExpect(pool, release) }
