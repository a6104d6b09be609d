package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"sluice/control"
	"sluice/drain"
	"sluice/healthcheck"
)

// statusView writes a status for people.
type statusView struct {
	paint
	now time.Time
}

func (v statusView) write(w io.Writer, s control.Status) {
	fmt.Fprintf(w, "%s %s  up %s  generation %d  pid %d\n", v.bold("sluice"), s.Version, age(v.now, s.Started), s.Generation, s.PID)
	if s.Draining {
		fmt.Fprintln(w, v.yellow("on its way out: no change is taken any more"))
	}
	if s.Damage != "" {
		fmt.Fprintln(w, v.red("damage: "+s.Damage))
	}
	for i := range s.Services {
		fmt.Fprintln(w)
		v.service(w, &s.Services[i])
	}
}

func (v statusView) service(w io.Writer, s *control.ServiceStatus) {
	fmt.Fprintf(w, "%s  %s\n", v.bold(s.Name), routeText(s))
	fmt.Fprintf(w, "  live      %s  since %s (%s)\n", v.pool(s.Live, s.Release), age(v.now, s.Since), causeText(s.Cause))
	fmt.Fprintf(w, "  rollback  %s\n", v.rollback(s.Rollback))
	fmt.Fprintf(w, "  traffic   %s\n", v.traffic(s))
	v.bake(w, s.Bake)
	v.schema(w, s)
	v.rollout(w, s.Rollout)
	if len(s.Retired) > 0 {
		fmt.Fprintf(w, "  retired   %s\n", safe(strings.Join(s.Retired, ", ")))
	}
	v.split(w, s.Split)
	v.previews(w, s)
	v.hold(w, s.Hold)
	v.failOpen(w, s.Pools)
	for _, d := range s.Drift {
		fmt.Fprintf(w, "  %s %s: decided %s, the file says %s (%s)\n", v.yellow("drift    "), d.What, d.Decided, d.File, d.Why)
	}
	v.names(w, s)
	t := table{paint: v.paint, indent: "  "}
	t.head("POOL", "BACKEND", "ADMIN", "HEALTH", "RELEASE", "INSIDE", "REQUESTS", "FAILED")
	for _, p := range s.Pools {
		for _, b := range p.Backends {
			t.row(v.poolCell(p), backendText(b), v.admin(b.Admin), v.health(b), orDash(b.Release), insideText(b.Inside, b.InsideBy),
				strconv.FormatInt(b.Requests, 10), v.failures(b.Failures))
		}
		for _, l := range p.Leaving {
			t.row(v.poolCell(p), l.Address, v.yellow("leaving"), v.dim("gone from the DNS"), "-", insideText(l.Inside, l.InsideBy), "-", "-")
		}
	}
	t.print(w)
}

func (v statusView) failOpen(w io.Writer, pools []control.PoolStatus) {
	for _, p := range pools {
		if p.FailOpen {
			fmt.Fprintf(w, "  %s too few backends of %s are up: the checks are not believed, and requests go also to those that fail them\n", v.red("fail-open"), p.Name)
		}
	}
}

func routeText(s *control.ServiceStatus) string {
	hosts := "any host"
	if len(s.Hosts) > 0 {
		hosts = strings.Join(s.Hosts, " ")
	}
	return hosts + "  " + s.Path
}

func (v statusView) pool(name, release string) string {
	if release == "" {
		return v.green(name)
	}
	return v.green(name) + " (release " + release + ")"
}

func causeText(c control.Cause) string {
	text := c.Verb
	if c.By != "" {
		text += " by " + safe(c.By)
	}
	if c.Note != "" {
		text += ": " + safe(c.Note)
	}
	return text
}

func (v statusView) traffic(s *control.ServiceStatus) string {
	t := s.Traffic
	text := fmt.Sprintf("%d requests", t.Requests)
	for digit := 1; digit < len(t.Status); digit++ {
		if t.Status[digit] > 0 {
			text += fmt.Sprintf("  %dxx %d", digit, t.Status[digit])
		}
	}
	text += fmt.Sprintf("  retries %d  inside %d", t.Retries, s.Inside)
	if t.Earlier > 0 {
		text += fmt.Sprintf("  from previous %d", t.Earlier)
	}
	if t.Lost > 0 {
		return text + "  " + v.red(fmt.Sprintf("lost %d", t.Lost))
	}
	return text + "  lost 0"
}

func (v statusView) poolCell(p control.PoolStatus) string {
	switch {
	case p.Live:
		return v.green(p.Name + " live")
	case p.Share > 0:
		return v.green(p.Name + " " + trimmed(p.Share) + "%")
	case p.Armed:
		return p.Name + " armed"
	}
	return v.dim(p.Name + " idle")
}

func (v statusView) admin(a control.Admin) string {
	if a == control.Ready {
		return string(a)
	}
	return v.yellow(string(a))
}

// health is the state and its age, or the reason.
func (v statusView) health(b control.BackendStatus) string {
	text := b.Health.String()
	if !b.Since.IsZero() {
		text += " " + age(v.now, b.Since)
	}
	if b.Reason != "" {
		text += ": " + b.Reason
	}
	if b.Warming > 0 {
		text += fmt.Sprintf(", warming %.0f%%", 100*b.Warming)
	}
	if e := b.Ejected; e != nil {
		return v.yellow(fmt.Sprintf("%s, ejected %s: %s", text, age(v.now, e.Since), e.Why))
	}
	switch b.Health {
	case healthcheck.Up:
		return v.green(text)
	case healthcheck.Down:
		return v.red(text)
	}
	return v.yellow(text)
}

func (v statusView) failures(n int64) string {
	if n == 0 {
		return "0"
	}
	return v.red(strconv.FormatInt(n, 10))
}

// insideText is "3 (request 1, websocket 2)".
func insideText(n int, by map[drain.Class]int) string {
	if n == 0 {
		return "0"
	}
	if text := byClass(by); text != "" {
		return fmt.Sprintf("%d (%s)", n, text)
	}
	return strconv.Itoa(n)
}

func byClass(by map[drain.Class]int) string {
	var parts []string
	for _, class := range drain.Classes() {
		if n := by[class]; n > 0 {
			parts = append(parts, fmt.Sprintf("%s %d", class, n))
		}
	}
	return strings.Join(parts, ", ")
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// age is how long ago something was, in one unit or two.
func age(now, then time.Time) string {
	if then.IsZero() {
		return "never"
	}
	d := max(0, now.Sub(then))
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%dm%02ds", int(d.Minutes()), int(d.Seconds())%60)
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh%02dm", int(d.Hours()), int(d.Minutes())%60)
	}
	return fmt.Sprintf("%dd", int(d.Hours())/24)
}
