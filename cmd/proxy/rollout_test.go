package main

import (
	"encoding/json"
	"strings"
	"testing"

	"sluice/deploy"
)

// TestRolloutByCommand: the pool has one backend, and the command changes nothing; what is told of it is what counts.
func TestRolloutByCommand(t *testing.T) {
	h := newHouse(t)
	rows := []struct {
		args string
		code int
		says []string // in out and err together
	}{
		{"rollout web --show", 1, []string{"was never rolled", "next:"}},
		{"rollout shop --show", 1, []string{`no service "shop"`}},
		{"rollout shop --exec true", 1, []string{`no service "shop"`}},
		{"rollout web --exec true", 1, []string{"is the only backend of blue", "--min-available 0"}},
		{"rollout web --exec true --min-available most", 1, []string{`cannot be "most"`}},
		{"rollout web --exec true --min-available 0 --lease 1ms", 1, []string{"1s to 1h"}},
		{"rollout web --exec true --resume r0", 1, []string{"was never rolled"}},
		{"rollout web --exec true --abort r0", 1, []string{"was never rolled"}},
		{"rollout web --exec true --min-available 0 --release v1 --note again --max-cut 0", 0, []string{"done (release v1)", "is done in"}},
		{"history web", 0, []string{"begins: 1 of blue to v1", "ready → done", "alice", "again"}},
		{"rollout web --show", 0, []string{"is done in", h.blue}},
		{"rollout web --exec false --min-available 0", 1, []string{"the command failed: exit status 1", "--resume r", "--exec 'false'"}},
		{"status web", 0, []string{"decided drain"}},
		{"rollout web --exec true --min-available 0 --timeout 5s --release v9", 1, []string{"reports v1, v9 is expected"}},
		{"rollout web --exec true --min-available 0", 0, []string{"is done in"}},
		{"rollout web --exec sleep${IFS}9 --min-available 0 --timeout 50ms", 1, []string{"did not end within 50ms"}},
	}
	for _, row := range rows {
		got := h.run(row.args)
		if got.code != row.code {
			t.Errorf("%s: exit %d, want %d\n%s%s", row.args, got.code, row.code, got.out, got.err)
		}
		for _, says := range row.says {
			if !strings.Contains(got.out+got.err, says) {
				t.Errorf("%s: no %q in\n%s%s", row.args, says, got.out, got.err)
			}
		}
	}
}

// TestRolloutInJSON: standard output holds a line of JSON for each step, and the record in the last one.
func TestRolloutInJSON(t *testing.T) {
	h := newHouse(t)
	got := h.run("rollout web --exec true --min-available 0 --json")
	var steps []string
	var last rolloutLine
	for _, text := range strings.Split(strings.TrimSpace(got.out), "\n") {
		last = rolloutLine{}
		if err := json.Unmarshal([]byte(text), &last); err != nil || last.ID == "" || last.Time.IsZero() {
			t.Fatalf("%s: %v", text, err)
		}
		steps = append(steps, string(last.Step))
	}
	if got.code != 0 || strings.Join(steps, " ") != " drain exec ready done " || last.Rollout == nil || last.Rollout.Status != deploy.Done {
		t.Errorf("exit %d: %q\n%s%s", got.code, steps, got.out, got.err)
	}
	if got := h.run("rollout web --exec true --json"); got.code != 1 || !strings.Contains(got.out, `"hint"`) {
		t.Errorf("a refusal: exit %d\n%s%s", got.code, got.out, got.err)
	}
}
