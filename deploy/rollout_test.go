package deploy

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"sluice/config"
	"sluice/control"
	"sluice/healthcheck"
)

var at = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

// word is a rollout in a line: "running: a drain, b waiting".
func (r Rollout) word() string {
	var all []string
	for _, m := range r.Backends {
		text := m.Address + " " + string(m.Step)
		if m.Revert {
			text += "!"
		}
		all = append(all, text)
	}
	return string(r.Status) + ": " + strings.Join(all, ", ")
}

func (r Rollout) next() string {
	var all []string
	for _, t := range r.Next() {
		all = append(all, r.Backends[t.Member].Address+" "+string(t.Step))
	}
	return strings.Join(all, ", ")
}

// TestSteps plays reports, and looks at the record and at what is next after each. "resume" takes it over.
func TestSteps(t *testing.T) {
	type line struct{ report, word, next string }
	rows := []struct {
		name      string
		batch     int
		onFailure string
		lines     []line
	}{
		{"one after the other", 1, "stop", []line{
			{"a drain", "running: a drain, b waiting, c waiting", "a drain"},
			{"b drain", "a batch of one: refused", ""},
			{"a exec", "running: a exec, b waiting, c waiting", "a exec"},
			{"a exec", "running: a exec, b waiting, c waiting", "a exec"}, // told twice
			{"a done", "it skips ready: refused", ""},
			{"a ready", "running: a ready, b waiting, c waiting", "a ready"},
			{"a reverted", "it is no revert: refused", ""},
			{"a done", "running: a done, b waiting, c waiting", "b drain"},
			{"a drain", "it is done: refused", ""},
			{"c drain", "out of order: refused", ""},
			{"b drain", "running: a done, b drain, c waiting", "b drain"},
			{"b exec", "running: a done, b exec, c waiting", "b exec"},
			{"b ready", "running: a done, b ready, c waiting", "b ready"},
			{"b done", "running: a done, b done, c waiting", "c drain"},
			{"c drain", "running: a done, b done, c drain", "c drain"},
			{"c exec", "running: a done, b done, c exec", "c exec"},
			{"c ready", "running: a done, b done, c ready", "c ready"},
			{"c done", "done: a done, b done, c done", ""},
			{"c drain", "over: refused", ""},
		}},
		{"a failure stops, and a resume tries again", 1, "stop", []line{
			{"a drain", "running: a drain, b waiting, c waiting", "a drain"},
			{"a exec", "running: a exec, b waiting, c waiting", "a exec"},
			{"a failed", "stopped: a failed, b waiting, c waiting", ""},
			{"a drain", "nobody holds it: refused", ""},
			{"resume", "running: a drain, b waiting, c waiting", "a drain"},
			{"a exec", "running: a exec, b waiting, c waiting", "a exec"},
			{"resume", "running: a drain, b waiting, c waiting", "a drain"}, // whether the command ran is not known
			{"a exec", "running: a exec, b waiting, c waiting", "a exec"},
			{"a ready", "running: a ready, b waiting, c waiting", "a ready"},
			{"resume", "running: a ready, b waiting, c waiting", "a ready"},
			{"a done", "running: a done, b waiting, c waiting", "b drain"},
		}},
		{"a drain is undone, and that stops", 1, "revert", []line{
			{"a drain", "running: a drain, b waiting, c waiting", "a drain"},
			{"a waiting", "stopped: a waiting, b waiting, c waiting", ""},
			{"resume", "running: a waiting, b waiting, c waiting", "a drain"},
		}},
		{"a batch goes on beside a failure", 2, "stop", []line{
			{"a drain", "running: a drain, b waiting, c waiting", "a drain"},
			{"b drain", "running: a drain, b drain, c waiting", "a drain, b drain"},
			{"c drain", "the batch is full: refused", ""},
			{"a exec", "running: a exec, b drain, c waiting", "a exec, b drain"},
			{"b exec", "running: a exec, b exec, c waiting", "a exec, b exec"},
			{"b failed", "running: a exec, b failed, c waiting", "a exec"},
			{"c drain", "not in the middle of a batch: refused", ""},
			{"a ready", "running: a ready, b failed, c waiting", "a ready"},
			{"a done", "stopped: a done, b failed, c waiting", ""},
		}},
		{"a stop that is asked for ends the step first", 1, "stop", []line{
			{"a drain", "running: a drain, b waiting, c waiting", "a drain"},
			{"stop", "running: a drain, b waiting, c waiting", "a drain"},
			{"a exec", "running: a exec, b waiting, c waiting", "a exec"},
			{"a ready", "running: a ready, b waiting, c waiting", "a ready"},
			{"a done", "stopped: a done, b waiting, c waiting", ""},
		}},
		{"a failure reverts: what failed first, then backwards", 1, "revert", []line{
			{"a drain", "running: a drain, b waiting, c waiting", "a drain"},
			{"a exec", "running: a exec, b waiting, c waiting", "a exec"},
			{"a ready", "running: a ready, b waiting, c waiting", "a ready"},
			{"a done", "running: a done, b waiting, c waiting", "b drain"},
			{"b drain", "running: a done, b drain, c waiting", "b drain"},
			{"b exec", "running: a done, b exec, c waiting", "b exec"},
			{"b failed", "reverting: a done, b failed, c waiting", "b drain"},
			{"b drain", "reverting: a done, b drain!, c waiting", "b drain"},
			{"b exec", "reverting: a done, b exec!, c waiting", "b exec"},
			{"b failed", "stopped: a done, b failed!, c waiting", ""},
			{"resume", "reverting: a done, b drain!, c waiting", "b drain"},
			{"b exec", "reverting: a done, b exec!, c waiting", "b exec"},
			{"b ready", "reverting: a done, b ready!, c waiting", "b ready"},
			{"b done", "it is a revert: refused", ""},
			{"b reverted", "reverting: a done, b reverted!, c waiting", "a drain"},
			{"a drain", "reverting: a drain!, b reverted!, c waiting", "a drain"},
			{"a waiting", "stopped: a done, b reverted!, c waiting", ""},
			{"resume", "reverting: a done, b reverted!, c waiting", "a drain"},
			{"a drain", "reverting: a drain!, b reverted!, c waiting", "a drain"},
			{"a exec", "reverting: a exec!, b reverted!, c waiting", "a exec"},
			{"a ready", "reverting: a ready!, b reverted!, c waiting", "a ready"},
			{"a reverted", "reverted: a reverted!, b reverted!, c waiting", ""},
		}},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			r := Rollout{ID: "r1", Service: "web", Status: Running, Batch: row.batch, OnFailure: row.onFailure}
			for _, a := range []string{"a", "b", "c"} {
				r.Backends = append(r.Backends, Member{Address: a, Former: "v1", Step: Waiting})
			}
			for _, l := range row.lines {
				next, err := r.play(l.report)
				if strings.HasSuffix(l.word, "refused") {
					var refusal *control.Refusal
					if !errors.As(err, &refusal) || next.word() != r.word() {
						t.Fatalf("%s after %s: %v, want it refused: %s", l.report, r.word(), err, l.word)
					}
					continue
				}
				if err != nil || next.word() != l.word || next.next() != l.next {
					t.Fatalf("%s after %s:\ngot  %s; next %s (%v)\nwant %s; next %s", l.report, r.word(), next.word(), next.next(), err, l.word, l.next)
				}
				r = next
			}
		})
	}
}

