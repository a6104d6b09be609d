package deploy

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"sluice/control"
)

// Order is how a rollout is asked for. The zero value of each has a default.
type Order struct {
	Release      string // empty: any; then nothing tells the new backends from the old ones but their health
	Batch        int    // default 1
	MinAvailable string // a count or a share as 50%; default: all but one batch
	OnFailure    string // default "stop"
	Reverts      bool   // the caller has a command of its own that brings back the former release, whichever it is
	PauseBetween time.Duration
	Timeout      time.Duration // default 5m
	Lease        time.Duration // default 10s
	Who          string        // who is at work on it: a person, a machine, a process
}

const (
	// defaultTimeout is for a command that fetches and starts a release, and then for its start.
	defaultTimeout = 5 * time.Minute
	// defaultLease is five signs of life.
	defaultLease = 10 * time.Second
	// leastLease and longestLease catch slips.
	leastLease, longestLease = time.Second, time.Hour
)

func (o Order) whole() (Order, error) {
	if o.Batch == 0 {
		o.Batch = 1
	}
	if o.OnFailure == "" {
		o.OnFailure = "stop"
	}
	if o.Timeout == 0 {
		o.Timeout = defaultTimeout
	}
	if o.Lease == 0 {
		o.Lease = defaultLease
	}
	switch {
	case o.Batch < 1:
		return o, refuse("a batch of %d backends cannot be rolled", "write a number from 1", o.Batch)
	case o.OnFailure != "stop" && o.OnFailure != "revert":
		return o, refuse("on_failure cannot be %q", "write stop or revert", o.OnFailure)
	case o.Lease < leastLease || o.Lease > longestLease:
		return o, refuse("a lease cannot last %s", "write 1s to 1h", o.Lease)
	}
	return o, nil
}

// plan is the rollout that the State allows for, with nothing begun. It is of the live pool.
func plan(s control.State, service string, o Order, id string, at time.Time, cause control.Cause) (Rollout, error) {
	o, err := o.whole()
	if err != nil {
		return Rollout{}, err
	}
	svc := s.Services[service] // who records has looked that it is there
	if err := svc.MayExpect(svc.Live, o.Release); err != nil {
		return Rollout{}, err
	}
	if svc.Pool(svc.Live).File.Root != "" {
		return Rollout{}, refuse("%s is a folder, and has no servers to roll", "flip to another pool, or move the link that the folder is", svc.Live)
	}
	r := Rollout{
		ID: id, Service: service, Pool: svc.Live, Release: o.Release, Status: Running, Batch: o.Batch, OnFailure: o.OnFailure,
		PauseBetween: o.PauseBetween, Timeout: o.Timeout, Lease: o.Lease, Began: at, Cause: cause,
		Holder: Holder{Who: o.Who, Since: at, Seen: at},
	}
	r = r.enlist(svc.Pool(svc.Live), at)
	r.Batch = min(r.Batch, max(1, len(r.Backends)))
	if r.MinAvailable, err = leastOf(o.MinAvailable, len(r.Backends), r.Batch, svc.Holds()); err != nil {
		return r, err
	}
	return r, r.possible(o)
}

// enlist takes in the backends that are ready, and those that an earlier rollout left in drain. Those that serve nobody come
// first: they cost no capacity, and bring some. What an operator has taken out is left as it is.
func (r Rollout) enlist(p *control.Pool, at time.Time) Rollout {
	var out, in []Member
	for _, b := range p.Backends {
		m := Member{Address: b.Address(), Former: b.Health.Release, Step: Waiting, Since: at}
		left := b.Admin == control.Drain && b.Decided != nil && b.Decided.Cause.Rollout != ""
		switch {
		case b.Admin != control.Ready && !left:
			r.Skipped = append(r.Skipped, fmt.Sprintf("%s is in %s", b.Address(), b.Admin))
		case b.Eligible():
			in = append(in, m)
		default:
			out = append(out, m)
		}
	}
	r.Backends = append(out, in...)
	return r
}

// leastOf reads how many backends must be left of n.
func leastOf(text string, n, batch int, holds bool) (int, error) {
	if text == "" {
		least := max(0, n-batch)
		if least == 0 && !holds {
			least = 1
		}
		return least, nil
	}
	bad := refuse("min_available cannot be %q of %d backends", "write a count as 2, or a share as 50%%", text, n)
	if share, isShare := strings.CutSuffix(text, "%"); isShare {
		f, err := strconv.ParseFloat(share, 64)
		if err != nil || !(f >= 0 && f <= 100) {
			return 0, bad
		}
		return int(math.Ceil(float64(n)*f/100 - 1e-9)), nil
	}
	least, err := strconv.Atoi(text)
	if err != nil || least < 0 {
		return 0, bad
	}
	return least, nil
}

// possible refuses what would have to be refused at its first steps.
func (r Rollout) possible(o Order) error {
	n := len(r.Backends)
	switch {
	case n == 0:
		return refuse("no backend of %s is ready, so there is nothing to roll", "see `sluice status "+r.Service+"`, and `sluice ready` what is to be rolled", r.Pool)
	case n-1 < r.MinAvailable && n == 1 && o.MinAvailable == "":
		return refuse("%s is the only backend of %s, and requests would have nowhere to go", "let them wait with `hold:` in the file, or accept it with --min-available 0", r.Backends[0].Address, r.Pool)
	case n-r.Batch < r.MinAvailable:
		return &control.Refusal{
			Kind: "capacity",
			What: fmt.Sprintf("with a batch of %d there would be %d of %d in %s that take requests, and at least %d must be left", r.Batch, n-r.Batch, n, r.Pool, r.MinAvailable),
			Hint: "roll a smaller --batch, or ask for a lower --min-available",
		}
	case r.OnFailure != "revert" || o.Reverts:
		return nil
	}
	for _, m := range r.Backends {
		if m.Former == "" {
			return refuse("it is not known which release %s has, so there is nothing to revert to", "let health checks read it with `health: {release: …}`, or name a --revert-exec", m.Address)
		}
	}
	return nil
}
