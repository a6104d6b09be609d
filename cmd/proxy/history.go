package main

import (
	"context"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"sluice/admin"
	"sluice/control"
)

func (c *cli) historyCommand() *cobra.Command {
	var limit int
	cmd := &cobra.Command{
		Use:               "history [SERVICE]",
		Short:             "Show who changed what, when, why, and what came of it",
		Args:              between(0, "SERVICE"),
		ValidArgsFunction: c.complete(services),
		RunE: func(_ *cobra.Command, args []string) error {
			if limit < 0 {
				return usageError{fmt.Errorf("--limit is %d; write a number from 1", limit)}
			}
			service := ""
			if len(args) > 0 {
				service = args[0]
			}
			return c.asking(func(ctx context.Context, client *admin.Client) error {
				return c.showHistory(ctx, client, service, limit)
			})
		},
	}
	cmd.Flags().IntVar(&limit, "limit", 0, "how many entries; the newest (default 50)")
	return cmd
}

func (c *cli) showHistory(ctx context.Context, client *admin.Client, service string, limit int) error {
	h, err := client.History(ctx, service, limit)
	if err != nil {
		return err
	}
	if c.json {
		return c.printJSON(h)
	}
	t := table{paint: c.paintOut()}
	t.head("WHEN", "GENERATION", "WHAT", "BY", "OUTCOME", "NOTE")
	for _, e := range h.Entries {
		t.row(e.Time.Local().Format("2006-01-02 15:04:05"), strconv.FormatUint(e.Generation, 10), e.Text, orDash(e.Cause.By), outcomeText(e), e.Cause.Note)
	}
	return t.print(c.out)
}

func outcomeText(e control.Entry) string {
	switch {
	case e.Outcome == nil:
		return "-"
	case e.Outcome.Drain != nil:
		return e.Outcome.Drain.String()
	case e.Outcome.Done:
		return "done"
	}
	return "not done"
}
