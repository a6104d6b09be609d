package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"sluice/admin"
	"sluice/control"
	"sluice/drain"
)

// insideFlags say how much of what is inside a status lists.
type insideFlags struct {
	all   bool
	limit int
}

// shortListing is how many are listed where nobody asked for a list.
const shortListing = 10

func (f *insideFlags) add(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&f.all, "inside", false, "list what is inside of all backends; of those that are drained it is listed with SERVICE anyway")
	cmd.Flags().IntVar(&f.limit, "limit", 20, "with --inside: list so many, the oldest")
}

// statusAndInside is the status as --json prints it.
type statusAndInside struct {
	control.Status
	Ledger *drain.Listing `json:"ledger,omitempty"`
}

// ask is nil where there is nothing to list.
func (f insideFlags) ask(ctx context.Context, client *admin.Client, service string, shown []control.ServiceStatus) (*drain.Listing, error) {
	want := control.InsideWant{Service: service, Limit: f.limit}
	switch {
	case f.all && f.limit < 1:
		return nil, usageError{fmt.Errorf("--limit is %d; write a number from 1", f.limit)}
	case f.all:
	case service == "" || !holds(shown):
		return nil, nil
	default:
		want.Draining, want.Limit = true, shortListing
	}
	l, err := client.Inside(ctx, want)
	if err != nil || !f.all && l.Total == 0 {
		return nil, err
	}
	return &l, nil
}

// holds reports that something is inside of backends that may take no more.
func holds(all []control.ServiceStatus) bool {
	for _, svc := range all {
		for _, p := range svc.Pools {
			for _, b := range p.Backends {
				if b.Inside > 0 && (!p.Live || b.Admin != control.Ready) {
					return true
				}
			}
		}
	}
	return false
}

// writeInside writes a listing below a status.
func (c *cli) writeInside(w io.Writer, l drain.Listing, service string) {
	fmt.Fprintf(w, "\ninside %s\n", insideText(l.Total, l.By))
	if len(l.Items) == 0 {
		return
	}
	view := insideView{paint: c.paintOut(), where: true}
	if c.outTTY && c.outWidth != nil {
		view.width = c.outWidth()
	}
	if service == "" {
		for i := range l.Items {
			l.Items[i].Pool = l.Items[i].Service + " " + l.Items[i].Pool
		}
	}
	view.write(w, "  ", l.Items, time.Now())
	if l.More > 0 {
		fmt.Fprintf(w, "  %s\n", view.dim(fmt.Sprintf("and %d more; --inside --limit N lists more", l.More)))
	}
}
