package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"sluice/admin"
)

// historyFlags are what the history is asked for with.
type historyFlags struct {
	limit  int
	verify bool
}

func (c *cli) historyCommand() *cobra.Command {
	var f historyFlags
	cmd := &cobra.Command{
		Use:   "history [SERVICE]",
		Short: "Show who changed what, when, why, and what came of it",
		Long: "Show who changed what, when, why, and what came of it.\n\n" +
			"Each entry carries the hash of the one before it. --verify reads them all, and says that the chain is unbroken and what the\n" +
			"hash of its last entry is, or where it is broken. Note that hash elsewhere: --verify HASH proves later that nothing was\n" +
			"changed up to there. Exit codes: 0 unbroken, 1 broken, or HASH is not in it.",
		Example: "  sluice history web --limit 10\n" +
			"  sluice history --verify\n" +
			"  sluice history --verify 5d41402abc4b2a76b9719d911017c592ae2f0b4f1f6e1d7a0c8e9b3d2f1a6c7e",
		Args:              between(0, "SERVICE"),
		ValidArgsFunction: c.complete(services),
		RunE: func(_ *cobra.Command, args []string) error {
			what := append(args, "")[0]
			if err := f.check(what); err != nil {
				return err
			}
			return c.asking(func(ctx context.Context, client *admin.Client) error {
				if f.verify {
					return c.verifyHistory(ctx, client, what)
				}
				return c.showHistory(ctx, client, what, f.limit)
			})
		},
	}
	cmd.Flags().IntVar(&f.limit, "limit", 0, "how many entries; the newest (default 50)")
	cmd.Flags().BoolVar(&f.verify, "verify", false, "say whether nothing was changed in it; with a HASH noted earlier, that nothing was up to there")
	return cmd
}

func (f historyFlags) check(what string) error {
	switch {
	case f.limit < 0:
		return usageError{fmt.Errorf("--limit is %d; write a number from 1", f.limit)}
	case f.verify && what != "" && !admin.IsHash(what):
		return usageError{fmt.Errorf("%.80q is no hash of an entry, which has 64 hexadecimal digits; --verify is always of all services", what)}
	case f.verify && f.limit > 0:
		return usageError{errors.New("--verify reads all of the history, and --limit a part: leave one of them out")}
	}
	return nil
}

func (c *cli) showHistory(ctx context.Context, client *admin.Client, service string, limit int) error {
	h, err := client.History(ctx, service, limit)
	if err != nil {
		return err
	}
	switch {
	case c.json:
		return c.printJSON(h)
	case c.outTTY && c.outWidth != nil:
		historyView{paint: c.paintOut(), width: c.outWidth(), zone: time.Local}.write(c.out, h.Entries)
		return nil
	}
	return historyTable(h.Entries).print(c.out)
}
