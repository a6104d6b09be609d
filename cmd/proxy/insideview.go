package main

import (
	"fmt"
	"io"
	"strings"
	"time"
	"unicode"

	"charm.land/lipgloss/v2"

	"sluice/drain"
)

// insideView writes what is inside as a table, oldest first, into a width. The widths of its columns only grow, so that a
// table that is drawn again and again stands still.
type insideView struct {
	paint
	width  int  // of the terminal; 0: nobody looks, and nothing is shortened
	where  bool // say which backend each is inside of
	widths []int
}

const (
	// Above these widths there is room for more columns.
	wideEnoughForIDs   = 100
	wideEnoughForHosts = 100
	// longestID and longestClient keep a chosen id, or an IPv6 address, from pushing the path out.
	longestID     = 24
	longestClient = 24
	// narrowClient is room for an IPv4 address.
	narrowClient = 15
	// leastRequest is what the last column gets in any case.
	leastRequest = 16
	// soon is how little time is left when it is said louder.
	soon = 5 * time.Second
)

func (v *insideView) write(w io.Writer, indent string, items []drain.Item, now time.Time) {
	t := table{paint: v.paint, indent: indent}
	t.head(v.heads()...)
	for _, it := range items {
		t.row(v.cells(it, now)...)
	}
	v.fit(&t)
	t.print(w)
}

func (v *insideView) heads() []string {
	heads := []string{"CLASS", "AGE", "LEFT", "LAST 10S", "CLIENT"}
	if v.where {
		heads = append(heads, "BACKEND")
	}
	if v.ids() {
		heads = append(heads, "REQUEST ID")
	}
	return append(heads, "REQUEST")
}

func (v *insideView) ids() bool { return v.width == 0 || v.width >= wideEnoughForIDs }

func (v *insideView) cells(it drain.Item, now time.Time) []string {
	cells := []string{it.Class.String(), shortAge(time.Duration(it.Age) * time.Millisecond), v.left(it, now), v.moved(it), v.client(it.Client)}
	if v.where {
		cells = append(cells, safe(it.Pool+"/"+it.Backend))
	}
	if v.ids() {
		cells = append(cells, v.short(it.ID, longestID))
	}
	host := ""
	if v.width == 0 || v.width >= wideEnoughForHosts {
		host = it.Host
	}
	return append(cells, safe(it.Method+" "+host+it.Path))
}

// left is the time until it is over at the latest.
func (v *insideView) left(it drain.Item, now time.Time) string {
	if it.EndsBy.IsZero() {
		return "-"
	}
	switch left := it.EndsBy.Sub(now); {
	case left <= 0:
		return v.yellow("due")
	case left < soon:
		return v.yellow(shortAge(left))
	default:
		return shortAge(left)
	}
}

// moved is what went through lately, or for how long nothing did.
func (v *insideView) moved(it drain.Item) string {
	switch {
	case it.Idle:
		return v.dim("idle " + shortAge(time.Duration(it.Quiet)*time.Millisecond))
	case it.Recent == 0:
		return "0 B"
	}
	return byteText(it.Recent)
}

func (v *insideView) client(address string) string {
	if v.width > 0 && v.width < wideEnoughForHosts {
		return v.short(address, narrowClient)
	}
	return v.short(address, longestClient)
}

func (v *insideView) short(text string, most int) string {
	text = safe(text)
	if v.width == 0 {
		return text
	}
	return middleCut(text, most)
}

// fit gives the last column what the others leave.
func (v *insideView) fit(t *table) {
	widths := t.widths()
	used := len(t.indent)
	for i := range widths[:len(widths)-1] {
		if i == len(v.widths) {
			v.widths = append(v.widths, 0)
		}
		v.widths[i] = max(v.widths[i], widths[i])
		used += v.widths[i] + 2
	}
	t.least = v.widths
	if v.width == 0 {
		return
	}
	room := max(leastRequest, v.width-1-used)
	for _, row := range t.rows[1:] {
		row[len(row)-1] = middleCut(row[len(row)-1], room)
	}
}

// middleCut shortens text to a width on the terminal: the beginning of a path says what it is, and its end which one.
func middleCut(s string, most int) string {
	if lipgloss.Width(s) <= most {
		return s
	}
	runes := []rune(s)
	head, tail := len(runes)*2/3, len(runes)*2/3+1
	for lipgloss.Width(string(runes[:head]))+1+lipgloss.Width(string(runes[tail:])) > most && (head > 0 || tail < len(runes)) {
		if head > 2*(len(runes)-tail) {
			head--
		} else {
			tail++
		}
	}
	return string(runes[:head]) + "…" + string(runes[tail:])
}

// endCut shortens text to a width on the terminal.
func endCut(s string, most int) string {
	if lipgloss.Width(s) <= most {
		return s
	}
	runes := []rune(s)
	for len(runes) > 0 && lipgloss.Width(string(runes))+1 > most {
		runes = runes[:len(runes)-1]
	}
	return string(runes) + "…"
}

// safe is text that others chose, as it may stand on a terminal: whatever is not plainly visible is written out. Marks are
// no exception: piled up they cover the lines around.
func safe(s string) string {
	if !strings.ContainsFunc(s, hidden) {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		switch {
		case !hidden(r):
			b.WriteRune(r)
		case r < 0x100:
			fmt.Fprintf(&b, `\x%02x`, r)
		default:
			fmt.Fprintf(&b, `\u{%x}`, r)
		}
	}
	return b.String()
}

func hidden(r rune) bool {
	return !unicode.IsPrint(r) || unicode.IsMark(r) || r == unicode.ReplacementChar
}

// shortAge is a length of time in at most six signs.
func shortAge(d time.Duration) string {
	switch {
	case d < 10*time.Second:
		return fmt.Sprintf("%.1fs", max(0, d).Seconds())
	case d < time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%dm%02ds", int(d.Minutes()), int(d.Seconds())%60)
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh%02dm", int(d.Hours()), int(d.Minutes())%60)
	}
	return fmt.Sprintf("%dd", int(d.Hours())/24)
}

func byteText(n int64) string {
	value, unit := float64(n), 0
	for value >= 1000 && unit < len(byteUnits)-1 {
		value /= 1000
		unit++
	}
	if unit == 0 {
		return fmt.Sprintf("%d B", n)
	}
	return fmt.Sprintf("%.1f %s", value, byteUnits[unit])
}

var byteUnits = []string{"B", "kB", "MB", "GB", "TB"}
