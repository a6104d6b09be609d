package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/charmbracelet/x/term"

	"sluice/admin"
	"sluice/control"
	"sluice/drain"
)

// progressView shows how far a change is: a live table on a terminal; elsewhere a line now and then, in JSON where that was
// asked for. It writes to standard error, so that standard output holds nothing but the receipt.
type progressView struct {
	*cli
	verb  string
	began time.Time
	table insideView

	bake  *control.BakeStatus // as it stood last; nil: none is waited for
	made  string              // what has been done: of a rollback that is said at once
	drawn int                 // lines that stand on the terminal
	spoke bool                // a line was written
	said  time.Duration       // when that was, since began
	told  map[drain.Class]int // what it told
}

const (
	// firstLine is how long a change may take before anything is said of it: most are over by then.
	firstLine = time.Second
	// lineEvery is how often a log is written to at most.
	lineEvery = 3 * time.Second
	// besidesItems are the lines of a live table that hold no item: the first three, the head, and how many more there are.
	besidesItems = 5
	// bakeLineEvery is seldom enough for a bake of half an hour.
	bakeLineEvery = 10 * time.Second
)

// size is that of the terminal that err is.
func (c *cli) size() (width, height int) {
	if c.sizeOf != nil {
		return c.sizeOf()
	}
	return 80, 24
}

// terminalSize asks for the size of a terminal; 80×24 where it does not tell.
func terminalSize(fd uintptr) (width, height int) {
	width, height, err := term.GetSize(fd)
	if err != nil || width <= 0 || height <= 0 {
		return 80, 24
	}
	return width, height
}

// items is how many of what is inside can be shown.
func (v *progressView) items() int {
	_, height := v.size()
	return max(1, height-besidesItems-1)
}

func (v *progressView) update(p admin.Progress) {
	elapsed := time.Since(v.began)
	if p.Bake != nil {
		v.bake = p.Bake
	}
	if v.verb != "rollback" {
		p.Made = ""
	} else if p.Made != "" {
		v.made, elapsed = p.Made, max(elapsed, firstLine)
	}
	if v.errTTY {
		v.draw(p, time.Now())
		return
	}
	if v.json && !v.apart || elapsed < firstLine || v.spoke && !v.isNews(p, elapsed-v.said) {
		return
	}
	v.spoke, v.said, v.told = true, elapsed, p.InsideBy
	if v.json {
		json.NewEncoder(v.err).Encode(admin.Line{Progress: &p})
		return
	}
	fmt.Fprintln(v.err, cmp.Or(p.Made, v.line(p)))
}

// say writes a line of its own, where lines are read by people.
func (v *progressView) say(text string) {
	if !v.json {
		fmt.Fprintln(v.err, text)
	}
}

// isNews says whether something is worth another line so long after the last one.
func (v *progressView) isNews(p admin.Progress, since time.Duration) bool {
	return since >= lineEvery && !maps.Equal(p.InsideBy, v.told) || p.Bake != nil && since >= bakeLineEvery
}

// draw puts a new picture in the place of the last one, in one write.
func (v *progressView) draw(p admin.Progress, now time.Time) {
	width, height := v.size()
	lines := v.picture(p, now, width, height)
	var b bytes.Buffer
	b.WriteString(up(v.drawn))
	for _, line := range lines {
		b.WriteString(line + "\x1b[K\r\n")
	}
	b.WriteString("\x1b[J")
	v.err.Write(b.Bytes())
	v.drawn = len(lines)
}

// up goes to the first of the lines that were written.
func up(lines int) string {
	if lines == 0 {
		return "\r"
	}
	return fmt.Sprintf("\r\x1b[%dA", lines)
}

// clear takes the picture away.
func (v *progressView) clear() {
	if v.drawn > 0 {
		fmt.Fprint(v.err, up(v.drawn)+"\x1b[J")
		v.drawn = 0
	}
}

// picture has fewer lines than the terminal, and none that it would have to break.
func (v *progressView) picture(p admin.Progress, now time.Time, width, height int) []string {
	lines := []string{endCut(v.headline(p), width-1)}
	if v.made != "" {
		lines = append([]string{endCut(v.made, width-1)}, lines...)
	}
	if p.Bake != nil {
		lines = append(lines, endCut("bake "+bakeText(p.Bake, now), width-1))
	}
	if by := classesLeft(p, now); by != "" {
		lines = append(lines, endCut(by, width-1))
	}
	items := p.Items[:min(len(p.Items), max(0, height-besidesItems-1))]
	if len(items) == 0 {
		return lines
	}
	v.table.paint, v.table.width = v.paintErr(), width
	var b strings.Builder
	v.table.write(&b, "", items, now)
	lines = append(lines, strings.Split(strings.TrimSuffix(b.String(), "\n"), "\n")...)
	if more := p.Inside - len(items); more > 0 {
		lines = append(lines, v.table.dim(fmt.Sprintf("and %d more", more)))
	}
	return lines
}

// headline is "drain 4.2s  inside 3".
func (v *progressView) headline(p admin.Progress) string {
	elapsed := shortAge(time.Since(v.began))
	if v.verb == "ready" {
		return fmt.Sprintf("%s %s  waiting for the backend to be up", v.verb, elapsed)
	}
	return fmt.Sprintf("%s %s  inside %d", v.verb, elapsed, p.Inside)
}

// classesLeft is "request 1 ≤26s  websocket 2 ≤6s": how many of each class, and when they are over at the latest.
func classesLeft(p admin.Progress, now time.Time) string {
	var parts []string
	for _, class := range drain.Classes() {
		n := p.InsideBy[class]
		if n == 0 {
			continue
		}
		text := fmt.Sprintf("%s %d", class, n)
		if at, known := p.EndsBy[class]; known {
			text += " ≤" + wholeSeconds(at.Sub(now))
		}
		parts = append(parts, text)
	}
	return strings.Join(parts, "  ")
}

// wholeSeconds rounds up: within that time it is over.
func wholeSeconds(d time.Duration) string {
	if d > time.Minute {
		return shortAge(d)
	}
	return fmt.Sprintf("%ds", int((max(0, d)+time.Second-1)/time.Second))
}

func (v *progressView) line(p admin.Progress) string {
	elapsed := time.Since(v.began).Seconds()
	if v.verb == "ready" {
		return fmt.Sprintf("%s: waiting for the backend to be up, %.1fs", v.verb, elapsed)
	}
	if p.Bake != nil && p.Inside == 0 {
		return "bake " + bakeText(p.Bake, time.Now())
	}
	line := fmt.Sprintf("%s: %s inside, %.1fs", v.verb, insideText(p.Inside, p.InsideBy), elapsed)
	if len(p.Items) > 0 {
		oldest, now := p.Items[0], time.Now()
		line += "; oldest " + itemText(oldest, now)
		if left := oldest.EndsBy.Sub(now); !oldest.EndsBy.IsZero() {
			line += ", over within " + shortAge(left)
		}
	}
	if p.Bake != nil {
		line += "; bake " + bakeText(p.Bake, time.Now())
	}
	return line
}
