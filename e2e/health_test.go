package e2e

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sluice/demo"
)

// frontedApp is a demo app in this process behind a handler that can change what it says of itself.
type frontedApp struct {
	address string
	app     atomic.Pointer[demo.App] // the release that answers now
	// drain is what it does when it is asked: "body" and "check" in its health answers, "header" in all others.
	drain   atomic.Pointer[string]
	schema  atomic.Pointer[string] // JSON that it says of its schema; nil: nothing
	asked   atomic.Int64           // requests that began, health checks not counted
	checked atomic.Pointer[time.Time]
}

func startFronted(t *testing.T, release string) *frontedApp {
	t.Helper()
	f := &frontedApp{}
	f.become(release)
	f.say("")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f.address = l.Addr().String()
	server := &http.Server{Handler: f, IdleTimeout: 90 * time.Second}
	done := make(chan struct{})
	go func() { server.Serve(l); close(done) }()
	t.Cleanup(func() { server.Close(); <-done })
	return f
}

func (f *frontedApp) become(release string) { f.app.Store(demo.NewApp(release)) }
func (f *frontedApp) say(drain string)      { f.drain.Store(&drain) }

func (f *frontedApp) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	app, drain := f.app.Load(), *f.drain.Load()
	if r.URL.Path == "/health" {
		f.health(w, r, app, drain)
		now := time.Now()
		f.checked.Store(&now)
		return
	}
	f.asked.Add(1)
	if drain == "header" {
		w.Header().Set("Sluice-Drain", "1")
	}
	app.Handler().ServeHTTP(w, r)
}

func (f *frontedApp) health(w http.ResponseWriter, r *http.Request, app *demo.App, drain string) {
	switch drain {
	case "body":
		fmt.Fprintf(w, `{"status":"draining","version":%q}`, app.Release())
	case "check":
		w.Header().Set("Sluice-Drain", "1")
		http.Error(w, "going", http.StatusServiceUnavailable)
	default:
		if schema := f.schema.Load(); schema != nil {
			fmt.Fprintf(w, `{"status":"ok","version":%q,"schema":%s}`, app.Release(), *schema)
			return
		}
		app.Handler().ServeHTTP(w, r)
	}
}

// database is what the app says of its schema from now on.
func (f *frontedApp) database(schema string) { f.schema.Store(&schema) }

func healthServices(health string, apps ...*frontedApp) string {
	var list []string
	for _, a := range apps {
		list = append(list, a.address)
	}
	return fmt.Sprintf("services:\n  web:\n    backends: [%s]\n    health: {path: /health, interval: 500ms, timeout: 400ms%s}\n%s",
		strings.Join(list, ", "), health, quickDrains)
}

// backend is what status says of a backend.
func (s *sluice) backend(address string) map[string]any {
	_, status := s.get("/v1/status")
	for _, service := range status["services"].([]any) {
		for _, pool := range service.(map[string]any)["pools"].([]any) {
			for _, b := range pool.(map[string]any)["backends"].([]any) {
				if b := b.(map[string]any); b["address"] == address {
					return b
				}
			}
		}
	}
	return nil
}

// gets is traffic of requests only: the fronted app counts each, and none outlasts the test.
func (s *sluice) gets() *demo.Traffic {
	s.t.Helper()
	traffic, err := demo.Start(context.Background(), demo.Config{
		Address: s.listen, Seed: 1, Host: "shop.example",
		Workers: map[demo.Class]int{demo.Get: 6, demo.Post: 6, demo.Close: 3, demo.Slow: 3, demo.Upload: 3},
	})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { traffic.Stop() })
	return traffic
}

func (s *sluice) noneLost(traffic *demo.Traffic) {
	s.t.Helper()
	counts := traffic.Stop()
	if total := counts.Total(); total.Lost != 0 || total.Done < 100 {
		s.t.Errorf("%d lost of %d", total.Lost, total.Done)
		for _, r := range traffic.Lost() {
			s.t.Logf("lost: %s %s after %s: %v", r.Class, r.Release, r.Ended.Sub(r.Began), r.Err)
		}
	} else {
		s.t.Logf("%d done, none lost", total.Done)
	}
}

