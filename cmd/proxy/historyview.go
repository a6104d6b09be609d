package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"charm.land/lipgloss/v2"

	"sluice/control"
	"sluice/drain"
)

// historyTable has all of each entry in one line, for pipes.
func historyTable(entries []control.Entry) *table {
	t := &table{}
	t.head("WHEN", "GENERATION", "WHAT", "BY", "OUTCOME", "NOTE")
	for _, e := range entries {
		t.row(e.Time.Local().Format(time.DateTime), strconv.FormatUint(e.Generation, 10), safe(e.Text), orDash(byText(e.Cause)), orDash(fullOutcome(e)), whyText(e.Cause))
	}
	return t
}

// byText is who it was by their own word, and who by that of the kernel where that is somebody else.
func byText(c control.Cause) string {
	if c.Peer == "" || c.By == c.Peer || strings.HasPrefix(c.By, c.Peer+"@") {
		return safe(c.By)
	}
	return fmt.Sprintf("%s (%s)", safe(c.By), safe(c.Peer))
}

// shortCommit is as much of a commit as tells it apart.
const shortCommit = 12

// whyText is the note, and what was deployed.
func whyText(c control.Cause) string {
	text := safe(c.Note)
	if c.Commit == "" {
		return text
	}
	if text != "" {
		text += " · "
	}
	return text + "commit " + safe(c.Commit[:min(len(c.Commit), shortCommit)])
}

func fullOutcome(e control.Entry) string {
	if e.Outcome != nil && e.Outcome.Drain != nil {
		return e.Outcome.Drain.String()
	}
	return outcomeText(e)
}

// outcomeText is what came of an entry, in a few words. What has no outcome has none.
func outcomeText(e control.Entry) string {
	switch {
	case e.Outcome == nil && e.Kind != "change":
		return ""
	case e.Interrupted:
		return "not seen: Sluice ended"
	case e.Outcome == nil:
		return "goes on"
	case e.Outcome.Drain != nil:
		return drainText(e.Outcome.Drain)
	case e.Outcome.Done:
		return "done"
	case e.Outcome.Why != "":
		return safe(e.Outcome.Why)
	}
	return "not done"
}

// drainText is what became of what was inside: "7 finished, 1 cut in 1.2s".
func drainText(rep *drain.Report) string {
	if rep.Found == 0 {
		return "none inside"
	}
	var parts []string
	for _, one := range []struct {
		n    int
		word string
	}{{rep.Finished, "finished"}, {rep.Cut, "cut"}, {rep.Retried, "retried"}, {rep.Failed, "failed"}, {rep.Left, "left"}} {
		if one.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", one.n, one.word))
		}
	}
	return strings.Join(parts, ", ") + " in " + shortAge(rep.Took)
}

// historyView shows entries on a terminal: a line each under a line for the day, and the note below it. Where there is no room
// for who it was beside it, that stands before the note.
type historyView struct {
	paint
	width int
	zone  *time.Location

	what, by, outcome, generation int // widths of the columns

	rollout control.Cause // of the last step of a rollout that was shown: the next ones do not say again who and why
}

const (
	// leastWidth is what the columns need; a terminal that is narrower wraps the lines.
	leastWidth = 60
	// wideEnough is where who it was has a column.
	wideEnough          = 100
	mostOutcome, mostBy = 30, 26
	historyIndent       = 2
	clockWidth          = len("15:04:05")
	between2            = 2 // between two columns
	// mostLines of what was done, and of a note; --json and a pipe have it all.
	mostLines = 3
)

func (v historyView) write(w io.Writer, all []control.Entry) {
	v.measure(all)
	day := ""
	for _, e := range all {
		if d := e.Time.In(v.zone).Format("Monday 2 January 2006"); d != day {
			day = d
			fmt.Fprintln(w, v.bold(d))
		}
		v.entry(w, e)
		v.rollout = e.Cause
	}
	if len(all) == 0 {
		fmt.Fprintln(w, "no entries")
	}
}

