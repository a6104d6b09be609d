package main

import (
	"context"
	"os"
	"sync"
	"syscall"
	"time"

	"sluice/admin"
	"sluice/control"
	"sluice/drain"
)

// exit is Sluice's own end, as an operation that can be waited for.
type exit struct {
	begun chan struct{} // closed when the end was asked for
	done  chan struct{} // closed when nothing is inside any more

	mu      sync.Mutex
	receipt control.Receipt
	inside  func(limit int) drain.Listing // nil before the drain, and after it
}

var _ admin.Operation = (*exit)(nil)

func newExit() *exit {
	return &exit{begun: make(chan struct{}), done: make(chan struct{})}
}

// Done is closed when nothing is inside any more. The process ends a moment later.
func (e *exit) Done() <-chan struct{} { return e.done }

// Receipt says how far it is.
func (e *exit) Receipt() control.Receipt {
	e.mu.Lock()
	r := e.receipt
	e.mu.Unlock()
	l := e.Inside(mostInside)
	r.Inside, r.InsideTotal = l.Items, l.Total
	return r
}

// mostInside bounds the list in the receipt of an exit that goes on.
const mostInside = 1000

// Inside lists the oldest of what is inside, while it is waited for.
func (e *exit) Inside(limit int) drain.Listing {
	e.mu.Lock()
	inside := e.inside
	e.mu.Unlock()
	if inside == nil {
		return drain.Listing{}
	}
	return inside(limit)
}

// begin reports whether this call was the one that began it.
func (e *exit) begin(r control.Receipt, inside func(limit int) drain.Listing) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	select {
	case <-e.begun:
		return false
	default:
	}
	e.receipt, e.inside = r, inside
	close(e.begun)
	return true
}

func (e *exit) finish(report drain.Report) control.Receipt {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.receipt.Done, e.receipt.Drain, e.inside = report.Left == 0, &report, nil
	close(e.done)
	return e.receipt
}

// stop begins the end of this process. Further calls return the end that has begun.
func (p *process) stop(cause control.Cause) admin.Operation {
	receipt := control.Receipt{
		ID: "stop", Generation: p.control.Generation(), Verb: "stop", From: "serving", To: "stopped", Began: time.Now(), Cause: cause,
	}
	began, policy := receipt.Began, p.exitPolicy()
	if p.exit.begin(receipt, func(limit int) drain.Listing { return p.insideUntil(limit, began, policy) }) {
		p.control.Stopping(cause)
		p.tellLeaving()
	}
	return p.exit
}

// insideUntil lists what is inside of any backend; each item is over by its deadline.
func (p *process) insideUntil(limit int, began time.Time, policy drain.Policy) drain.Listing {
	l := p.proxy.Ledger.Look(limit)
	l.EndBy(nil, began, policy)
	return l
}

// serve runs until a signal or a call of the API ends it, and returns the exit code. The first signal lets what is
// inside finish, within its deadlines; a second one ends it at once.
func (p *process) serve(signals <-chan os.Signal) int {
	defer p.close()
	ctx, cutAll := context.WithCancel(context.Background())
	defer cutAll()
	begun, code := p.exit.begun, exitDone
	for {
		select {
		case sig := <-signals:
			if p.signalled(sig) {
				code = exitFailed
				cutAll()
			}
		case <-begun:
			begun = nil
			go p.drain(ctx)
		case <-p.exit.done:
			return code
		}
	}
}

// signalled takes a signal, and reports whether it is one too many.
func (p *process) signalled(sig os.Signal) (tooMany bool) {
	if sig == syscall.SIGHUP {
		p.events.Warn("SIGHUP: reading the file again is not in this version of Sluice; nothing was changed, restart it for a new file", nil)
		return false
	}
	select {
	case <-p.exit.begun:
		p.events.Warn("a second signal: ending at once, whatever is inside", nil)
		return true
	default:
	}
	p.stop(control.Cause{By: "signal", Via: "signal", Verb: "stop", Note: sig.String()})
	return false
}

// drain is the goroutine of the exit. It ends when nothing is inside, at the last deadline, or with ctx.
func (p *process) drain(ctx context.Context) {
	report := p.front.Drain(ctx, p.config.Shutdown.Grace, p.exitPolicy())
	receipt := p.exit.finish(report)
	p.events.Say("stopped: "+report.String(), "by", receipt.Cause.By, "via", receipt.Cause.Via)
}

// exitPolicy is the most that any service grants, within what the whole exit may take.
func (p *process) exitPolicy() drain.Policy {
	policy, most := p.control.DrainPolicy(""), p.config.Shutdown.Timeout
	policy.Timeout = min(policy.Timeout, most)
	policy.Stream = min(policy.Stream, most)
	policy.WebSocket = min(policy.WebSocket, most)
	return policy
}
