package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"sluice/admin"
	"sluice/drain"
)

// change asks for a change, shows how far it is, and prints the receipt.
func (c *cli) change(verb string, want admin.Want, ask func(context.Context, *admin.Client, admin.Want) (admin.Outcome, error)) error {
	return c.asking(func(ctx context.Context, client *admin.Client) error {
		show := &progressView{cli: c, verb: verb, began: time.Now()}
		if want.Wait {
			want.Progress = show.update
		}
		outcome, err := ask(ctx, client, want)
		show.clear()
		if err != nil {
			return err
		}
		if err := c.printReceipt(outcome); err != nil {
			return err
		}
		return verdict(outcome, want.Wait)
	})
}

// verdict is the exit code of a change that was made.
func verdict(o admin.Outcome, waited bool) error {
	switch {
	case !waited || o.Receipt.Done || o.Receipt.Unchanged && o.Over:
		return nil
	case o.Over:
		return exitError{exitFailed, errors.New("it ended without being done; look at `sluice status`")}
	}
	return exitError{exitUnknown, errors.New("not done by the deadline; it goes on: see `sluice status`, or ask again with --wait")}
}

// mostListed is how many requests a receipt lists for people; --json has them all.
const mostListed = 20

func (c *cli) printReceipt(o admin.Outcome) error {
	if c.json {
		return c.printJSON(o.Receipt)
	}
	r := o.Receipt
	fmt.Fprintln(c.out, r.String())
	if r.Drain != nil {
		c.list("cut", r.Drain.CutList, r.Began)
	}
	if !r.Done {
		c.list("still inside", r.Inside, time.Now())
	}
	return nil
}

func (c *cli) list(what string, items []drain.Item, at time.Time) {
	for i, it := range items {
		if i == mostListed {
			fmt.Fprintf(c.out, "  and %d more (--json lists them all)\n", len(items)-mostListed)
			return
		}
		fmt.Fprintf(c.out, "  %s: %s\n", what, itemText(it, at))
	}
}

// itemText is "websocket 4f1d-2 GET shop.example/ws from 10.1.2.3, 12.0s old".
func itemText(it drain.Item, at time.Time) string {
	text := fmt.Sprintf("%s %s %s %s%s", it.Class, it.ID, it.Method, it.Host, it.Path)
	if it.Client != "" {
		text += " from " + it.Client
	}
	if old := at.Sub(it.Began); old > 0 {
		text += fmt.Sprintf(", %.1fs old", old.Seconds())
	}
	return text
}

// progressView shows how far a change is: one live line on a terminal, a plain line each second elsewhere. It writes to
// standard error, so that standard output holds nothing but the receipt.
type progressView struct {
	*cli
	verb  string
	began time.Time
	said  time.Duration // when the last plain line was written, since began
	drawn bool
}

func (v *progressView) update(p admin.Progress) {
	if v.json && !v.errTTY {
		return
	}
	line := v.line(p)
	elapsed := time.Since(v.began)
	switch {
	case v.errTTY:
		fmt.Fprintf(v.err, "\r\x1b[K%s", line)
		v.drawn = true
	case elapsed-v.said >= time.Second:
		fmt.Fprintln(v.err, line)
		v.said = elapsed
	}
}

func (v *progressView) clear() {
	if v.drawn {
		fmt.Fprint(v.err, "\r\x1b[K")
	}
}

func (v *progressView) line(p admin.Progress) string {
	elapsed := time.Since(v.began).Seconds()
	if v.verb == "ready" {
		return fmt.Sprintf("%s: waiting for the backend to be up, %.1fs", v.verb, elapsed)
	}
	line := fmt.Sprintf("%s: %s inside, %.1fs", v.verb, insideText(p.Inside, p.InsideBy), elapsed)
	if len(p.Items) > 0 {
		line += "; oldest " + itemText(p.Items[0], time.Now())
	}
	return line
}
