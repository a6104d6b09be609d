package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"sluice/admin"
	"sluice/control"
)

// bakeLength is the value of --bake; it may be left out.
type bakeLength struct{ d *time.Duration }

// String is empty where nothing was given.
func (b *bakeLength) String() string {
	if b.d == nil {
		return ""
	}
	return b.d.String()
}

// Set takes a length of time, or 0 or off.
func (b *bakeLength) Set(text string) error {
	if text == "off" {
		text = "0"
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 {
		return errors.New("write a length such as 60s, or 0 to go without")
	}
	b.d = &d
	return nil
}

// Type is what the help calls it.
func (b *bakeLength) Type() string { return "duration" }

func (c *cli) bakeCommand() *cobra.Command {
	var noWait bool
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:   "bake SERVICE",
		Short: "Wait for the verdict on the release of the latest flip",
		Long: "Wait for the verdict on the release of the latest flip with --bake, as that command does itself: this is for who lost it, and\n" +
			"works after a restart of Sluice too. Exit code 0: it passed; 1: it is worse, and was rolled back; 3: there was not enough\n" +
			"traffic to say, or no verdict yet.",
		Example:           "  sluice bake web",
		Args:              exactly("SERVICE"),
		ValidArgsFunction: c.complete(services),
		RunE: func(_ *cobra.Command, args []string) error {
			want := admin.Want{Wait: !noWait, Timeout: timeout}
			return c.change("bake", want, func(ctx context.Context, client *admin.Client, want admin.Want) (admin.Outcome, error) {
				return client.Bake(ctx, args[0], want)
			})
		},
	}
	cmd.Flags().DurationVar(&timeout, "timeout", 0, "wait no longer than this; exit code 3 when there is no verdict by then")
	cmd.Flags().BoolVar(&noWait, "no-wait", false, "say how it stands now")
	return cmd
}

// bakeVerdict is the exit code of a flip whose release was not found to be worse.
func bakeVerdict(r control.Receipt) error {
	b := r.Bake
	switch {
	case b == nil || b.State == control.BakePassed:
		return nil
	case b.State == control.NotEnough && b.Split:
		return exitError{exitUnknown, fmt.Errorf("nobody can say whether %s is as good as %s: %s\n  the split stays as it is; ask again with a longer --judge, give it a larger share, or end it", b.To, b.From, b.Why)}
	case b.State == control.NotEnough:
		return exitError{exitUnknown, fmt.Errorf("nobody can say whether %s is as good as %s: %s\n  it stays live; look at it yourself, and `sluice rollback %s` if need be", b.To, b.From, b.Why, r.Service)}
	case b.State == control.Baking:
		return exitError{exitUnknown, fmt.Errorf("there is no verdict yet; the judging goes on: wait for it with `sluice bake %s`", r.Service)}
	}
	return exitError{exitFailed, fmt.Errorf("%s did not pass: %s", b.To, b.Why)}
}

const (
	// askAgainEvery is how often a Sluice that is away is asked; it may be starting again.
	askAgainEvery = 500 * time.Millisecond
	// restartTime is how long it may be away.
	restartTime = 30 * time.Second
)

// reattach waits for the verdict of a bake again whose answer broke off: Sluice may have been started anew, and goes on with it.
func (c *cli) reattach(ctx context.Context, client *admin.Client, show *progressView, want admin.Want, lost error) (admin.Outcome, error) {
	b, service, until := show.bake, show.bake.Service, time.Now().Add(restartTime)
	show.clear()
	if goneAway(lost) && ctx.Err() == nil {
		show.say("the connection was lost; asking how the bake goes on")
	}
	for goneAway(lost) && ctx.Err() == nil && time.Now().Before(until) {
		pause(ctx, askAgainEvery)
		outcome, err := client.Bake(ctx, service, want)
		if err == nil && outcome.Receipt.ID == b.ID {
			return outcome, nil
		}
		if err != nil {
			lost = err
		}
	}
	if ctx.Err() != nil {
		return admin.Outcome{}, exitError{exitUnknown, fmt.Errorf("interrupted; the bake of %s goes on by itself: wait for its verdict with `sluice bake %s`", b.To, service)}
	}
	return admin.Outcome{}, lost
}

// cutShort reports an answer that came before the verdict though nobody set it a limit: Sluice is on its way out.
func (v *progressView) cutShort(o admin.Outcome, want admin.Want) bool {
	return v.bake != nil && want.Wait && want.Timeout == 0 && !o.Over && o.Receipt.Bake != nil && o.Receipt.Bake.State == control.Baking
}

// goneAway reports an error that another try may mend.
func goneAway(err error) bool {
	var lost *admin.LostError
	var away *admin.NoAnswerError
	return errors.As(err, &lost) || errors.As(err, &away)
}

func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
