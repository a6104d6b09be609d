package healthcheck

import (
	"context"
	"errors"
	"net"
	"time"
)

// connProber is a Prober that opens a connection for each check and closes it again: so it also tests that the server
// still takes new ones. When Probe returns, its connection is closed and no goroutine of it is left.
type connProber struct {
	spec     Spec
	now      func() time.Time
	protocol string
	ask      func(net.Conn) (said, error)
}

func newProber(spec Spec, now func() time.Time, protocol string, ask func(net.Conn) (said, error)) *connProber {
	return &connProber{spec: spec.normal(), now: now, protocol: protocol, ask: ask}
}

// said is what an answer said of the server, whatever the verdict.
type said struct {
	answered bool // there was an answer at all
	release  string
	schema   Schema
}

// Probe asks once. It takes no longer than Spec.Timeout.
func (p *connProber) Probe(ctx context.Context) Result {
	begun := p.now()
	said, err := p.connect(ctx)
	at := p.now()
	r := Result{At: at, Took: at.Sub(begun), OK: err == nil, Draining: errors.Is(err, errDraining), Answered: said.answered, Release: said.release, Schema: said.schema}
	if err != nil {
		r.Reason = p.reason(err)
	}
	if ctx.Err() != nil {
		r.OK, r.Draining, r.Cancelled, r.Reason = false, false, true, "check called off"
	}
	return r
}

func (p *connProber) connect(ctx context.Context) (said, error) {
	ctx, cancel := context.WithTimeout(ctx, p.spec.Timeout)
	defer cancel()
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, p.spec.Network, p.spec.Address)
	if err != nil {
		return said{}, &phaseError{"connection", err}
	}
	defer closeWith(ctx, conn)()
	return p.ask(conn)
}

// closeWith arranges that conn is closed when ctx is done, and returns a func that closes it at the latest and waits
// until nothing of the arrangement is left.
func closeWith(ctx context.Context, conn net.Conn) (done func()) {
	closed := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		conn.SetDeadline(time.Unix(1, 0))
		close(closed)
	})
	return func() {
		if !stop() {
			<-closed
		}
		conn.Close()
	}
}

// acceptAny asks nothing: that there is a connection is the answer.
func acceptAny(net.Conn) (said, error) { return said{answered: true}, nil }
