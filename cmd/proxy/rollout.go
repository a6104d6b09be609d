package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"sluice/admin"
	"sluice/deploy"
)

// rolloutFlags are what a rollout is asked for with.
type rolloutFlags struct {
	order deploy.Order
	causeFlags
	exec, revertExec string
	resume, abort    string
	show             bool
	maxCut           cutBound
}

const rolloutLong = `Bring a release to the backends of the live pool, one after the other: each is drained, CMD runs, and the backend is in
rotation again once it is well and reports the release. Then the next. With more than one backend nothing is lost.

CMD runs here, by sh -c, with SLUICE_SERVICE, SLUICE_POOL, SLUICE_BACKEND, SLUICE_HOST, SLUICE_PORT, SLUICE_RELEASE and
SLUICE_ROLLOUT. It ends when the new release is started; that it is well is awaited afterwards. Sluice keeps the record, so that
--resume goes on when this command, the network or Sluice itself has died. CMD may then run twice for one backend.

Ctrl-C finishes the backend in hand, or puts back one that still drains, and stops. A second one ends CMD.
Exit codes: 0 done, 1 refused or failed, 2 usage, 3 not known.`

func (c *cli) rolloutCommand() *cobra.Command {
	var f rolloutFlags
	cmd := &cobra.Command{
		Use:   "rollout SERVICE --exec CMD",
		Short: "Update the servers of a service one after the other: drain, run CMD, await health and release, next",
		Long:  rolloutLong,
		Example: "  sluice rollout web --release v2 --exec 'ssh $SLUICE_HOST deploy $SLUICE_RELEASE'\n" +
			"  sluice rollout web --resume r1f2e3d4c --exec 'ssh $SLUICE_HOST deploy $SLUICE_RELEASE'",
		Args:              exactly("SERVICE"),
		ValidArgsFunction: c.complete(services),
		RunE:              func(_ *cobra.Command, args []string) error { return c.rollout(args[0], f) },
	}
	fl := cmd.Flags()
	fl.StringVar(&f.exec, "exec", "", "the `CMD` that brings the release to one backend")
	fl.StringVar(&f.order.Release, "release", "", "each backend has to report this `RELEASE` afterwards, and to go on reporting it")
	fl.IntVar(&f.order.Batch, "batch", 1, "how many backends at a time")
	fl.StringVar(&f.order.MinAvailable, "min-available", "", "how many backends must be left that take requests, as `2` or 50% (default: all but one batch, and one at least)")
	fl.StringVar(&f.order.OnFailure, "on-failure", "stop", "`stop` and leave the failed backend in drain, or revert: bring the former release back to what was updated")
	fl.StringVar(&f.revertExec, "revert-exec", "", "the `CMD` that reverts one backend (default: that of --exec, with the former release in SLUICE_RELEASE)")
	fl.DurationVar(&f.order.PauseBetween, "pause-between", 0, "let this long go by before the next batch")
	fl.DurationVar(&f.order.Timeout, "timeout", 5*time.Minute, "of CMD, and of the wait for a backend to be well")
	fl.DurationVar(&f.order.Lease, "lease", 10*time.Second, "after this long without a sign of life of this command another one may resume")
	fl.Var(&f.maxCut, "max-cut", "exit with 1 when more than this `NUMBER` was cut in all")
	f.causeFlags.add(cmd)
	fl.StringVar(&f.resume, "resume", "", "go on with the rollout of this `ID`")
	fl.StringVar(&f.abort, "abort", "", "give up the rollout of this `ID`; the backends stay as they are")
	fl.BoolVar(&f.show, "show", false, "show the latest rollout of the service")
	return cmd
}

// check refuses what does not go together.
func (f *rolloutFlags) check() error {
	modes := 0
	for _, on := range []bool{f.resume != "", f.abort != "", f.show} {
		if on {
			modes++
		}
	}
	switch {
	case modes > 1:
		return usageError{errors.New("--resume, --abort and --show are three different things: leave two of them out")}
	case f.abort != "" || f.show:
		return nil
	case strings.TrimSpace(f.exec) == "":
		return usageError{errors.New("--exec CMD is missing: what brings the release to a backend, as in --exec './deploy.sh'")}
	case f.order.Batch < 1:
		return usageError{fmt.Errorf("--batch is %d; write a number from 1", f.order.Batch)}
	case f.order.OnFailure != "stop" && f.order.OnFailure != "revert":
		return usageError{fmt.Errorf("--on-failure is %q; write stop or revert", f.order.OnFailure)}
	case f.order.Timeout <= 0 || f.order.Lease <= 0 || f.order.PauseBetween < 0:
		return usageError{errors.New("--timeout, --lease and --pause-between are lengths of time such as 30s")}
	}
	return nil
}

