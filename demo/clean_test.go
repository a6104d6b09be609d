package demo

import (
	"context"
	"crypto/tls"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"
	"time"
)

// everyClass has one worker of each class, and two where a kept connection lies idle too.
func everyClass() map[Class]int {
	workers := map[Class]int{}
	for _, class := range Classes() {
		workers[class] = 1
	}
	workers[Get] = 3
	return workers
}

func checkClean(t *testing.T, traffic *Traffic, release string) Counts {
	t.Helper()
	counts := traffic.Stop()
	for class, n := range counts.Classes {
		if n.Done == 0 {
			t.Errorf("%s: nothing was done", class)
		}
		if n.Lost+n.Cut+n.Open != 0 {
			t.Errorf("%s: lost %d, cut %d, open %d; with nothing in between each is 0", class, n.Lost, n.Cut, n.Open)
		}
		if n.Release != release {
			t.Errorf("%s: answered by %q, want %q", class, n.Release, release)
		}
		if n.P50 <= 0 || n.P99 < n.P50 {
			t.Errorf("%s: p50 %v, p99 %v", class, n.P50, n.P99)
		}
	}
	for _, r := range traffic.Lost() {
		t.Errorf("lost %s: %v", r.RequestID, r.Err)
	}
	return counts
}

func TestCleanRun(t *testing.T) {
	app := NewApp("blue")
	traffic := start(t, Config{Address: serve(t, app, listen(t)), Seed: 1})
	time.Sleep(2 * time.Second)
	served(t, traffic)
	for _, class := range []Class{Stream, WebSocket, Tunnel} {
		eventually(t, "a session said next to nothing", func() bool { return traffic.Count().Classes[class].Messages >= 10 })
	}
	counts := checkClean(t, traffic, "blue")
	if len(counts.Classes) != len(Classes()) {
		t.Errorf("%d classes, want all %d", len(counts.Classes), len(Classes()))
	}
	if counts.Classes[Slow].P50 < 150*time.Millisecond {
		t.Errorf("slow took %v, want 150 ms at least", counts.Classes[Slow].P50)
	}
	eventually(t, "the app is empty once the traffic has stopped", func() bool { return app.Inside() == 0 })
	if app.Duplicates() != 0 {
		t.Errorf("%d duplicates without any retry", app.Duplicates())
	}
	t.Logf("%+v", counts.Total())
}

func TestCleanRunOverUnixSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "app.sock")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	serve(t, NewApp("blue"), l)
	traffic := start(t, Config{Network: "unix", Address: path, Workers: everyClass()})
	served(t, traffic)
	checkClean(t, traffic, "blue")
}

func TestCleanRunOverTLS(t *testing.T) {
	srv := httptest.NewUnstartedServer(NewApp("green").Handler())
	srv.EnableHTTP2 = true // which these clients must not be talked into
	srv.StartTLS()
	defer srv.Close()
	trust := srv.Client().Transport.(*http.Transport).TLSClientConfig
	traffic := start(t, Config{
		Address: srv.Listener.Addr().String(),
		TLS:     &tls.Config{RootCAs: trust.RootCAs},
		Workers: everyClass(),
	})
	served(t, traffic)
	checkClean(t, traffic, "green")
}

func TestStopEndsLongThinkersAndSessionsSoon(t *testing.T) {
	cfg := Config{
		Address: serve(t, NewApp("blue"), listen(t)),
		Workers: everyClass(),
		Think:   func(Class, int, *rand.Rand) time.Duration { return time.Hour },
		Session: func(Class, *rand.Rand) time.Duration { return time.Hour },
	}
	traffic := start(t, cfg)
	served(t, traffic)
	began := time.Now()
	checkClean(t, traffic, "blue")
	if took := time.Since(began); took > 30*time.Second {
		t.Errorf("Stop took %v; nothing here has to be waited for that long", took)
	}
}

func TestEndOfContextIsStop(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	traffic, err := Start(ctx, Config{Address: serve(t, NewApp("blue"), listen(t)), Workers: everyClass()})
	if err != nil {
		t.Fatal(err)
	}
	served(t, traffic)
	cancel()
	checkClean(t, traffic, "blue")
}

