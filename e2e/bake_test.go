package e2e

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// bakedApp is a release that can be made ill.
type bakedApp struct {
	release, address string
	fails            atomic.Int64 // so many of a hundred get a 500
	slow             atomic.Int64 // milliseconds
	asked, failed    atomic.Int64
}

func startBaked(t *testing.T, release string) *bakedApp {
	t.Helper()
	a := &bakedApp{release: release}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	a.address = l.Addr().String()
	server := &http.Server{Handler: a, IdleTimeout: 90 * time.Second}
	done := make(chan struct{})
	go func() { server.Serve(l); close(done) }()
	t.Cleanup(func() { server.Close(); <-done })
	return a
}

func (a *bakedApp) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/health" {
		fmt.Fprintf(w, `{"status":"ok","version":%q}`, a.release)
		return
	}
	n := a.asked.Add(1)
	time.Sleep(time.Duration(a.slow.Load()) * time.Millisecond)
	if n*a.fails.Load()/100 != (n-1)*a.fails.Load()/100 {
		a.failed.Add(1)
		http.Error(w, a.release+" fails", http.StatusInternalServerError)
		return
	}
	io.WriteString(w, a.release)
}

// callers ask again and again, each on a connection of its own, and count what they get to the last answer.
type callers struct {
	running sync.WaitGroup
	quit    context.CancelFunc
	good    atomic.Int64
	failed  atomic.Int64 // answered 500 by the app itself, as a whole
	lost    atomic.Int64 // anything else

	mu    sync.Mutex
	first error // that was lost
}

func (s *sluice) callers(n int) *callers {
	ctx, quit := context.WithCancel(context.Background())
	v := &callers{quit: quit}
	for range n {
		v.running.Add(1)
		go v.run(ctx, "http://"+s.listen+"/")
	}
	s.t.Cleanup(v.stop)
	return v
}

// run never breaks off a request: each is counted.
func (v *callers) run(ctx context.Context, url string) {
	defer v.running.Done()
	client := &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{MaxConnsPerHost: 1}}
	defer client.CloseIdleConnections()
	for ctx.Err() == nil {
		v.count(askWhole(client, url))
		time.Sleep(5 * time.Millisecond)
	}
}

