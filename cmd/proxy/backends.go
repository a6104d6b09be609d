package main

import (
	"context"

	"github.com/spf13/cobra"

	"sluice/admin"
	"sluice/control"
)

// adminCommands are drain, ready and maint.
func (c *cli) adminCommands() []*cobra.Command {
	return []*cobra.Command{
		c.adminCommand(control.Drain, "Give a backend no new requests, and let it finish what is inside",
			"With --wait the command answers when nothing is inside: then the server may be ended."),
		c.adminCommand(control.Ready, "Let a backend take requests again, once it has passed a fresh check",
			"With --wait the command answers when the backend is up and in rotation."),
		c.adminCommand(control.Maint, "As drain, and stop checking the backend",
			"With --wait the command answers when nothing is inside."),
	}
}

func (c *cli) adminCommand(verb control.Admin, short, long string) *cobra.Command {
	var f changeFlags
	var pool string
	var wait bool
	cmd := &cobra.Command{
		Use:   string(verb) + " SERVICE BACKEND",
		Short: short,
		Long: short + ". " + long + "\nBACKEND is ADDRESS, or POOL/ADDRESS where an address is in more than one pool.\n" +
			"A name as app:3000 will do while it stands for one address.",
		Example:           "  sluice " + string(verb) + " web 10.0.0.1:3000 --wait",
		Args:              exactly("SERVICE", "BACKEND"),
		ValidArgsFunction: c.complete(services, backends),
		RunE: func(_ *cobra.Command, args []string) error {
			want := c.want(f, wait)
			want.Pool = pool
			return c.change(string(verb), want, func(ctx context.Context, client *admin.Client, want admin.Want) (admin.Outcome, error) {
				return client.SetAdmin(ctx, args[0], args[1], verb, want)
			})
		},
	}
	f.add(cmd)
	if verb != control.Ready {
		f.addMaxCut(cmd)
	}
	cmd.Flags().BoolVar(&wait, "wait", false, "answer when it is done")
	cmd.Flags().StringVar(&pool, "pool", "", "the backend's pool, where its address is in more than one")
	return cmd
}