// TestAnsweredByKnowsOpenSessions: a stream of the old release that began after a flip is a mistake from its first byte
// on, not only once it has ended.
func TestAnsweredByKnowsOpenSessions(t *testing.T) {
	before := time.Now()
	traffic := start(t, Config{Address: serve(t, NewApp("blue"), listen(t)), Workers: map[Class]int{Stream: 1, WebSocket: 1, Get: 1}})
	eventually(t, "each class is answered", func() bool {
		c := traffic.Count().Classes
		return c[Stream].Messages > 0 && c[WebSocket].Messages > 0 && c[Get].Done > 10
	})
	after := time.Now()
	if n := traffic.AnsweredBy("blue", before); n < 12 {
		t.Errorf("%d answers by blue, want at least 12", n)
	}
	if n := traffic.AnsweredBy("green", before); n != 0 {
		t.Errorf("%d answers by a release that does not exist", n)
	}
	if open := traffic.Count().Classes[Stream].Open; open != 1 {
		t.Errorf("%d streams open, want 1", open)
	}
	traffic.Stop()
	if n := traffic.AnsweredBy("blue", time.Now()); n != 0 {
		t.Errorf("%d requests began in the future", n)
	}
	if traffic.AnsweredBy("blue", after) > traffic.AnsweredBy("blue", before) {
		t.Error("a later moment leaves more answers")
	}
}

func TestAnswersAreBounded(t *testing.T) {
	r := ring[int]{max: 3}
	for i := range 10 {
		r.add(i)
	}
	sum := 0
	for _, v := range r.values {
		sum += v
	}
	if len(r.values) != 3 || sum != 7+8+9 {
		t.Errorf("kept %v, want the latest three", r.values)
	}
}

// TestIdleCloseIsNoLoss: a server may close a connection on which nothing is under way. Seen in time, it costs nothing.
func TestIdleCloseIsNoLoss(t *testing.T) {
	srv := httptest.NewUnstartedServer(NewApp("blue").Handler())
	srv.Config.IdleTimeout = 5 * time.Millisecond
	srv.Start()
	defer srv.Close()
	traffic := start(t, Config{
		Address: srv.Listener.Addr().String(),
		Workers: map[Class]int{Get: 2},
		Think:   func(Class, int, *rand.Rand) time.Duration { return time.Second },
	})
	eventually(t, "no connection was opened again", func() bool { return traffic.Count().Classes[Get].Reopened > 0 })
	checkClean(t, traffic, "blue")
}

func TestConnectionCloseIsHonoured(t *testing.T) {
	srv := httptest.NewUnstartedServer(NewApp("blue").Handler())
	srv.Config.SetKeepAlivesEnabled(false) // says Connection: close with each answer
	srv.Start()
	defer srv.Close()
	workers := map[Class]int{Get: 2, Post: 2, Upload: 1, Slow: 1}
	traffic := start(t, Config{Address: srv.Listener.Addr().String(), Workers: workers})
	served(t, traffic)
	if n := checkClean(t, traffic, "blue").Total().Reopened; n != 0 {
		t.Errorf("%d connections count as closed unasked; they were announced", n)
	}
}

func TestConfigIsChecked(t *testing.T) {
	for reason, cfg := range map[string]Config{
		"nowhere to go":    {},
		"no class of ours": {Address: "127.0.0.1:1", Workers: map[Class]int{"gopher": 1}},
	} {
		if traffic, err := Start(t.Context(), cfg); err == nil {
			traffic.Stop()
			t.Errorf("%s: Start took it", reason)
		}
	}
}

func TestDefaultThinkMixesShortAndLong(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for n := range 6 {
		for range 100 {
			if d := think(Get, n, r); (n%2 == 1) != (d >= time.Second) || d > 3*time.Second {
				t.Fatalf("worker %d thinks %v", n, d)
			}
			if d := think(Stream, n, r); d > 5*time.Millisecond {
				t.Fatalf("stream %d thinks %v; a session is long enough itself", n, d)
			}
		}
	}
}
