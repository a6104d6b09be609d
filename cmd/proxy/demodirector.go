package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	"sluice/admin"
	"sluice/control"
)

// director flips every so often, and when asked to, through the same API and client that the commands use.
type director struct {
	client *admin.Client
	every  time.Duration
	asks   chan string // "flip" or "rollback"; one may wait
	quit   chan struct{}
	ended  sync.WaitGroup

	closing sync.Once

	mu     sync.Mutex
	live   string
	next   time.Time
	busy   bool
	flips  int
	count  int   // of acts, those that are no longer kept among them
	acts   []act // the latest last
	failed error // the first refusal
}

// act is one thing the director did.
type act struct {
	at     time.Time
	text   string
	short  string // the same, to fit on a line of the view
	failed bool
}

const (
	// mostActs is how many are kept for the view.
	mostActs = 6
	// longestAct bounds a flip with its drain; the demo's drains end within ten seconds.
	longestAct = 20 * time.Second
)

func newDirector(client *admin.Client, every time.Duration) *director {
	d := &director{client: client, every: every, asks: make(chan string, 1), quit: make(chan struct{}), live: "blue", next: time.Now().Add(every)}
	d.ended.Add(1)
	go d.direct()
	return d
}

// direct is the director's goroutine; it ends with close, after the flip in hand.
func (d *director) direct() {
	defer d.ended.Done()
	for {
		timer := time.NewTimer(time.Until(d.due()))
		select {
		case <-d.quit:
			timer.Stop()
			return
		case what := <-d.asks:
			d.perform(what)
		case <-timer.C:
			d.perform("flip")
		}
		timer.Stop()
	}
}

func (d *director) due() time.Time {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.next
}

// ask has something done soon; while something waits to be done it asks for nothing more.
func (d *director) ask(what string) {
	select {
	case d.asks <- what:
	default:
	}
}

func (d *director) perform(what string) {
	d.mu.Lock()
	to := other(d.live)
	d.busy, d.next = true, time.Now().Add(d.every)
	d.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), longestAct)
	defer cancel()
	want := admin.Want{Wait: true, By: "demo"}
	var outcome admin.Outcome
	var err error
	if what == "rollback" {
		outcome, err = d.client.Rollback(ctx, "web", want)
	} else {
		want.Release = releases[to]
		outcome, err = d.client.Flip(ctx, "web", to, want)
	}
	d.note(outcome, err)
}

func other(pool string) string {
	if pool == "blue" {
		return "green"
	}
	return "blue"
}

func (d *director) note(o admin.Outcome, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.busy = false
	a := act{at: time.Now()}
	if err != nil {
		a.text, a.short, a.failed = err.Error(), err.Error(), true
		if d.failed == nil {
			d.failed = err
		}
	} else {
		a.text, a.short, d.live = o.Receipt.String(), shortReceipt(o.Receipt), o.Receipt.To
		d.flips++
	}
	d.count++
	d.acts = append(d.acts, a)
	if len(d.acts) > mostActs {
		d.acts = d.acts[1:]
	}
}

func shortReceipt(r control.Receipt) string {
	text := fmt.Sprintf("%s → %s (%s) in %.1f ms", r.From, r.To, r.Release, r.Switched)
	if r.Drain != nil {
		text += "; " + r.Drain.String()
	}
	return text
}

// directorView is what the view shows of the director.
type directorView struct {
	next  time.Time
	busy  bool
	flips int
	count int
	acts  []act
}

func (d *director) view() directorView {
	d.mu.Lock()
	defer d.mu.Unlock()
	return directorView{next: d.next, busy: d.busy, flips: d.flips, count: d.count, acts: append([]act(nil), d.acts...)}
}

func (d *director) sum() (flips int, failed error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.flips, d.failed
}

// close ends it after the flip in hand. It may be called more than once.
func (d *director) close() {
	d.closing.Do(func() { close(d.quit) })
	d.ended.Wait()
}
