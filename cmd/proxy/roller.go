package main

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"sluice/admin"
	"sluice/deploy"
)

// roller carries out the steps of a rollout whose record Sluice keeps. What is under way is reported before it begins.
type roller struct {
	*cli
	client           *admin.Client
	service, token   string
	exec, revertExec string
	want             admin.Want // who, why and what commit
	view             *rolloutView

	ctx    context.Context // ends with a second interrupt, or when somebody else has taken the rollout over
	cancel context.CancelFunc
	quit   <-chan struct{} // closed with the first one

	lost atomic.Bool    // somebody else has taken it over
	r    deploy.Rollout // as it was answered last; of the goroutine that runs
}

// lookEvery is how often it is looked again whether something has come about.
const lookEvery = 250 * time.Millisecond

// run goes on until nothing is left to do. An error is one of asking Sluice; whatever else fails is in the record.
func (ro *roller) run() error {
	rolled := false
	for {
		tasks := ro.r.Next()
		if len(tasks) == 0 {
			return nil
		}
		fresh := !ro.active()
		if fresh && rolled {
			ro.pause()
		}
		if fresh && ro.quits() {
			return ro.report(deploy.Report{Why: "interrupted"})
		}
		rolled = true
		if err := ro.round(tasks, fresh); err != nil {
			return err
		}
	}
}

func (ro *roller) active() bool {
	for _, t := range ro.r.Next() {
		if ro.r.Backends[t.Member].Step == t.Step {
			return true
		}
	}
	return false
}

func (ro *roller) quits() bool {
	select {
	case <-ro.quit:
		return true
	case <-ro.ctx.Done():
		return true
	default:
		return false
	}
}

// pause lets the time between two batches go by, or what is left of it until an interrupt.
func (ro *roller) pause() {
	timer := time.NewTimer(ro.r.PauseBetween)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ro.quit:
	case <-ro.ctx.Done():
	}
}

// sleep reports whether the time went by.
func (ro *roller) sleep(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ro.ctx.Done():
		return false
	}
}

// outcome is what came of one task. With an error it is not known.
type outcome struct {
	report deploy.Report
	err    error
}

// round carries out tasks at the same time, and returns when each has been reported.
func (ro *roller) round(tasks []deploy.Task, fresh bool) error {
	if fresh {
		for _, t := range tasks {
			if err := ro.report(deploy.Report{Backend: ro.r.Backends[t.Member].Address, To: deploy.Drain}); err != nil {
				return err
			}
		}
	}
	outcomes := make(chan outcome, len(tasks))
	record, quiet := ro.r, true
	for _, t := range tasks {
		quiet = quiet && t.Step != deploy.Exec
		go ro.carryOut(record, t, fresh, outcomes)
	}
	var failed error
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	for left := len(tasks); left > 0; {
		select {
		case o := <-outcomes:
			left--
			if o.err == nil {
				o.err = ro.report(o.report)
			}
			failed = errors.Join(failed, o.err)
		case <-ticker.C:
			ro.view.tick(ro.r, quiet)
		}
	}
	return failed
}

// carryOut is the goroutine of one task. It ends with the task.
func (ro *roller) carryOut(r deploy.Rollout, t deploy.Task, fresh bool, out chan<- outcome) {
	s := &rollStep{roller: ro, rollout: r, member: r.Backends[t.Member], fresh: fresh && !r.Reverting}
	var o outcome
	switch t.Step {
	case deploy.Drain:
		o.report, o.err = s.drain()
	case deploy.Exec:
		o.report = s.run()
	case deploy.Ready:
		o.report, o.err = s.ready()
	}
	o.report.Backend = s.member.Address
	out <- o
}

// report tells Sluice, and takes the record as it then is.
func (ro *roller) report(rep deploy.Report) error {
	before := ro.r
	err := ro.surely(func(ctx context.Context) error {
		held, err := ro.client.ReportStep(ctx, ro.service, ro.r.ID, ro.token, rep, ro.want)
		if err == nil {
			ro.r = held.Rollout
		}
		return err
	})
	if err == nil {
		ro.view.told(before, ro.r, rep)
	}
	return err
}

// askFor bounds one question that is answered at once.
const askFor = 10 * time.Second

// surely asks again while nobody answers, as long as a step may take: Sluice may be restarting. What it asks may be asked twice.
func (ro *roller) surely(ask func(context.Context) error) error {
	for until := time.Now().Add(ro.view.timeout); ; {
		ctx, cancel := context.WithTimeout(context.Background(), askFor)
		err := ask(ctx)
		cancel()
		if err == nil || !mayPass(err) || time.Now().After(until) || !ro.sleep(lookEvery) {
			return err
		}
	}
}

// mayPass says whether asking again may help.
func mayPass(err error) bool {
	var lost *admin.LostError
	var none *admin.NoAnswerError
	var p *admin.Problem
	return errors.As(err, &lost) || errors.As(err, &none) || errors.As(err, &p) && p.Kind() == "stopping"
}

// beat is the goroutine that shows Sluice that this command lives, until ro.ctx ends. Where somebody else has taken the rollout
// over, it ends this one.
func (ro *roller) beat(ended chan<- struct{}) {
	defer close(ended)
	ticker := time.NewTicker(ro.view.lease / 5)
	defer ticker.Stop()
	id := ro.view.id
	for {
		select {
		case <-ro.ctx.Done():
			return
		case <-ticker.C:
		}
		ctx, cancel := context.WithTimeout(ro.ctx, askFor)
		_, err := ro.client.BeatRollout(ctx, ro.service, id, ro.token)
		cancel()
		var p *admin.Problem
		if errors.As(err, &p) && p.Kind() == "conflict" {
			ro.lost.Store(true)
			ro.cancel()
		}
	}
}
