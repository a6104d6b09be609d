package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"syscall"
	"time"

	"sluice/admin"
	"sluice/control"
	"sluice/deploy"
)

// rollStep is one step of one backend.
type rollStep struct {
	*roller
	rollout deploy.Rollout
	member  deploy.Member
	fresh   bool // nothing was done to the backend yet: its drain can be undone
}

// errTaken ends a rollout that somebody else has taken over.
var errTaken = errors.New("another command has resumed this rollout; this one leaves it alone")

// setAdmin asks for a change of the backend.
func (s *rollStep) setAdmin(ctx context.Context, to control.Admin, want admin.Want) (admin.Outcome, error) {
	if s.lost.Load() {
		return admin.Outcome{}, errTaken
	}
	want.By, want.Note, want.Commit = s.want.By, s.want.Note, s.want.Commit
	want.Rollout, want.Pool = s.rollout.ID, s.rollout.Pool
	return s.client.SetAdmin(ctx, s.service, s.member.Address, to, want)
}

// drain returns when nothing is inside. While too few others are left it waits for them, as long as a step may take.
func (s *rollStep) drain() (deploy.Report, error) {
	ctx, stop := context.WithCancel(s.ctx)
	defer stop()
	if s.fresh {
		go endWith(ctx, s.quit, stop)
	}
	want := admin.Want{Wait: true, MinAvailable: &s.rollout.MinAvailable}
	for until := time.Now().Add(s.rollout.Timeout); ; {
		o, err := s.setAdmin(ctx, control.Drain, want)
		var p *admin.Problem
		few := errors.As(err, &p) && p.Kind() == "capacity"
		switch {
		case ctx.Err() != nil:
			return s.undrain()
		case err == nil && o.Over && (o.Receipt.Done || o.Receipt.Unchanged):
			return drained(o.Receipt), nil
		case errors.As(err, &p) && !few && p.Kind() != "stopping":
			return deploy.Report{To: deploy.Waiting, Why: err.Error()}, nil
		case err != nil && !few && !mayPass(err):
			return deploy.Report{}, err
		case err != nil && time.Now().After(until) && few:
			return deploy.Report{To: deploy.Waiting, Why: p.Detail}, nil
		case err != nil && time.Now().After(until):
			return deploy.Report{}, err
		}
		s.sleep(lookEvery)
	}
}

// endWith ends something when quit is closed. It ends with ctx.
func endWith(ctx context.Context, quit <-chan struct{}, stop func()) {
	select {
	case <-quit:
		stop()
	case <-ctx.Done():
	}
}

func drained(r control.Receipt) deploy.Report {
	rep := deploy.Report{To: deploy.Exec}
	if r.Drain != nil {
		rep.Finished, rep.Cut = r.Drain.Finished, r.Drain.Cut
	}
	return rep
}

// undrain puts the backend back, or leaves it where its server may be in any state.
func (s *rollStep) undrain() (deploy.Report, error) {
	if !s.fresh {
		return deploy.Report{To: deploy.Failed, Why: "interrupted"}, nil
	}
	err := s.surely(func(ctx context.Context) error {
		_, err := s.setAdmin(ctx, control.Ready, admin.Want{})
		return err
	})
	return deploy.Report{To: deploy.Waiting, Why: "interrupted"}, err
}

// grace is how long a command that is told to end has for it, before it is killed.
const grace = 10 * time.Second

// run runs the command for the backend. It is in a process group of its own, so that a Ctrl-C at the terminal does not end it in
// the middle. It has our own standard error: an app that it starts may go on to write there.
func (s *rollStep) run() deploy.Report {
	ctx, cancel := context.WithTimeout(s.ctx, s.rollout.Timeout)
	defer cancel()
	text := s.exec
	if s.member.Revert && s.revertExec != "" {
		text = s.revertExec
	}
	cmd := exec.CommandContext(ctx, "sh", "-c", text)
	cmd.Env = append(os.Environ(), s.environment()...)
	cmd.Stdout, cmd.Stderr = s.err, s.err
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	cmd.WaitDelay = grace
	err := cmd.Run()
	switch {
	case s.ctx.Err() != nil:
		s.killGroup(cmd)
		return deploy.Report{To: deploy.Failed, Why: "interrupted while the command ran"}
	case ctx.Err() != nil:
		s.killGroup(cmd)
		return deploy.Report{To: deploy.Failed, Why: fmt.Sprintf("the command did not end within %s", s.rollout.Timeout)}
	case err != nil && !errors.Is(err, exec.ErrWaitDelay):
		return deploy.Report{To: deploy.Failed, Why: fmt.Sprintf("the command failed: %v", err)}
	}
	return deploy.Report{To: deploy.Ready}
}

