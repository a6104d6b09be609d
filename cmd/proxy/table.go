package main

import (
	"io"
	"strings"

	"charm.land/lipgloss/v2"
)

// paint colours text for a terminal; where it is false, text stays as it is.
type paint bool

// paintOut paints when a person looks at the output and has not set NO_COLOR (no-color.org).
func (c *cli) paintOut() paint { return paint(c.outTTY && c.getenv("NO_COLOR") == "") }

// paintErr is paintOut for standard error.
func (c *cli) paintErr() paint { return paint(c.errTTY && c.getenv("NO_COLOR") == "") }

func (p paint) with(code, s string) string {
	if !p || s == "" {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}

func (p paint) bold(s string) string   { return p.with("1", s) }
func (p paint) dim(s string) string    { return p.with("2", s) }
func (p paint) red(s string) string    { return p.with("31", s) }
func (p paint) green(s string) string  { return p.with("32", s) }
func (p paint) yellow(s string) string { return p.with("33", s) }

// table lines up columns, whatever colours are in them.
type table struct {
	paint
	indent string
	rows   [][]string
	least  []int // how wide a column is at least
}

func (t *table) row(cells ...string) { t.rows = append(t.rows, cells) }

func (t *table) head(cells ...string) {
	for i, c := range cells {
		cells[i] = t.dim(c)
	}
	t.row(cells...)
}

func (t *table) widths() []int {
	var widths []int
	for _, row := range t.rows {
		for i, cell := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], lipgloss.Width(cell))
			if i < len(t.least) {
				widths[i] = max(widths[i], t.least[i])
			}
		}
	}
	return widths
}

func (t *table) print(w io.Writer) error {
	widths := t.widths()
	var b strings.Builder
	for _, row := range t.rows {
		line := t.indent
		for i, cell := range row {
			line += cell
			if i < len(row)-1 {
				line += strings.Repeat(" ", widths[i]-lipgloss.Width(cell)+2)
			}
		}
		b.WriteString(strings.TrimRight(line, " ") + "\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}
