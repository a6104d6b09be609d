package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"charm.land/lipgloss/v2"

	"sluice/control"
	"sluice/drain"
)

func someHistory() []control.Entry {
	flip := control.Entry{
		Seq: 2, Time: noon, Kind: "change", Generation: 11, Text: "flip web: blue → green (release v2)",
		Cause:   control.Cause{By: "octocat", Peer: "runner", Verb: "flip", Note: "build 4711", Commit: "9f3c2e1aa0b1c2d3e4f5"},
		Outcome: &control.Receipt{Done: true, Drain: &drain.Report{Count: drain.Count{Found: 8, Finished: 7, Cut: 1}, Took: 1200 * time.Millisecond}},
	}
	drained := control.Entry{
		Seq: 4, Time: noon.Add(time.Hour), Kind: "change", Generation: 12, Interrupted: true,
		Text:  "drain web blue/10.0.0.1:3000: ready → drain; that was the last one: web answers 503 until a backend of blue is ready and up",
		Cause: control.Cause{By: "alice@desk", Peer: "alice", Verb: "drain"},
	}
	step := control.Entry{
		Seq: 6, Time: noon.Add(48 * time.Hour), Kind: "rollout", Generation: 12, Text: "rollout r1: 10.0.0.1:3000 waiting → drain",
		Cause: control.Cause{By: "alice@desk", Peer: "alice", Verb: "rollout", Rollout: "r1", Note: "evil \x1b[2Jnote\u202e"},
	}
	next := step
	next.Text = "rollout r1: 10.0.0.1:3000 drain → exec"
	paused := control.Entry{
		Time: noon.Add(49 * time.Hour), Kind: "change", Generation: 13, Text: "pause web: serving → paused for 10s",
		Cause: control.Cause{By: "alice", Peer: "alice"}, Outcome: &control.Receipt{Why: "resumed with 2 inside"},
	}
	start := control.Entry{Time: noon.Add(50 * time.Hour), Kind: "start", Generation: 13, Text: "started with sluice.yaml", Cause: control.Cause{By: "file"}}
	return []control.Entry{flip, drained, step, next, paused, start}
}

const historyAt80 = `Friday 2 January 2026
  12:00:00  11  flip web: blue → green (release v2)   7 finished, 1 cut in 1.2s
                by octocat (runner): build 4711 · commit 9f3c2e1aa0b1
  13:00:00  12  drain web blue/10.0.0.1:3000: ready   not seen: Sluice ended
                → drain; that was the last one: web
                answers 503 until a backend of blue…
                by alice@desk
Sunday 4 January 2026
  12:00:00  12  rollout r1: 10.0.0.1:3000 waiting → drain
                by alice@desk: evil \x1b[2Jnote\u{202e}
  12:00:00  12  rollout r1: 10.0.0.1:3000 drain → exec
  13:00:00  13  pause web: serving → paused for 10s   resumed with 2 inside
                by alice
  14:00:00  13  started with sluice.yaml
`

const historyAt120 = `Friday 2 January 2026
  12:00:00  11  flip web: blue → green (release v2)                         octocat (runner)  7 finished, 1 cut in 1.2s
                build 4711 · commit 9f3c2e1aa0b1
  13:00:00  12  drain web blue/10.0.0.1:3000: ready → drain; that was the   alice@desk        not seen: Sluice ended
                last one: web answers 503 until a backend of blue is ready
                and up
Sunday 4 January 2026
  12:00:00  12  rollout r1: 10.0.0.1:3000 waiting → drain                   alice@desk
                evil \x1b[2Jnote\u{202e}
  12:00:00  12  rollout r1: 10.0.0.1:3000 drain → exec                      alice@desk
  13:00:00  13  pause web: serving → paused for 10s                         alice             resumed with 2 inside
  14:00:00  13  started with sluice.yaml                                    file
`

