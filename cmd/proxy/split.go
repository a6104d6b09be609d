package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"sluice/admin"
	"sluice/control"
)

// splitFlags are those of split alone.
type splitFlags struct {
	changeFlags
	release      string
	patience     time.Duration
	wait, noWait bool
	judge        bakeLength
	split        admin.Split
}

func (c *cli) splitCommand() *cobra.Command {
	var f splitFlags
	cmd := &cobra.Command{
		Use:   "split SERVICE POOL=PERCENT…",
		Short: "Give shares of a service's new visitors to other pools: a canary",
		Long: "Give shares of a service's new visitors to other pools. The live pool stays live and takes the rest. A visitor is assigned\n" +
			"once, by a signed cookie of Sluice's own, and comes back to the same pool; when a share grows, only as many move as have\n" +
			"to. Asked again it changes the shares: a pool that is not named has none. POOL=0 ends the split, and so do a flip and a\n" +
			"rollback; POOL=100 is a flip to the pool. What a pool has inside when it loses its share is drained. The split ends by itself\n" +
			"when its pool is found to serve worse than the live one; with --wait the command answers with that verdict: exit code 0 when\n" +
			"it is as good, 1 when it was worse, 3 when there was not enough traffic to say. See docs/canary.md.",
		Example: "  sluice split web green=5 --release v2\n" +
			"  sluice split web green=25 --header 'X-Canary: yes' --header 'blue=X-Canary: never'\n" +
			"  sluice split web green --only --allow 10.0.0.0/8\n" +
			"  sluice split web green=0",
		Args:              splitArgs,
		ValidArgsFunction: c.complete(services, shares),
		RunE:              func(_ *cobra.Command, args []string) error { return c.split(&f, args) },
	}
	f.add(cmd)
	f.addMaxCut(cmd)
	f.addForce(cmd)
	f.addSplit(cmd)
	return cmd
}

func (f *splitFlags) addSplit(cmd *cobra.Command) {
	fs := cmd.Flags()
	fs.StringVar(&f.release, "release", "", "refuse unless each backend of the pool reports this `RELEASE`; it is what is expected of them from then on")
	fs.DurationVar(&f.patience, "patience", 0, "wait this long for the pool to be up and of the release, in place of a refusal")
	fs.StringArrayVar(&f.split.Headers, "header", nil, "requests with exactly this `'NAME: VALUE'` go to the pool, whoever sends them; or POOL='NAME: VALUE', which may be the live pool")
	fs.StringArrayVar(&f.split.Cookies, "cookie", nil, "the same for a cookie of the app's, `NAME=VALUE`")
	fs.StringSliceVar(&f.split.Allow, "allow", nil, "the same for clients from an address or a range, `CIDR`,…")
	fs.BoolVar(&f.split.Only, "only", false, "the pool takes no share, and is for those alone who meet a rule")
	fs.BoolVar(&f.split.NoRules, "no-rules", false, "forget the rules there are; without it they stay unless others are given")
	fs.Var(&f.judge, "judge", "judge the pool beside the live one for this `LENGTH`, then say how it is; off: not at all (default: as long as a bake in the file, or 10m)")
	fs.BoolVar(&f.wait, "wait", false, "answer when it is done: what lost its share is empty, and the verdict is there")
	fs.BoolVar(&f.noWait, "no-wait", false, "answer as soon as new requests go as they are to; also when the split ends")
}

func (c *cli) split(f *splitFlags, args []string) error {
	err := cmp.Or(f.mustWait(f.noWait), f.mustSayWhy(), f.readPools(args[1:]))
	if err == nil && f.wait && f.noWait {
		err = usageError{errors.New("--wait and --no-wait are both given: leave one of them out")}
	}
	if err != nil {
		return err
	}
	want := c.want(f.changeFlags, f.wait || f.ends() && !f.noWait)
	want.Release, want.Patience, f.split.Judge = f.release, f.patience, f.judge.d
	return c.change("split", want, func(ctx context.Context, client *admin.Client, want admin.Want) (admin.Outcome, error) {
		return client.Split(ctx, args[0], f.split, want)
	})
}

// readPools reads POOL=PERCENT; with --only the pool alone is enough.
func (f *splitFlags) readPools(args []string) error {
	f.split.Pools = map[string]string{}
	for _, arg := range args {
		pool, share, given := strings.Cut(arg, "=")
		switch {
		case !given && f.split.Only:
			share = "0"
		case !given || pool == "" || share == "":
			return usageError{fmt.Errorf("%q is no POOL=PERCENT: write it as green=5", arg)}
		}
		if _, twice := f.split.Pools[pool]; twice {
			return usageError{fmt.Errorf("%s is given twice", pool)}
		}
		f.split.Pools[pool] = share
	}
	return nil
}

// ends reports that one pool has all afterwards: what the others have inside is then waited for, as by a flip.
func (f *splitFlags) ends() bool {
	if f.split.Only {
		return false
	}
	all := true
	for _, share := range f.split.Pools {
		switch strings.TrimSuffix(share, "%") {
		case "100":
			return true
		case "0":
		default:
			all = false
		}
	}
	return all
}

func splitArgs(cmd *cobra.Command, args []string) error {
	if len(args) < 2 {
		return between(2, "SERVICE", "POOL=PERCENT")(cmd, args)
	}
	return nil
}

// shares offers pools to be given one.
func shares(s control.Status, before []string) (names []string) {
	for _, pool := range pools(s, before) {
		name, release, _ := strings.Cut(pool, "\t")
		names = append(names, name+"=\t"+release)
	}
	return names
}

// split says how a service is split; nothing where it is not.
func (v statusView) split(w io.Writer, sp *control.SplitStatus) {
	if sp == nil {
		return
	}
	var parts []string
	for _, p := range sp.Pools {
		text := fmt.Sprintf("%s %s%%", p.Pool, trimmed(p.Share))
		if p.Release != "" {
			text += " (release " + p.Release + ")"
		}
		parts = append(parts, fmt.Sprintf("%s got %d, errors %d", text, p.Requests, p.Errors))
	}
	fmt.Fprintf(w, "  %s %s  since %s (%s)\n", v.yellow("split    "), strings.Join(parts, ";  "), age(v.now, sp.Since), causeText(sp.Cause))
	for _, r := range sp.Rules {
		fmt.Fprintf(w, "            %s\n", safe(r.String()))
	}
	fmt.Fprintf(w, "            visitors kept %d  drawn %d  by rule %d  stayed %d", sp.Kept, sp.Drawn, sp.Ruled, sp.Stayed)
	if sp.Fallback > 0 {
		fmt.Fprintf(w, "  %s", v.yellow(fmt.Sprintf("fell back to %s %d", sp.Pools[0].Pool, sp.Fallback)))
	}
	fmt.Fprintln(w)
}

func trimmed(percent float64) string {
	return strings.TrimSuffix(strings.TrimRight(fmt.Sprintf("%.2f", percent), "0"), ".")
}
