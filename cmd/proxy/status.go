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

func (c *cli) statusCommand() *cobra.Command {
	var watch bool
	show := insideFlags{}
	cmd := &cobra.Command{
		Use:               "status [SERVICE]",
		Short:             "Show pools, backends, states, releases, and what is inside",
		Args:              between(0, "SERVICE"),
		ValidArgsFunction: c.complete(services),
		RunE: func(_ *cobra.Command, args []string) error {
			return c.asking(func(ctx context.Context, client *admin.Client) error {
				service := ""
				if len(args) > 0 {
					service = args[0]
				}
				if watch {
					return c.watchStatus(ctx, client, service, show)
				}
				return c.showStatus(ctx, client, service, show)
			})
		},
	}
	cmd.Flags().BoolVarP(&watch, "watch", "w", false, "draw it again each second")
	show.add(cmd)
	return cmd
}

func (c *cli) showStatus(ctx context.Context, client *admin.Client, service string, show insideFlags) error {
	text, err := c.statusText(ctx, client, service, show)
	if err == nil {
		_, err = fmt.Fprint(c.out, text)
	}
	return err
}

// statusText is what there is to show, in the form that was asked for.
func (c *cli) statusText(ctx context.Context, client *admin.Client, service string, show insideFlags) (string, error) {
	status, err := client.Status(ctx)
	if err != nil {
		return "", err
	}
	if service != "" {
		if status.Services, err = onlyService(status.Services, service); err != nil {
			return "", err
		}
	}
	listing, err := show.ask(ctx, client, service, status.Services)
	if err != nil {
		return "", err
	}
	if c.json {
		return asJSON(statusAndInside{status, listing})
	}
	var b strings.Builder
	v := statusView{paint: c.paintOut(), now: time.Now()}
	v.write(&b, status)
	if listing != nil {
		c.writeInside(&b, *listing, service)
	}
	return b.String(), nil
}

func onlyService(all []control.ServiceStatus, name string) ([]control.ServiceStatus, error) {
	var names []string
	for _, svc := range all {
		if svc.Name == name {
			return []control.ServiceStatus{svc}, nil
		}
		names = append(names, svc.Name)
	}
	return nil, fmt.Errorf("there is no service %q\n  next: the services are: %s", name, strings.Join(names, ", "))
}

// watchEvery is how often --watch draws.
const watchEvery = time.Second

// watchStatus draws until it is interrupted, and goes on while Sluice restarts: that is when one watches.
func (c *cli) watchStatus(ctx context.Context, client *admin.Client, service string, show insideFlags) error {
	ticker := time.NewTicker(watchEvery)
	defer ticker.Stop()
	for ctx.Err() == nil {
		text, err := c.statusText(ctx, client, service, show)
		var away *admin.NoAnswerError
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.As(err, &away):
			text = err.Error() + "\n"
		case err != nil:
			return err
		}
		if c.outTTY {
			text = "\x1b[H\x1b[2J" + text
		}
		if _, err := fmt.Fprint(c.out, text); err != nil {
			return err
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
		}
	}
	return nil
}
