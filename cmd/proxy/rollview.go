package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"sluice/deploy"
)

// rolloutView shows a rollout while it goes on: a table in place on a terminal, a line for each step elsewhere, and lines of JSON
// where that was asked for. Like all progress it is on standard error, but for JSON, which is for programs.
type rolloutView struct {
	*cli
	id      string
	lease   time.Duration
	timeout time.Duration // of one step
	drawn   int           // lines that stand on the terminal
}

// rolloutLine is one line of JSON. The last has Rollout.
type rolloutLine struct {
	Time    time.Time       `json:"time"`
	ID      string          `json:"id"`
	Backend string          `json:"backend,omitempty"`
	Step    deploy.Step     `json:"step,omitempty"`
	Status  deploy.Status   `json:"status,omitempty"`
	Why     string          `json:"why,omitempty"`
	Rollout *deploy.Rollout `json:"rollout,omitempty"`
}

func (v *rolloutView) begin(r deploy.Rollout, resumed bool) {
	v.id, v.lease, v.timeout = r.ID, r.Lease, r.Timeout
	if v.json {
		v.line(rolloutLine{ID: r.ID, Status: r.Status})
		return
	}
	verb := "begins"
	if resumed {
		verb = "goes on"
	}
	fmt.Fprintf(v.err, "rollout %s of %s %s: %d of %s, %d at a time, %d left at least\n", r.ID, r.Service, verb, len(r.Backends), r.Pool, r.Batch, r.MinAvailable)
	for _, skipped := range r.Skipped {
		fmt.Fprintf(v.err, "  left out: %s\n", skipped)
	}
	v.draw(r)
}

func (v *rolloutView) line(l rolloutLine) {
	l.Time = time.Now()
	json.NewEncoder(v.out).Encode(l)
}

// told shows a report that Sluice has taken.
func (v *rolloutView) told(before, r deploy.Rollout, rep deploy.Report) {
	switch {
	case v.json:
		v.line(rolloutLine{ID: r.ID, Backend: rep.Backend, Step: rep.To, Why: rep.Why, Status: r.Status})
	case !v.errTTY && rep.Backend != "":
		fmt.Fprintf(v.err, "%s  %s  %s%s\n", time.Now().Format(time.TimeOnly), rep.Backend, rep.To, reportText(rep))
	}
	if !v.json && !v.errTTY && r.Status != before.Status && r.Status == deploy.Reverting {
		fmt.Fprintf(v.err, "%s  reverting: %s\n", time.Now().Format(time.TimeOnly), r.Why)
	}
	v.draw(r)
}

func reportText(rep deploy.Report) string {
	switch {
	case rep.Why != "":
		return ": " + rep.Why
	case rep.To == deploy.Exec:
		return fmt.Sprintf(" (%d finished, %d cut)", rep.Finished, rep.Cut)
	case rep.Release != "":
		return " (release " + rep.Release + ")"
	}
	return ""
}

// tick draws again, unless a command writes to the terminal.
func (v *rolloutView) tick(r deploy.Rollout, quiet bool) {
	if quiet {
		v.draw(r)
	}
}

// draw puts a new picture in the place of the last one. What a command writes comes below the picture, and the next one below
// that.
func (v *rolloutView) draw(r deploy.Rollout) {
	if !v.errTTY || v.json {
		return
	}
	width, height := v.size()
	var text strings.Builder
	t := rolloutTable(v.paintErr(), r, time.Now())
	t.print(&text)
	lines := strings.Split(strings.TrimSuffix(text.String(), "\n"), "\n")
	lines = lines[:min(len(lines), max(1, height-1))]
	var b bytes.Buffer
	b.WriteString(up(v.drawn))
	for _, line := range lines {
		b.WriteString(endCut(line, width-1) + "\x1b[0m\x1b[K\r\n")
	}
	b.WriteString("\x1b[J")
	v.err.Write(b.Bytes())
	v.drawn = len(lines)
	for _, m := range r.Backends {
		if m.Step == deploy.Exec {
			v.drawn = 0
		}
	}
}

// clear takes the picture away.
func (v *rolloutView) clear() {
	if v.drawn > 0 {
		fmt.Fprint(v.err, up(v.drawn)+"\x1b[J")
		v.drawn = 0
	}
}

// rolloutTable has a line for each backend.
func rolloutTable(p paint, r deploy.Rollout, now time.Time) *table {
	t := &table{paint: p, indent: "  "}
	t.head("BACKEND", "STEP", "SINCE", "RELEASE", "FINISHED", "CUT", "WHY")
	for _, m := range r.Backends {
		step := string(m.Step)
		switch {
		case m.Step == deploy.Ended, m.Step == deploy.Back:
			step = p.green(step)
		case m.Step == deploy.Failed:
			step = p.red(step)
		case m.Step != deploy.Waiting:
			step = p.yellow(step)
		}
		release := m.Former
		if m.Release != "" && m.Release != m.Former {
			release += " → " + m.Release
		}
		t.row(safe(m.Address), step, shortAge(now.Sub(m.Since)), orDash(safe(release)), strconv.Itoa(m.Finished), strconv.Itoa(m.Cut), safe(m.Why))
	}
	return t
}

// printRollout is what stands where, for standard output.
func (c *cli) printRollout(r deploy.Rollout) error {
	if c.json {
		return json.NewEncoder(c.out).Encode(rolloutLine{Time: time.Now(), ID: r.ID, Status: r.Status, Why: r.Why, Rollout: &r})
	}
	fmt.Fprintln(c.out, safe(r.Outcome()))
	if r.Holder.Who != "" && !r.Status.Over() && r.Status != deploy.Stopped {
		fmt.Fprintf(c.out, "  %s is at work on it, heard of at %s\n", safe(r.Holder.Who), r.Holder.Seen.Local().Format(time.DateTime))
	}
	return rolloutTable(c.paintOut(), r, time.Now()).print(c.out)
}