func (c *cli) rollout(service string, f rolloutFlags) error {
	if err := f.check(); err != nil {
		return err
	}
	client, err := c.client()
	if err != nil {
		return err
	}
	defer client.Close()
	want := c.because(f.causeFlags)
	switch {
	case f.show:
		held, err := client.Rollout(context.Background(), service)
		if err == nil {
			err = c.printRollout(held.Rollout)
		}
		return err
	case f.abort != "":
		held, err := client.AbortRollout(context.Background(), service, f.abort, want)
		if err == nil {
			err = c.printRollout(held.Rollout)
		}
		return err
	}
	return c.roll(client, service, f, want)
}

// roll carries a rollout out, from its begin or from where it was left.
func (c *cli) roll(client *admin.Client, service string, f rolloutFlags, want admin.Want) error {
	ro := &roller{cli: c, client: client, service: service, exec: f.exec, revertExec: f.revertExec, want: want}
	stop := ro.heed()
	defer stop()
	held, err := ro.take(f)
	if err != nil {
		return err
	}
	ro.token, ro.r = held.Token, held.Rollout
	ro.view = &rolloutView{cli: c}
	ro.view.begin(ro.r, f.resume != "")
	ended := make(chan struct{})
	go ro.beat(ended)
	err = ro.run()
	ro.cancel()
	<-ended
	ro.view.clear()
	if err != nil {
		return ro.unknown(err)
	}
	return ro.judge(f.maxCut)
}

// heed makes the first Ctrl-C ask for an orderly stop, and the second one end everything.
func (ro *roller) heed() (stop func()) {
	ro.ctx, ro.cancel = context.WithCancel(context.Background())
	quit := make(chan struct{})
	ro.quit = quit
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go ro.listen(signals, quit)
	return func() { signal.Stop(signals); ro.cancel() }
}

// listen ends with the second signal, or with the command.
func (ro *roller) listen(signals <-chan os.Signal, quit chan<- struct{}) {
	for n := 0; n < 2; n++ {
		select {
		case <-signals:
			if n == 0 {
				close(quit)
				fmt.Fprintln(ro.err, "interrupted: the backend in hand is finished or put back; once more ends its command")
			} else {
				ro.cancel()
			}
		case <-ro.ctx.Done():
			return
		}
	}
}

// take begins a rollout, or takes one over once its holder has been silent for long enough.
func (ro *roller) take(f rolloutFlags) (deploy.Held, error) {
	host, _ := os.Hostname()
	who := fmt.Sprintf("%s, pid %d", host, os.Getpid())
	if f.resume == "" {
		o := f.order
		o.Who, o.Reverts = who, f.revertExec != ""
		return ro.client.BeginRollout(ro.ctx, ro.service, o, ro.want)
	}
	began, said := time.Now(), false
	for {
		held, err := ro.client.Rollout(ro.ctx, ro.service)
		if err != nil {
			return held, err
		}
		waits := held.ID == f.resume && held.Alive && (held.Status == deploy.Running || held.Status == deploy.Reverting)
		if !waits || time.Since(began) > held.Lease+held.Lease/4 {
			return ro.client.ResumeRollout(ro.ctx, ro.service, f.resume, who, ro.want)
		}
		if !said {
			said = true
			fmt.Fprintf(ro.err, "waiting for %s to be silent for %s: %s\n", held.ID, held.Lease, held.Holder.Who)
		}
		if !ro.sleep(lookEvery) {
			return held, exitError{exitFailed, errors.New("interrupted; nothing was done")}
		}
	}
}

// unknown is the end of a rollout of which Sluice could not be told.
func (ro *roller) unknown(err error) error {
	var p *admin.Problem
	if errors.As(err, &p) {
		return err
	}
	return exitError{exitUnknown, fmt.Errorf("%w\n  next: when Sluice answers again, go on with: %s", err, ro.goOn())}
}

func (ro *roller) goOn() string {
	text := fmt.Sprintf("sluice rollout %s --resume %s --exec %s", ro.service, ro.r.ID, quoted(ro.exec))
	if ro.revertExec != "" {
		text += " --revert-exec " + quoted(ro.revertExec)
	}
	return text
}

// quoted is a word of the shell.
func quoted(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }

// judge prints how it ended and chooses the exit code.
func (ro *roller) judge(most cutBound) error {
	if err := ro.printRollout(ro.r); err != nil {
		return err
	}
	_, cut := ro.r.Sums()
	switch {
	case ro.r.Status == deploy.Stopped:
		return exitError{exitFailed, fmt.Errorf("stopped: %s\n  next: put it right, then go on with: %s\n        or give it up: sluice rollout %s --abort %s", ro.r.Why, ro.goOn(), ro.service, ro.r.ID)}
	case ro.r.Status == deploy.Reverted:
		return exitError{exitFailed, fmt.Errorf("failed, and what was updated has its former release again: %s", ro.r.Why)}
	case ro.r.Status != deploy.Done:
		return exitError{exitFailed, fmt.Errorf("it is %s: %s", ro.r.Status, ro.r.Why)}
	case most.n != nil && cut > *most.n:
		return exitError{exitFailed, fmt.Errorf("done, and %d were cut where at most %d may be: a longer `drain:` of %s would have waited for them", cut, *most.n, ro.service)}
	}
	return nil
}
