// Package demo is a small built-in web app, and steady traffic that notices every single thing that goes wrong. The app
// stands in for the servers behind a proxy; the traffic is a set of strict clients that speak raw bytes, never try again,
// and check each byte of each answer. The package refuses to know what stands between the two: it imports nothing of
// Sluice, so that a mistake there cannot hide a loss here.
package demo

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// A proxy keeps warm connections on which it has sent nothing yet; the app must not be the first to lose patience.
const appIdleTimeout = 90 * time.Second

// App is one release of the built-in app. All methods may be called concurrently.
//
// Every response carries X-Release, and X-Seen-Request-Id with the X-Request-Id of its request.
type App struct {
	release   string
	began     time.Time
	mux       *http.ServeMux
	inside    atomic.Int64
	unhealthy atomic.Bool
	delay     atomic.Int64 // nanoseconds
	seen      seen

	mu      sync.Mutex
	server  *http.Server
	taken   map[net.Conn]struct{} // connections a handler took over; the server no longer knows them
	visits  map[net.Conn]*visit
	stopped bool
}

// visit is what the app remembers of one connection. Only the goroutine that serves the connection touches its fields.
type visit struct {
	inside bool // a request of it is counted as inside
	taken  bool // its handler took the connection over
}

type visitKey struct{}

// NewApp returns a healthy app that calls itself release. It serves nothing until Serve, or until its Handler is used.
func NewApp(release string) *App {
	a := &App{
		release: release,
		began:   time.Now(),
		mux:     http.NewServeMux(),
		taken:   map[net.Conn]struct{}{},
		visits:  map[net.Conn]*visit{},
	}
	a.routes()
	return a
}

// Handler returns the app as a handler, for a server of the caller's own. Inside then counts a request until its handler
// returns, which is a moment before its last byte is written; under Serve the count is exact.
func (a *App) Handler() http.Handler { return http.HandlerFunc(a.serveHTTP) }

// Serve answers on l until Close, and then returns nil. It owns l. It may be called once.
func (a *App) Serve(l net.Listener) error {
	srv := &http.Server{
		Handler:           a.Handler(),
		ReadHeaderTimeout: appIdleTimeout,
		IdleTimeout:       appIdleTimeout,
		ConnContext:       a.welcome,
		ConnState:         a.connState,
	}
	if !a.install(srv) {
		return l.Close()
	}
	if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

func (a *App) install(srv *http.Server) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.server = srv
	return !a.stopped
}

// Close ends the app as abruptly as a killed process does: the listener and every connection are closed at once, whatever
// was happening on them.
func (a *App) Close() error {
	a.mu.Lock()
	a.stopped = true
	srv := a.server
	for c := range a.taken {
		c.Close()
	}
	a.mu.Unlock()
	if srv == nil {
		return nil
	}
	return srv.Close()
}

// Inside returns how many requests, streams and upgraded connections the app holds now. A request is inside from when its
// head was read until its last byte was handed to the kernel. Questions about the app's own state (/health, /inside) do
// not count: a proxy goes on checking a backend that it has emptied.
func (a *App) Inside() int { return int(a.inside.Load()) }

// Release returns the name the app was made with.
func (a *App) Release() string { return a.release }

// SetHealthy decides what /health says from now on: 200, or 503. All other routes go on as before.
func (a *App) SetHealthy(ok bool) { a.unhealthy.Store(!ok) }

// SetDelay makes every later request wait d before it is looked at, /health and /inside excepted. Zero is the default.
func (a *App) SetDelay(d time.Duration) { a.delay.Store(int64(d)) }

func (a *App) welcome(ctx context.Context, c net.Conn) context.Context {
	v := &visit{}
	a.mu.Lock()
	a.visits[c] = v
	a.mu.Unlock()
	return context.WithValue(ctx, visitKey{}, v)
}

// connState ends the count of a request. A handler's return is too early for that: the server has yet to write what the
// handler left in its buffers, and an app ended just then would lose it.
func (a *App) connState(c net.Conn, s http.ConnState) {
	a.mu.Lock()
	v := a.visits[c]
	switch s {
	case http.StateClosed:
		delete(a.visits, c)
	case http.StateHijacked:
		delete(a.visits, c)
		a.taken[c] = struct{}{}
		if a.stopped { // Close has already been through the list
			c.Close()
		}
	}
	a.mu.Unlock()
	if v == nil {
		return
	}
	switch s {
	case http.StateHijacked:
		v.taken = true
	case http.StateIdle, http.StateClosed:
		if v.inside {
			v.inside = false
			a.inside.Add(-1)
		}
	}
}

func (a *App) serveHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("X-Release", a.release)
	if id := r.Header.Get("X-Request-Id"); id != "" {
		h.Set("X-Seen-Request-Id", id)
	}
	if r.URL.Path == "/health" || r.URL.Path == "/inside" {
		a.mux.ServeHTTP(w, r)
		return
	}
	v, _ := r.Context().Value(visitKey{}).(*visit)
	a.inside.Add(1)
	if v != nil {
		v.inside = true
	}
	defer a.leave(v)
	if d := time.Duration(a.delay.Load()); d > 0 && !wait(r.Context(), d) {
		return
	}
	a.mux.ServeHTTP(w, r)
}

// leave counts a request out where nothing else will: its connection was taken over, or is not one of ours.
func (a *App) leave(v *visit) {
	if v == nil || v.taken {
		a.inside.Add(-1)
	}
}

// forget is called by whoever took c over, once c is closed.
func (a *App) forget(c net.Conn) {
	a.mu.Lock()
	delete(a.taken, c)
	a.mu.Unlock()
}

// wait reports whether d passed before ctx ended.
func wait(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
