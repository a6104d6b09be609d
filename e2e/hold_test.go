package e2e

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// hold is what the API says of the waiting room of the only service.
type hold struct {
	State  string `json:"state"`
	Paused *struct {
		Cause struct{ By, Note string }
	} `json:"paused"`
	Held     int   `json:"held"`
	Bytes    int   `json:"bytes"`
	Entered  int   `json:"entered"`
	Released int   `json:"released"`
	Left     int   `json:"left"`
	Shed     int   `json:"shed"`
	OldestMS int64 `json:"oldest_ms"`
}

func (s *sluice) hold() (h hold) {
	s.t.Helper()
	res, err := s.admin.Get("http://sluice/v1/services/web")
	if err != nil {
		s.t.Fatal(err)
	}
	defer res.Body.Close()
	var v struct{ Hold *hold }
	v.Hold = &h
	if err := json.NewDecoder(res.Body).Decode(&v); err != nil {
		s.t.Fatal(err)
	}
	return h
}

// TestTheOnlyBackendIsRestarted under strict traffic of every class: with `hold:` nothing is lost.
func TestTheOnlyBackendIsRestarted(t *testing.T) {
	t.Parallel()
	one := startApp(t, "v1", "127.0.0.1:0")
	s := newSluice(t, onePool(one)+"    hold: 20s\n").start()
	s.awaitRelease("v1")
	traffic := s.load()
	for round := 2; round <= 3; round++ {
		time.Sleep(time.Second)
		t.Log(s.must("drain", "web", one.address, "--wait"))
		one.kill()
		s.await("requests wait", func() bool { return s.hold().Held > 0 })
		// A server that takes longer to start than its `ready` takes to come: it is checked in vain for a while.
		ready := make(chan string, 1)
		go func() { out, _ := s.cli("ready", "web", one.address, "--wait"); ready <- out }()
		s.await("it is readied", func() bool { return strings.Contains(s.must("status"), "ready") })
		time.Sleep(500 * time.Millisecond)
		one = startApp(t, fmt.Sprintf("v%d", round), one.address)
		t.Log(<-ready)
	}
	time.Sleep(time.Second)
	counts := traffic.Stop()
	if lost := s.report(counts, traffic); lost != 0 {
		t.Errorf("%d lost", lost)
	}
	h := s.hold()
	if h.Entered == 0 || h.Shed != 0 {
		t.Errorf("%+v: nobody waited, or somebody in vain", h)
	}
	t.Logf("%d waited", h.Entered)
}

// TestPauseSurvivesTheKill: after kill -9 in a pause nobody is served before the resume, and those that wait then are.
func TestPauseSurvivesTheKill(t *testing.T) {
	one := startApp(t, "v1", "127.0.0.1:0")
	s := newSluice(t, onePool(one)).start()
	s.awaitRelease("v1")
	s.must("pause", "web", "--note", "schema change", "--by", "carol")
	s.kill()
	s.start()
	s.await("the backend is up", func() bool { return s.backendHealth(one.address) == "up" })
	h := s.hold()
	if h.State != "paused" || h.Paused == nil || h.Paused.Cause.By != "carol" || h.Paused.Cause.Note != "schema change" {
		t.Fatalf("%+v", h)
	}
	answer := make(chan int, 1)
	go func() { status, _, _ := s.fetch("/bytes/10"); answer <- status }()
	s.await("a request waits", func() bool { return s.hold().Held == 1 })
	if out := s.must("status"); !strings.Contains(out, "(pause by carol: schema change)") || !strings.Contains(out, "held      1") {
		t.Error(out)
	}
	select {
	case status := <-answer:
		t.Fatalf("answered %d in a pause", status)
	case <-time.After(300 * time.Millisecond):
	}
	s.must("resume", "web", "--wait")
	if status := <-answer; status != 200 {
		t.Errorf("answered %d", status)
	}
	s.kill()
	s.start().awaitRelease("v1") // and the resume is remembered as well
}

// crowd is a backend that notes when each path came.
type crowd struct {
	mu   sync.Mutex
	came map[string][]time.Time
}

func (c *crowd) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	c.came[r.URL.Path] = append(c.came[r.URL.Path], time.Now())
	c.mu.Unlock()
	fmt.Fprint(w, "ok")
}

// TestTenThousandWait through a pause: what it costs in memory, who is shed, how they are let go, and that each is answered.
func TestTenThousandWait(t *testing.T) {
	const early, most, ramp = 50, 10_000, 100
	raiseOpenFiles(t, most+early)
	backend := &crowd{came: map[string][]time.Time{}}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: backend}
	go server.Serve(l)
	defer server.Close()
	s := newSluice(t, fmt.Sprintf("limits: {connections: %d}\nservices:\n  web:\n    backends: [%s]\n    hold: {age: 2m, requests: %d, ramp: %d}\n",
		most+early+100, l.Addr(), most, ramp)).start()
	s.await("it serves", func() bool { status, _, _ := s.fetch("/"); return status == 200 })
	s.must("pause", "web")
	idle := s.rss()
	answers := make([]chan int, early+most)
	for i := range answers {
		if i == early {
			s.await("the early ones wait", func() bool { return s.hold().Held == early })
		}
		answers[i] = s.waitInLine(i)
	}
	for i := range early { // the oldest make room
		if status := <-answers[i]; status != 503 {
			t.Fatalf("the %dth is answered %d", i, status)
		}
	}
	s.await("ten thousand wait", func() bool { h := s.hold(); return h.Held == most && h.Shed == early })
	h, each := s.hold(), float64(s.rss()-idle)/most
	t.Logf("%d wait with %d KiB of their own; %.1f KiB of memory each, all told", h.Held, h.Bytes>>10, each)
	if each > memoryOfOne {
		t.Errorf("more than %d KiB", memoryOfOne)
	}
	resumed := time.Now()
	s.must("resume", "web", "--wait")
	took := time.Since(resumed)
	for i := early; i < len(answers); i++ {
		if status := <-answers[i]; status != 200 {
			t.Fatalf("the %dth is answered %d", i, status)
		}
	}
	backend.check(t, most, ramp, resumed, took)
}

