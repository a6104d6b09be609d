package deploy

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"sluice/control"
)

// Control keeps the records, and knows the State.
type Control interface {
	State() control.State
	Record(service string, step control.Record, cause control.Cause) error
}

// Rollouts are the latest rollouts of all services: one of each. All methods may be called concurrently. Errors are a
// *control.Refusal, and then nothing was changed.
type Rollouts struct {
	control Control
	now     func() time.Time
	began   time.Time

	mu   sync.Mutex
	seen map[string]time.Time // when the holder of a rollout was last heard of, by id; not saved
}

// New returns the rollouts that control has saved, and those to come.
func New(c Control, now func() time.Time) *Rollouts {
	return &Rollouts{control: c, now: now, began: now(), seen: map[string]time.Time{}}
}

// kept is a rollout as it is saved: with what its holder has to show.
type kept struct {
	Rollout
	Token string `json:"token"`
}

func decode(doc []byte) (k kept, err error) {
	if len(doc) == 0 {
		return k, nil
	}
	if err := json.Unmarshal(doc, &k); err != nil {
		return k, fmt.Errorf("deploy: the record of the rollout cannot be read: %w", err)
	}
	return k, nil
}

// Held is a rollout and the token that its holder has to show with each report. Whoever resumes it gets another one, so that
// a holder that was only slow cannot go on beside.
type Held struct {
	Rollout
	Token string `json:"token,omitempty"`
	Alive bool   `json:"alive"` // the holder was heard of within its lease
}

// Begin records a new rollout of the service's live pool. It is refused while another one goes on.
func (rs *Rollouts) Begin(service string, o Order, cause control.Cause) (Held, error) {
	id, token := "r"+random(4), random(16)
	cause.Rollout = id
	return rs.change(service, cause, func(s control.State, last kept) (kept, string, error) {
		if err := rs.busy(last.Rollout); err != nil {
			return last, "", err
		}
		r, err := plan(s, service, o, id, rs.now(), cause)
		text := fmt.Sprintf("rollout %s of %s begins: %s", id, service, r.what())
		return kept{r, token}, text, err
	})
}

// what is the plan in a few words.
func (r Rollout) what() string {
	text := fmt.Sprintf("%d of %s", len(r.Backends), r.Pool)
	if r.Release != "" {
		text += " to " + r.Release
	}
	return fmt.Sprintf("%s, %d at a time, %d left at least", text, r.Batch, r.MinAvailable)
}

// busy refuses to begin beside a rollout that is not over and not stopped, be its holder alive or not: only a person knows
// what it was in the middle of.
func (rs *Rollouts) busy(r Rollout) error {
	if r.ID == "" || r.Status.Over() || r.Status == Stopped {
		return nil
	}
	heard := rs.now().Sub(rs.lastSeen(r)).Round(time.Second)
	what := fmt.Sprintf("rollout %s of %s goes on since %s, by %s (%s, heard of %s ago)", r.ID, r.Service, r.Began.UTC().Format(time.DateTime+" UTC"), r.Cause.By, r.Holder.Who, heard)
	hint := fmt.Sprintf("wait for its end: `sluice rollout %s --show`", r.Service)
	if !rs.alive(r) {
		hint = "its command is gone: " + r.ways()
	}
	return &control.Refusal{Kind: "conflict", What: what, Hint: hint}
}

// Report takes a report of the holder, and is a sign of its life.
func (rs *Rollouts) Report(service, id, token string, rep Report, cause control.Cause) (Held, error) {
	cause.Rollout = id
	var same error = errSame
	held, err := rs.change(service, cause, func(_ control.State, last kept) (kept, string, error) {
		if err := last.holds(service, id, token); err != nil {
			return last, "", err
		}
		if last.has(rep) {
			return last, "", same
		}
		next, err := last.Take(rep, rs.now())
		if err != nil {
			return last, "", err
		}
		return kept{next, token}, next.line(last.Rollout, rep), nil
	})
	if err == same {
		held, err = rs.Find(service, id)
	}
	if err == nil {
		rs.see(id)
	}
	return held, err
}

// has reports that the record has the report already: the answer to it may have been lost, that to the last one too.
func (r Rollout) has(rep Report) bool {
	if rep.Backend == "" {
		return r.Status == Stopped && r.Why == rep.Why
	}
	return step(r, rep.Backend) == rep.To
}

// errSame ends a change that has nothing to write.
var errSame = fmt.Errorf("deploy: reported before")

func step(r Rollout, backend string) Step {
	for _, m := range r.Backends {
		if m.Address == backend {
			return m.Step
		}
	}
	return ""
}

// line is what the history says of a report.
func (r Rollout) line(last Rollout, rep Report) string {
	text := fmt.Sprintf("rollout %s: to stop: %s", r.ID, rep.Why)
	if rep.Backend != "" {
		text = fmt.Sprintf("rollout %s: %s %s → %s", r.ID, rep.Backend, step(last, rep.Backend), step(r, rep.Backend))
		if rep.Why != "" {
			text += " (" + rep.Why + ")"
		}
	}
	if r.Status != last.Status {
		text += "; " + r.Outcome()
	}
	return text
}