// TestTheAppDrainsItself lets an app ask for its own drain in each way there is, and lets it go once it is empty.
func TestTheAppDrainsItself(t *testing.T) {
	t.Parallel()
	for _, how := range []string{"header", "body", "check"} {
		t.Run(how, func(t *testing.T) {
			one, other := startFronted(t, "v1"), startFronted(t, "v1")
			s := newSluice(t, healthServices("", one, other)).start()
			s.await("both are up", func() bool {
				return s.backendHealth(one.address) == "up" && s.backendHealth(other.address) == "up"
			})
			traffic := s.gets()
			s.await("both are asked", func() bool { return one.asked.Load() > 50 && other.asked.Load() > 50 })
			one.say(how)
			s.await("it is seen", func() bool { return s.backend(one.address)["reason_kind"] == "draining" })
			if b := s.backend(one.address); b["health"] != "down" || b["reason"] != "draining, the app asks" || b["admin"] != "ready" {
				t.Errorf("status says %v", b)
			}
			if how == "header" {
				one.say("check") // its checks would pass, and bring it back
			}
			s.await("it is empty", func() bool { return s.backend(one.address)["inside"] == 0.0 })
			before := one.asked.Load()
			time.Sleep(time.Second)
			if after := one.asked.Load(); after != before {
				t.Errorf("%d requests came after it was empty", after-before)
			}
			one.become("v1")
			one.say("")
			s.await("it is back", func() bool { return s.backendHealth(one.address) == "up" && one.asked.Load() > before })
			s.noneLost(traffic)
			if _, _, header := s.fetch("/bytes/10"); header.Get("Sluice-Drain") != "" {
				t.Error("the client sees the header")
			}
			if !strings.Contains(s.out.String(), "draining, the app asks") {
				t.Error("the log does not say it")
			}
		})
	}
}

// TestAClientNeverSeesTheDrainHeader asks the only backend there is, which asks for its drain.
func TestAClientNeverSeesTheDrainHeader(t *testing.T) {
	one := startFronted(t, "v1")
	s := newSluice(t, healthServices(", app_drain: off", one)).start()
	s.awaitRelease("v1")
	one.say("header")
	for range 20 {
		status, _, header := s.fetch("/bytes/10")
		if status != 200 || header.Get("Sluice-Drain") != "" {
			t.Fatalf("%d %v: with app_drain: off the header is taken out and ignored", status, header)
		}
	}
	if got := s.backendHealth(one.address); got != "up" {
		t.Errorf("it is %s", got)
	}
}

// strangers counts answers of a release by requests that began after a moment.
func TestAStrangerAnswersNobody(t *testing.T) {
	one, other := startFronted(t, "v1"), startFronted(t, "v1")
	s := newSluice(t, healthServices(", on_change: until_ready", one, other)).start()
	s.await("both are up", func() bool {
		return s.backendHealth(one.address) == "up" && s.backendHealth(other.address) == "up"
	})
	traffic := s.gets()
	s.await("both are asked", func() bool { return one.asked.Load() > 50 && other.asked.Load() > 50 })
	changed := time.Now()
	one.become("stranger")
	s.await("a check has seen it", func() bool { return one.checked.Load().After(changed) })
	seen := *one.checked.Load()
	s.await("it is in quarantine", func() bool { return s.backend(one.address)["reason_kind"] == "changed" })
	time.Sleep(2 * time.Second)
	// The check's answer has to get here and into the snapshot; a request that began in that time may still meet it.
	const onItsWay = 50 * time.Millisecond
	if n := traffic.AnsweredBy("stranger", seen.Add(onItsWay)); n != 0 {
		t.Errorf("%d answers by the stranger to requests that began %s after the first check of it", n, onItsWay)
	}
	if n := traffic.AnsweredBy("stranger", changed); n == 0 {
		t.Error("the stranger never answered: this run proves nothing")
	}
	if reason := s.backend(one.address)["reason"]; reason != "changed identity: v1 → stranger" {
		t.Errorf("reason %v", reason)
	}
	t.Log(s.must("status"))
	s.must("ready", "web", one.address, "--wait")
	s.await("it answers once the operator says so", func() bool { return traffic.AnsweredBy("stranger", seen.Add(time.Second)) > 0 })
	s.noneLost(traffic)
}

