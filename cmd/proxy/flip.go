package main

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"

	"sluice/admin"
)

// changeFlags are those of every command that changes something.
type changeFlags struct {
	causeFlags
	timeout time.Duration
	ifMatch uint64
	key     string
	maxCut  cutBound
	force   bool
}

func (f *changeFlags) add(cmd *cobra.Command) {
	cmd.Flags().DurationVar(&f.timeout, "timeout", 0, "wait no longer than this; exit code 3 when it is not done by then")
	f.addCause(cmd)
	cmd.Flags().StringVar(&f.key, "key", "", "Idempotency-`KEY`: asked again with it, the change is made once")
}

// addCause is what each change has.
func (f *changeFlags) addCause(cmd *cobra.Command) {
	f.causeFlags.add(cmd)
	cmd.Flags().Uint64Var(&f.ifMatch, "if-match", 0, "refuse unless the state is still at this `GENERATION`")
}

// addForce is for what a schema that does not fit refuses.
func (f *changeFlags) addForce(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&f.force, "force", false, "go on although the pool does not work with the schema of the database; needs --note")
}

func (f *changeFlags) mustSayWhy() error {
	if f.force && f.note == "" {
		return usageError{errors.New("--force needs --note: say why, for the history")}
	}
	return nil
}

func (c *cli) want(f changeFlags, wait bool) admin.Want {
	want := c.because(f.causeFlags)
	want.Wait, want.Timeout, want.IfMatch, want.Key, want.MaxCut, want.Force = wait || f.maxCut.n != nil, f.timeout, f.ifMatch, f.key, f.maxCut.n, f.force
	return want
}

func (c *cli) flipCommand() *cobra.Command {
	var f changeFlags
	var release string
	var noWait bool
	var patience time.Duration
	var bake bakeLength
	cmd := &cobra.Command{
		Use:   "flip SERVICE POOL",
		Short: "Move all new requests of a service to another pool, at once",
		Long: "Move all new requests of a service to another pool, at once. Each backend of the pool is checked first. The command\n" +
			"answers when the old pool is empty: what was inside has finished, or was cut at the deadline of its class.\n" +
			"With --bake it waits for the verdict too. Exit code 1: the release is worse and was rolled back; 3: there was not enough\n" +
			"traffic to say, and it stays. The bake goes on without the command: `sluice bake SERVICE` waits for it again.",
		Example:           "  sluice flip web green --release v2\n  sluice flip web green --release v2 --bake 60s",
		Args:              exactly("SERVICE", "POOL"),
		ValidArgsFunction: c.complete(services, pools),
		RunE: func(_ *cobra.Command, args []string) error {
			if err := cmp.Or(f.mustWait(noWait), f.mustSayWhy()); err != nil {
				return err
			}
			want := c.want(f, !noWait)
			want.Release, want.Patience, want.Bake = release, patience, bake.d
			return c.change("flip", want, func(ctx context.Context, client *admin.Client, want admin.Want) (admin.Outcome, error) {
				return client.Flip(ctx, args[0], args[1], want)
			})
		},
	}
	f.add(cmd)
	f.addMaxCut(cmd)
	f.addForce(cmd)
	cmd.Flags().StringVar(&release, "release", "", "refuse unless each backend of the pool reports this `RELEASE`; it is what is expected of them from then on")
	cmd.Flags().DurationVar(&patience, "patience", 0, "wait this long for the pool to be up and of the release, in place of a refusal")
	cmd.Flags().BoolVar(&noWait, "no-wait", false, "answer as soon as new requests go to the pool")
	cmd.Flags().Var(&bake, "bake", "watch the new release for this `LONG`, and roll back by itself when it serves worse than the one before; 0: do not (default: as the file says)")
	return cmd
}

func (c *cli) rollbackCommand() *cobra.Command {
	var f changeFlags
	var noWait bool
	cmd := &cobra.Command{
		Use:               "rollback SERVICE",
		Short:             "Flip back to the previous pool, no questions asked",
		Args:              exactly("SERVICE"),
		ValidArgsFunction: c.complete(services),
		RunE: func(_ *cobra.Command, args []string) error {
			if err := cmp.Or(f.mustWait(noWait), f.mustSayWhy()); err != nil {
				return err
			}
			return c.change("rollback", c.want(f, !noWait), func(ctx context.Context, client *admin.Client, want admin.Want) (admin.Outcome, error) {
				return client.Rollback(ctx, args[0], want)
			})
		},
	}
	f.add(cmd)
	f.addMaxCut(cmd)
	f.addForce(cmd)
	cmd.Flags().BoolVar(&noWait, "no-wait", false, "answer as soon as new requests go to the pool")
	return cmd
}
