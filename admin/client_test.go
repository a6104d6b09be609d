package admin

import (
	"context"
	"errors"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sluice/control"
)

func (w *window) client(t *testing.T, token string) *Client {
	t.Helper()
	address := "unix://" + w.socket
	if w.base != "http://sluice" {
		address = w.socket
	}
	c, err := NewClient(address, token)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func TestClientAsks(t *testing.T) {
	for _, network := range []string{"unix", "tcp"} {
		t.Run(network, func(t *testing.T) {
			address := "127.0.0.1:0"
			if network == "unix" {
				address = filepath.Join(t.TempDir(), "a.sock")
			}
			w := serve(t, network, address, map[string]string{"tcp": token}[network])
			w.fake.instant = true
			c := w.client(t, map[string]string{"tcp": token}[network])
			if s, err := c.Status(t.Context()); err != nil || s.Services[0].Name != "web" {
				t.Errorf("status: %+v %v", s, err)
			}
			if h, err := c.History(t.Context(), "web", 2); err != nil || len(h.Entries) != 2 {
				t.Errorf("history: %+v %v", h, err)
			}
			o, err := c.Flip(t.Context(), "web", "green", Want{Release: "v2", Wait: true, By: "ci", Note: "a & b"})
			if err != nil || !o.Over || !o.Receipt.Done || w.fake.last() != "flip web green v2" || w.fake.cause.Note != "a & b" {
				t.Errorf("flip: %+v %v %q", o, err, w.fake.last())
			}
			if o, err := c.Rollback(t.Context(), "web", Want{Release: "v1", IfMatch: 6, Key: "k"}); err != nil || !o.Over || w.fake.last() != "rollback web" {
				t.Errorf("rollback: %+v %v", o, err)
			}
			if _, err := c.SetAdmin(t.Context(), "web", "unix:///run/a b.sock", control.Drain, Want{Pool: "blue"}); err != nil || w.fake.last() != "drain web blue unix:///run/a b.sock" {
				t.Errorf("drain: %v %q", err, w.fake.last())
			}
		})
	}
}

func TestClientSeesProgress(t *testing.T) {
	w := newWindow(t)
	c := w.client(t, "")
	told := 0
	o, err := c.Flip(t.Context(), "web", "green", Want{Wait: true, Progress: func(p Progress) {
		if told++; told == 2 {
			w.fake.newest(t).end()
		}
		if p.Inside != 2 {
			t.Errorf("%+v", p)
		}
	}})
	if err != nil || !o.Over || told < 2 {
		t.Errorf("%+v %v, told %d times", o, err, told)
	}
}

func TestClientTimesOut(t *testing.T) {
	w := newWindow(t)
	o, err := w.client(t, "").Flip(t.Context(), "web", "green", Want{Wait: true, Timeout: 50 * time.Millisecond})
	if err != nil || o.Over || o.Receipt.Done {
		t.Errorf("%+v %v", o, err)
	}
}

func TestClientIsRefused(t *testing.T) {
	w := newWindow(t)
	w.fake.err = &control.Refusal{Kind: "unhealthy", What: "2 of 3 are up", Hint: "mend the third"}
	_, err := w.client(t, "").Flip(t.Context(), "web", "green", Want{Wait: true})
	var p *Problem
	if !errors.As(err, &p) || p.Status != 409 || p.Detail != "2 of 3 are up" || p.Hint != "mend the third" {
		t.Errorf("%v", err)
	}
}

func TestNobodyAnswers(t *testing.T) {
	c, err := NewClient("unix://"+filepath.Join(t.TempDir(), "none.sock"), "")
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.Status(t.Context())
	var none *NoAnswerError
	if !errors.As(err, &none) || !strings.Contains(err.Error(), "sluice run --config") || !strings.Contains(err.Error(), "--admin") {
		t.Errorf("%v", err)
	}
	if !c.Gone(t.Context()) {
		t.Error("nobody is there, so it is gone")
	}
}

func TestClientAddresses(t *testing.T) {
	if _, err := NewClient("nonsense", ""); err == nil {
		t.Error("an address that is none was taken")
	}
	if c, err := NewClient("", ""); err != nil || !strings.HasPrefix(c.address, "unix:///") {
		t.Errorf("the default: %v %v", c, err)
	}
}

// rude is a server that is not Sluice, or dies in the middle.
func rude(t *testing.T, serve http.HandlerFunc) *Client {
	t.Helper()
	path := filepath.Join(t.TempDir(), "rude.sock")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: serve}
	go srv.Serve(l)
	t.Cleanup(func() { srv.Close() })
	c, err := NewClient("unix://"+path, "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func TestAnswersThatBreakOff(t *testing.T) {
	rows := []struct {
		name  string
		serve http.HandlerFunc
		lost  bool
		says  string
	}{
		{"nothing at all", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, true, "sluice history"},
		{"progress, and then nothing", func(w http.ResponseWriter, _ *http.Request) {
			w.Write([]byte("{\"progress\":{}}\n"))
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		}, true, "sluice history"},
		{"progress, and then a clean end", func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("{\"progress\":{}}\n")) }, true, "sluice history"},
		{"no JSON", func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("hello\n")) }, true, ""},
		{"another server", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no such page", 404) }, false, "not how Sluice speaks"},
		{"a redirect", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://evil.example/", http.StatusFound)
		}, false, "not how Sluice speaks"},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			_, err := rude(t, row.serve).Flip(t.Context(), "web", "green", Want{Wait: true})
			var lost *LostError
			if err == nil || errors.As(err, &lost) != row.lost || !strings.Contains(err.Error(), row.says) {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestCancelEndsTheTalk(t *testing.T) {
	w := newWindow(t)
	ctx, cancel := context.WithCancel(t.Context())
	_, err := w.client(t, "").Flip(ctx, "web", "green", Want{Wait: true, Progress: func(Progress) { cancel() }})
	var lost *LostError
	if !errors.As(err, &lost) || !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	if len(w.fake.calls()) != 1 || w.fake.ops[0].Receipt().Done {
		t.Error("the change goes on without its caller")
	}
}