func (r Rollout) play(report string) (Rollout, error) {
	switch report {
	case "resume":
		return r.resumed("somebody", at), nil
	case "stop":
		return r.Take(Report{Why: "interrupted"}, at)
	}
	backend, to, _ := strings.Cut(report, " ")
	rep := Report{Backend: backend, To: Step(to)}
	if rep.To == Failed || rep.To == Waiting {
		rep.Why = "it broke"
	}
	return r.Take(rep, at)
}

// fake is control with a memory of its own.
type fake struct {
	state control.State
	lines []string
	full  error
}

func (f *fake) State() control.State { return f.state }

func (f *fake) Record(service string, step control.Record, _ control.Cause) error {
	doc, text, err := step(f.state, f.state.Rollouts[service])
	if err == nil {
		err = f.full
	}
	if err != nil {
		return err
	}
	f.state.Rollouts = map[string]json.RawMessage{service: doc}
	f.lines = append(f.lines, text)
	return nil
}

// newFake is a service of so many backends, which are all up.
func newFake(n int) *fake {
	svc := &control.Service{Name: "web", Live: "main", File: &config.Service{Name: "web", Hold: config.Hold{}}}
	p := &control.Pool{Name: "main", File: &config.Pool{Name: "main"}}
	for i := range n {
		p.Backends = append(p.Backends, &control.Backend{
			Key: control.Key{Service: "web", Pool: "main", Backend: fmt.Sprintf("10.0.0.%d:80", i+1)}, Admin: control.Ready, Weight: 1,
			Health: healthcheck.Verdict{State: healthcheck.Up, Release: "v1"},
		})
	}
	svc.Pools = []*control.Pool{p}
	return &fake{state: control.State{Services: map[string]*control.Service{"web": svc}, Order: []string{"web"}}}
}