// killGroup ends what the command has left behind.
func (s *rollStep) killGroup(cmd *exec.Cmd) {
	if cmd.Process != nil {
		syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	}
}

func (s *rollStep) environment() []string {
	host, port, err := net.SplitHostPort(s.member.Address)
	if err != nil {
		host, port = "", "" // a unix socket
	}
	return []string{
		"SLUICE_SERVICE=" + s.service, "SLUICE_POOL=" + s.rollout.Pool, "SLUICE_BACKEND=" + s.member.Address,
		"SLUICE_HOST=" + host, "SLUICE_PORT=" + port, "SLUICE_RELEASE=" + s.rollout.Wants(s.member), "SLUICE_ROLLOUT=" + s.rollout.ID,
	}
}

// wrongFor is how long a backend may report another release than the one that its command has brought: the former one may take a
// moment to go.
const wrongFor = 3 * time.Second

// ready returns when the backend is in rotation. It takes no request before it is well and reports the release.
func (s *rollStep) ready() (deploy.Report, error) {
	ctx, stop := context.WithTimeout(s.ctx, s.rollout.Timeout)
	defer stop()
	go s.endWhenWrong(ctx, stop)
	want := admin.Want{Wait: true, Timeout: s.rollout.Timeout, Release: s.rollout.Wants(s.member)}
	for {
		o, err := s.setAdmin(ctx, control.Ready, want)
		var p *admin.Problem
		switch {
		case err == nil && o.Receipt.Done:
			back := deploy.Ended
			if s.member.Revert {
				back = deploy.Back
			}
			return deploy.Report{To: back, Release: o.Receipt.Release}, nil
		case ctx.Err() != nil, err == nil:
			return s.unready(s.trouble())
		case errors.As(err, &p) && p.Kind() != "stopping":
			return s.unready(err.Error())
		case !mayPass(err):
			return deploy.Report{}, err
		}
		s.sleep(lookEvery)
	}
}

// endWhenWrong gives up on a backend that goes on to report another release. It ends with ctx.
func (s *rollStep) endWhenWrong(ctx context.Context, stop func()) {
	var since time.Time
	for ctx.Err() == nil {
		b, err := s.status(ctx)
		switch {
		case err != nil || string(b.Kind) != "wrong_build":
			since = time.Time{}
		case since.IsZero():
			since = time.Now()
		case time.Since(since) > wrongFor:
			stop()
			return
		}
		s.sleep(lookEvery)
	}
}

// status is what Sluice shows of the backend.
func (s *rollStep) status(ctx context.Context) (b control.BackendStatus, err error) {
	all, err := s.client.Status(ctx)
	if err != nil {
		return b, err
	}
	for _, svc := range all.Services {
		for _, p := range svc.Pools {
			for _, b := range p.Backends {
				if svc.Name == s.service && p.Name == s.rollout.Pool && b.Address == s.member.Address {
					return b, nil
				}
			}
		}
	}
	return b, fmt.Errorf("%s is no backend of %s any more", s.member.Address, s.rollout.Pool)
}

// trouble says why a backend is not in rotation.
func (s *rollStep) trouble() string {
	ctx, cancel := context.WithTimeout(context.Background(), askFor)
	defer cancel()
	b, err := s.status(ctx)
	switch {
	case err != nil:
		return err.Error()
	case b.Admin != control.Ready:
		return "somebody has put it in " + string(b.Admin) + " meanwhile"
	case s.ctx.Err() != nil:
		return "interrupted before it was well"
	case b.Reason != "":
		return "it is not well: " + b.Reason
	}
	return fmt.Sprintf("it was not well within %s: %s", s.rollout.Timeout, b.Health)
}

// unready puts a backend that did not come back into drain again, so that it takes nothing should it come to life.
func (s *rollStep) unready(why string) (deploy.Report, error) {
	err := s.surely(func(ctx context.Context) error {
		_, err := s.setAdmin(ctx, control.Drain, admin.Want{})
		return err
	})
	return deploy.Report{To: deploy.Failed, Why: why}, err
}
