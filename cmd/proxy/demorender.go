package main

import (
	"fmt"
	"strings"
	"time"

	"charm.land/lipgloss/v2"

	"sluice/control"
	"sluice/demo"
	"sluice/drain"
)

// The colours of the view: blue and green for the pools of those names, the rest sparing.
var (
	styleTitle = lipgloss.NewStyle().Bold(true).Foreground(lipgloss.Color("15"))
	styleDim   = lipgloss.NewStyle().Foreground(lipgloss.Color("245"))
	styleGood  = lipgloss.NewStyle().Bold(true).Foreground(lipgloss.Color("42"))
	styleBad   = lipgloss.NewStyle().Bold(true).Foreground(lipgloss.Color("196"))
	styleWarn  = lipgloss.NewStyle().Foreground(lipgloss.Color("214"))
	styleBlue  = lipgloss.NewStyle().Foreground(lipgloss.Color("75"))
	styleGreen = lipgloss.NewStyle().Foreground(lipgloss.Color("78"))
	styleBox   = lipgloss.NewStyle().Border(lipgloss.RoundedBorder()).BorderForeground(lipgloss.Color("239")).Padding(0, 1)
)

// widest keeps the view together on a very wide terminal.
const widest = 112

func (m *demoModel) render() string {
	width := min(m.width, widest) - 2
	box := styleBox.Width(max(60, width))
	parts := []string{
		m.title(),
		box.Render(m.pools()),
		box.Render(m.classes()),
		box.Render(m.receipts(max(60, width) - 4)),
		styleDim.Render(" f flip now · r rollback · q quit"),
	}
	return strings.Join(parts, "\n")
}

func (m *demoModel) title() string {
	s := m.scene
	total := s.counts.Total()
	verdict := styleGood.Render("lost 0")
	if total.Lost > 0 {
		verdict = styleBad.Render(fmt.Sprintf("lost %d", total.Lost))
	}
	next := "flipping now"
	if left := s.act.next.Sub(s.at); !s.act.busy && left > 0 {
		next = fmt.Sprintf("next flip in %.1fs", left.Seconds())
	} else if s.act.busy {
		next = "draining"
	}
	elapsed := s.counts.Elapsed.Round(time.Second)
	return fmt.Sprintf(" %s  http://%s  %s  flips %d  %s  %s",
		styleTitle.Render("sluice demo"), s.address, elapsed, s.act.flips, verdict, styleDim.Render(next))
}

// styleOf is the colour of a release or a pool.
func styleOf(name string) lipgloss.Style {
	switch name {
	case "blue", "v1":
		return styleBlue
	case "green", "v2":
		return styleGreen
	}
	return styleDim
}

// pools shows each pool, what is inside of it, and who answered in the last seconds.
func (m *demoModel) pools() string {
	var lines []string
	for _, svc := range m.scene.status.Services {
		for _, p := range svc.Pools {
			lines = append(lines, poolLine(p))
		}
	}
	ribbon := ""
	for _, release := range m.ribbon {
		ribbon += styleOf(release).Render("█")
	}
	return strings.Join(append(lines, styleDim.Render("answers   ")+ribbon), "\n")
}

func poolLine(p control.PoolStatus) string {
	mark, state := "○", "armed"
	switch {
	case p.Live:
		mark, state = "●", "LIVE"
	case p.Inside > 0:
		mark, state = "◐", "draining"
	}
	by := map[drain.Class]int{}
	for _, b := range p.Backends {
		for class, n := range b.InsideBy {
			by[class] += n
		}
	}
	style := styleOf(p.Name)
	bar := style.Render(strings.Repeat("▮", min(p.Inside, 24))) + strings.Repeat(" ", 24-min(p.Inside, 24))
	head := style.Bold(p.Live).Render(fmt.Sprintf("%s %-6s %-3s %-8s", mark, p.Name, p.Release, state))
	return fmt.Sprintf("%s inside %3d %s %s", head, p.Inside, bar, styleDim.Render(byClass(by)))
}

func (m *demoModel) classes() string {
	t := table{}
	head := []string{"class", "done", "lost", "cut", "per s", "p99", "", "by"}
	for i := range head {
		head[i] = styleDim.Render(head[i])
	}
	t.row(head...)
	for _, class := range demo.Classes() {
		n, there := m.scene.counts.Classes[class]
		if there {
			t.row(m.classRow(class, n)...)
		}
	}
	var b strings.Builder
	t.print(&b)
	return strings.TrimRight(b.String(), "\n")
}

func (m *demoModel) classRow(class demo.Class, n demo.Count) []string {
	rates, last := m.rates[class], 0.0
	if len(rates) > 0 {
		last = rates[len(rates)-1]
	}
	lost, cut := styleGood.Render("0"), styleDim.Render("0")
	if n.Lost > 0 {
		lost = styleBad.Render(fmt.Sprint(n.Lost))
	}
	if n.Cut > 0 {
		cut = styleWarn.Render(fmt.Sprint(n.Cut))
	}
	style := styleOf(n.Release)
	return []string{
		fmt.Sprintf("%-9s", class), fmt.Sprintf("%6d", n.Done), lost, cut, fmt.Sprintf("%6.0f", last),
		fmt.Sprintf("%8s", shortTime(n.P99)), style.Render(spark(rates, sparkCells)), style.Render(n.Release),
	}
}

func shortTime(d time.Duration) string {
	if d < time.Second {
		return fmt.Sprintf("%.1f ms", inMilliseconds(d))
	}
	return fmt.Sprintf("%.1f s", d.Seconds())
}

// spark draws values as small bars, scaled to the largest, right-aligned in cells.
func spark(values []float64, cells int) string {
	const bars = "▁▂▃▄▅▆▇█"
	values = lastOf(values, cells)
	most := 0.0
	for _, v := range values {
		most = max(most, v)
	}
	line := strings.Repeat(" ", cells-len(values))
	for _, v := range values {
		step := 0
		if most > 0 {
			step = int(v / most * 7)
		}
		line += string([]rune(bars)[step])
	}
	return line
}

// receipts shows the latest; the newest first.
func (m *demoModel) receipts(width int) string {
	lines := []string{}
	acts := m.scene.act.acts
	for i := len(acts) - 1; i >= 0; i-- {
		style := lipgloss.NewStyle()
		if acts[i].failed {
			style = styleBad
		} else if i < len(acts)-1 {
			style = styleDim
		}
		text := []rune(acts[i].at.Format("15:04:05 ") + acts[i].short)
		lines = append(lines, style.Render(string(text[:min(len(text), width)])))
	}
	for len(lines) < mostActs {
		lines = append(lines, "")
	}
	return strings.Join(lines, "\n")
}