func (f *fake) backend(i int) *control.Backend { return f.state.Services["web"].Pools[0].Backends[i] }

// TestPlan: what is rolled, in which order, and how many are left.
func TestPlan(t *testing.T) {
	rows := []struct {
		name  string
		n     int
		order Order
		with  func(*fake)
		want  string // "MIN: ADDRESSES", or what the refusal says
	}{
		{"all but one", 3, Order{}, nil, "2: 1 2 3"},
		{"all but a batch", 5, Order{Batch: 2}, nil, "3: 1 2 3 4 5"},
		{"never the last", 1, Order{}, nil, "is the only backend"},
		{"the last, where requests wait", 1, Order{}, func(f *fake) { f.state.Services["web"].File.Hold.On = true }, "0: 1"},
		{"the last, when told so", 1, Order{MinAvailable: "0"}, nil, "0: 1"},
		{"all at once", 2, Order{Batch: 2}, nil, "there would be 0 of 2 in main"},
		{"a share is rounded up", 3, Order{MinAvailable: "50%"}, nil, "2: 1 2 3"},
		{"a share of a whole", 4, Order{MinAvailable: "50%"}, nil, "2: 1 2 3 4"},
		{"more than can be", 3, Order{MinAvailable: "3"}, nil, "at least 3 must be left"},
		{"not a number", 3, Order{MinAvailable: "most"}, nil, `cannot be "most"`},
		{"not a share", 3, Order{MinAvailable: "NaN%"}, nil, `cannot be "NaN%"`},
		{"not a policy", 3, Order{OnFailure: "panic"}, nil, `cannot be "panic"`},
		{"those that are down first", 3, Order{}, func(f *fake) { f.backend(2).Health.State = healthcheck.Down }, "2: 3 1 2"},
		{"those of an earlier rollout first", 3, Order{}, func(f *fake) {
			f.backend(1).Admin, f.backend(1).Decided = control.Drain, &control.Decision{Cause: control.Cause{Rollout: "r0"}}
		}, "2: 2 1 3"},
		{"an operator's are left out", 3, Order{}, func(f *fake) {
			f.backend(0).Admin, f.backend(0).Decided = control.Drain, &control.Decision{}
			f.backend(1).Admin = control.Maint
		}, "is the only backend"},
		{"a folder", 1, Order{}, func(f *fake) { f.state.Services["web"].Pools[0].File.Root = "/www" }, "main is a folder"},
		{"nothing is known to revert to", 2, Order{OnFailure: "revert"}, func(f *fake) { f.backend(1).Health.Release = "" }, "nothing to revert to"},
		{"but for a command that knows", 2, Order{OnFailure: "revert", Reverts: true}, func(f *fake) { f.backend(1).Health.Release = "" }, "1: 1 2"},
		{"the file says another release", 2, Order{Release: "v2"}, func(f *fake) {
			f.state.Services["web"].File.Pools = []config.Pool{{Name: "main", Release: "v1"}}
		}, "the file expects release v1"},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			f := newFake(row.n)
			if row.with != nil {
				row.with(f)
			}
			held, err := New(f, func() time.Time { return at }).Begin("web", row.order, control.Cause{By: "ann"})
			got := fmt.Sprint(err)
			if err == nil {
				got = fmt.Sprintf("%d:", held.MinAvailable)
				for _, m := range held.Backends {
					got += " " + strings.TrimSuffix(strings.TrimPrefix(m.Address, "10.0.0."), ":80")
				}
			}
			if got != row.want && (err == nil || !strings.Contains(got, row.want)) {
				t.Errorf("got %s, want %s", got, row.want)
			}
			if err != nil && len(f.lines) > 0 {
				t.Error("a refusal was recorded")
			}
		})
	}
}

