package e2e

import (
	"context"
	"io"
	"net/http"
	"net/http/cookiejar"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sluice/demo"
)

// tester is somebody who looks at what is not live yet.
type tester struct {
	t      *testing.T
	client *http.Client
}

func newTester(t *testing.T) *tester {
	jar, _ := cookiejar.New(nil)
	a := &tester{t, &http.Client{Timeout: 10 * time.Second, Jar: jar, Transport: &http.Transport{}}}
	t.Cleanup(a.client.CloseIdleConnections)
	return a
}

// sees returns the release that answers and how the answer is marked.
func (a *tester) sees(address, host string) (release, mark string) {
	a.t.Helper()
	req, err := http.NewRequest("GET", "http://"+address+"/bytes/100", nil)
	if err != nil {
		a.t.Fatal(err)
	}
	req.Host = host
	res, err := a.client.Do(req)
	if err != nil {
		a.t.Fatal(err)
	}
	defer res.Body.Close()
	if body, err := io.ReadAll(res.Body); err != nil || len(body) != 100 && res.StatusCode == 200 {
		a.t.Errorf("%d bytes of %s: %v", len(body), host, err)
	}
	return res.Header.Get("X-Release"), res.Header.Get("Sluice-Preview")
}

// TestPreview is the smoke test before a flip, by port, by host and by cookie; then flips under load while others look at what
// is not live: nobody loses anything, no visitor sees the idle release, and each tester sees it.
func TestPreview(t *testing.T) {
	t.Parallel()
	blue, green := startApp(t, "v1", "127.0.0.1:0"), startApp(t, "v2", "127.0.0.1:0")
	stage := freePort(t)
	s := newSluice(t, twoPools(blue.address, green.address)+"    preview: {port: "+stage+", host: idle.test, cookie: true}\n").start()
	s.awaitRelease("v1")
	a := newTester(t)
	s.await("green can be seen", func() bool { release, _ := a.sees(stage, "shop.test"); return release == "v2" })
	for _, way := range [][2]string{{stage, "any.test"}, {s.listen, "idle.test"}} {
		if release, mark := a.sees(way[0], way[1]); release != "v2" || mark != "green; release=v2" {
			t.Errorf("at %v: %s, marked %q", way, release, mark)
		}
	}
	if release, mark := a.sees(s.listen, s.listen); release != "v1" || mark != "" {
		t.Errorf("a visitor sees %s, marked %q", release, mark)
	}
	token := s.openPreview(a)
	if release, mark := a.sees(s.listen, s.listen); release != "v2" || mark != "green; release=v2" {
		t.Errorf("with the cookie: %s, marked %q", release, mark)
	}
	s.flipWhilePreviewed(stage, a)
	for _, name := range []string{filepath.Join(s.dir, "access.log"), filepath.Join(s.stateDir(), "history")} {
		if log, err := os.ReadFile(name); err == nil && strings.Contains(string(log), token) {
			t.Errorf("%s has the pass", name)
		}
	}
	if strings.Contains(s.out.String(), token) {
		t.Error("the log has the pass")
	}
}

// openPreview follows the link of `sluice preview`, and returns what is secret in it.
func (s *sluice) openPreview(a *tester) string {
	s.t.Helper()
	_, answer := s.post("/v1/services/web/preview?for=10m")
	links, _ := answer["links"].([]any)
	if len(links) != 1 {
		s.t.Fatalf("no link: %v", answer)
	}
	link := links[0].(string)
	res, err := a.client.Get(link)
	if err != nil {
		s.t.Fatal(err)
	}
	res.Body.Close()
	_, token, _ := strings.Cut(link, "token=")
	if token == "" || strings.Contains(res.Request.URL.String(), token) {
		s.t.Errorf("%s led to %s", link, res.Request.URL)
	}
	return token
}

func (s *sluice) flipWhilePreviewed(stage string, a *tester) {
	s.t.Helper()
	workers := map[demo.Class]int{demo.Get: 3, demo.Post: 3, demo.Close: 2, demo.Slow: 3, demo.Upload: 2, demo.Stream: 2, demo.WebSocket: 2, demo.Tunnel: 1}
	visitors := s.load()
	testers, err := demo.Start(context.Background(), demo.Config{Address: stage, Seed: 2, Host: "shop.example", Workers: workers})
	if err != nil {
		s.t.Fatal(err)
	}
	defer testers.Stop()
	pools, releases := [2]string{"blue", "green"}, [2]string{"v1", "v2"}
	late, flips := 0, 0
	for end := time.Now().Add(3 * time.Second); time.Now().Before(end); flips++ {
		to := (flips + 1) % 2
		if status, answer := s.post("/v1/services/web/flip?wait=false&pool=" + pools[to]); status/100 != 2 {
			s.t.Fatalf("flip: %d %v", status, answer)
		}
		flipped := time.Now()
		if release, mark := newTester(s.t).sees(stage, "x"); release != releases[1-to] || !strings.HasPrefix(mark, pools[1-to]) {
			s.t.Errorf("flipped to %s, testers see %s, marked %q", pools[to], release, mark)
		}
		if release, mark := a.sees(s.listen, s.listen); release != "v2" || !strings.HasPrefix(mark, "green") || strings.Contains(mark, "live") != (to == 1) {
			s.t.Errorf("flipped to %s, the cookie for green leads to %s, marked %q", pools[to], release, mark)
		}
		time.Sleep(150 * time.Millisecond)
		late += visitors.AnsweredBy(releases[1-to], flipped)
	}
	seen := testers.Stop()
	if lost := s.report(visitors.Stop(), visitors) + s.report(seen, testers); lost != 0 || late != 0 {
		s.t.Errorf("%d lost; %d visitors saw the idle release, in %d flips", lost, late, flips)
	}
	_, answer := s.get("/v1/services/web")
	counted, _ := answer["preview"].(map[string]any)["requests"].(float64)
	if n := s.metric(`sluice_preview_requests_total{code="2xx",service="web"}`); int(counted) < seen.Total().Done || n == 0 {
		s.t.Errorf("%v requests to previews are counted, %v of them 2xx; %d were made", counted, n, seen.Total().Done)
	}
	s.t.Logf("%d flips, %d requests of testers", flips, seen.Total().Done)
}
