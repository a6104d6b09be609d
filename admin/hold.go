package admin

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"sluice/control"
)

// Both sides of pause and resume: the calls, and the client that makes them.

func (s *Server) pause(w http.ResponseWriter, r *http.Request, a arguments) error {
	length, err := a.duration("for")
	if err != nil {
		return err
	}
	seen, err := ifMatch(r)
	if err != nil {
		return err
	}
	return s.change(w, r, a, "pause", func(ctx context.Context, cause control.Cause) (Operation, error) {
		return s.opts.Controller.Pause(ctx, a.path[0], control.PauseWant{For: length, IfMatch: seen}, cause)
	})
}

func (s *Server) resume(w http.ResponseWriter, r *http.Request, a arguments) error {
	seen, err := ifMatch(r)
	if err != nil {
		return err
	}
	return s.change(w, r, a, "resume", func(ctx context.Context, cause control.Cause) (Operation, error) {
		return s.opts.Controller.Resume(ctx, a.path[0], seen, cause)
	})
}

func (f fixed) Pause(ctx context.Context, service string, want control.PauseWant, cause control.Cause) (Operation, error) {
	return orError(f.Controller.Pause(ctx, service, want, cause))
}

func (f fixed) Resume(ctx context.Context, service string, ifMatch *uint64, cause control.Cause) (Operation, error) {
	return orError(f.Controller.Resume(ctx, service, ifMatch, cause))
}

// Pause has the new requests of a service wait, for a length of time; zero is Sluice's own default.
func (c *Client) Pause(ctx context.Context, service string, length time.Duration, want Want) (Outcome, error) {
	query := url.Values{}
	if length != 0 {
		query.Set("for", length.String())
	}
	return c.change(ctx, servicePath(service, "pause"), query, want)
}

// Resume ends a pause.
func (c *Client) Resume(ctx context.Context, service string, want Want) (Outcome, error) {
	return c.change(ctx, servicePath(service, "resume"), url.Values{}, want)
}
