package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"sluice/admin"
	"sluice/control"
)

// verifyHistory says whether the history is unbroken, and its head, which is for noting elsewhere.
func (c *cli) verifyHistory(ctx context.Context, client *admin.Client, noted string) error {
	chain, err := client.Verify(ctx, noted)
	if err != nil {
		return err
	}
	if c.json {
		if err = c.printJSON(chain); err == nil && !chain.Unbroken {
			err = exitError{exitFailed, nil} // the document has said it
		}
		return err
	}
	chainView{c.paintOut()}.write(c.out, chain)
	switch {
	case chain.Break != nil:
		return exitError{exitFailed, errors.New("the history was changed or damaged\n  next: look at the file that is named, and compare the folder with a backup")}
	case !chain.Unbroken:
		return exitError{exitFailed, errors.New("the history is not the one that the hash was noted of\n  next: compare the state folder with a backup of that time")}
	}
	return nil
}

// chainView writes what was found for people.
type chainView struct{ paint }

func (v chainView) write(w io.Writer, c control.Chain) {
	if b := c.Break; b != nil {
		fmt.Fprintf(w, "%s at entry %d: %s\n", v.red("broken"), b.Seq, safe(b.Why))
		fmt.Fprintf(w, "  %s\n", v.place(b, c.Breaks))
	}
	switch {
	case c.Entries == 0:
		fmt.Fprintln(w, "no entries")
	case c.SinceSeq == 0:
		fmt.Fprintf(w, "%s, and the last are missing or damaged\n", entries(c.Entries))
	default:
		fmt.Fprintf(w, "%s, %s since %s%s\n", entries(c.Entries), v.green("unbroken"), at(c.Since), v.from(c))
	}
	if c.Trimmed > 0 {
		fmt.Fprintf(w, "  they are %s to %s: the %s older ones gave way to newer ones\n", grouped(c.First), grouped(c.Last), grouped(c.Trimmed))
	}
	v.noted(w, c)
	if c.Head != "" {
		fmt.Fprintf(w, "head %s\n", c.Head)
	}
}

func (v chainView) place(b *control.Break, breaks int) string {
	text := safe(b.File)
	if b.Line > 0 {
		text += fmt.Sprintf(", line %d", b.Line)
	}
	if breaks > 1 {
		text += fmt.Sprintf("; the first of %d breaks", breaks)
	}
	return text
}

// from says where the unbroken part begins, where that is not the beginning.
func (v chainView) from(c control.Chain) string {
	if c.SinceSeq == c.First {
		return ""
	}
	return fmt.Sprintf(" (entry %s)", grouped(c.SinceSeq))
}

// noted says what became of the hash that was given.
func (v chainView) noted(w io.Writer, c control.Chain) {
	if c.Noted == nil {
		return
	}
	fmt.Fprintf(w, "noted %s\n", c.Noted.Hash)
	switch n := c.Noted; {
	case !n.Found && c.Trimmed > 0:
		fmt.Fprintf(w, "  %s; one up to %s may have had it, which gave way\n", v.red("no entry has it"), grouped(c.Trimmed))
	case !n.Found:
		fmt.Fprintf(w, "  %s\n", v.red("no entry has it"))
	case c.Break != nil && c.SinceSeq > n.Seq || c.SinceSeq == 0:
		fmt.Fprintf(w, "  entry %s of %s, before a break\n", grouped(n.Seq), at(n.Time))
	default:
		fmt.Fprintf(w, "  entry %s of %s; %s\n", grouped(n.Seq), at(n.Time), v.green("nothing up to there was changed since"))
	}
}

func at(t *time.Time) string {
	if t == nil {
		return "a time that is not known"
	}
	return t.Local().Format(time.DateTime)
}

func entries(n uint64) string {
	if n == 1 {
		return "1 entry"
	}
	return grouped(n) + " entries"
}

// grouped is a number as 1,204.
func grouped(n uint64) string {
	text := strconv.FormatUint(n, 10)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}