func (v *historyView) measure(all []control.Entry) {
	v.width = max(v.width, leastWidth) - 1
	for _, e := range all {
		v.generation = max(v.generation, len(strconv.FormatUint(e.Generation, 10)))
		v.outcome = max(v.outcome, min(lipgloss.Width(outcomeText(e)), mostOutcome))
		if v.width+1 >= wideEnough {
			v.by = max(v.by, min(lipgloss.Width(byText(e.Cause)), mostBy))
		}
	}
	v.what = v.width - v.left() - between2 - v.outcome
	if v.by > 0 {
		v.what -= between2 + v.by
	}
}

// left is what stands before the text of an entry.
func (v historyView) left() int {
	return historyIndent + clockWidth + between2 + v.generation + between2
}

func (v historyView) entry(w io.Writer, e control.Entry) {
	outcome := outcomeText(e)
	room := v.what
	if outcome == "" && v.by == 0 {
		room = v.width - v.left() // nothing stands beside it
	}
	lines := wrapped(safe(e.Text), room)
	left := strings.Repeat(" ", historyIndent) + e.Time.In(v.zone).Format(time.TimeOnly) + strings.Repeat(" ", between2) +
		v.dim(fmt.Sprintf("%*d", v.generation, e.Generation)) + strings.Repeat(" ", between2)
	right := ""
	if v.by > 0 {
		right = padded(endCut(byText(e.Cause), v.by), v.by)
	}
	if outcome != "" {
		right += gapIf(right) + v.outcomeColour(e, endCut(outcome, v.outcome))
	}
	if right != "" {
		lines[0] = padded(lines[0], room) + strings.Repeat(" ", between2) + right
	}
	fmt.Fprintln(w, strings.TrimRight(left+lines[0], " "))
	for _, line := range append(lines[1:], v.below(e)...) {
		fmt.Fprintln(w, strings.Repeat(" ", v.left())+line)
	}
}

func gapIf(before string) string {
	if before == "" {
		return ""
	}
	return strings.Repeat(" ", between2)
}

// below is why it was done, and by whom where there is no column for that.
func (v historyView) below(e control.Entry) []string {
	if v.told(e.Cause) {
		return nil
	}
	text := whyText(e.Cause)
	if by := byText(e.Cause); v.by == 0 && by != "" && e.Kind != "start" {
		if text != "" {
			text = ": " + text
		}
		text = "by " + by + text
	}
	if text == "" {
		return nil
	}
	lines := wrapped(text, v.width-v.left())
	for i := range lines {
		lines[i] = v.dim(lines[i])
	}
	return lines
}

// told says that the entry is a step of what the one above it is a step of, of the same who and why.
func (v historyView) told(c control.Cause) bool {
	c.Verb = v.rollout.Verb
	return c.Rollout != "" && c == v.rollout
}

func (v historyView) outcomeColour(e control.Entry, text string) string {
	switch o := e.Outcome; {
	case o != nil && o.Done && (o.Drain == nil || o.Drain.Cut+o.Drain.Failed == 0):
		return v.green(text)
	case o != nil && o.Drain != nil && o.Drain.Failed+o.Drain.Left > 0:
		return v.red(text)
	}
	return v.yellow(text)
}

func padded(text string, width int) string {
	return text + strings.Repeat(" ", max(0, width-lipgloss.Width(text)))
}

// wrapped breaks text between words into a few lines; what has no room in them is cut.
func wrapped(text string, width int) []string {
	lines := []string{""}
	for _, word := range strings.Fields(text) {
		last := &lines[len(lines)-1]
		switch {
		case *last == "":
			*last = word
		case lipgloss.Width(*last)+1+lipgloss.Width(word) <= width:
			*last += " " + word
		default:
			lines = append(lines, word)
		}
	}
	if len(lines) > mostLines {
		lines[mostLines-1] += " " + strings.Join(lines[mostLines:], " ")
		lines = lines[:mostLines]
	}
	for i := range lines {
		lines[i] = endCut(lines[i], width)
	}
	return lines
}
