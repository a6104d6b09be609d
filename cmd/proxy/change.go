package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"charm.land/lipgloss/v2"

	"sluice/admin"
	"sluice/drain"
)

// change asks for a change, shows how far it is, and prints the receipt.
func (c *cli) change(verb string, want admin.Want, ask func(context.Context, *admin.Client, admin.Want) (admin.Outcome, error)) error {
	return c.asking(func(ctx context.Context, client *admin.Client) error {
		show := &progressView{cli: c, verb: verb, began: time.Now()}
		if want.Wait {
			want.Progress, want.Items = show.update, show.items()
		}
		outcome, err := ask(ctx, client, want)
		if err == nil && show.cutShort(outcome, want) {
			err = &admin.LostError{Address: client.Address(), Err: errors.New("it is stopping")}
		}
		if show.bake != nil && err != nil {
			outcome, err = c.reattach(ctx, client, show, want, err)
			verb = "bake" // what became of the old pool is not known any more
		}
		show.clear()
		if err != nil {
			return err
		}
		if err := c.printOutcome(verb, outcome); err != nil {
			return err
		}
		err = verdict(outcome, want.Wait || verb == "bake")
		if c.json && outcome.Problem != nil {
			return exitError{exitFailed, nil} // the document has said it
		}
		return err
	})
}

// verdict is the exit code of a change that was made.
func verdict(o admin.Outcome, waited bool) error {
	switch {
	case o.Problem != nil:
		return o.Problem
	case !waited:
		return nil
	case o.Receipt.Done || o.Receipt.Unchanged && o.Over:
		return bakeVerdict(o.Receipt)
	case o.Over:
		return exitError{exitFailed, fmt.Errorf("it ended without being done%s; look at `sluice status`", because(o.Receipt.Why))}
	}
	return exitError{exitUnknown, errors.New("not done by the deadline; it goes on: see `sluice status`, or ask again with --wait")}
}

func because(why string) string {
	if why == "" {
		return ""
	}
	return ": " + why
}

// mostListed is how many requests a receipt lists for people; --json has them all.
const mostListed = 20

// printOutcome leaves out what became of the old pool where only the verdict was asked for.
func (c *cli) printOutcome(verb string, o admin.Outcome) error {
	if verb == "bake" && !c.json && o.Receipt.Bake != nil {
		_, err := fmt.Fprintln(c.out, bakeVerb(o.Receipt.Bake)+" "+bakeText(o.Receipt.Bake, time.Now()))
		return err
	}
	return c.printReceipt(o)
}

func (c *cli) printReceipt(o admin.Outcome) error {
	if c.json {
		return c.printJSON(judged{o.Receipt, o.Problem})
	}
	r := o.Receipt
	fmt.Fprintln(c.out, r.String())
	if r.Drain != nil {
		c.printClasses(r.Drain)
		c.list("cut", r.Drain.CutList, r.Drain.CutMore, r.Began)
	}
	if r.Bake != nil {
		fmt.Fprintln(c.out, bakeVerb(r.Bake)+" "+bakeText(r.Bake, time.Now()))
	}
	if !r.Done {
		c.list("still inside", r.Inside, r.InsideTotal-len(r.Inside), time.Now())
	}
	return nil
}

// printClasses breaks a receipt down by class, where the line above it does not say all.
func (c *cli) printClasses(rep *drain.Report) {
	if len(rep.Classes) < 2 && rep.Cut+rep.Retried+rep.Failed+rep.Left == 0 || rep.Found == 0 {
		return
	}
	t := table{paint: c.paintOut(), indent: "  "}
	t.head("CLASS", "FOUND", "FINISHED", "CUT", "RETRIED", "FAILED", "LEFT")
	for _, class := range drain.Classes() {
		if n := rep.Classes[class]; n.Found > 0 {
			row := []string{class.String()}
			for _, one := range []int{n.Found, n.Finished, n.Cut, n.Retried, n.Failed, n.Left} {
				row = append(row, strconv.Itoa(one))
			}
			t.row(row...)
		}
	}
	t.print(c.out)
}

// list has the oldest items; more are those that the receipt itself leaves out.
func (c *cli) list(what string, items []drain.Item, more int, at time.Time) {
	for i, it := range items {
		if i == mostListed {
			fmt.Fprintf(c.out, "  and %d more (--json lists %s)\n", len(items)-mostListed+max(0, more), allOf(len(items), more))
			return
		}
		fmt.Fprintf(c.out, "  %s: %s\n", what, c.itemLine(len(what)+4, it, at))
	}
}

// itemLine is an item behind so many other signs, in one line of the terminal where there is one.
func (c *cli) itemLine(before int, it drain.Item, at time.Time) string {
	text := itemText(it, at)
	if !c.outTTY || c.outWidth == nil {
		return text
	}
	if before+lipgloss.Width(text) >= c.outWidth() {
		it.Host = ""
		text = itemText(it, at)
	}
	if over := before + lipgloss.Width(text) - c.outWidth() + 1; over > 0 {
		it.Path = middleCut(safe(it.Path), max(leastRequest, min(lipgloss.Width(safe(it.Path)), longestShown)-over))
		text = itemText(it, at)
	}
	return text
}

func allOf(listed, more int) string {
	if more > 0 {
		return fmt.Sprintf("the oldest %d", listed)
	}
	return "them all"
}

// longestShown is how much of a path stands in a line of text.
const longestShown = 120

// itemText is "websocket 4f1d-2 GET shop.example/ws from 10.1.2.3, 12.0s old".
func itemText(it drain.Item, at time.Time) string {
	text := fmt.Sprintf("%s %s %s %s%s", it.Class, safe(it.ID), safe(it.Method), safe(it.Host), safe(middleCut(it.Path, longestShown)))
	if it.Client != "" {
		text += " from " + safe(it.Client)
	}
	old := at.Sub(it.Began)
	if it.Age > 0 { // when it was listed, or cut
		old = time.Duration(it.Age) * time.Millisecond
	}
	if old > 0 {
		text += fmt.Sprintf(", %.1fs old", old.Seconds())
	}
	if it.Idle {
		text += ", idle " + shortAge(time.Duration(it.Quiet)*time.Millisecond)
	}
	return text
}
