// Package admin is the operator's window: the API over a unix socket or loopback TCP, the metrics page, and the client
// that Sluice's own commands use. It turns a call into one question or one change for control and tells what came of
// it. It refuses to know how a change is made, and it never reaches into the data plane.
package admin

import (
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"sluice/control"
	"sluice/deploy"
	"sluice/drain"
)

// Operation is a change that was made and may take time to be over.
type Operation interface {
	Done() <-chan struct{}          // closed when it is over
	Receipt() control.Receipt       // how it stands now
	Inside(limit int) drain.Listing // the oldest of what it waits for; nothing when it is over
}

// Controller is who decides. Each change returns as soon as it is in force, with the Operation that follows it to its
// end, or with an error, a *control.Refusal as a rule, and then nothing was changed. Fix adapts a *control.Controller.
type Controller interface {
	Flip(ctx context.Context, service, pool string, want control.FlipWant, cause control.Cause) (Operation, error)
	Rollback(ctx context.Context, service string, want control.FlipWant, cause control.Cause) (Operation, error)
	Split(ctx context.Context, service string, want control.SplitWant, cause control.Cause) (Operation, error)
	SetAdmin(ctx context.Context, service, backend, pool string, admin control.Admin, want control.AdminWant, cause control.Cause) (Operation, error)
	Pause(ctx context.Context, service string, want control.PauseWant, cause control.Cause) (Operation, error)
	Resume(ctx context.Context, service string, ifMatch *uint64, cause control.Cause) (Operation, error)
	Retire(ctx context.Context, service, release string, want control.RetireWant, cause control.Cause) (Operation, error)
	Preview(service string, want control.PreviewWant, cause control.Cause) (control.PreviewPass, error)
	Bake(service string) (Operation, error) // done when the verdict of the latest bake is there
	HoldRelease(service, release string, window time.Duration) (control.ReleaseHold, error)
	PutLease(l control.Lease, ttl time.Duration) (control.Lease, error)
	DropLease(name string) (control.Lease, error)
	Leases() []control.Lease
	Operation(id string) (Operation, bool) // one of the latest, by the id of its receipt
	Status() control.Status
	Inside(want control.InsideWant) (drain.Listing, error)
	History(service string, max int) ([]control.Entry, error)
	Verify(noted string) (control.Chain, error) // of all of the history
	Generation() uint64
}

// Options are what a server is made of. Controller must be set.
type Options struct {
	Controller Controller
	Stop       func(control.Cause) Operation // begins Sluice's own exit; further calls return the same Operation. nil: refused
	Metrics    http.Handler                  // answers GET /metrics; nil: there are none
	Rollouts   *deploy.Rollouts              // nil: there are none
	Token      string                        // demanded on TCP; never on a unix socket, which the file's mode guards
	Hosts      []string                      // further names that a Host field may have on TCP; loopback is always allowed
	Now        func() time.Time              // default time.Now
}

const (
	// Waits for a caller. A caller is a person or a script on the same machine: seconds are plenty.
	headWait  = 5 * time.Second
	readWait  = 10 * time.Second
	writeWait = 10 * time.Second
	idleWait  = time.Minute
	// headBytes bounds a request head.
	headBytes = 16 << 10
	// bodyBytes bounds a request body; a call's arguments are a few short words.
	bodyBytes = 64 << 10
)

// Server answers the API. Its methods may be called concurrently.
type Server struct {
	opts    Options
	guard   guard
	routes  []route
	repeats repeats

	stopping atomic.Bool               // a stop was asked for here
	stopped  atomic.Pointer[Operation] // that stop
	http     http.Server
	quit     context.CancelFunc // ends all waiting
}

// New returns a server that listens nowhere yet.
func New(opts Options) *Server {
	if opts.Now == nil {
		opts.Now = time.Now
	}
	s := &Server{opts: opts, guard: newGuard(opts.Token, opts.Hosts)}
	s.repeats.now = opts.Now
	s.routes = s.table()
	base, quit := context.WithCancel(context.Background())
	s.quit = quit
	s.http = http.Server{
		Handler:           http.HandlerFunc(s.serveHTTP),
		ReadHeaderTimeout: headWait,
		ReadTimeout:       readWait,
		IdleTimeout:       idleWait,
		MaxHeaderBytes:    headBytes,
		BaseContext:       func(net.Listener) context.Context { return base },
		ConnContext:       withPeer,
		ErrorLog:          log.New(io.Discard, "", 0),
	}
	return s
}

// Serve answers on l until Shutdown. It owns l, which Listen made. It returns nil after Shutdown.
func (s *Server) Serve(l net.Listener) error {
	if err := s.http.Serve(newLimited(l)); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// Shutdown ends the waiting calls, each with what is known by then, and returns when they are answered or ctx ends.
func (s *Server) Shutdown(ctx context.Context) {
	s.quit()
	if s.http.Shutdown(ctx) != nil {
		s.http.Close()
	}
}

// Fix adapts control's controller to what this package asks for.
func Fix(c *control.Controller) Controller { return fixed{c} }

type fixed struct{ *control.Controller }

func (f fixed) Flip(ctx context.Context, service, pool string, want control.FlipWant, cause control.Cause) (Operation, error) {
	return orError(f.Controller.Flip(ctx, service, pool, want, cause))
}

func (f fixed) Rollback(ctx context.Context, service string, want control.FlipWant, cause control.Cause) (Operation, error) {
	return orError(f.Controller.Rollback(ctx, service, want, cause))
}

func (f fixed) SetAdmin(ctx context.Context, service, backend, pool string, admin control.Admin, want control.AdminWant, cause control.Cause) (Operation, error) {
	return orError(f.Controller.SetAdmin(ctx, service, backend, pool, admin, want, cause))
}

// orError keeps a nil *control.Operation from becoming an Operation that is not nil.
func orError(op *control.Operation, err error) (Operation, error) {
	if err != nil {
		return nil, err
	}
	return op, nil
}

func (f fixed) Operation(id string) (Operation, bool) {
	op := f.Controller.Operation(id)
	return op, op != nil
}
