package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// browser is a headless Chromium with one page, driven by its DevTools protocol.
type browser struct {
	t  *testing.T
	ws *websocket.Conn

	mu       sync.Mutex
	next     int
	answers  map[int]chan json.RawMessage
	problems []string // what the console and the log of the page complained of
}

// launchBrowser starts Chromium and attaches to a blank page.
func launchBrowser(t *testing.T) *browser {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		t.Fatal("no chromium (make tools installs it)")
	}
	address := freePort(t)
	cmd := exec.Command(path, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
		"--disable-background-networking", "--disable-component-update", "--disable-sync", "--remote-allow-origins=*",
		"--remote-debugging-port="+port(address), "--user-data-dir="+filepath.Join(t.TempDir(), "profile"), "about:blank")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	b := &browser{t: t, answers: map[int]chan json.RawMessage{}}
	b.attach(address)
	return b
}

func (b *browser) attach(address string) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	for {
		var pages []struct{ Type, WebSocketDebuggerURL string }
		if res, err := http.Get("http://" + address + "/json"); err == nil {
			body, _ := io.ReadAll(res.Body)
			res.Body.Close()
			json.Unmarshal(body, &pages)
		}
		for _, p := range pages {
			if p.Type != "page" {
				continue
			}
			ws, _, err := websocket.Dial(ctx, p.WebSocketDebuggerURL, nil)
			if err != nil {
				b.t.Fatal(err)
			}
			ws.SetReadLimit(64 << 20)
			b.ws = ws
			b.t.Cleanup(func() { ws.CloseNow() })
			go b.listen()
			return
		}
		if ctx.Err() != nil {
			b.t.Fatal("chromium does not answer")
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// listen reads answers and events until the browser is closed.
func (b *browser) listen() {
	for {
		_, data, err := b.ws.Read(context.Background())
		if err != nil {
			return
		}
		var m struct {
			ID     int
			Method string
			Params json.RawMessage
			Result json.RawMessage
		}
		if json.Unmarshal(data, &m) != nil {
			continue
		}
		b.mu.Lock()
		if ch := b.answers[m.ID]; ch != nil && m.ID != 0 {
			ch <- m.Result
			delete(b.answers, m.ID)
		}
		if problem(m.Method, m.Params) {
			b.problems = append(b.problems, m.Method+" "+string(m.Params))
		}
		b.mu.Unlock()
	}
}

func problem(method string, params json.RawMessage) bool {
	switch method {
	case "Runtime.exceptionThrown":
		return true
	case "Runtime.consoleAPICalled":
		return strings.Contains(string(params[:min(60, len(params))]), `"type":"error"`)
	case "Log.entryAdded":
		return strings.Contains(string(params), `"level":"error"`) && !strings.Contains(string(params), "favicon")
	}
	return false
}

func (b *browser) call(method string, params any) json.RawMessage {
	b.t.Helper()
	b.mu.Lock()
	b.next++
	id, answer := b.next, make(chan json.RawMessage, 1)
	b.answers[id] = answer
	b.mu.Unlock()
	data, err := json.Marshal(map[string]any{"id": id, "method": method, "params": params})
	if err != nil {
		b.t.Fatal(err)
	}
	if err := b.ws.Write(context.Background(), websocket.MessageText, data); err != nil {
		b.t.Fatal(err)
	}
	select {
	case result := <-answer:
		return result
	case <-time.After(20 * time.Second):
		b.t.Fatalf("chromium does not answer to %s", method)
		return nil
	}
}

// text is what an element of the page shows.
func (b *browser) text(id string) string {
	b.t.Helper()
	var r struct{ Result struct{ Value string } }
	expression := "document.getElementById(" + strconv.Quote(id) + ")?.textContent ?? ''"
	json.Unmarshal(b.call("Runtime.evaluate", map[string]any{"expression": expression}), &r)
	return r.Result.Value
}

// TestBrowserSeesNothingOfTenFlips: a page with a WebSocket and an event stream is used across ten flips, and its console
// stays clean.
func TestBrowserSeesNothingOfTenFlips(t *testing.T) {
	blue, green := startApp(t, "v1", "127.0.0.1:0"), startApp(t, "v2", "127.0.0.1:0")
	s := newSluice(t, twoPools(blue.address, green.address)).start()
	s.awaitRelease("v1")
	b := launchBrowser(t)
	for _, domain := range []string{"Runtime.enable", "Log.enable", "Page.enable"} {
		b.call(domain, map[string]any{})
	}
	b.call("Page.navigate", map[string]any{"url": "http://" + s.listen + "/"})
	s.await("the page is alive", func() bool { return b.text("release") == "v1" && b.text("events") != "0" && b.text("ws") != "0" })
	for i := range 10 {
		pool, release := "green", "v2"
		if i%2 == 1 {
			pool, release = "blue", "v1"
		}
		s.must("flip", "web", pool, "--release", release)
		s.await("the page shows "+release, func() bool { return b.text("release") == release })
		time.Sleep(700 * time.Millisecond)
	}
	if n := b.text("errors"); n != "0" {
		t.Errorf("the page counted %s errors: %s", n, b.text("log"))
	}
	t.Logf("requests %s, events %s, messages %s", b.text("requests"), b.text("events"), b.text("ws"))
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.problems) > 0 {
		t.Errorf("the console complained %d times: %s", len(b.problems), fmt.Sprint(b.problems[:min(5, len(b.problems))]))
	}
}