// Outcome is the rollout as a whole in one line.
func (r Rollout) Outcome() string {
	finished, cut := r.Sums()
	text := fmt.Sprintf("rollout %s of %s is %s", r.ID, r.Service, r.Status)
	if r.Why != "" {
		text += ": " + r.Why
	}
	if r.Ended != nil {
		text += fmt.Sprintf(" in %s", r.Ended.Sub(r.Began).Round(100*time.Millisecond))
	}
	return fmt.Sprintf("%s; inside %d: %d finished, %d cut", text, finished+cut, finished, cut)
}

// Beat is a sign of the holder's life.
func (rs *Rollouts) Beat(service, id, token string) (Held, error) {
	last, err := decode(rs.control.State().Rollouts[service])
	if err == nil {
		err = last.holds(service, id, token)
	}
	if err != nil {
		return Held{}, err
	}
	rs.see(id)
	return Held{Rollout: last.Rollout}, nil
}

// Resume gives a rollout that stopped, or whose holder has gone silent, to another holder.
func (rs *Rollouts) Resume(service, id, who string, cause control.Cause) (Held, error) {
	token := random(16)
	cause.Rollout = id
	held, err := rs.change(service, cause, func(_ control.State, last kept) (kept, string, error) {
		if err := last.is(service, id); err != nil {
			return last, "", err
		}
		switch {
		case last.Status.Over():
			return last, "", refuse("rollout %s is %s: there is nothing to resume", "begin a new one", id, last.Status)
		case last.Status != Stopped && rs.alive(last.Rollout):
			return last, "", rs.busy(last.Rollout)
		}
		return kept{last.resumed(who, rs.now()), token}, fmt.Sprintf("rollout %s is resumed by %s", id, who), nil
	})
	if err == nil {
		rs.see(id)
	}
	return held, err
}

// Abort gives a rollout up. Each backend stays as it is.
func (rs *Rollouts) Abort(service, id string, cause control.Cause) (Held, error) {
	cause.Rollout = id
	return rs.change(service, cause, func(_ control.State, last kept) (kept, string, error) {
		if err := last.is(service, id); err != nil {
			return last, "", err
		}
		if last.Status.Over() {
			return last, "", refuse("rollout %s is %s already", "begin a new one", id, last.Status)
		}
		at := rs.now()
		next := kept{Rollout: last.Rollout}
		next.Status, next.Why, next.Ended = Aborted, "given up by "+cause.By, &at
		return next, next.Outcome(), nil
	})
}

// Find returns the latest rollout of the service; id may be empty.
func (rs *Rollouts) Find(service, id string) (Held, error) {
	last, err := decode(rs.control.State().Rollouts[service])
	if err == nil && (id != "" || last.ID == "") {
		err = last.is(service, id)
	}
	return rs.shown(last.Rollout), err
}

func (rs *Rollouts) shown(r Rollout) Held {
	r.Holder.Seen = rs.lastSeen(r)
	return Held{Rollout: r, Alive: rs.alive(r)}
}

// change records the next one. Its answer has the token of the new holder, where there is one.
func (rs *Rollouts) change(service string, cause control.Cause, do func(control.State, kept) (kept, string, error)) (Held, error) {
	var next kept
	var before string
	err := rs.control.Record(service, func(s control.State, doc []byte) ([]byte, string, error) {
		last, err := decode(doc)
		if err != nil {
			return nil, "", err
		}
		before = last.Token
		var text string
		if next, text, err = do(s, last); err != nil {
			return nil, "", err
		}
		doc, err = json.Marshal(next)
		return doc, text, err
	}, cause)
	if err != nil {
		return Held{}, err
	}
	held := rs.shown(next.Rollout)
	if next.Token != before {
		held.Token = next.Token
	}
	return held, nil
}

func (k kept) is(service, id string) error {
	if k.ID == "" {
		return &control.Refusal{Kind: "unknown", What: service + " was never rolled", Hint: "begin with `sluice rollout " + service + " --exec CMD`"}
	}
	if k.ID != id {
		return &control.Refusal{
			Kind: "unknown",
			What: fmt.Sprintf("the latest rollout of %s is %s, not %s", service, k.ID, id),
			Hint: "look at it with `sluice rollout " + service + " --show`; earlier ones are in `sluice history " + service + "`",
		}
	}
	return nil
}

func (k kept) holds(service, id, token string) error {
	if err := k.is(service, id); err != nil {
		return err
	}
	if subtle.ConstantTimeCompare([]byte(k.Token), []byte(token)) != 1 {
		return refuse("rollout %s is in other hands: %s since %s", "leave it to them; this one must not go on", id, k.Holder.Who, k.Holder.Since.UTC().Format(time.DateTime+" UTC"))
	}
	return nil
}

// alive reports that the holder was heard of within its lease. After a start of Sluice each holder has a lease again.
func (rs *Rollouts) alive(r Rollout) bool {
	return rs.now().Sub(rs.lastSeen(r)) < r.Lease
}

func (rs *Rollouts) lastSeen(r Rollout) time.Time {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	for _, at := range []time.Time{rs.seen[r.ID], rs.began} {
		if at.After(r.Holder.Seen) {
			return at
		}
	}
	return r.Holder.Seen
}

// see forgets all others that have gone: there is one for each service.
func (rs *Rollouts) see(id string) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	rs.seen[id] = rs.now()
	for other, at := range rs.seen {
		if rs.now().Sub(at) > longestLease {
			delete(rs.seen, other)
		}
	}
}

func random(n int) string {
	b := make([]byte, n)
	rand.Read(b) // never fails
	return hex.EncodeToString(b)
}
