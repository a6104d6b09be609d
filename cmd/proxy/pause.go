package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"sluice/admin"
	"sluice/control"
)

func (c *cli) pauseCommand() *cobra.Command {
	var f changeFlags
	var wait bool
	var length time.Duration
	cmd := &cobra.Command{
		Use:   "pause SERVICE",
		Short: "Have new requests wait, until `sluice resume`",
		Long: "Have the new requests of a service wait, until `sluice resume`. They wait within the caps of its `hold:` (by default\n" +
			"30s each, 1000 of them, 64 MiB); what goes beyond is answered 503, the oldest first. What is inside goes on: with --wait\n" +
			"the command answers when nothing is. A pause survives restarts, and ends by itself after --for.",
		Example:           "  sluice pause web --for 30s --note 'schema change' --wait && ./migrate && sluice resume web",
		Args:              exactly("SERVICE"),
		ValidArgsFunction: c.complete(services),
		RunE: func(cmd *cobra.Command, args []string) error {
			if cmd.Flags().Changed("for") && length <= 0 {
				return usageError{fmt.Errorf("--for is %s; write a length such as 30s or 10m", length)}
			}
			return c.change("pause", c.want(f, wait), func(ctx context.Context, client *admin.Client, want admin.Want) (admin.Outcome, error) {
				return client.Pause(ctx, args[0], length, want)
			})
		},
	}
	f.add(cmd)
	cmd.Flags().DurationVar(&length, "for", 0, "end by itself after this `LENGTH` (default 1h)")
	cmd.Flags().BoolVar(&wait, "wait", false, "answer when nothing is inside any more")
	return cmd
}

func (c *cli) resumeCommand() *cobra.Command {
	var f changeFlags
	var wait bool
	cmd := &cobra.Command{
		Use:   "resume SERVICE",
		Short: "End a pause: let those that wait go on, the oldest first",
		Long: "End a pause: let those that wait go on, the oldest first, by the ramp of the service's `hold:`, and new ones at once.\n" +
			"With --wait the command answers when none waits any more.",
		Example:           "  sluice resume web --wait",
		Args:              exactly("SERVICE"),
		ValidArgsFunction: c.complete(services),
		RunE: func(_ *cobra.Command, args []string) error {
			return c.change("resume", c.want(f, wait), func(ctx context.Context, client *admin.Client, want admin.Want) (admin.Outcome, error) {
				return client.Resume(ctx, args[0], want)
			})
		},
	}
	f.add(cmd)
	cmd.Flags().BoolVar(&wait, "wait", false, "answer when nobody waits any more")
	return cmd
}

// hold says what waits; nothing where nothing is out of the ordinary.
func (v statusView) hold(w io.Writer, h control.HoldStatus) {
	switch h.State {
	case "paused":
		fmt.Fprintf(w, "  %s since %s (%s), ends in %s\n", v.yellow("paused   "), age(v.now, h.Paused.Since), causeText(h.Paused.Cause), age(h.Paused.Until, v.now))
	case "waiting":
		fmt.Fprintf(w, "  %s for a backend: %s\n", v.yellow("waiting  "), h.Why)
	case "failing":
		fmt.Fprintf(w, "  %s 503, no backend: %s\n", v.red("failing  "), h.Why)
	case "releasing":
		fmt.Fprintf(w, "  %s those that waited\n", v.yellow("releasing"))
	}
	if h.Entered > 0 || h.State == "paused" || h.State == "waiting" {
		fmt.Fprintf(w, "  held      %s\n", v.heldText(h))
	}
}

// heldText is "3, 12 KiB, the oldest for 4s; released 10  left 1  shed 0".
func (v statusView) heldText(h control.HoldStatus) string {
	text := fmt.Sprint(h.Held)
	if h.Oldest != nil {
		text += fmt.Sprintf(", %d KiB, the oldest for %s", (h.Bytes+1023)/1024, age(v.now, *h.Oldest))
	}
	text += fmt.Sprintf("; released %d  left %d  ", h.Released, h.Left)
	if h.Shed > 0 {
		return text + v.red(fmt.Sprintf("shed %d", h.Shed))
	}
	return text + "shed 0"
}
