package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"sluice/admin"
)

func (c *cli) stopCommand() *cobra.Command {
	var f changeFlags
	var noWait bool
	cmd := &cobra.Command{
		Use:   "stop",
		Short: "Finish what is inside and end the running Sluice",
		Args:  exactly(),
		RunE: func(*cobra.Command, []string) error {
			return c.change("stop", c.want(f, !noWait), func(ctx context.Context, client *admin.Client, want admin.Want) (admin.Outcome, error) {
				outcome, err := client.Stop(ctx, want)
				if err == nil && want.Wait && outcome.Over {
					err = awaitGone(ctx, client)
				}
				return outcome, err
			})
		},
	}
	f.add(cmd)
	cmd.Flags().BoolVar(&noWait, "no-wait", false, "answer as soon as the exit has begun")
	return cmd
}

const (
	// lookAgain is how often is looked whether the process is gone.
	lookAgain = 20 * time.Millisecond
	// longestEnd is how long the process may take from its receipt to its end: nothing is left to do then.
	longestEnd = 10 * time.Second
)

// awaitGone returns when nobody answers any more.
func awaitGone(ctx context.Context, client *admin.Client) error {
	ctx, cancel := context.WithTimeout(ctx, longestEnd)
	defer cancel()
	for !client.Gone(ctx) {
		select {
		case <-time.After(lookAgain):
		case <-ctx.Done():
			return exitError{exitUnknown, errors.New(fmt.Sprint("it has finished what was inside and still answers at ", client.Address(), "; look at its event log"))}
		}
	}
	return nil
}