// TestOneHolder: a rollout has one holder, by a lease, and whoever lost it cannot go on.
func TestOneHolder(t *testing.T) {
	f, now := newFake(3), at
	rs := New(f, func() time.Time { return now })
	first, err := rs.Begin("web", Order{Release: "v2", Who: "one"}, control.Cause{By: "ann"})
	if err != nil || first.Token == "" || first.Cause.Rollout != first.ID {
		t.Fatalf("%+v %v", first, err)
	}
	refused := func(what string, err error, says string) {
		t.Helper()
		var r *control.Refusal
		if !errors.As(err, &r) || !strings.Contains(r.What+"; "+r.Hint, says) {
			t.Errorf("%s: %v, want %q", what, err, says)
		}
	}
	_, err = rs.Begin("web", Order{}, control.Cause{By: "bob"})
	refused("a second one", err, "goes on since 2026-01-02 12:00:00 UTC, by ann (one")
	now = now.Add(9 * time.Second)
	if _, err := rs.Beat("web", first.ID, first.Token); err != nil {
		t.Fatal(err)
	}
	now = now.Add(9 * time.Second)
	_, err = rs.Resume("web", first.ID, "two", control.Cause{})
	refused("a resume beside a holder that lives", err, "wait for its end")
	now = now.Add(time.Second)
	_, err = rs.Begin("web", Order{}, control.Cause{By: "bob"})
	refused("a second one after it went silent", err, "its command is gone")

	rs = New(f, func() time.Time { return now }) // Sluice starts anew: the holder has its lease again
	_, err = rs.Resume("web", first.ID, "two", control.Cause{})
	refused("a resume right after a start", err, "wait for its end")
	now = now.Add(10 * time.Second)
	second, err := rs.Resume("web", first.ID, "two", control.Cause{})
	if err != nil || second.Token == first.Token {
		t.Fatalf("%+v %v", second, err)
	}
	_, err = rs.Report("web", first.ID, first.Token, Report{Backend: "10.0.0.1:80", To: Drain}, control.Cause{})
	refused("a report of the first holder", err, "in other hands: two")
	_, err = rs.Beat("web", first.ID, first.Token)
	refused("a sign of life of the first holder", err, "in other hands: two")

	lines := len(f.lines)
	for range 2 {
		if _, err := rs.Report("web", first.ID, second.Token, Report{Backend: "10.0.0.1:80", To: Drain}, control.Cause{}); err != nil {
			t.Fatal(err)
		}
	}
	if len(f.lines) != lines+1 {
		t.Errorf("a report that came twice is recorded twice: %q", f.lines[lines:])
	}
	f.full = errors.New("no room")
	if _, err := rs.Report("web", first.ID, second.Token, Report{Backend: "10.0.0.1:80", To: Exec}, control.Cause{}); err == nil {
		t.Error("a report that could not be saved was taken")
	}
	f.full = nil
	if held, err := rs.Find("web", ""); err != nil || held.Backends[0].Step != Drain || held.Token != "" {
		t.Errorf("%+v %v", held, err)
	}
	_, err = rs.Find("web", "r0")
	refused("another id", err, "the latest rollout of web is")
	if held, err := rs.Abort("web", first.ID, control.Cause{By: "ann"}); err != nil || held.Status != Aborted {
		t.Errorf("%+v %v", held, err)
	}
	_, err = rs.Report("web", first.ID, second.Token, Report{Backend: "10.0.0.1:80", To: Exec}, control.Cause{})
	refused("a report after the abort", err, "in other hands")
	if _, err := rs.Begin("web", Order{}, control.Cause{By: "bob"}); err != nil {
		t.Errorf("a new one after the abort: %v", err)
	}
}

// TestLastReportsMayComeTwice: whoever got no answer to the report that ends a rollout, or stops it, asks again.
func TestLastReportsMayComeTwice(t *testing.T) {
	rows := []struct {
		name    string
		reports []Report
		status  Status
	}{
		{"done", []Report{{Backend: "10.0.0.1:80", To: Drain}, {Backend: "10.0.0.1:80", To: Exec}, {Backend: "10.0.0.1:80", To: Ready}, {Backend: "10.0.0.1:80", To: Ended}}, Done},
		{"failed", []Report{{Backend: "10.0.0.1:80", To: Drain}, {Backend: "10.0.0.1:80", To: Failed, Why: "it broke"}}, Stopped},
		{"told to stop", []Report{{Why: "interrupted"}}, Stopped},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			f := newFake(1)
			rs := New(f, func() time.Time { return at })
			r, err := rs.Begin("web", Order{MinAvailable: "0"}, control.Cause{})
			if err != nil {
				t.Fatal(err)
			}
			for _, rep := range row.reports {
				var lines int
				for twice := range 2 {
					held, err := rs.Report("web", r.ID, r.Token, rep, control.Cause{})
					if err != nil {
						t.Fatalf("%+v, time %d: %v", rep, twice+1, err)
					}
					if r.Status = held.Status; twice == 1 && len(f.lines) != lines {
						t.Errorf("%+v is recorded twice", rep)
					}
					lines = len(f.lines)
				}
			}
			if r.Status != row.status {
				t.Errorf("in the end it is %s", r.Status)
			}
		})
	}
}
