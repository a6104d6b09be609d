package main

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"sluice/admin"
	"sluice/control"
	"sluice/judge"
)

func aBake(state control.BakeState, why string) *control.BakeStatus {
	b := &control.BakeStatus{
		ID: "2", Service: "web", State: state, From: "blue", FromRelease: "v41", To: "green", Release: "v42", Why: why,
		Began: noon.Add(-19 * time.Second), Ends: noon.Add(41 * time.Second),
		New: judge.Figures{Requests: 1204, Errors: 1, P99: 48}, Old: judge.Figures{Requests: 18022, Errors: 20, P99: 4.5},
	}
	if state != control.Baking {
		ended := noon.Add(-15 * time.Second)
		b.Ended = &ended
	}
	return b
}

func TestBakeText(t *testing.T) {
	fresh, stuck, tripping := aBake(control.Baking, ""), aBake(control.Baking, "9 of 40"), aBake(control.Baking, "")
	fresh.New, fresh.Old, fresh.Release = judge.Figures{}, judge.Figures{}, ""
	stuck.Stuck = "blue is down"
	tripping.New.Resets = 1300
	rows := []struct {
		b    *control.BakeStatus
		want string
	}{
		{aBake(control.Baking, ""), "green v42: 41s left, 1,204 requests, 0.08 % errors (blue 0.1 %), p99 48 ms (4.5 ms)"},
		{fresh, "green: 41s left, 0 requests, - errors (blue -)"},
		{tripping, "green v42: 41s left, 1,204 requests, 0.08 % errors (blue 0.1 %), p99 48 ms (4.5 ms), 1,300 retried"},
		{stuck, "green v42: 41s left, 1,204 requests, 0.08 % errors (blue 0.1 %), p99 48 ms (4.5 ms); worse (9 of 40), and cannot be rolled back: blue is down"},
		{aBake(control.BakePassed, "as good"), "green v42 passed after 4s: as good"},
		{aBake(control.RolledBack, "9 of 40"), "green v42 was worse and rolled back after 4s: 9 of 40"},
		{aBake(control.BakedWorse, "9 of 40"), "green v42 is worse and stays after 4s: 9 of 40"},
		{aBake(control.NotEnough, "3 requests"), "green v42 had not enough traffic for a verdict after 4s: 3 requests"},
		{aBake(control.Superseded, "flip by ci"), "green v42 superseded after 4s: flip by ci"},
	}
	for _, row := range rows {
		if got := bakeText(row.b, noon); got != row.want {
			t.Errorf("%s\nwant %s", got, row.want)
		}
		s := aStatus()
		s.Services[0].Bake = row.b
		var out bytes.Buffer
		statusView{now: noon}.write(&out, s)
		if !strings.Contains(out.String(), "\n  bake      "+row.want+"\n") {
			t.Errorf("status has no %s:\n%s", row.want, out.String())
		}
	}
}

func TestVerdictOfABake(t *testing.T) {
	rows := map[control.BakeState]int{
		control.BakePassed: exitDone, control.NotEnough: exitUnknown, control.Baking: exitUnknown,
		control.RolledBack: exitFailed, control.BakedWorse: exitFailed, control.Superseded: exitFailed,
	}
	for state, want := range rows {
		o := admin.Outcome{Over: state != control.Baking, Receipt: control.Receipt{Done: true, Service: "web", Bake: aBake(state, "because")}}
		code, err := exitDone, verdict(o, true)
		var exit exitError
		if errors.As(err, &exit) {
			code = exit.code
		}
		if code != want || code != 0 && !strings.Contains(err.Error(), "sluice ") && !strings.Contains(err.Error(), "because") {
			t.Errorf("%s: exit code %d, want %d: %v", state, code, want, err)
		}
		if err := verdict(o, false); err != nil {
			t.Errorf("%s: nobody waited: %v", state, err)
		}
	}
}

func TestProgressOfABake(t *testing.T) {
	for _, row := range []struct {
		p    admin.Progress
		want string
	}{
		{admin.Progress{Bake: aBake(control.Baking, "")}, "bake green v42: "},
		{admin.Progress{Inside: 3, Bake: aBake(control.Baking, "")}, "flip: 3 inside"},
	} {
		v := &progressView{cli: &cli{}, verb: "flip", began: time.Now()}
		if got := v.line(row.p); !strings.HasPrefix(got, row.want) || !strings.Contains(got, "bake green v42: ") {
			t.Error(got)
		}
		if lines := v.picture(row.p, noon, 200, 24); len(lines) < 2 || !strings.HasPrefix(lines[1], "bake green v42: 41s left") {
			t.Errorf("%q", lines)
		}
	}
}