// TestWrongBuild starts the old release where the new one should be.
func TestWrongBuild(t *testing.T) {
	blue, green := startFronted(t, "v1"), startFronted(t, "v1")
	s := newSluice(t, fmt.Sprintf("services:\n  web:\n    pools:\n      blue: [%s]\n      green: {backends: [%s], release: v2}\n"+
		"    health: {path: /health, interval: 500ms, timeout: 400ms}\n%s", blue.address, green.address, quickDrains)).start()
	s.awaitRelease("v1")
	s.await("green is seen", func() bool { return s.backend(green.address)["reason_kind"] == "wrong_build" })
	if b := s.backend(green.address); b["health"] != "down" || b["reason"] != "wrong build: reports v1, v2 is expected" || b["expected"] != "v2" {
		t.Errorf("status says %v", b)
	}
	out, code := s.cli("flip", "web", "green", "--release", "v2")
	if code != 1 || !strings.Contains(out, "wrong build") {
		t.Errorf("exit %d: %s", code, out)
	}
	status, answer := s.post("/v1/services/web/flip?pool=green&wait=true")
	if status != http.StatusConflict || answer["type"] != "urn:sluice:problem:release" {
		t.Errorf("%d %v", status, answer)
	}
	traffic := s.gets()
	var deploy sync.WaitGroup
	deploy.Go(func() { t.Log(s.must("flip", "web", "green", "--release", "v2", "--patience", "20s")) })
	time.Sleep(1500 * time.Millisecond) // a flip that does not wait would have been refused by now
	green.become("v2")
	deploy.Wait()
	s.awaitRelease("v2")
	s.kill()
	traffic.Stop() // what a kill -9 costs is not the question here
	green.become("v1")
	s.start()
	s.await("it is seen after a restart too", func() bool { return s.backend(green.address)["reason_kind"] == "wrong_build" })
	if status, body, _ := s.fetch("/bytes/10"); status != http.StatusServiceUnavailable {
		t.Errorf("%d %s: the old build answers", status, body)
	}
	green.become("v2")
	s.awaitRelease("v2")
}

// TestChecksByOtherProtocols has a gRPC health server and a bare listener on ports of their own.
func TestChecksByOtherProtocols(t *testing.T) {
	app := startFronted(t, "v1")
	var serving atomic.Int32
	serving.Store(1)
	grpc := startGRPCHealth(t, &serving)
	bare, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { bare.Close() })
	port := func(address string) string { _, p, _ := net.SplitHostPort(address); return p }
	s := newSluice(t, fmt.Sprintf("services:\n  g:\n    path: /health\n    backends: [{address: %q, health_port: %s}]\n"+
		"    health: {type: grpc, service: shop.v1.Cart, interval: 100ms}\n  t:\n    backends: [%q]\n    health: {type: tcp, port: %s, interval: 100ms}\n",
		app.address, port(grpc), app.address, port(bare.Addr().String()))).start()
	ok := func(path string) bool { status, _, _ := s.fetch(path); return status == 200 }
	s.await("both answer", func() bool { return ok("/health") && ok("/bytes/10") })
	serving.Store(2)
	s.await("NOT_SERVING is down", func() bool { return !ok("/health") })
	if !strings.Contains(s.out.String(), "status NOT_SERVING, want SERVING") || !ok("/bytes/10") {
		t.Error("the other service is none of its business, and the log says why")
	}
	bare.Close()
	s.await("nobody listens on the port that is checked", func() bool { return !ok("/bytes/10") })
	serving.Store(1)
	s.await("SERVING is up", func() bool { return ok("/health") })
}

// startGRPCHealth serves grpc.health.v1 by the letter.
func startGRPCHealth(t *testing.T, status *atomic.Int32) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	handler := func(w http.ResponseWriter, r *http.Request) {
		question, _ := io.ReadAll(r.Body)
		w.Header().Set("Content-Type", "application/grpc")
		code := "0"
		if r.URL.Path != "/grpc.health.v1.Health/Check" || string(question) != "\x00\x00\x00\x00\x0e\x0a\x0cshop.v1.Cart" {
			code = "3"
		}
		w.Write([]byte{0, 0, 0, 0, 2, 8, byte(status.Load())})
		w.Header().Set(http.TrailerPrefix+"Grpc-Status", code)
	}
	server := &http.Server{Handler: http.HandlerFunc(handler), Protocols: new(http.Protocols)}
	server.Protocols.SetUnencryptedHTTP2(true)
	done := make(chan struct{})
	go func() { server.Serve(l); close(done) }()
	t.Cleanup(func() { server.Close(); <-done })
	return l.Addr().String()
}