// TestHistoryOnATerminal: nothing is wider than the terminal, and nothing that others wrote can move the cursor.
func TestHistoryOnATerminal(t *testing.T) {
	for width, want := range map[int]string{80: historyAt80, 120: historyAt120} {
		var plain, painted bytes.Buffer
		historyView{width: width, zone: time.UTC}.write(&plain, someHistory())
		if plain.String() != want {
			t.Errorf("at %d columns:\n%s\nwant:\n%s", width, plain.String(), want)
		}
		historyView{width: width, zone: time.UTC, paint: true}.write(&painted, someHistory())
		if !strings.Contains(painted.String(), "\x1b[33m7 finished, 1 cut in 1.2s\x1b[0m") {
			t.Errorf("what was cut is not marked:\n%s", painted.String())
		}
		for _, line := range strings.Split(painted.String(), "\n") {
			if lipgloss.Width(line) >= width {
				t.Errorf("a line of %d columns on a terminal of %d: %q", lipgloss.Width(line), width, line)
			}
		}
	}
	var empty, narrow bytes.Buffer
	historyView{width: 80, zone: time.UTC}.write(&empty, nil)
	historyView{width: 5, zone: time.UTC}.write(&narrow, someHistory())
	if empty.String() != "no entries\n" || !strings.Contains(narrow.String(), "flip web") {
		t.Errorf("%s%s", empty.String(), narrow.String())
	}
	var piped bytes.Buffer
	historyTable(someHistory()).print(&piped)
	for _, line := range []string{
		"octocat (runner)  inside 8: 7 finished, 1 cut in 1.2s  build 4711 · commit 9f3c2e1aa0b1\n", `evil \x1b[2Jnote\u{202e}` + "\n", " until a backend of blue is ready and up  ",
	} {
		if !strings.Contains(piped.String(), line) {
			t.Errorf("a pipe gets all of each entry: no %q in\n%s", line, piped.String())
		}
	}
}

// TestEachChangeSaysWhoAndWhy: whatever is added to Sluice's commands is either only a look, or has all three flags.
func TestEachChangeSaysWhoAndWhy(t *testing.T) {
	looks := []string{"run", "check", "demo", "status", "bake", "history", "version", "lease", "completion", "help"}
	changes := 0
	for _, cmd := range (&cli{}).root().Commands() {
		if slices.Contains(looks, cmd.Name()) {
			continue
		}
		changes++
		for _, flag := range []string{"note", "by", "commit"} {
			if cmd.Flags().Lookup(flag) == nil {
				t.Errorf("sluice %s has no --%s: its flags are those of a change, causeFlags", cmd.Name(), flag)
			}
		}
	}
	if changes < 10 {
		t.Errorf("only %d commands change anything", changes)
	}
}