// memoryOfOne is the KiB that one that waits may cost: its connection, its goroutine, its exchange. 13 were measured.
const memoryOfOne = 26

// waitInLine sends a request and returns what will be told of it.
func (s *sluice) waitInLine(i int) chan int {
	s.t.Helper()
	nc, err := net.Dial("tcp", s.listen)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { nc.Close() })
	fmt.Fprintf(nc, "GET /%d HTTP/1.1\r\nHost: shop.example\r\n\r\n", i)
	answer := make(chan int, 1)
	go func() {
		defer nc.Close()
		nc.SetDeadline(time.Now().Add(90 * time.Second))
		res, err := http.ReadResponse(bufio.NewReaderSize(nc, 512), nil)
		if err != nil {
			answer <- 0
			return
		}
		answer <- res.StatusCode
	}()
	return answer
}

// check holds what came against the ramp: it begins slowly, never jumps, and is over in seconds.
func (c *crowd) check(t *testing.T, all, ramp int, from time.Time, took time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	steps := make([]int, 1+took/(100*time.Millisecond))
	for path, times := range c.came {
		if path == "/" {
			continue
		}
		if all--; len(times) != 1 {
			t.Errorf("%s came %d times", path, len(times))
		}
		steps[min(len(steps)-1, int(times[0].Sub(from)/(100*time.Millisecond)))]++
	}
	t.Logf("in steps of 100 ms after the resume: %v", steps)
	first := 0
	for _, n := range steps[:min(10, len(steps))] {
		first += n
	}
	if all != 0 || took > 12*time.Second || took < 4*time.Second || first > 3*ramp/2+ramp/4 || first < ramp/2 {
		t.Errorf("%d never came; %d in the first second; %s in all", all, first, took)
	}
}

// TestHeldClientLeavesForGood: what a client that is gone had is free soon, while others wait.
func TestHeldClientLeavesForGood(t *testing.T) {
	one := startApp(t, "v1", "127.0.0.1:0")
	s := newSluice(t, onePool(one)).start()
	s.awaitRelease("v1")
	s.must("pause", "web")
	stays := s.waitInLine(0)
	for _, how := range []string{"closes", "resets"} {
		nc, err := net.Dial("tcp", s.listen)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprint(nc, "GET /bytes/10 HTTP/1.1\r\nHost: h\r\n\r\n")
		s.await("two wait", func() bool { return s.hold().Held == 2 })
		if how == "resets" {
			nc.(*net.TCPConn).SetLinger(0)
		}
		nc.Close()
		left := time.Now()
		s.await("one waits", func() bool { return s.hold().Held == 1 })
		if took := time.Since(left); took > 2*time.Second {
			t.Errorf("one that %s is forgotten after %s", how, took)
		}
	}
	s.must("resume", "web", "--wait")
	if status := <-stays; status == 0 || status == 503 {
		t.Errorf("who stayed got %d", status)
	}
	if h := s.hold(); h.Left != 2 || h.Entered != 3 || h.Released != 1 {
		t.Errorf("%+v", h)
	}
}

// TestPausesAndFlipsLoseNothing pauses, flips and resumes again and again under strict traffic of every class.
func TestPausesAndFlipsLoseNothing(t *testing.T) {
	blue, green := startApp(t, "v1", "127.0.0.1:0"), startApp(t, "v2", "127.0.0.1:0")
	s := newSluice(t, twoPools(blue.address, green.address)).start()
	s.awaitRelease("v1")
	traffic := s.load()
	rounds := 0
	for end := time.Now().Add(runFor(t) / 4); time.Now().Before(end); rounds++ {
		for _, call := range []string{"pause?for=10s", "flip?pool=" + []string{"green", "blue"}[rounds%2], "resume"} {
			if status, answer := s.post("/v1/services/web/" + call); status/100 != 2 {
				t.Fatalf("%s: %d %v", call, status, answer)
			}
			time.Sleep(150 * time.Millisecond)
		}
	}
	time.Sleep(2 * time.Second)
	counts := traffic.Stop()
	if lost := s.report(counts, traffic); lost != 0 {
		t.Errorf("%d lost in %d rounds", lost, rounds)
	}
	if h := s.hold(); h.Entered < rounds || h.Shed != 0 || h.Held != 0 {
		t.Errorf("%+v after %d rounds", h, rounds)
	}
}
