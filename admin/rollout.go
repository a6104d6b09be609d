package admin

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"sluice/control"
	"sluice/deploy"
)

// Both sides of a rollout's record. Its steps themselves are the calls that drain and ready a backend.

func (s *Server) rolloutCalls() []route {
	const path = "/v1/services/{service}/rollout"
	begin := []string{"by", "note", "commit", "who", "release", "batch", "min_available", "on_failure", "reverts", "pause_between", "timeout", "lease"}
	return []route{
		call("GET "+path, nil, s.rollout),
		call("GET "+path+"/{id}", nil, s.rollout),
		call("POST "+path, begin, s.rollouts("rollout", beginRollout)),
		call("POST "+path+"/{id}/step", []string{"by", "note", "commit", "token", "backend", "to", "why", "release", "finished", "cut"}, s.rollouts("rollout", stepRollout)),
		call("POST "+path+"/{id}/beat", []string{"token"}, s.rollouts("rollout", beatRollout)),
		call("POST "+path+"/{id}/resume", []string{"by", "note", "commit", "who"}, s.rollouts("resume", resumeRollout)),
		call("POST "+path+"/{id}/abort", []string{"by", "note", "commit"}, s.rollouts("abort", abortRollout)),
	}
}

func (s *Server) rollout(w http.ResponseWriter, _ *http.Request, a arguments) error {
	if s.opts.Rollouts == nil {
		return problem(http.StatusNotFound, "path", "this Sluice keeps no rollouts", "")
	}
	if s.opts.Controller != nil && !s.knows(a.path[0]) {
		return s.service(w, nil, a) // says which there are
	}
	held, err := s.opts.Rollouts.Find(a.path[0], append(a.path, "")[1])
	if err != nil {
		return err
	}
	s.answer(w, http.StatusOK, held)
	return nil
}

// briefRollout is the latest rollout of a service for its status, or nil.
func (s *Server) briefRollout(service string) *control.RolloutStatus {
	if s.opts.Rollouts == nil {
		return nil
	}
	held, err := s.opts.Rollouts.Find(service, "")
	if err != nil {
		return nil
	}
	return held.Brief()
}

func (s *Server) knows(service string) bool {
	for _, svc := range s.opts.Controller.Status().Services {
		if svc.Name == service {
			return true
		}
	}
	return false
}

// rollouts serves what changes a rollout.
func (s *Server) rollouts(verb string, do func(*deploy.Rollouts, arguments, control.Cause) (deploy.Held, error)) func(http.ResponseWriter, *http.Request, arguments) error {
	return func(w http.ResponseWriter, r *http.Request, a arguments) error {
		if s.opts.Rollouts == nil {
			return problem(http.StatusNotFound, "path", "this Sluice keeps no rollouts", "")
		}
		why, err := cause(r, a, verb)
		if err != nil {
			return err
		}
		held, err := do(s.opts.Rollouts, a, why)
		if err != nil {
			return err
		}
		s.answer(w, http.StatusOK, held)
		return nil
	}
}

// texts reads arguments that are to be printed.
func (a arguments) texts(into map[string]*string) (err error) {
	for name, to := range into {
		if *to, err = a.text(name, longestNote); err != nil {
			return err
		}
	}
	return nil
}

func (a arguments) durations(into map[string]*time.Duration) (err error) {
	for name, to := range into {
		if *to, err = a.duration(name); err != nil {
			return err
		}
	}
	return nil
}

func beginRollout(rs *deploy.Rollouts, a arguments, cause control.Cause) (deploy.Held, error) {
	var o deploy.Order
	err := a.texts(map[string]*string{"who": &o.Who, "release": &o.Release, "min_available": &o.MinAvailable, "on_failure": &o.OnFailure})
	if err == nil {
		err = a.durations(map[string]*time.Duration{"pause_between": &o.PauseBetween, "timeout": &o.Timeout, "lease": &o.Lease})
	}
	if err == nil {
		o.Batch, err = a.count("batch", 1, 1<<20)
	}
	if err == nil {
		o.Reverts, err = a.flag("reverts")
	}
	if err != nil {
		return deploy.Held{}, err
	}
	return rs.Begin(a.path[0], o, cause)
}

