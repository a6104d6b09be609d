package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"sluice/admin"
	"sluice/control"
)

func (c *cli) retireCommand() *cobra.Command {
	var f changeFlags
	var wait time.Duration
	cmd := &cobra.Command{
		Use:   "retire SERVICE RELEASE",
		Short: "Close off a release for good, once nothing can serve it any more",
		Long: "Close off a release for good. It succeeds only when nothing can serve RELEASE any more: no backend that reports it or does\n" +
			"not say what it is, no request or tunnel inside, nobody kept or held for it, no lease. From then on a backend that reports\n" +
			"it gets no request. Exit code 1: blocked, and by what; 3: nobody can say. Then what it needs may be dropped.",
		Example:           "  sluice retire web v41 --wait 15m && ./drop-old-columns",
		Args:              exactly("SERVICE", "RELEASE"),
		ValidArgsFunction: c.complete(services, oldReleases),
		RunE: func(_ *cobra.Command, args []string) error {
			if wait < 0 {
				return usageError{fmt.Errorf("--wait is %s; write a length such as 15m", wait)}
			}
			return c.asking(func(ctx context.Context, client *admin.Client) error {
				return c.retire(ctx, client, args[0], args[1], wait, c.want(f, false))
			})
		},
	}
	cmd.Flags().DurationVar(&wait, "wait", 0, "wait this `LONG` for what is in the way")
	f.addCause(cmd)
	return cmd
}

// retireTurn is how long Sluice is asked to wait at a time, so that what is in the way can be shown meanwhile. It is first
// asked without a wait, so that it is shown at once.
const retireTurn = 2 * time.Second

func (c *cli) retire(ctx context.Context, client *admin.Client, service, release string, wait time.Duration, want admin.Want) error {
	until, shown, turn := time.Now().Add(wait), "", time.Duration(0)
	for {
		outcome, err := client.Retire(ctx, service, release, turn, want)
		blockers := admin.Blockers(err)
		switch {
		case err == nil:
			return c.printReceipt(outcome)
		case len(blockers) == 0:
			return err
		case time.Until(until) <= 0:
			return c.stillBlocked(err, blockers)
		}
		if text := blockersText(blockers, time.Now(), false); text != shown && !c.json {
			shown = text
			fmt.Fprint(c.err, "waiting for:\n"+blockersText(blockers, time.Now(), true))
		}
		turn = max(0, min(time.Until(until), retireTurn))
	}
}

// stillBlocked is 1 when something is in the way, and 3 when it is only that nobody knows.
func (c *cli) stillBlocked(err error, blockers []control.Blocker) error {
	var p *admin.Problem
	errors.As(err, &p)
	if !c.json {
		fmt.Fprint(c.err, "in the way:\n"+blockersText(blockers, time.Now(), true))
	}
	if p.Kind() == "uncertain" {
		return exitError{exitUnknown, err}
	}
	return exitError{exitFailed, err}
}

// blockersText is a line for each. Without ends it is what stays the same while a lease is renewed.
func blockersText(all []control.Blocker, now time.Time, ends bool) string {
	var b strings.Builder
	for _, one := range all {
		what := one.What
		if !ends {
			what, _, _ = strings.Cut(what, ", renewed until ")
		}
		fmt.Fprintf(&b, "  %s: %s", one.Kind, safe(what))
		if one.Unknown {
			b.WriteString(" (unknown)")
		}
		if ends && one.Ends != nil {
			fmt.Fprintf(&b, ", over in %s at the latest", age(*one.Ends, now))
		}
		b.WriteString("\n")
	}
	return b.String()
}

func oldReleases(s control.Status, before []string) (names []string) {
	for _, svc := range s.Services {
		for _, p := range svc.Pools {
			if svc.Name == before[0] && p.Release != "" && !p.Live {
				names = append(names, p.Release+"\t"+p.Name)
			}
		}
	}
	return names
}

func (c *cli) leaseCommand() *cobra.Command {
	var l control.Lease
	var ttl time.Duration
	var drop bool
	cmd := &cobra.Command{
		Use:   "lease [NAME]",
		Short: "Say that something which Sluice does not carry runs a release; or list who says so",
		Long: "Say that something which Sluice does not carry, as a worker or a cron job, runs a release, so that it is not retired under\n" +
			"it. A lease ends by itself: renew it well before. Without NAME the leases are listed.",
		Example: "  while sluice lease worker-1 --release v41 --ttl 60s; do sleep 20; done",
		Args:    between(0, "NAME"),
		RunE: func(_ *cobra.Command, args []string) error {
			return c.asking(func(ctx context.Context, client *admin.Client) error {
				if len(args) == 0 {
					return c.listLeases(ctx, client)
				}
				l.Name, l.By = args[0], c.because(causeFlags{}).By
				return c.putLease(ctx, client, l, ttl, drop)
			})
		},
	}
	cmd.Flags().StringVar(&l.Release, "release", "", "the `RELEASE` that it runs")
	cmd.Flags().DurationVar(&ttl, "ttl", time.Minute, "how long the lease lasts unless it is renewed")
	cmd.Flags().StringVar(&l.Service, "service", "", "the `SERVICE` whose release it is (default: any)")
	cmd.Flags().BoolVar(&drop, "drop", false, "end the lease")
	return cmd
}

func (c *cli) putLease(ctx context.Context, client *admin.Client, l control.Lease, ttl time.Duration, drop bool) (err error) {
	switch {
	case drop:
		l, err = client.DropLease(ctx, l.Name)
	case l.Release == "":
		return usageError{errors.New("--release is missing: which release does it run?")}
	default:
		l, err = client.PutLease(ctx, l, ttl)
	}
	switch {
	case err != nil:
		return err
	case c.json:
		return c.printJSON(l)
	case drop:
		fmt.Fprintf(c.out, "lease %s of release %s is ended\n", safe(l.Name), safe(l.Release))
	default:
		fmt.Fprintf(c.out, "lease %s of release %s until %s\n", safe(l.Name), safe(l.Release), l.Until.Local().Format(time.DateTime))
	}
	return nil
}

func (c *cli) listLeases(ctx context.Context, client *admin.Client) error {
	all, err := client.Leases(ctx)
	if err != nil {
		return err
	}
	if c.json {
		return c.printJSON(all)
	}
	t := table{paint: c.paintOut()}
	t.head("LEASE", "SERVICE", "RELEASE", "SINCE", "ENDS IN", "BY")
	now := time.Now()
	for _, l := range all.Leases {
		t.row(safe(l.Name), orDash(l.Service), safe(l.Release), age(now, l.Since), age(l.Until, now), orDash(safe(l.By)))
	}
	return t.print(c.out)
}
