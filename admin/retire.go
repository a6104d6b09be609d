package admin

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"time"

	"sluice/control"
)

// Both sides of the end of releases and of leases: the calls, and the client that makes them.

// longestRetire bounds how long a call waits for what is in the way of a retirement.
const longestRetire = 24 * time.Hour

// retiredWait is long for what waits for nothing but the history.
const retiredWait = time.Second

func (s *Server) retire(w http.ResponseWriter, r *http.Request, a arguments) error {
	release, err := a.required("release", "write ?release=NAME, as `sluice status` shows it")
	if err != nil {
		return err
	}
	want, err := retireWant(r, a)
	if err != nil {
		return err
	}
	why, err := cause(r, a, "retire")
	if err != nil {
		return err
	}
	http.NewResponseController(w).SetReadDeadline(time.Time{}) // it has been read; the wait may take longer than reading may
	op, err := s.repeats.once(r.Context(), r.Header.Get("Idempotency-Key"), fingerprint(r, a), func() (Operation, error) {
		return s.opts.Controller.Retire(r.Context(), a.path[0], release, want, why)
	})
	http.NewResponseController(w).SetWriteDeadline(s.opts.Now().Add(2 * writeWait))
	if err != nil {
		return err
	}
	await(r.Context(), op, retiredWait) // nothing is inside, so it is over as soon as it is in force
	s.answer(w, http.StatusOK, op.Receipt())
	return nil
}

func retireWant(r *http.Request, a arguments) (control.RetireWant, error) {
	wait, err := a.duration("wait")
	if err != nil {
		return control.RetireWant{}, err
	}
	seen, err := ifMatch(r)
	return control.RetireWant{Wait: min(wait, longestRetire), IfMatch: seen}, err
}

func (s *Server) holdRelease(w http.ResponseWriter, _ *http.Request, a arguments) error {
	window, err := a.duration("window")
	if err != nil {
		return err
	}
	hold, err := s.opts.Controller.HoldRelease(a.path[0], a.path[1], window)
	if err != nil {
		return err
	}
	s.answer(w, http.StatusOK, hold)
	return nil
}

// Leases is what GET /v1/leases answers with.
type Leases struct {
	Leases []control.Lease `json:"leases"`
}

func (s *Server) leases(w http.ResponseWriter, _ *http.Request, _ arguments) error {
	s.answer(w, http.StatusOK, Leases{s.opts.Controller.Leases()})
	return nil
}

func (s *Server) putLease(w http.ResponseWriter, r *http.Request, a arguments) error {
	name, err := arguments{values: map[string]string{"the name": a.path[0]}}.text("the name", longestName)
	if err != nil {
		return err
	}
	release, err := a.required("release", "write ?release=NAME, which the worker runs")
	if err != nil {
		return err
	}
	service, err := a.text("service", longestName)
	if err != nil {
		return err
	}
	ttl, err := a.duration("ttl")
	if err == nil && ttl == 0 {
		err = badArgument("ttl is missing", "write how long the lease lasts unless it is renewed, as ttl=60s")
	}
	if err != nil {
		return err
	}
	why, err := cause(r, a, "lease")
	if err != nil {
		return err
	}
	return s.answerLease(w)(s.opts.Controller.PutLease(control.Lease{Name: name, Service: service, Release: release, By: why.By}, ttl))
}

func (s *Server) dropLease(w http.ResponseWriter, _ *http.Request, a arguments) error {
	return s.answerLease(w)(s.opts.Controller.DropLease(a.path[0]))
}

func (s *Server) answerLease(w http.ResponseWriter) func(control.Lease, error) error {
	return func(l control.Lease, err error) error {
		if err == nil {
			s.answer(w, http.StatusOK, l)
		}
		return err
	}
}

func (f fixed) Retire(ctx context.Context, service, release string, want control.RetireWant, cause control.Cause) (Operation, error) {
	return orError(f.Controller.Retire(ctx, service, release, want, cause))
}

// Retire closes off a release, and waits so long for what is in the way. A Problem of the kinds blocked and uncertain says what
// that is.
func (c *Client) Retire(ctx context.Context, service, release string, wait time.Duration, want Want) (Outcome, error) {
	query := url.Values{"release": {release}}
	if wait > 0 {
		query.Set("wait", wait.String())
		c = c.patient(wait)
		defer c.Close()
	}
	return c.change(ctx, servicePath(service, "retire"), query, want)
}

// Leases lists the leases that are not over.
func (c *Client) Leases(ctx context.Context) (all Leases, err error) {
	return all, c.get(ctx, "/v1/leases", nil, &all)
}

// PutLease takes or renews a lease.
func (c *Client) PutLease(ctx context.Context, l control.Lease, ttl time.Duration) (control.Lease, error) {
	query := url.Values{"release": {l.Release}, "ttl": {ttl.String()}}
	for name, value := range map[string]string{"service": l.Service, "by": l.By} {
		if value != "" {
			query.Set(name, value)
		}
	}
	return c.lease(ctx, http.MethodPut, l.Name, query)
}

// DropLease ends a lease.
func (c *Client) DropLease(ctx context.Context, name string) (control.Lease, error) {
	return c.lease(ctx, http.MethodDelete, name, nil)
}

func (c *Client) lease(ctx context.Context, method, name string, query url.Values) (l control.Lease, err error) {
	res, err := c.ask(ctx, method, "/v1/leases/"+url.PathEscape(name), query, nil)
	if err != nil {
		return l, err
	}
	defer res.Body.Close()
	if err := json.NewDecoder(io.LimitReader(res.Body, answerBytes)).Decode(&l); err != nil {
		return l, &LostError{c.address, err}
	}
	return l, nil
}

// Blockers returns what is in the way of a retirement, when err says that something is.
func Blockers(err error) []control.Blocker {
	var p *Problem
	if errors.As(err, &p) {
		return p.Blockers
	}
	return nil
}