func stepRollout(rs *deploy.Rollouts, a arguments, cause control.Cause) (deploy.Held, error) {
	var rep deploy.Report
	var token, to string
	err := a.texts(map[string]*string{"token": &token, "backend": &rep.Backend, "to": &to, "why": &rep.Why, "release": &rep.Release})
	if err != nil {
		return deploy.Held{}, err
	}
	rep.To = deploy.Step(to)
	for name, into := range map[string]*int{"finished": &rep.Finished, "cut": &rep.Cut} {
		n, err := a.number(name)
		if err != nil {
			return deploy.Held{}, err
		}
		if n != nil {
			*into = *n
		}
	}
	return rs.Report(a.path[0], a.path[1], token, rep, cause)
}

func beatRollout(rs *deploy.Rollouts, a arguments, _ control.Cause) (deploy.Held, error) {
	token, err := a.text("token", longestName)
	if err != nil {
		return deploy.Held{}, err
	}
	return rs.Beat(a.path[0], a.path[1], token)
}

func resumeRollout(rs *deploy.Rollouts, a arguments, cause control.Cause) (deploy.Held, error) {
	who, err := a.text("who", longestNote)
	if err != nil {
		return deploy.Held{}, err
	}
	return rs.Resume(a.path[0], a.path[1], who, cause)
}

func abortRollout(rs *deploy.Rollouts, a arguments, cause control.Cause) (deploy.Held, error) {
	return rs.Abort(a.path[0], a.path[1], cause)
}

// Rollout asks for the latest rollout of a service.
func (c *Client) Rollout(ctx context.Context, service string) (deploy.Held, error) {
	var held deploy.Held
	return held, c.get(ctx, servicePath(service, "rollout"), nil, &held)
}

// BeginRollout records a new rollout, whose holder this is.
func (c *Client) BeginRollout(ctx context.Context, service string, o deploy.Order, want Want) (deploy.Held, error) {
	query := url.Values{"who": {o.Who}, "release": {o.Release}, "min_available": {o.MinAvailable}, "on_failure": {o.OnFailure}}
	query.Set("reverts", strconv.FormatBool(o.Reverts))
	for name, d := range map[string]time.Duration{"pause_between": o.PauseBetween, "timeout": o.Timeout, "lease": o.Lease} {
		if d != 0 {
			query.Set(name, d.String())
		}
	}
	if o.Batch != 0 {
		query.Set("batch", strconv.Itoa(o.Batch))
	}
	return c.rollout(ctx, service, "rollout", query, want)
}

// ReportStep reports a step of a rollout that this holds by the token.
func (c *Client) ReportStep(ctx context.Context, service, id, token string, rep deploy.Report, want Want) (deploy.Held, error) {
	query := url.Values{"token": {token}, "backend": {rep.Backend}, "to": {string(rep.To)}, "why": {rep.Why}, "release": {rep.Release}}
	query.Set("finished", strconv.Itoa(rep.Finished))
	query.Set("cut", strconv.Itoa(rep.Cut))
	return c.rollout(ctx, service, "rollout/"+url.PathEscape(id)+"/step", query, want)
}

// BeatRollout says that the holder is still there.
func (c *Client) BeatRollout(ctx context.Context, service, id, token string) (deploy.Held, error) {
	return c.rollout(ctx, service, "rollout/"+url.PathEscape(id)+"/beat", url.Values{"token": {token}}, Want{})
}

// ResumeRollout takes a rollout over.
func (c *Client) ResumeRollout(ctx context.Context, service, id, who string, want Want) (deploy.Held, error) {
	return c.rollout(ctx, service, "rollout/"+url.PathEscape(id)+"/resume", url.Values{"who": {who}}, want)
}

// AbortRollout gives a rollout up.
func (c *Client) AbortRollout(ctx context.Context, service, id string, want Want) (deploy.Held, error) {
	return c.rollout(ctx, service, "rollout/"+url.PathEscape(id)+"/abort", url.Values{}, want)
}

func (c *Client) rollout(ctx context.Context, service, path string, query url.Values, want Want) (held deploy.Held, err error) {
	want.because(query)
	for name := range query {
		if query.Get(name) == "" {
			query.Del(name)
		}
	}
	res, err := c.ask(ctx, http.MethodPost, servicePath(service, path), query, nil)
	if err != nil {
		return held, err
	}
	defer res.Body.Close()
	if err := json.NewDecoder(io.LimitReader(res.Body, answerBytes)).Decode(&held); err != nil {
		return held, &LostError{c.address, err}
	}
	return held, nil
}
