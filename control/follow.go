package control

import (
	"context"
	"slices"
	"sync"

	"sluice/drain"
)

// follow closes the gates of what leaves and starts the goroutine that sees the operation to its end. It returns when
// the gates are closed. was is the State whose policies hold for what was let in by it. A backend that becomes ready takes nothing out
// of traffic, so there are no leavers when the operation waits for one to rise.
func (c *Controller) follow(o order, op *Operation, was State, leavers []leaver) {
	c.attachFlip(op, o)
	c.operations.add(op)
	c.running.Add(1)
	if o.over != nil {
		op.inside = o.inside
		go c.followCalm(op, o)
		return
	}
	if o.rises != nil {
		go c.followRise(op, *o.rises)
		return
	}
	if o.keeps != nil && c.State().Backend(*o.keeps).kept() {
		op.inside = c.keepInside(*o.keeps)
		go c.followKeep(op, *o.keeps, was)
		return
	}
	jobs := c.jobs(was, leavers)
	op.inside = func(limit int) drain.Listing { return c.listing(limit, leavers) }
	reports := c.startDrains(jobs)
	go c.followDrain(op, reports, len(jobs))
}

// jobs makes one drain of all that leaves one service: each service has its own patience.
func (c *Controller) jobs(was State, leavers []leaver) []drain.Job {
	byService := map[string][]leaver{}
	for _, l := range leavers {
		byService[l.Service] = append(byService[l.Service], l)
	}
	var jobs []drain.Job
	for _, name := range sortedKeys(byService) {
		job := drain.Job{}
		if svc := was.Services[name]; svc != nil {
			job.Policy = policy(svc.File)
		}
		for _, l := range byService[name] {
			job.Gates = append(job.Gates, l.gate)
		}
		job.Inside = func() []drain.Item { return c.opts.Proxy.Ledger.Inside(job.Gates...) }
		job.Nudge = func() { closeIdle(byService[name]) }
		job.Strain = c.builder.counter(name).Strain().Seen
		jobs = append(jobs, job)
	}
	return jobs
}

func closeIdle(leavers []leaver) {
	for _, l := range leavers {
		l.endpoint.CloseIdle()
	}
}

// startDrains runs each job in a goroutine and returns once all gates are closed.
func (c *Controller) startDrains(jobs []drain.Job) <-chan drain.Report {
	reports := make(chan drain.Report, len(jobs))
	var closed sync.WaitGroup
	closed.Add(len(jobs))
	c.running.Add(len(jobs))
	for _, job := range jobs {
		nudge := job.Nudge
		job.Nudge = func() {
			closed.Done()
			nudge()
		}
		go c.runDrain(job, reports)
	}
	closed.Wait()
	return reports
}

func (c *Controller) runDrain(job drain.Job, reports chan<- drain.Report) {
	defer c.running.Done()
	reports <- drain.Run(c.ctx, job)
}

// followDrain waits for the drains of one operation, and for the verdict where it bakes. The outcome is in the history before anyone
// is told of it.
func (c *Controller) followDrain(op *Operation, reports <-chan drain.Report, n int) {
	defer c.running.Done()
	defer op.end()
	total := drain.Report{Classes: map[drain.Class]drain.Count{}}
	for range n {
		total.Add(<-reports)
	}
	c.prune()
	r := op.outcome(func(r *Receipt) { r.Drain, r.Done = &total, total.Left == 0 })
	c.over(op, r)
	c.followBake(op)
}

// followRise waits until a backend is up and ready, or another command took it out again.
func (c *Controller) followRise(op *Operation, k Key) {
	defer c.running.Done()
	defer op.end()
	b, up := c.awaitUp(c.ctx, k)
	r := op.outcome(func(r *Receipt) {
		if r.Done = up; up {
			r.Release = b.Health.Release
		} else {
			r.Why = c.fell(b)
		}
	})
	c.over(op, r)
}

// endedBefore is why an operation is over that Sluice's own end has overtaken.
const endedBefore = "Sluice ended before"

// fell says why a backend that was to be up is waited for no more.
func (c *Controller) fell(b *Backend) string {
	switch {
	case c.ctx.Err() != nil:
		return endedBefore
	case b == nil:
		return "it is no backend any more"
	}
	return "put in " + string(b.Admin) + " meanwhile"
}

func (c *Controller) awaitUp(ctx context.Context, k Key) (*Backend, bool) {
	for {
		news := c.news.wait()
		b := c.State().Backend(k)
		switch {
		case b == nil || b.Admin != Ready:
			return b, false
		case b.Eligible():
			return b, true
		}
		select {
		case <-news:
		case <-ctx.Done():
			return b, false
		}
	}
}

// over tells how an operation ended. One that changed nothing has no place in the history.
func (c *Controller) over(op *Operation, r Receipt) {
	defer op.put(r)
	<-op.told
	if r.Unchanged {
		return
	}
	e := c.entryOf(r)
	e.Kind, e.Outcome, e.Time, e.Text = "outcome", &r, c.opts.Now(), r.String()
	if !op.found {
		c.append(e)
	}
	c.tell(Event{
		Time: e.Time, Kind: "drain", Service: r.Service, Backend: r.Backend, Text: e.Text,
		Cause: &r.Cause, Generation: r.Generation, Receipt: &r,
	})
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
