package telemetry

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"sluice/control"
	"sluice/drain"
	"sluice/healthcheck"
	"sluice/judge"
	"sluice/message"
	"sluice/proxy"
	"sluice/upstream"
)

func exchange() *proxy.Exchange {
	ex := proxy.NewExchange(nil, &proxy.Peer{Address: "10.1.2.3"})
	ex.Reset(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC))
	ex.Request = message.Head{Method: []byte("GET"), Target: []byte("/a \"b\"?secret=1"), Authority: []byte("shop.example")}
	ex.Status, ex.BytesOut, ex.Waited, ex.Retries = 200, 1234, 1500*time.Microsecond, 1
	ex.Service = &proxy.Service{Name: "web", Counters: &proxy.Counters{}}
	ex.Backend = &upstream.Backend{Pool: "blue", Name: "10.0.0.1:3000", Release: "v1"}
	return ex
}

func linesOf(t *testing.T, text string) (all []map[string]any) {
	t.Helper()
	for line := range strings.Lines(text) {
		var doc map[string]any
		if err := json.Unmarshal([]byte(line), &doc); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		all = append(all, doc)
	}
	return all
}

func TestAccessLine(t *testing.T) {
	var out bytes.Buffer
	a := NewAccessLog(&out, nil)
	a.Done(exchange(), 2*time.Millisecond)
	a.Close()
	got := linesOf(t, out.String())[0]
	want := map[string]any{
		"time": "2026-01-02T03:04:05.002Z", "client": "10.1.2.3", "method": "GET", "host": "shop.example", "path": `/a "b"`,
		"status": 200.0, "bytes": 1234.0, "duration_ms": 2.0, "upstream_ms": 1.5, "service": "web", "pool": "blue",
		"backend": "10.0.0.1:3000", "release": "v1", "retries": 1.0,
	}
	for name, value := range want {
		if got[name] != value {
			t.Errorf("%s: %v, want %v", name, got[name], value)
		}
	}
	if got["request_id"] == "" || strings.Contains(out.String(), "secret") || got["error"] != nil {
		t.Errorf("%s", out.String())
	}
}

func TestAccessLineOfAFailure(t *testing.T) {
	var out bytes.Buffer
	a := NewAccessLog(&out, nil)
	ex := exchange()
	ex.Service, ex.Backend, ex.Retries = nil, nil, 0
	ex.Err = &proxy.Error{Status: 502, Fault: proxy.ByBackend, What: "the backend failed", Err: errors.New("reset")}
	a.Done(ex, 0)
	a.Close()
	got := linesOf(t, out.String())[0]
	if got["fault"] != "backend" || got["error"] != "the backend failed: reset" {
		t.Errorf("%v", got)
	}
	for _, name := range []string{"service", "backend", "retries", "upstream_ms"} {
		if got[name] != nil {
			t.Errorf("%s stands in a line of an exchange without one", name)
		}
	}
}

// TestHostileBytesStayWithinTheirLine: what a client sends cannot end a line or begin a field.
func TestHostileBytesStayWithinTheirLine(t *testing.T) {
	var out bytes.Buffer
	a := NewAccessLog(&out, nil)
	ex := exchange()
	ex.Request.Authority = []byte("x\",\"status\":\"\n\x00\xff\x1b[31m")
	a.Done(ex, 0)
	a.Close()
	if got := linesOf(t, out.String()); len(got) != 1 || got[0]["status"] != 200.0 || strings.ContainsAny(out.String(), "\x00\x1b") {
		t.Errorf("%q", out.String())
	}
}

// gate is a writer that waits.
type gate struct {
	open chan struct{}
	mu   sync.Mutex
	got  bytes.Buffer
}

func (g *gate) Write(p []byte) (int, error) {
	<-g.open
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.got.Write(p)
}

// TestNeverWaits: a disk that hangs costs lines, not requests, and they are counted.
func TestNeverWaits(t *testing.T) {
	g := &gate{open: make(chan struct{})}
	a := NewAccessLog(g, nil)
	ex := exchange()
	ex.Request.Target = bytes.Repeat([]byte("x"), 16<<10)
	const n = 2 * mostPending / (16 << 10)
	began := time.Now()
	for range n {
		a.Done(ex, 0)
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("%d lines took %s", n, took)
	}
	dropped := a.Dropped()
	if dropped == 0 || dropped >= n {
		t.Errorf("%d of %d were dropped", dropped, n)
	}
	close(g.open)
	a.Close()
	if kept := strings.Count(g.got.String(), "\n"); int64(kept)+dropped != n {
		t.Errorf("%d kept and %d dropped of %d", kept, dropped, n)
	}
	a.Done(ex, 0)
	if a.Dropped() != dropped+1 {
		t.Error("a line after Close is dropped, and counted")
	}
}

