package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"sluice/control"
	"sluice/demo"
)

// tellDemo writes a line each second, and each receipt, until ctx ends.
func (c *cli) tellDemo(ctx context.Context, s *stage) {
	if !c.json {
		fmt.Fprintf(c.out, "two releases of the demo app behind http://%s; a flip every %s\n", s.address, s.director.every)
	}
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	told, before := 0, 0
	for {
		select {
		case <-ctx.Done():
			s.director.close()
			c.tellActs(s.director.view(), told)
			return
		case <-ticker.C:
		}
		if c.json {
			continue
		}
		status, err := s.client.Status(ctx)
		if err != nil {
			continue
		}
		counts, view := s.traffic.Count(), s.director.view()
		told = c.tellActs(view, told)
		done := counts.Total().Done
		fmt.Fprintln(c.out, plainLine(counts, done-before, view.flips, status))
		before = done
	}
}

// tellActs writes the acts that were not told yet, and returns how many there were in all.
func (c *cli) tellActs(v directorView, told int) int {
	if c.json {
		return v.count
	}
	for _, a := range lastOf(v.acts, v.count-told) {
		fmt.Fprintln(c.out, "  "+a.text)
	}
	return v.count
}

func plainLine(counts demo.Counts, rate, flips int, status control.Status) string {
	total := counts.Total()
	line := fmt.Sprintf("%4.0fs  flips %d  done %d (%d/s)  lost %d  cut %d", counts.Elapsed.Seconds(), flips, total.Done, rate, total.Lost, total.Cut)
	for _, svc := range status.Services {
		line += fmt.Sprintf("  live %s (release %s)", svc.Live, orDash(svc.Release))
		var inside []string
		for _, p := range svc.Pools {
			inside = append(inside, fmt.Sprintf("%s %d", p.Name, p.Inside))
		}
		line += "  inside " + strings.Join(inside, ", ")
	}
	return line
}