func TestWhoAsks(t *testing.T) {
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	github := map[string]string{"GITHUB_ACTIONS": "true", "GITHUB_ACTOR": "octocat", "GITHUB_SHA": "9f3c", "USER": "runner"}
	rows := []struct {
		why        string
		env        map[string]string
		flags      causeFlags
		by, commit string
	}{
		{"nobody knows", nil, causeFlags{}, "", ""},
		{"a person at a terminal", map[string]string{"USER": "alice"}, causeFlags{}, "alice@" + host, ""},
		{"behind sudo", map[string]string{"USER": "root", "SUDO_USER": "alice"}, causeFlags{}, "alice", ""},
		{"a flag", map[string]string{"USER": "alice", "SLUICE_BY": "bob"}, causeFlags{by: "carol", commit: "77"}, "carol", "77"},
		{"a variable of ours", map[string]string{"USER": "alice", "SLUICE_BY": "bob", "SLUICE_COMMIT": "88"}, causeFlags{}, "bob", "88"},
		{"GitHub", github, causeFlags{}, "octocat", "9f3c"},
		{"GitHub, and a flag", github, causeFlags{by: "release bot"}, "release bot", "9f3c"},
		{"GitLab", map[string]string{"GITLAB_CI": "true", "GITLAB_USER_LOGIN": "dana", "CI_COMMIT_SHA": "ab"}, causeFlags{}, "dana", "ab"},
		{"Buildkite", map[string]string{"BUILDKITE": "true", "BUILDKITE_BUILD_CREATOR": "Eve Adams", "BUILDKITE_COMMIT": "cd"}, causeFlags{}, "Eve Adams", "cd"},
		{"Jenkins without the plugin that knows who", map[string]string{"JENKINS_URL": "http://ci", "GIT_COMMIT": "ef", "USER": "jenkins"}, causeFlags{}, "jenkins@" + host, "ef"},
		{"a commit that is nobody's", map[string]string{"GIT_COMMIT": "ef", "GITHUB_SHA": "aa"}, causeFlags{}, "", ""},
		{"what cannot be printed", map[string]string{"SLUICE_BY": "a\x1b[2Jb\n" + strings.Repeat("x", 300)}, causeFlags{}, "a[2Jb" + strings.Repeat("x", 95), ""},
	}
	for _, row := range rows {
		c := &cli{getenv: func(name string) string { return row.env[name] }}
		if got := c.because(row.flags); got.By != row.by || got.Commit != row.commit {
			t.Errorf("%s: by %q, commit %q; want %q and %q", row.why, got.By, got.Commit, row.by, row.commit)
		}
	}
}

// TestHistoryByCommand notes a head, goes on, and then has somebody write in the file.
func TestHistoryByCommand(t *testing.T) {
	h := newHouse(t)
	if got := h.run("flip web green --note first --commit 9f3c2e1 --json"); got.code != 0 {
		t.Fatal(got.err)
	}
	var chain control.Chain
	verify := func(args string, code int) said {
		t.Helper()
		got := h.run("history --verify " + args)
		if got.code != code {
			t.Errorf("%s: exit %d, want %d\n%s%s", args, got.code, code, got.out, got.err)
		}
		return got
	}
	if err := json.Unmarshal([]byte(verify("--json", 0).out), &chain); err != nil || !chain.Unbroken || len(chain.Head) != 64 {
		t.Fatalf("%v %+v", err, chain)
	}
	h.run("pause web")
	h.run("resume web")
	noted := verify(chain.Head, 0).out
	for _, want := range []string{"entries, unbroken since " + time.Now().Format("2006-01-02 "), "nothing up to there was changed since", "\nhead "} {
		if !strings.Contains(noted, want) {
			t.Errorf("no %q in\n%s", want, noted)
		}
	}
	if got := verify(strings.Repeat("0", 64), 1); !strings.Contains(got.out, "no entry has it") || !strings.Contains(got.err, "next:") {
		t.Errorf("%s%s", got.out, got.err)
	}
	if got := h.run("history --verify web"); got.code != exitUsage {
		t.Errorf("exit %d %s", got.code, got.err)
	}
	file := filepath.Join(h.state, "history.jsonl")
	text, err := os.ReadFile(file)
	if err != nil || os.WriteFile(file, bytes.Replace(text, []byte("first"), []byte("worst"), 1), 0o600) != nil {
		t.Fatal(err)
	}
	got := verify("", 1)
	if !strings.Contains(got.out, "broken at entry ") || !strings.Contains(got.out, "history.jsonl, line 2") || !strings.Contains(got.err, "next:") {
		t.Errorf("%s%s", got.out, got.err)
	}
	if got := verify(chain.Head+" --json", 1); json.Unmarshal([]byte(got.out), &chain) != nil || chain.Unbroken || chain.Break == nil || got.err != "" {
		t.Errorf("%s%s", got.out, got.err)
	}
}

