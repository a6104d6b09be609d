package deploy

import (
	"strings"
	"testing"
	"time"

	"sluice/control"
)

// TestBrief: what a status says of a rollout at each turn, and how to go on where somebody has to.
func TestBrief(t *testing.T) {
	f, now := newFake(3), at
	rs := New(f, func() time.Time { return now })
	held, err := rs.Begin("web", Order{Release: "v2", Who: "one"}, control.Cause{By: "ann"})
	if err != nil {
		t.Fatal(err)
	}
	look := func(why, status string, finished, steps int, next string) {
		t.Helper()
		found, err := rs.Find("web", "")
		if err != nil {
			t.Fatal(err)
		}
		b := found.Brief()
		if b.Status != status || b.Finished != finished || len(b.Steps) != steps || b.Of != 3 || b.By != "ann" || (next == "") != (b.Next == "") || !strings.HasPrefix(b.Next, next) {
			t.Errorf("%s: %+v", why, b)
		}
	}
	report := func(backend string, to Step, why string) {
		t.Helper()
		if _, err := rs.Report("web", held.ID, held.Token, Report{Backend: backend, To: to, Why: why}, control.Cause{}); err != nil {
			t.Fatal(err)
		}
	}
	look("begun", "running", 0, 0, "")
	for _, step := range []Step{Drain, Exec, Ready, Ended} {
		report("10.0.0.1:80", step, "")
	}
	report("10.0.0.2:80", Drain, "")
	look("the second is drained", "running", 1, 1, "")
	now = now.Add(time.Hour)
	look("its command is gone", "running", 1, 1, "its command is gone: go on with `sluice rollout web --resume "+held.ID)
	report("10.0.0.2:80", Failed, "it broke")
	look("failed", "stopped", 1, 0, "go on with `sluice rollout web --resume "+held.ID+" --exec CMD`, or give it up with `sluice rollout web --abort "+held.ID)
	if _, err := rs.Abort("web", held.ID, control.Cause{By: "ann"}); err != nil {
		t.Fatal(err)
	}
	look("given up", "aborted", 1, 0, "")
}
