package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"sluice/admin"
	"sluice/control"
)

func TestRollbackView(t *testing.T) {
	at := func(d time.Duration) *time.Time { end := noon.Add(d); return &end }
	for want, r := range map[string]control.RollbackStatus{
		"READY → v41 (blue), 2/2 healthy, schema ok":                              {State: "ready", Ready: true, Pool: "blue", Release: "v41", Why: "2/2 healthy, schema ok"},
		"READY → v41 (blue), 2/2 healthy, schema ok, expires in 29m":              {State: "ready", Ready: true, Pool: "blue", Release: "v41", Why: "2/2 healthy, schema ok", Expires: at(29*time.Minute + 59*time.Second)},
		"READY → blue, 2/2 healthy, expires in 9s; with its max_body, path":       {State: "ready", Ready: true, Pool: "blue", Why: "2/2 healthy", Expires: at(9 * time.Second), Options: []string{"max_body", "path"}},
		"READY → blue, 2/2 healthy; the options could not come back":              {State: "ready", Ready: true, Pool: "blue", Why: "2/2 healthy", Missing: "the options could not come back"},
		"EXPIRED → v41 (blue), 2/2 healthy, since 3h: its servers may be stopped": {State: "expired", Pool: "blue", Release: "v41", Why: "2/2 healthy", Expires: at(-3 * time.Hour)},
		"NOT READY to blue (release v41): a:1 is down":                            {State: "not_ready", Pool: "blue", Release: "v41", Why: "a:1 is down", Expires: at(-time.Hour)},
		"NOT READY to blue: blue is of a retired release":                         {Pool: "blue", Why: "blue is of a retired release"},
	} {
		if got := (statusView{now: noon}).rollback(r); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestRolloutInStatus(t *testing.T) {
	ended := noon.Add(-3 * time.Minute)
	under := control.RolloutStatus{
		ID: "r12ab", Status: "running", Of: 3, Finished: 1, By: "ann", Who: "ci@host", Alive: true, Seen: noon.Add(-2 * time.Second), Began: noon.Add(-time.Minute),
		Steps: []control.RolloutStep{{Backend: "10.0.0.2:3000", Step: "exec", Since: noon.Add(-12 * time.Second)}},
	}
	stopped := under
	stopped.Status, stopped.Steps, stopped.Why, stopped.Next = "stopped", nil, "10.0.0.2:3000: it \x1bbroke", "go on with `sluice rollout web --resume r12ab --exec CMD`"
	over := control.RolloutStatus{Outcome: "rollout r12ab of web is done in 12s; inside 4: 4 finished, 0 cut", Ended: &ended}
	for want, r := range map[string]*control.RolloutStatus{
		"": nil,
		"  rollout   rollout r12ab of web is done in 12s; inside 4: 4 finished, 0 cut, 3m00s ago\n":                      &over,
		"  rollout   r12ab running since 1m00s by ann (ci@host, heard of 2s ago): 1 of 3 done, 10.0.0.2:3000 exec 12s\n": &under,
		"  rollout   r12ab stopped since 1m00s by ann (ci@host, heard of 2s ago): 1 of 3 done; 10.0.0.2:3000: it \\x1bbroke\n" +
			"            go on with `sluice rollout web --resume r12ab --exec CMD`\n": &stopped,
	} {
		var b strings.Builder
		statusView{now: noon}.rollout(&b, r)
		if b.String() != want {
			t.Errorf("%q, want %q", b.String(), want)
		}
	}
}

// TestRollbackIsSaidAtOnce: whoever rolls back in need reads that it is done before the pool left behind is empty.
func TestRollbackIsSaidAtOnce(t *testing.T) {
	const made = "rollback web: green → blue (release v41) switched in 0.8 ms; 3 still inside"
	for _, row := range []struct {
		verb string
		json bool
		want string
	}{
		{"rollback", false, made + "\n"}, {"flip", false, ""},
		{"rollback", true, `{"progress":{"made":"` + made + `","elapsed_ms":0,"inside":3}}` + "\n"},
	} {
		var out bytes.Buffer
		v := &progressView{cli: &cli{err: &out, json: row.json, apart: true}, verb: row.verb, began: time.Now()}
		v.update(admin.Progress{Made: made, Inside: 3})
		v.update(admin.Progress{Inside: 3})
		if out.String() != row.want {
			t.Errorf("%+v: said %q", row, out.String())
		}
	}
	v := &progressView{cli: &cli{err: &bytes.Buffer{}, errTTY: true, getenv: func(string) string { return "1" }}, verb: "rollback", began: time.Now()}
	v.update(admin.Progress{Made: made, Inside: 3})
	if lines := v.picture(admin.Progress{Inside: 2}, time.Now(), 200, 24); lines[0] != made || !strings.HasPrefix(lines[1], "rollback ") {
		t.Errorf("on a terminal: %q", lines)
	}
}