// broken fails while it is told to.
type broken struct{ err error }

func (b *broken) Write(p []byte) (int, error) { return len(p), b.err }

func TestFailedWritesAreToldOnce(t *testing.T) {
	var told []error
	l := newLines(&broken{errors.New("no space")}, func(err error) { told = append(told, err) })
	for range 3 {
		l.Write([]byte("line\n"))
		time.Sleep(2 * flushEvery)
	}
	l.close()
	l.close()
	if len(told) != 1 || l.dropped.Load() != 3 {
		t.Errorf("told %v, dropped %d", told, l.dropped.Load())
	}
}

func TestWritersAtOnce(t *testing.T) {
	var out bytes.Buffer
	a := NewAccessLog(&out, nil)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			ex := exchange()
			for range 500 {
				a.Done(ex, time.Millisecond)
			}
		})
	}
	all.Wait()
	a.Close()
	if got := linesOf(t, out.String()); len(got) != 4000 {
		t.Errorf("%d lines", len(got))
	}
}

func TestOpenAccessLog(t *testing.T) {
	if a, err := OpenAccessLog("off", nil); a != nil || err != nil || a.Dropped() != 0 || a.Close() != nil {
		t.Errorf("off: %v %v", a, err)
	}
	path := filepath.Join(t.TempDir(), "access.log")
	for range 2 {
		a, err := OpenAccessLog(path, nil)
		if err != nil {
			t.Fatal(err)
		}
		a.Done(exchange(), 0)
		if err := a.Close(); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(path)
	if err != nil || strings.Count(string(text), "\n") != 2 {
		t.Errorf("it is appended to: %v %s", err, text)
	}
	if _, err := OpenAccessLog(filepath.Join(path, "x"), nil); err == nil || !strings.Contains(err.Error(), "access_log") {
		t.Errorf("%v", err)
	}
}

func TestEvents(t *testing.T) {
	var out bytes.Buffer
	e := NewEvents(&out, false)
	e.Say("ready", "listen", "http://:80")
	e.Warn("take care", errors.New("why"))
	e.Control(control.Event{
		Time: time.Unix(0, 0), Kind: "damage", Service: "web", Pool: "blue", Backend: "b", Text: "it was damaged", Generation: 3,
		Cause: &control.Cause{By: "ci", Via: "api", Verb: "flip", Note: "n"}, Receipt: &control.Receipt{Drain: &drain.Report{Count: drain.Count{Cut: 2}}},
	})
	e.Control(control.Event{Kind: "drift", Text: "x"})
	got := linesOf(t, out.String())
	for i, want := range []map[string]any{
		{"level": "info", "message": "ready", "listen": "http://:80"},
		{"level": "warn", "message": "take care", "error": "why"},
		{"level": "error", "kind": "damage", "service": "web", "pool": "blue", "backend": "b", "by": "ci", "via": "api", "verb": "flip", "note": "n", "cut": 2.0, "generation": "3"},
		{"level": "warn", "kind": "drift"},
	} {
		for name, value := range want {
			if got[i][name] != value {
				t.Errorf("line %d: %s is %v, want %v", i, name, got[i][name], value)
			}
		}
	}
}

func TestEventsForPeople(t *testing.T) {
	t.Setenv("NO_COLOR", "1")
	var out bytes.Buffer
	NewEvents(&out, true).Say("ready", "listen", "http://:80")
	if s := out.String(); !strings.Contains(s, "ready") || !strings.Contains(s, "listen=http://:80") || strings.ContainsAny(s, "{\x1b") {
		t.Errorf("%q", s)
	}
}

func scrape(t *testing.T, from Sources) string {
	t.Helper()
	rec := httptest.NewRecorder()
	Metrics(from).ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	if rec.Code != 200 {
		t.Fatalf("%d %s", rec.Code, rec.Body)
	}
	return rec.Body.String()
}

func TestMetrics(t *testing.T) {
	p := proxy.New(proxy.Timeouts{}, nil)
	var services []*proxy.Service
	var status control.Status
	for i, hosts := range [][]string{nil, {"shop.example"}, {"*.shop.example"}} {
		name := fmt.Sprintf("s%d", i)
		n := &proxy.Counters{}
		n.Status[2].Store(int64(10 + i))
		n.Status[0].Store(1)
		n.Took[0].Store(3)
		n.Took[2].Store(2)
		n.Took[len(proxy.TookBounds)].Store(1)
		n.TookSum.Store(int64(2 * time.Second))
		n.Lost.Store(4)
		services = append(services, &proxy.Service{Name: name, Hosts: hosts, Path: "/p", Counters: n})
		status.Services = append(status.Services, control.ServiceStatus{Name: name, Hosts: hosts, Path: "/p"})
	}
	snapshot, err := proxy.NewSnapshot(1, services)
	if err != nil {
		t.Fatal(err)
	}
	p.Swap(snapshot)
	status.Generation, status.Version = 7, "1.2.3"
	status.Services[0].Pools = []control.PoolStatus{{Name: "blue", Live: true, FailOpen: true, Release: "v1", Backends: []control.BackendStatus{
		{Address: "a", Health: healthcheck.Up, Admin: control.Drain, Requests: 9, Failures: 2, Idle: 5, InsideBy: map[drain.Class]int{drain.Stream: 3}, Ejected: &control.EjectedStatus{}, Ejections: 6},
	}}}
	status.Services[0].Pools[0].Served = &control.PoolServed{Figures: judge.Figures{Resets: 3}, Answers: [6]uint64{4, 0, 5}}
	got := scrape(t, Sources{
		Status: func() control.Status { return status }, Proxy: p,
		Connections: func() int { return 11 }, Dropped: func() int64 { return 12 },
	})
	for _, want := range []string{
		`sluice_requests_total{code="2xx",service="s0"} 10`,
		`sluice_requests_total{code="2xx",service="s1"} 11`,
		`sluice_requests_total{code="2xx",service="s2"} 12`,
		`sluice_requests_total{code="none",service="s0"} 1`,
		`sluice_request_duration_seconds_bucket{service="s0",le="0.001"} 3`,
		`sluice_request_duration_seconds_bucket{service="s0",le="0.005"} 5`,
		`sluice_request_duration_seconds_bucket{service="s0",le="+Inf"} 6`,
		`sluice_request_duration_seconds_sum{service="s0"} 2`,
		`sluice_request_duration_seconds_count{service="s0"} 6`,
		`sluice_lost_total{service="s1"} 4`,
		`sluice_backend_up{backend="a",pool="blue",service="s0"} 1`,
		`sluice_backend_ready{backend="a",pool="blue",service="s0"} 0`,
		`sluice_backend_inside{backend="a",class="stream",pool="blue",service="s0"} 3`,
		`sluice_backend_requests_total{backend="a",pool="blue",service="s0"} 9`,
		`sluice_backend_failures_total{backend="a",pool="blue",service="s0"} 2`,
		`sluice_backend_ejected{backend="a",pool="blue",service="s0"} 1`,
		`sluice_backend_ejections_total{backend="a",pool="blue",service="s0"} 6`,
		`sluice_pool_fail_open{pool="blue",service="s0"} 1`,
		`sluice_pool_requests_total{code="2xx",pool="blue",service="s0"} 5`,
		`sluice_pool_requests_total{code="none",pool="blue",service="s0"} 4`,
		`sluice_pool_resets_total{pool="blue",service="s0"} 3`,
		`sluice_pool_live{pool="blue",release="v1",service="s0"} 1`,
		`sluice_generation 7`, `sluice_connections 11`, `sluice_access_log_dropped_total 12`,
		`sluice_build_info{version="1.2.3"} 1`, "go_goroutines ", "process_open_fds ",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %s", want)
		}
	}
}

// BenchmarkAccessLine is what the log costs a request.
func BenchmarkAccessLine(b *testing.B) {
	a := NewAccessLog(&broken{}, nil)
	defer a.Close()
	ex := exchange()
	b.ReportAllocs()
	for b.Loop() {
		a.Done(ex, time.Millisecond)
	}
}
