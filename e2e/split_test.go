package e2e

import (
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// guests come again and again, each on its own connection. They keep cookies or do not.
type guests struct {
	s       *sluice
	keep    bool
	fields  string // a header that they send, as NAME: VALUE
	stop    chan struct{}
	all     sync.WaitGroup
	list    []*guest
	lost    atomic.Int64
	mu      sync.Mutex
	reasons []string
}

// guest remembers who served it.
type guest struct {
	mu   sync.Mutex
	seen map[string]int // requests by release
	last string
}

func (s *sluice) guests(n int, keep bool, field string) *guests {
	v := &guests{s: s, keep: keep, fields: field, stop: make(chan struct{})}
	for range n {
		one := &guest{seen: map[string]int{}}
		v.list = append(v.list, one)
		v.all.Go(func() { v.come(one) })
	}
	s.t.Cleanup(v.end)
	return v
}

func (v *guests) come(one *guest) {
	client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	if v.keep {
		client.Jar, _ = cookiejar.New(nil)
	}
	for {
		select {
		case <-v.stop:
			return
		case <-time.After(5 * time.Millisecond):
		}
		release, err := v.ask(client)
		if err != nil {
			v.lost.Add(1)
			v.mu.Lock()
			v.reasons = append(v.reasons, err.Error())
			v.mu.Unlock()
			continue
		}
		one.mu.Lock()
		one.seen[release]++
		one.last = release
		one.mu.Unlock()
	}
}

func (v *guests) ask(client *http.Client) (release string, err error) {
	req, err := http.NewRequest("GET", "http://"+v.s.listen+"/bytes/100", nil)
	if err != nil {
		return "", err
	}
	if name, value, ok := strings.Cut(v.fields, ": "); ok {
		req.Header.Set(name, value)
	}
	res, err := client.Do(req)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != 200 || len(body) != 100 {
		return "", fmt.Errorf("%s with %d bytes: %v", res.Status, len(body), err)
	}
	return res.Header.Get("X-Release"), nil
}

func (v *guests) end() {
	select {
	case <-v.stop:
	default:
		close(v.stop)
	}
	v.all.Wait()
}

// again forgets what was seen, and waits until each has come twice more: the answer of a request that was on its way is not
// the last word.
func (v *guests) again() {
	v.s.t.Helper()
	for range 2 {
		for _, one := range v.list {
			one.mu.Lock()
			one.seen = map[string]int{}
			one.mu.Unlock()
		}
		v.s.await("each visitor has come", func() bool {
			for _, one := range v.list {
				one.mu.Lock()
				n := len(one.seen)
				one.mu.Unlock()
				if n == 0 {
					return false
				}
			}
			return true
		})
	}
}

// where is who serves each visitor; one that was served by two fails the test.
func (v *guests) where(when string) (releases []string) {
	v.s.t.Helper()
	v.again()
	time.Sleep(300 * time.Millisecond)
	for i, one := range v.list {
		one.mu.Lock()
		if len(one.seen) != 1 {
			v.s.t.Errorf("%s: visitor %d was served by %v", when, i, one.seen)
		}
		releases = append(releases, one.last)
		one.mu.Unlock()
	}
	return releases
}

func onRelease(releases []string, release string) (n int) {
	for _, r := range releases {
		if r == release {
			n++
		}
	}
	return n
}

// TestSplit is a canary from its first visitors to the flip, with strict traffic beside it: each visitor who keeps cookies
// sees one release while nothing changes, only those move who have to, and nothing is lost.
func TestSplit(t *testing.T) {
	t.Parallel()
	blue, green := startApp(t, "v1", "127.0.0.1:0"), startApp(t, "v2", "127.0.0.1:0")
	s := newSluice(t, twoPools(blue.address, green.address)).start()
	s.awaitRelease("v1")
	s.await("green is up", func() bool { return s.backendHealth(green.address) == "up" })
	traffic := s.gets()
	s.must("split", "web", "green=10", "--release", "v2", "--header", "X-Canary: yes", "--header", "blue=X-Canary: never", "--note", "try v2", "--judge", "off")
	keepers, forgetful := s.guests(60, true, ""), s.guests(4, false, "")
	testers, never := s.guests(2, false, "X-Canary: yes"), s.guests(2, false, "X-Canary: never")

	first := keepers.where("at 10 %")
	s.must("split", "web", "green=60", "--judge", "off")
	second := keepers.where("at 60 %")
	for i := range first {
		if first[i] == "v2" && second[i] != "v2" {
			t.Errorf("visitor %d was on v2, and is not as its share has grown", i)
		}
	}
	// With 60 visitors a share of 60 % is 36 give or take 4 (one standard deviation); of 10 % 6 give or take 2.
	if a, b := onRelease(first, "v2"), onRelease(second, "v2"); a > 18 || b < 18 || b > 54 {
		t.Errorf("of 60 visitors %d were on v2 at 10 %%, and %d at 60 %%", a, b)
	}
	checkRuled(t, testers, "v2")
	checkRuled(t, never, "v1")
	forgetful.again()
	s.await("who keeps no cookie sees both", func() bool {
		for _, one := range forgetful.list {
			one.mu.Lock()
			n := len(one.seen)
			one.mu.Unlock()
			if n != 2 {
				return false
			}
		}
		return true
	})

	if out := s.must("split", "web", "green=0"); !strings.Contains(out, "blue 40%, green 60%, 2 by rule → blue (release v1)") {
		t.Errorf("%s", out)
	}
	if all := keepers.where("at the end"); onRelease(all, "v1") != len(all) {
		t.Errorf("the split has ended, and %d are on v2", onRelease(all, "v2"))
	}
	s.must("split", "web", "green=30", "--judge", "off")
	keepers.where("split again")
	if out := s.must("flip", "web", "green"); !strings.Contains(out, "blue 70%, green 30% → green") {
		t.Errorf("%s", out)
	}
	if all := keepers.where("after the flip"); onRelease(all, "v2") != len(all) {
		t.Errorf("flipped, and %d are on v1", onRelease(all, "v1"))
	}
	for name, v := range map[string]*guests{"with cookies": keepers, "without": forgetful, "testers": testers, "never": never} {
		if v.end(); v.lost.Load() > 0 {
			t.Errorf("%s: %d lost: %v", name, v.lost.Load(), v.reasons)
		}
	}
	s.noneLost(traffic)
	if history := s.must("history", "web"); !strings.Contains(history, "try v2") || !strings.Contains(history, "split web: blue → blue 90%, green 10%") {
		t.Errorf("%s", history)
	}
}

// TestSplitAfterAKill: who has a cookie is with the same release after a kill -9, and its share is what it was.
func TestSplitAfterAKill(t *testing.T) {
	t.Parallel()
	blue, green := startApp(t, "v1", "127.0.0.1:0"), startApp(t, "v2", "127.0.0.1:0")
	s := newSluice(t, twoPools(blue.address, green.address)).start()
	s.awaitRelease("v1")
	s.must("split", "web", "green=50", "--release", "v2", "--patience", "10s", "--judge", "off")
	keepers := s.guests(20, true, "")
	before := keepers.where("before")
	s.kill()
	s.start()
	s.await("both are up again", func() bool { return s.backendHealth(green.address) == "up" && s.backendHealth(blue.address) == "up" })
	if after := keepers.where("after"); fmt.Sprint(after) != fmt.Sprint(before) || onRelease(before, "v2") == 0 || onRelease(before, "v1") == 0 {
		t.Errorf("before %v\nafter  %v", before, after)
	}
	if out := s.must("split", "web", "green=50", "--judge", "off"); !strings.Contains(out, "already blue 50%, green 50%") {
		t.Errorf("%s", out)
	}
}

func checkRuled(t *testing.T, v *guests, release string) {
	t.Helper()
	for _, one := range v.where("by rule") {
		if one != release {
			t.Errorf("%s: on %s, want %s", v.fields, one, release)
		}
	}
}

// TestSplitIsJudged: a canary that fails is ended by its verdict within seconds, one that does not stays, and of one that
// nobody asks nobody can say anything.
func TestSplitIsJudged(t *testing.T) {
	t.Parallel()
	blue, green := startBaked(t, "v1"), startBaked(t, "v2")
	// Times are left out: a machine that does other work makes one of two apps look slow.
	s := newSluice(t, twoPools(blue.address, green.address)+"    bake: {for: 60s, min_requests: 60, latency: off}\n").start()
	s.await("both are up", func() bool { return s.backendHealth(green.address) == "up" && s.backendHealth(blue.address) == "up" })
	if out, code := s.cli("split", "web", "green=50", "--judge", "1s", "--wait"); code != 3 || !strings.Contains(out, "the split stays as it is") {
		t.Errorf("nobody asks: exit %d: %s", code, out)
	}
	clients := s.callers(6)
	if out, code := s.cli("split", "web", "green=40", "--judge", "3s", "--wait"); code != 0 || !strings.Contains(out, "split green v2 passed after 3s") {
		t.Errorf("a good one: exit %d: %s", code, out)
	}
	green.fails.Store(30)
	if out, code := s.cli("split", "web", "green=50", "--wait"); code != 1 || !strings.Contains(out, "green v2 of web is worse than blue v1") || !strings.Contains(out, "the split has ended") {
		t.Errorf("a bad one: exit %d: %s", code, out)
	}
	if status := s.must("status", "web"); strings.Contains(status, "blue 50%") || !strings.Contains(status, "judged") {
		t.Errorf("%s", status)
	}
	green.fails.Store(0)
	s.must("split", "web", "green=50", "--judge", "1s")
	s.await("its verdict", func() bool { return s.bakeState() == "passed" })
	green.fails.Store(50)
	s.await("it is worse after its verdict", func() bool { return !strings.Contains(s.must("status", "web"), "blue 50%") })
	if history := s.must("history", "web"); !strings.Contains(history, "judge") {
		t.Errorf("%s", history)
	}
	clients.stop()
	if clients.lost.Load() != 0 || clients.failed.Load() != green.failed.Load() {
		t.Errorf("%d lost (%v), %d got a 500 of %d", clients.lost.Load(), clients.first, clients.failed.Load(), green.failed.Load())
	}
}
