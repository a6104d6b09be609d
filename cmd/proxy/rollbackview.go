package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"sluice/control"
)

// rollback is "READY → v41 (blue), 2/2 healthy, schema ok, expires in 29m".
func (v statusView) rollback(r control.RollbackStatus) string {
	switch {
	case r.State == "expired":
		return fmt.Sprintf("%s → %s, %s, since %s: its servers may be stopped%s", v.yellow("EXPIRED"), wayTo(r), r.Why, inShort(v.now.Sub(*r.Expires)), options(r))
	case r.Ready && r.Expires != nil:
		return fmt.Sprintf("%s → %s, %s, expires in %s%s", v.green("READY"), wayTo(r), r.Why, inShort(r.Expires.Sub(v.now)), options(r))
	case r.Ready:
		return fmt.Sprintf("%s → %s, %s%s", v.green("READY"), wayTo(r), r.Why, options(r))
	}
	to := ""
	if r.Pool != "" {
		to = " to " + r.Pool
	}
	if r.Release != "" {
		to += " (release " + r.Release + ")"
	}
	return v.yellow("NOT READY") + to + ": " + r.Why
}

func wayTo(r control.RollbackStatus) string {
	if r.Release == "" {
		return r.Pool
	}
	return r.Release + " (" + r.Pool + ")"
}

// options says which of them come back with the release, and which cannot.
func options(r control.RollbackStatus) (text string) {
	if len(r.Options) > 0 {
		text = "; with its " + strings.Join(r.Options, ", ")
	}
	if r.Missing != "" {
		text += "; " + r.Missing
	}
	return text
}

// inShort is a length in its largest unit.
func inShort(d time.Duration) string {
	switch d = max(0, d); {
	case d < time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < 2*time.Hour:
		return fmt.Sprintf("%dm", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh", int(d.Hours()))
	}
	return fmt.Sprintf("%dd", int(d.Hours())/24)
}

// rollout is "rollout   r12ab running by ann (ci@host): 1 of 3 done, 10.0.0.2:3000 exec 12s", and how to go on below it; of one
// that is over its outcome.
func (v statusView) rollout(w io.Writer, r *control.RolloutStatus) {
	switch {
	case r == nil:
		return
	case r.Ended != nil:
		fmt.Fprintf(w, "  rollout   %s, %s ago\n", safe(r.Outcome), age(v.now, *r.Ended))
		return
	}
	status := v.green(r.Status)
	if r.Next != "" {
		status = v.yellow(r.Status)
	}
	fmt.Fprintf(w, "  rollout   %s %s since %s by %s (%s, heard of %s ago): %d of %d done%s%s\n", safe(r.ID), status, age(v.now, r.Began), safe(r.By), safe(r.Who),
		age(v.now, r.Seen), r.Finished, r.Of, v.steps(r.Steps), whyStopped(r.Why))
	if r.Next != "" {
		fmt.Fprintf(w, "            %s\n", safe(r.Next))
	}
}

func (v statusView) steps(all []control.RolloutStep) (text string) {
	for _, s := range all {
		text += fmt.Sprintf(", %s %s %s", safe(s.Backend), v.yellow(s.Step), age(v.now, s.Since))
	}
	return text
}

func whyStopped(why string) string {
	if why == "" {
		return ""
	}
	return "; " + safe(why)
}
