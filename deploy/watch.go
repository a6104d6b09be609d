package deploy

import (
	"context"
	"sync"
	"time"

	"sluice/control"
	"sluice/judge"
)

// Trial is one release beside another while somebody wants it judged: after a flip, or while traffic is split.
type Trial struct {
	ID    string // its own among all trials there ever are; what is learnt by its looks ends with it
	Rules judge.Rules
	// Bursts are how the figures of the old release were spread before; zero where they are of the trial itself.
	Bursts judge.Bursts
	Ends   time.Time // zero: when somebody ends it
	// Figures are what the old release and the new one did: since the trial began, or as the trial measures them.
	Figures func() (old, new judge.Sample)
	// Health is how the backends of both are. Falls is left to the watch.
	Health func() (old, new judge.Health)
	// Waiting is how long requests have waited that neither has answered yet; nil: nobody knows.
	Waiting func() (old, new judge.Histogram)
	// Probing goes on for as long as the trial is listed.
	Probing Probing
	// Worse is called at each look at which the new release is worse, for as long as the trial is listed.
	Worse func(context.Context, judge.Verdict)
	// Over is called at the end of one that is not worse, for as long as the trial is listed.
	Over func(judge.Verdict)
}

// Source lists the trials that a State has. One that has ended is not among them.
type Source func(control.State) []Trial

// Observed is the State, and when it changes.
type Observed interface {
	State() control.State
	Watch() <-chan struct{}
}

// lookEvery is often enough to go back within seconds, and seldom enough to cost nothing.
const lookEvery = time.Second

// Watches judge all trials of the State. What they have seen so far is in memory only: after a restart each begins anew with
// what the State has of it. Make them with Watch, and Close them in the end.
type Watches struct {
	seen    Observed
	sources []Source
	now     func() time.Time
	cancel  context.CancelFunc
	running sync.WaitGroup

	going map[string]*watch // by the id of the trial; owned by run
}

// watch is what is remembered of one trial.
type watch struct {
	Trial
	test     *judge.Test
	probing  *probing  // nil: nothing is asked
	due      time.Time // its next look
	old, new judge.Health
}

// Watch begins to watch.
func Watch(seen Observed, now func() time.Time, sources ...Source) *Watches {
	ctx, cancel := context.WithCancel(context.Background())
	ws := &Watches{seen: seen, sources: sources, now: now, cancel: cancel, going: map[string]*watch{}}
	ws.running.Add(1)
	go ws.run(ctx)
	return ws
}

// Close ends the watching, and returns when nothing is done by it any more. What is watched stays as it is.
func (ws *Watches) Close() {
	ws.cancel()
	ws.running.Wait()
}

// run is the goroutine of all watches. It sleeps while there is no trial.
func (ws *Watches) run(ctx context.Context) {
	defer ws.running.Done()
	for ctx.Err() == nil {
		news := ws.seen.Watch()
		ws.list(ctx)
		sleep(ctx, news, ws.look(ctx))
	}
	ws.forget(nil)
}

// list takes in what the State has, and forgets what it has no more.
func (ws *Watches) list(ctx context.Context) {
	s, still := ws.seen.State(), map[string]*watch{}
	for _, source := range ws.sources {
		for _, t := range source(s) {
			w := ws.going[t.ID]
			if w == nil {
				w = begin(ctx, t, ws.now())
			}
			w.Trial = t // its functions may be of a newer State
			w.attend()
			still[t.ID] = w
		}
	}
	ws.forget(still)
}

// forget keeps only those that are still listed.
func (ws *Watches) forget(still map[string]*watch) {
	for id, w := range ws.going {
		if still[id] == nil {
			w.probing.stop()
		}
	}
	ws.going = still
}

func begin(ctx context.Context, t Trial, at time.Time) *watch {
	w := &watch{Trial: t, test: judge.New(t.Rules), probing: t.Probing.start(ctx)}
	w.test.Before(t.Bursts)
	w.old, w.new = t.Health()
	w.next(at)
	return w
}

// attend counts the backends that went down since it was last looked.
func (w *watch) attend() {
	old, new := w.Health()
	w.old, w.new = fallen(w.old, old), fallen(w.new, new)
	w.test.Health(w.old, w.new)
}

func fallen(was, is judge.Health) judge.Health {
	is.Falls = was.Falls + max(0, was.Up-is.Up)
	return is
}

// look looks at those that are due, and returns how long it is to the next look; zero: there is nothing to look at.
func (ws *Watches) look(ctx context.Context) (wait time.Duration) {
	for _, w := range ws.going {
		if !ws.now().Before(w.due) {
			w.look(ctx, ws.now())
			w.next(ws.now())
		}
		if left := max(time.Millisecond, w.due.Sub(ws.now())); wait == 0 || left < wait {
			wait = left
		}
	}
	return wait
}

// next is at the end, or earlier. What could not be ended then is tried again.
func (w *watch) next(at time.Time) {
	w.due = at.Add(lookEvery)
	if !w.Ends.IsZero() && w.Ends.After(at) && w.Ends.Before(w.due) {
		w.due = w.Ends
	}
}

func (w *watch) look(ctx context.Context, at time.Time) {
	w.probing.tell(w.test)
	if w.Waiting != nil {
		w.test.Waiting(w.Waiting())
	}
	old, new := w.Figures()
	over, judged := !w.Ends.IsZero() && !at.Before(w.Ends), w.test.Look
	if over {
		judged = w.test.End
	}
	switch v := judged(old, new); {
	case v.Word == judge.Worse:
		w.Worse(ctx, v)
	case over:
		w.Over(v)
	}
}

// sleep returns when something changed, and after the wait unless that is zero.
func sleep(ctx context.Context, news <-chan struct{}, wait time.Duration) {
	var timer <-chan time.Time
	if wait > 0 {
		t := time.NewTimer(wait)
		defer t.Stop()
		timer = t.C
	}
	select {
	case <-news:
	case <-timer:
	case <-ctx.Done():
	}
}