// TestHashesInTheReceipt: whoever keeps the receipt of a change has noted the head.
func TestHashesInTheReceipt(t *testing.T) {
	h := newHouse(t)
	var r control.Receipt
	if got := h.run("flip web green --json --note why --by ci"); json.Unmarshal([]byte(got.out), &r) != nil || r.History == nil {
		t.Fatalf("%s%s", got.out, got.err)
	}
	if got := h.run("history --verify " + r.History.Hash); got.code != 0 {
		t.Errorf("%s%s", got.out, got.err)
	}
	var doc struct{ Entries []control.Entry }
	if got := h.run("history web --json"); json.Unmarshal([]byte(got.out), &doc) != nil || len(doc.Entries) != 1 {
		t.Fatalf("%s", got.out)
	}
	e := doc.Entries[0]
	if e.Hash != r.History.Hash || e.ID != r.ID || len(e.Previous) != 64 || e.Cause.By != "ci" || e.Cause.Peer == "" || e.Cause.Note != "why" {
		t.Errorf("%+v, of the receipt %+v", e, r)
	}
	if !strings.Contains(h.log.String(), r.History.Hash) {
		t.Error("the event log does not have the hash")
	}
}

// TestVerdictOnTheChain: what a person reads of a chain that is whole, trimmed, broken, or not the one a hash was noted of.
func TestVerdictOnTheChain(t *testing.T) {
	since, hash := noon.Local(), strings.Repeat("ab", 32)
	when := since.Format(time.DateTime)
	rows := []struct {
		why   string
		chain control.Chain
		want  string
	}{
		{"nothing yet", control.Chain{Unbroken: true}, "no entries\n"},
		{"whole", control.Chain{Unbroken: true, Entries: 1204, First: 1, Last: 1204, SinceSeq: 1, Since: &since, Head: hash},
			"1,204 entries, unbroken since " + when + "\nhead " + hash + "\n"},
		{"trimmed, and noted", control.Chain{Unbroken: true, Entries: 1204, First: 813, Last: 2016, SinceSeq: 813, Since: &since, Trimmed: 812, Head: hash,
			Noted: &control.Noted{Hash: hash, Found: true, Seq: 1999, Time: &since}},
			"1,204 entries, unbroken since " + when + "\n  they are 813 to 2,016: the 812 older ones gave way to newer ones\nnoted " + hash +
				"\n  entry 1,999 of " + when + "; nothing up to there was changed since\nhead " + hash + "\n"},
		{"broken", control.Chain{Entries: 9, First: 1, Last: 12, SinceSeq: 8, Since: &since, Head: hash, Breaks: 2,
			Break: &control.Break{Seq: 5, File: "history.jsonl", Line: 4, Why: "entry 4 is missing"}, Noted: &control.Noted{Hash: hash, Found: true, Seq: 3, Time: &since}},
			"broken at entry 5: entry 4 is missing\n  history.jsonl, line 4; the first of 2 breaks\n9 entries, unbroken since " + when +
				" (entry 8)\nnoted " + hash + "\n  entry 3 of " + when + ", before a break\nhead " + hash + "\n"},
		{"broken at its end", control.Chain{Entries: 1, First: 1, Last: 1, Head: hash, Breaks: 1, Break: &control.Break{Seq: 1, File: "history.jsonl", Why: "entry 2 is missing at the end"}},
			"broken at entry 1: entry 2 is missing at the end\n  history.jsonl\n1 entry, and the last are missing or damaged\nhead " + hash + "\n"},
		{"another history", control.Chain{Entries: 2, First: 1, Last: 2, SinceSeq: 1, Since: &since, Head: hash, Noted: &control.Noted{Hash: hash}},
			"2 entries, unbroken since " + when + "\nnoted " + hash + "\n  no entry has it\nhead " + hash + "\n"},
	}
	for _, row := range rows {
		var out bytes.Buffer
		chainView{}.write(&out, row.chain)
		if out.String() != row.want {
			t.Errorf("%s:\n%swant\n%s", row.why, out.String(), row.want)
		}
	}
}
