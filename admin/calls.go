package admin

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"sluice/control"
)

// Health is what GET /healthz answers with; 200 while Sluice serves, 503 once it is on its way out.
type Health struct {
	Status  string `json:"status"` // "ok" or "stopping"
	Version string `json:"version"`
}

func (s *Server) healthz(w http.ResponseWriter, _ *http.Request, _ arguments) error {
	status := s.opts.Controller.Status()
	h, code := Health{"ok", status.Version}, http.StatusOK
	if s.stopping.Load() || status.Draining {
		h.Status, code = "stopping", http.StatusServiceUnavailable
	}
	s.answer(w, code, h)
	return nil
}

func (s *Server) metrics(w http.ResponseWriter, r *http.Request, _ arguments) error {
	if s.opts.Metrics == nil {
		return problem(http.StatusNotFound, "path", "this Sluice keeps no metrics", "")
	}
	s.opts.Metrics.ServeHTTP(w, r)
	return nil
}

func (s *Server) status(w http.ResponseWriter, _ *http.Request, _ arguments) error {
	s.answer(w, http.StatusOK, s.now())
	return nil
}

func (s *Server) now() control.Status {
	status := s.opts.Controller.Status()
	status.Draining = status.Draining || s.stopping.Load()
	for i := range status.Services {
		status.Services[i].Rollout = s.briefRollout(status.Services[i].Name)
	}
	return status
}

func (s *Server) service(w http.ResponseWriter, _ *http.Request, a arguments) error {
	status := s.now()
	names := ""
	for i := range status.Services {
		if status.Services[i].Name == a.path[0] {
			s.answer(w, http.StatusOK, status.Services[i])
			return nil
		}
		names += " " + status.Services[i].Name
	}
	return problem(http.StatusNotFound, "unknown", fmt.Sprintf("there is no service %q", a.path[0]), "the services are:"+names)
}

func (s *Server) operation(w http.ResponseWriter, r *http.Request, a arguments) error {
	wait, err := readWaiting(r, a)
	if err != nil {
		return err
	}
	op, ok := s.opts.Controller.Operation(a.path[0])
	if stopped := s.stopped.Load(); !ok && stopped != nil && (*stopped).Receipt().ID == a.path[0] {
		op, ok = *stopped, true
	}
	if !ok {
		return problem(http.StatusNotFound, "unknown", fmt.Sprintf("there is no operation %q any more", a.path[0]), "`sluice history` names those there were")
	}
	return s.follow(w, r, op, s.forVerdict(wait, op))
}

func (s *Server) flip(w http.ResponseWriter, r *http.Request, a arguments) error {
	pool, err := a.required("pool", "write ?pool=NAME, as `sluice status` shows it")
	if err != nil {
		return err
	}
	want, err := flipWant(r, a)
	if err != nil {
		return err
	}
	if want.Bake.For, err = a.lengthOrOff("bake"); err != nil {
		return err
	}
	if want.Patience > 0 {
		http.NewResponseController(w).SetReadDeadline(time.Time{}) // its passing would end a wait that takes longer than reading may
	}
	return s.change(w, r, a, "flip", func(ctx context.Context, cause control.Cause) (Operation, error) {
		return s.opts.Controller.Flip(ctx, a.path[0], pool, want, cause)
	})
}

func (s *Server) rollback(w http.ResponseWriter, r *http.Request, a arguments) error {
	want, err := flipWant(r, a)
	if err != nil {
		return err
	}
	return s.change(w, r, a, "rollback", func(ctx context.Context, cause control.Cause) (Operation, error) {
		return s.opts.Controller.Rollback(ctx, a.path[0], want, cause)
	})
}

func flipWant(r *http.Request, a arguments) (control.FlipWant, error) {
	release, err := a.text("release", longestName)
	if err != nil {
		return control.FlipWant{}, err
	}
	patience, err := a.duration("patience")
	if err != nil {
		return control.FlipWant{}, err
	}
	seen, err := ifMatch(r)
	if err != nil {
		return control.FlipWant{}, err
	}
	force, err := a.flag("force")
	if force && a.values["note"] == "" {
		return control.FlipWant{}, badArgument("force is given without a note", "say in note why, for the history")
	}
	return control.FlipWant{Release: release, IfMatch: seen, Patience: patience, Force: force}, err
}

// setAdmin serves drain, ready and maint. The pool is given in the path, as an argument, or not at all.
func (s *Server) setAdmin(verb string) func(http.ResponseWriter, *http.Request, arguments) error {
	return func(w http.ResponseWriter, r *http.Request, a arguments) error {
		pool, err := a.text("pool", longestName)
		if err != nil {
			return err
		}
		backend := a.path[len(a.path)-1]
		if len(a.path) == 3 {
			pool = a.path[1]
		}
		seen, err := ifMatch(r)
		if err != nil {
			return err
		}
		want := control.AdminWant{IfMatch: seen}
		if want.Release, err = a.text("release", longestName); err != nil {
			return err
		}
		if want.MinAvailable, err = a.number("min_available"); err != nil {
			return err
		}
		return s.change(w, r, a, verb, func(ctx context.Context, cause control.Cause) (Operation, error) {
			return s.opts.Controller.SetAdmin(ctx, a.path[0], backend, pool, control.Admin(verb), want, cause)
		})
	}
}

// stop begins Sluice's own exit. Asked again it tells how far that is.
func (s *Server) stop(w http.ResponseWriter, r *http.Request, a arguments) error {
	if s.opts.Stop == nil {
		return problem(http.StatusConflict, "conflict", "this Sluice cannot be stopped by the API", "end its process")
	}
	return s.change(w, r, a, "stop", func(_ context.Context, cause control.Cause) (Operation, error) {
		s.stopping.Store(true)
		op := s.opts.Stop(cause)
		s.stopped.Store(&op)
		return op, nil
	})
}