func askWhole(client *http.Client, url string) (status int, body string, err error) {
	res, err := client.Get(url)
	if err != nil {
		return 0, "", err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	return res.StatusCode, string(text), err
}

func (v *callers) count(status int, body string, err error) {
	switch {
	case err == nil && status == 200 && strings.HasPrefix(body, "v"):
		v.good.Add(1)
	case err == nil && status == 500 && strings.HasSuffix(body, " fails\n"):
		v.failed.Add(1)
	default:
		v.lost.Add(1)
		v.mu.Lock()
		defer v.mu.Unlock()
		if v.first == nil {
			v.first = fmt.Errorf("%d %q %v", status, body, err)
		}
	}
}

func (v *callers) stop() {
	v.quit()
	v.running.Wait()
}

// bakedPools takes what a busy machine does to times for none of the release's doing.
func bakedPools(blue, green *bakedApp, length time.Duration) string {
	return twoPools(blue.address, green.address) + fmt.Sprintf("    bake: {for: %s, min_requests: 60, slower_by: 300ms}\n", length)
}

func (s *sluice) bakeState() string {
	_, doc := s.get("/v1/services/web")
	b, _ := doc["bake"].(map[string]any)
	return fmt.Sprint(b["state"])
}

func (s *sluice) live() string {
	_, doc := s.get("/v1/services/web")
	return fmt.Sprint(doc["live"])
}

// TestBake flips to releases of each kind, under clients that count each answer.
func TestBake(t *testing.T) {
	t.Parallel()
	rows := []struct {
		name        string
		length      time.Duration
		callers     int
		fails, slow int64
		exit        int
		state, live string
		says        []string
	}{
		{"a good release", 3 * time.Second, 8, 0, 0, 0, "passed", "green", []string{"bake green v2 passed after "}},
		{"one in five fails", 30 * time.Second, 8, 20, 0, 1, "rolled_back", "blue", []string{"green v2 of web is worse than blue v1", "it was rolled back, and blue v1 serves again", "next: mend the release"}},
		{"it is slow", 30 * time.Second, 50, 0, 600, 1, "rolled_back", "blue", []string{"green v2 of web is worse than blue v1"}},
		{"nobody comes", time.Second, 0, 0, 0, 3, "not_enough", "green", []string{"nobody can say whether green is as good as blue", "it stays live"}},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			blue, green := startBaked(t, "v1"), startBaked(t, "v2")
			green.fails.Store(row.fails)
			green.slow.Store(row.slow)
			s := newSluice(t, bakedPools(blue, green, row.length)).start()
			s.await("both are up", func() bool { return s.backendHealth(blue.address) == "up" && s.backendHealth(green.address) == "up" })
			crowd := s.callers(row.callers)
			s.await("there is a baseline", func() bool { return row.callers == 0 || blue.asked.Load() > 600 })
			began := time.Now()
			out, code := s.cli("flip", "web", "green", "--release", "v2")
			took := time.Since(began)
			t.Logf("exit %d after %s:\n%s", code, took, out)
			for _, words := range row.says {
				if !strings.Contains(out, words) {
					t.Errorf("no %q", words)
				}
			}
			if code != row.exit || s.live() != row.live || s.bakeState() != row.state {
				t.Errorf("exit %d, %s is live, %s", code, s.live(), s.bakeState())
			}
			if row.state == "rolled_back" {
				s.checkRolledBack(blue, green, took)
			} else if took < row.length {
				t.Errorf("a verdict after %s of %s", took, row.length)
			}
			if again, code := s.cli("bake", "web"); code != row.exit {
				t.Errorf("asked again: exit %d: %s", code, again)
			}
			s.hasMetric(fmt.Sprintf("sluice_bake{service=\"web\",state=%q} 1", row.state))
			crowd.stop()
			if lost, failed := crowd.lost.Load(), crowd.failed.Load(); lost != 0 || failed != green.failed.Load() {
				t.Errorf("%d lost (%v); clients saw %d errors, the app gave %d", lost, crowd.first, failed, green.failed.Load())
			}
			t.Logf("%d good, %d failed by the app itself, %d lost", crowd.good.Load(), crowd.failed.Load(), crowd.lost.Load())
		})
	}
}

func (s *sluice) checkRolledBack(blue, green *bakedApp, took time.Duration) {
	s.t.Helper()
	if took > 25*time.Second { // seconds, on a machine that has nothing else to do
		s.t.Errorf("rolled back after %s", took)
	}
	asked := green.asked.Load()
	before := blue.asked.Load()
	s.await("blue serves", func() bool { return blue.asked.Load() > before+50 })
	if n := green.asked.Load(); n != asked {
		s.t.Errorf("%d requests came to green after the verdict", n-asked)
	}
	if out := s.must("history", "web"); !strings.Contains(out, "rollback web: green → blue (release v1)") || !strings.Contains(out, "bake") {
		s.t.Errorf("%s", out)
	}
	if out := s.must("status", "web"); !strings.Contains(out, "bake      green v2 was worse and rolled back after") {
		s.t.Errorf("%s", out)
	}
}

