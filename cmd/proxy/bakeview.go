package main

import (
	"fmt"
	"io"
	"strconv"
	"time"

	"sluice/control"
	"sluice/judge"
)

// bakeText is "green v42: 41s left, 1,204 requests, 0.1 % errors (blue 0.1 %), p99 48 ms (45 ms)", or how it ended.
func bakeText(b *control.BakeStatus, now time.Time) string {
	name := b.To
	if b.Release != "" {
		name += " " + b.Release
	}
	if b.Ended != nil {
		return fmt.Sprintf("%s %s after %s: %s", name, bakeWord(b.State), b.Ended.Sub(b.Began).Round(100*time.Millisecond), b.Why)
	}
	text := fmt.Sprintf("%s: %s left, %s", name, wholeSeconds(b.Ends.Sub(now)), figuresText(b))
	if b.Stuck != "" {
		text += fmt.Sprintf("; worse (%s), and cannot be rolled back: %s", b.Why, b.Stuck)
	}
	return text
}

// bakeVerb is what the new pool came to traffic by.
func bakeVerb(b *control.BakeStatus) string {
	if b.Split {
		return "split"
	}
	return "bake"
}

func bakeWord(s control.BakeState) string {
	switch s {
	case control.RolledBack:
		return "was worse and rolled back"
	case control.BakedWorse:
		return "is worse and stays"
	case control.NotEnough:
		return "had not enough traffic for a verdict"
	}
	return string(s)
}

func figuresText(b *control.BakeStatus) string {
	text := fmt.Sprintf("%s requests, %s errors (%s %s)", grouped(b.New.Requests), share(b.New), b.From, share(b.Old))
	if b.New.P99 > 0 {
		text += fmt.Sprintf(", p99 %s ms (%s ms)", short(b.New.P99), short(b.Old.P99))
	}
	if b.New.Resets > 0 {
		text += fmt.Sprintf(", %s retried", grouped(b.New.Resets))
	}
	return text
}

func share(f judge.Figures) string {
	if f.Requests == 0 {
		return "-"
	}
	of := 100 * float64(f.Errors) / float64(f.Requests)
	if of > 0 && of < 0.1 {
		return fmt.Sprintf("%.2f %%", of)
	}
	return fmt.Sprintf("%.1f %%", of)
}

func short(ms float64) string {
	if ms < 10 {
		return strconv.FormatFloat(ms, 'f', 1, 64)
	}
	return strconv.FormatFloat(ms, 'f', 0, 64)
}

func (v statusView) bake(w io.Writer, b *control.BakeStatus) {
	if b == nil {
		return
	}
	text := safe(bakeText(b, v.now))
	switch {
	case b.State == control.RolledBack, b.State == control.BakedWorse, b.Stuck != "":
		text = v.red(text)
	case b.State == control.NotEnough:
		text = v.yellow(text)
	}
	label := "bake  "
	if b.Split {
		label = "judged"
	}
	fmt.Fprintf(w, "  %s    %s\n", label, text)
}
