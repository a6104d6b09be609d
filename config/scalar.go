package config

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Each reader of a scalar leaves the default where it is when the value is refused, so that what is checked afterwards
// does not find a second fault in the first.

// whole reads a number between low and high.
func (v value) whole(to *int, low, high int) {
	text, ok := v.text()
	if !ok {
		return
	}
	n, err := strconv.Atoi(text)
	fix := fmt.Sprintf("write a number from %d to %d", low, high)
	switch {
	case err != nil:
		v.refuse(fix, "%s is %s, which is not a whole number", v.title(), show(text))
	case n < low || n > high:
		v.refuse(fix, "%s is %d, which is out of range", v.title(), n)
	default:
		*to = n
	}
}

func wholeField(to *int, low, high int) func(value) {
	return func(v value) { v.whole(to, low, high) }
}

var sizeUnits = []struct {
	name  string
	bytes int
}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"B", 1}}

// size reads bytes, as 64KiB or as a plain number.
func (v value) size(to *int, low, high int) {
	text, ok := v.text()
	if !ok {
		return
	}
	n, ok := parseSize(text)
	fix := "write a size from " + showSize(low) + " to " + showSize(high)
	switch {
	case !ok:
		v.refuse(fix, "%s is %s, which is not a size", v.title(), show(text))
	case n < low || n > high:
		v.refuse(fix, "%s is %s, which is out of range", v.title(), show(text))
	default:
		*to = n
	}
}

func sizeField(to *int, low, high int) func(value) {
	return func(v value) { v.size(to, low, high) }
}

func parseSize(text string) (n int, ok bool) {
	unit := 1
	for _, u := range sizeUnits {
		if number, found := strings.CutSuffix(text, u.name); found {
			text, unit = strings.TrimSuffix(number, " "), u.bytes
			break
		}
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 || n > math.MaxInt/unit {
		return 0, false
	}
	return n * unit, true
}

func showSize(n int) string {
	for _, u := range sizeUnits {
		if n >= u.bytes && n%u.bytes == 0 {
			return strconv.Itoa(n/u.bytes) + u.name
		}
	}
	return "0B"
}

// largestBody only catches a slip, as longestWait does.
const largestBody = 1 << 40

// longestWait is the longest that may be asked for. It only catches a slip: 3600h was meant to be 3600s.
const longestWait = 7 * 24 * time.Hour

// duration reads a span of time with its unit.
func (v value) duration(to *time.Duration, low, high time.Duration) {
	text, ok := v.text()
	if !ok {
		return
	}
	d, err := time.ParseDuration(text)
	_, number := strconv.ParseFloat(text, 64)
	switch {
	case number == nil:
		v.refuse("write "+withSeconds(text), "%s is %s without a unit", v.title(), show(text))
	case err != nil:
		v.refuse("write a number and its unit, as in 500ms, 30s, 1m30s or 2h", "%s is %s, which is not a duration", v.title(), show(text))
	case d < low || d > high:
		v.refuse("write a duration from "+showDuration(low)+" to "+showDuration(high), "%s is %s, which is out of range", v.title(), show(text))
	default:
		*to = d
	}
}

func durationField(to *time.Duration, low, high time.Duration) func(value) {
	return func(v value) { v.duration(to, low, high) }
}

// withSeconds guesses what a number without a unit meant. Anything else than a few digits is not repeated.
func withSeconds(number string) string {
	if n, err := strconv.Atoi(number); err == nil && n >= 0 && n < 100000 {
		return strconv.Itoa(n) + "s"
	}
	return "30s"
}

// showDuration leaves out the zero parts at the end: 2m, not 2m0s.
func showDuration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// word reads one of a few words.
func (v value) word(to *string, words ...string) {
	text, ok := v.text()
	if !ok {
		return
	}
	for _, w := range words {
		if text == w {
			*to = w
			return
		}
	}
	v.refuse("write "+strings.Join(words, " or "), "%s is %s, which is not known", v.title(), show(text))
}