// TestBakeSurvivesARestart: Sluice dies while a release bakes that is good so far, or is restarted. The next process goes on, and rolls
// back when it falls ill; the command that waited for the verdict finds it there. Nor does another kill change what became of it.
func TestBakeSurvivesARestart(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(*sluice){"kill -9": (*sluice).kill, "SIGTERM": (*sluice).leave} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			blue, green := startBaked(t, "v1"), startBaked(t, "v2")
			s := newSluice(t, bakedPools(blue, green, time.Minute)).start()
			s.await("both are up", func() bool { return s.backendHealth(blue.address) == "up" && s.backendHealth(green.address) == "up" })
			s.callers(8)
			s.await("there is a baseline", func() bool { return blue.asked.Load() > 600 })
			command := s.startCLI("flip", "web", "green", "--bake", "30s")
			s.await("the command has seen the bake", func() bool { return strings.Contains(command.out.String(), "left, ") })
			end(s)
			s.start()
			if s.live() != "green" || s.bakeState() != "baking" {
				t.Fatalf("%s is live, %s", s.live(), s.bakeState())
			}
			s.await("green serves again", func() bool { return s.backendHealth(green.address) == "up" })
			green.fails.Store(30)
			code, said := command.exit(), command.out.String()
			if code != 1 || !strings.Contains(said, "asking how the bake goes on") || !strings.Contains(said, "it was rolled back, and blue v1 serves again") {
				t.Errorf("exit %d: %s", code, said)
			}
			s.kill()
			s.start()
			if s.live() != "blue" || s.bakeState() != "rolled_back" {
				t.Errorf("%s is live, %s", s.live(), s.bakeState())
			}
			if out, code := s.cli("bake", "web"); code != 1 || !strings.Contains(out, "was worse and rolled back") {
				t.Errorf("asked again: exit %d: %s", code, out)
			}
			if out := s.must("history", "web"); strings.Count(out, "rollback web: green → blue") != 1 {
				t.Errorf("not one rollback: %s", out)
			}
			t.Log(said)
		})
	}
}

// leave ends it as a service manager does.
func (s *sluice) leave() {
	s.cmd.Process.Signal(syscall.SIGTERM)
	s.waitExit(30 * time.Second)
}

// TestWhoWaitsForABakeMayGo: Ctrl-C ends the waiting, and the bake goes on until another command ends it.
func TestWhoWaitsForABakeMayGo(t *testing.T) {
	t.Parallel()
	blue, green := startBaked(t, "v1"), startBaked(t, "v2")
	s := newSluice(t, bakedPools(blue, green, time.Minute)).start()
	s.await("both are up", func() bool { return s.backendHealth(blue.address) == "up" && s.backendHealth(green.address) == "up" })
	first := s.startCLI("flip", "web", "green", "--bake", "1m")
	s.await("it bakes", func() bool { return s.bakeState() == "baking" && strings.Contains(first.out.String(), "left") })
	first.cmd.Process.Signal(os.Interrupt)
	if code := first.exit(); code != 3 || !strings.Contains(first.out.String(), "the bake of green goes on by itself") {
		t.Errorf("exit %d: %s", code, first.out)
	}
	if out, code := s.cli("retire", "web", "v1"); code != 1 || !strings.Contains(out, "green v2 bakes, and would be rolled back to blue v1") {
		t.Errorf("exit %d: %s", code, out)
	}
	if out, code := s.cli("bake", "web", "--timeout", "300ms"); code != 3 || !strings.Contains(out, "there is no verdict yet") {
		t.Errorf("exit %d: %s", code, out)
	}
	if status, answer := s.get("/v1/services/web/bake"); status != 202 || answer["bake"].(map[string]any)["state"] != "baking" {
		t.Errorf("%d %v", status, answer)
	}
	second := s.startCLI("bake", "web")
	s.await("it waits", func() bool { return strings.Contains(second.out.String(), "left") })
	if out := s.must("rollback", "web"); !strings.Contains(out, "ends the bake of green v2 before its verdict") {
		t.Errorf("%s", out)
	}
	if code := second.exit(); code != 1 || !strings.Contains(second.out.String(), "has no verdict: rollback by") {
		t.Errorf("exit %d: %s", code, second.out)
	}
	if out, code := s.cli("flip", "web", "green", "--bake", "0", "--json"); code != 0 || strings.Contains(out, `"bake"`) {
		t.Errorf("exit %d: %s", code, out)
	}
}
