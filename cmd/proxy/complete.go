package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"sluice/control"
)

// words lists what an argument may be, given the ones before it.
type words func(s control.Status, before []string) []string

// completeWait is how long a shell waits for us; nobody likes a Tab that hangs.
const completeWait = 500 * time.Millisecond

// complete asks the running Sluice what the next argument may be. Where none runs there is nothing to offer.
func (c *cli) complete(arguments ...words) cobra.CompletionFunc {
	return func(_ *cobra.Command, before []string, _ string) ([]string, cobra.ShellCompDirective) {
		if len(before) >= len(arguments) {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		client, err := c.client()
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		defer client.Close()
		ctx, cancel := context.WithTimeout(context.Background(), completeWait)
		defer cancel()
		status, err := client.Status(ctx)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return arguments[len(before)](status, before), cobra.ShellCompDirectiveNoFileComp
	}
}

func services(s control.Status, _ []string) (names []string) {
	for _, svc := range s.Services {
		names = append(names, svc.Name)
	}
	return names
}

func pools(s control.Status, before []string) (names []string) {
	for _, svc := range s.Services {
		for _, p := range svc.Pools {
			if svc.Name == before[0] {
				names = append(names, p.Name+"\trelease "+orDash(p.Release))
			}
		}
	}
	return names
}

func backends(s control.Status, before []string) (names []string) {
	for _, svc := range s.Services {
		for _, p := range svc.Pools {
			for _, b := range p.Backends {
				if svc.Name == before[0] {
					names = append(names, p.Name+"/"+b.Address+"\t"+string(b.Admin)+" "+b.Health.String())
				}
			}
		}
	}
	return names
}
