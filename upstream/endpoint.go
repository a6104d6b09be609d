// Package upstream is the servers behind us: endpoints and their connections, pools and the choice among their
// backends, claiming one, and a round trip on it. It refuses to know routes, clients, and why a backend is in a pool.
package upstream

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"sluice/http1"
)

// Options are what all endpoints of a process share. They never change.
type Options struct {
	Connect time.Duration // how long a dial may take; default 2 s
	Idle    time.Duration // how long an idle connection is kept; default 60 s
	MaxIdle int           // idle connections kept per endpoint; default 1024
	Queues  *Queues       // of requests that wait for a place at an endpoint; may be nil
	Known   time.Duration // idle time that servers are known to keep connections for, before any has shown it; default 0
	Limits  *http1.Limits // of response heads
	Clock   *http1.Clock  // see http1.Conn; may be nil
}

// Endpoint is one address: its connections and its history. It outlives snapshots, and all pools that name the address
// share it. All methods may be called concurrently.
type Endpoint struct {
	Network string // "tcp" or "unix"; "root" for a folder, which is never dialled
	Address string // what is dialled
	opts    Options
	dialer  net.Dialer

	active atomic.Int64 // requests on it now, whatever pool they came by
	Stats  Stats

	mu   sync.Mutex
	idle []*Conn // the last one put is the first one taken: few stay warm, the rest grow old and go
	keep keepAlive
}

// Stats counts what an endpoint did since the process began.
type Stats struct {
	Requests atomic.Int64 // round trips begun
	Failures atomic.Int64 // round trips without a whole response; whoever made the round trip counts
	Dials    atomic.Int64
	Reused   atomic.Int64 // round trips on a connection that had carried one before
}

// NewEndpoint returns an endpoint without connections.
func NewEndpoint(network, address string, opts Options) *Endpoint {
	if opts.Connect == 0 {
		opts.Connect = 2 * time.Second
	}
	if opts.Idle == 0 {
		opts.Idle = time.Minute
	}
	if opts.MaxIdle == 0 {
		opts.MaxIdle = 1024
	}
	if opts.Limits == nil {
		opts.Limits = &http1.DefaultLimits
	}
	e := &Endpoint{Network: network, Address: address, opts: opts, dialer: net.Dialer{Timeout: opts.Connect}}
	e.keep.outlived = opts.Known
	return e
}

// begin counts a request in, unless there are most of them already; 0 is no limit. Not add-and-look: a claim that is
// refused must not make another one find the endpoint full.
func (e *Endpoint) begin(most int64) bool {
	if most <= 0 {
		e.active.Add(1)
		return true
	}
	for {
		n := e.active.Load()
		if n >= most {
			return false
		}
		if e.active.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

// Active returns how many requests are on the endpoint now.
func (e *Endpoint) Active() int { return int(e.active.Load()) }

// Idle returns how many idle connections are kept.
func (e *Endpoint) Idle() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.idle)
}

// take returns the connection that was idle for the shortest time, or nil when that is too long. sure says that the
// request cannot be sent again. Whether the connection is quiet is found when it is used: one that is not has been ended
// by the server, or holds bytes that answer nothing we asked, and carries no request.
func (e *Endpoint) take(now time.Time, sure bool) *Conn {
	e.mu.Lock()
	defer e.mu.Unlock()
	n := len(e.idle)
	if n == 0 {
		return nil
	}
	c := e.idle[n-1]
	age, most := now.Sub(c.answered), e.keep.limit(e.opts.Idle)
	if sure {
		most = e.sure(now, age)
	}
	if age > most {
		return nil
	}
	c.useBefore = time.Time{}
	if sure {
		c.useBefore = c.answered.Add(most)
	}
	e.idle[n-1] = nil
	e.idle = e.idle[:n-1]
	return c
}

// put keeps a connection for the next request, or closes it when there are enough.
func (e *Endpoint) put(c *Conn) {
	e.mu.Lock()
	keep := len(e.idle) < e.opts.MaxIdle
	if keep {
		e.idle = append(e.idle, c)
	}
	e.mu.Unlock()
	if !keep {
		c.close()
	}
}

// CloseIdle closes all idle connections at once.
func (e *Endpoint) CloseIdle() {
	e.mu.Lock()
	idle := e.idle
	e.idle = nil
	e.mu.Unlock()
	closeAll(idle)
}

// Sweep closes the connections that have ended, or been idle for too long, and learns from them how long the server
// keeps one. Its caller calls it every few seconds.
func (e *Endpoint) Sweep(now time.Time) {
	dead, old := e.sift(now)
	for _, c := range dead {
		e.ended(c, now)
	}
	closeAll(dead)
	closeAll(old)
}

// sift takes out what is to be closed. The oldest connection that is open stays for as long as any may: it is what shows
// how long the server keeps one, even where it is too old to be used. A server ends the oldest first, so that to look at
// those before it is enough.
func (e *Endpoint) sift(now time.Time) (dead, old []*Conn) {
	e.mu.Lock()
	defer e.mu.Unlock()
	kept := e.idle[:0]
	for _, c := range e.idle {
		idle := now.Sub(c.since)
		switch {
		case len(kept) == 0 && !c.h1.Quiet():
			dead = append(dead, c)
		case idle > e.opts.Idle, len(kept) > 0 && idle > e.keep.limit(e.opts.Idle):
			old = append(old, c)
		default:
			kept = append(kept, c)
		}
	}
	clear(e.idle[len(kept):])
	e.idle = kept
	switch {
	case len(kept) > 0:
		e.keep.lives(now.Sub(kept[0].since))
		e.keep.forget(now.Sub(kept[0].since), e.opts.Idle)
	case e.Active() == 0:
		e.keep.outlived = e.opts.Known // there is no connection left: another server may answer to the next one
	}
	return dead, old
}

func closeAll(conns []*Conn) {
	for _, c := range conns {
		c.close()
	}
}

// dial opens a connection.
func (e *Endpoint) dial(ctx context.Context) (*Conn, error) {
	e.Stats.Dials.Add(1)
	nc, err := e.dialer.DialContext(ctx, e.Network, e.Address)
	if err != nil {
		return nil, err
	}
	c := &Conn{endpoint: e, h1: http1.NewConn(nc, e.opts.Limits), fresh: true}
	c.h1.Clock = e.opts.Clock
	return c, nil
}
