package e2e

import (
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"sync"
	"testing"
	"time"
)

// visitor is a browser: it keeps its cookies, and remembers who answered it.
type visitor struct {
	client *http.Client
	mu     sync.Mutex
	seen   []string // releases, each once in a row
	failed []string
}

func (v *visitor) visit(address string) {
	res, err := v.client.Get("http://" + address + "/bytes/10")
	v.mu.Lock()
	defer v.mu.Unlock()
	if err != nil {
		v.failed = append(v.failed, err.Error())
		return
	}
	_, err = io.Copy(io.Discard, res.Body)
	res.Body.Close()
	if res.StatusCode != 200 || err != nil {
		v.failed = append(v.failed, fmt.Sprint(res.Status, err))
	}
	if by := res.Header.Get("X-Release"); len(v.seen) == 0 || v.seen[len(v.seen)-1] != by {
		v.seen = append(v.seen, by)
	}
}

// path is who answered the visitor so far, and what went wrong.
func (v *visitor) path() ([]string, []string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	return append([]string(nil), v.seen...), v.failed
}

func visitors(n int) (all []*visitor) {
	for range n {
		jar, _ := cookiejar.New(nil)
		all = append(all, &visitor{client: &http.Client{Jar: jar, Timeout: 10 * time.Second, Transport: &http.Transport{}}})
	}
	return all
}

// browse lets each visit again and again until stop is closed.
func browse(all []*visitor, address string, stop chan struct{}) *sync.WaitGroup {
	var wg sync.WaitGroup
	for _, v := range all {
		wg.Go(func() {
			defer v.client.CloseIdleConnections()
			for {
				v.visit(address)
				select {
				case <-stop:
					return
				case <-time.After(10 * time.Millisecond):
				}
			}
		})
	}
	return &wg
}

// TestStickyVisitors: they stay where they are over a kill -9 of Sluice, are kept in a drain until its time is over and then
// move once, and all are at the new pool after a flip. Nothing is lost in any of it but what the kill -9 broke.
func TestStickyVisitors(t *testing.T) {
	apps := []*app{startApp(t, "a", "127.0.0.1:0"), startApp(t, "b", "127.0.0.1:0"), startApp(t, "c", "127.0.0.1:0"), startApp(t, "d", "127.0.0.1:0")}
	s := newSluice(t, fmt.Sprintf(`services:
  web:
    pools: {blue: [%s, %s, %s], green: [%s]}
    health: {path: /health, interval: 500ms, timeout: 400ms}
    sticky: {on_drain: keep, keep_for: 1500ms}
    drain: {timeout: 2s, stream: 1s, websocket: 1s}
`, apps[0].address, apps[1].address, apps[2].address, apps[3].address)).start()
	s.await("all are up", func() bool {
		for _, a := range apps {
			if s.backendHealth(a.address) != "up" {
				return false
			}
		}
		return true
	})
	all := visitors(12)
	for _, v := range all {
		v.visit(s.listen)
	}
	s.kill()
	s.start()
	s.await("all are up again", func() bool {
		return s.backendHealth(apps[0].address) == "up" && s.backendHealth(apps[2].address) == "up"
	})
	s.await("the last too", func() bool { return s.backendHealth(apps[1].address) == "up" })
	for _, v := range all {
		v.client.CloseIdleConnections()
	}
	stop := make(chan struct{})
	wg := browse(all, s.listen, stop)
	time.Sleep(300 * time.Millisecond)
	began := time.Now()
	t.Log(s.must("drain", "web", apps[0].address, "--wait"))
	if took := time.Since(began); took < 1500*time.Millisecond || took > 4*time.Second {
		t.Errorf("the drain took %s, with pins kept for 1.5s", took)
	}
	time.Sleep(200 * time.Millisecond)
	moved := 0
	for i, v := range all {
		seen, _ := v.path()
		if seen[0] == "a" {
			moved++
			if len(seen) != 2 {
				t.Errorf("visitor %d of the drained backend was at %v", i, seen)
			}
		} else if len(seen) != 1 {
			t.Errorf("visitor %d had nothing to do with the drain, and was at %v", i, seen)
		}
	}
	if moved == 0 {
		t.Error("nobody was pinned to the drained backend")
	}
	s.must("flip", "web", "green")
	time.Sleep(200 * time.Millisecond)
	close(stop)
	wg.Wait()
	for i, v := range all {
		seen, failed := v.path()
		if seen[len(seen)-1] != "d" || len(failed) > 0 {
			t.Errorf("visitor %d was at %v and met %v", i, seen, failed)
		}
	}
}
