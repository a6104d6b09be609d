package main

import (
	"encoding/json"
	"net"
	"strings"
	"testing"
	"time"

	"sluice/control"
)

func (h *house) status() control.HoldStatus {
	h.t.Helper()
	var s control.Status
	if err := json.Unmarshal([]byte(h.run("status --json").out), &s); err != nil {
		h.t.Fatal(err)
	}
	return s.Services[0].Hold
}

// waits waits until as many requests do.
func (h *house) waits(n int) {
	h.t.Helper()
	for end := time.Now().Add(8 * time.Second); h.status().Held != n; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			h.t.Fatalf("%+v, want %d that wait", h.status(), n)
		}
	}
}

// TestPauseAndResume walks through a pause, command by command, with requests that wait through it.
func TestPauseAndResume(t *testing.T) {
	h := newHouse(t)
	answers := make(chan string, 3)
	ask := func() {
		text, header := h.fetch("/bytes/1")
		answers <- strings.Fields(text)[0] + " " + header.Get("X-Release")
	}
	rows := []struct {
		args  string
		code  int
		says  []string
		waits int // afterwards, one more each time a command asks for one
	}{
		{"pause web --if-match 77", 1, []string{"generation"}, 0},
		{"pause shop", 1, []string{`no service "shop"`, "next: the services are: web"}, 0},
		{"pause web --for 200h", 1, []string{"cannot last", "--for 30s"}, 0},
		{"pause web --note schema --for 10m --wait", 0, []string{"pause web: serving → paused for 10m0s", "switched in"}, 1},
		{"pause web --by bob", 0, []string{"already paused"}, 2},
		{"status", 0, []string{"paused ", "(pause by alice: schema)", "ends in 9m", "held      2, 1 KiB, the oldest for 0s; released 0  left 0  shed 0"}, 2},
		{"status web --inside", 0, []string{"held", "/bytes/1"}, 2},
		{"flip web green", 0, []string{"blue → green"}, 3},
		{"resume web --wait --key k", 0, []string{"resume web: paused → serving, 3 waited"}, 0},
		{"resume web --wait --key k", 0, []string{"resume web: paused → serving, 3 waited"}, 0},
		{"resume web", 0, []string{"already serving"}, 0},
		{"history web", 0, []string{"pause web: serving → paused for 10m0s", "alice", "schema", "resume web"}, 0},
		{"__complete pause w", 0, []string{"web"}, 0},
		{"resume --help", 0, []string{"the oldest first"}, 0},
	}
	for _, row := range rows {
		got := h.run(row.args)
		for _, want := range row.says {
			if got.code != row.code || !strings.Contains(got.out+got.err, want) {
				t.Fatalf("%s: exit %d, want %d and %q\n%s%s", row.args, got.code, row.code, want, got.out, got.err)
			}
		}
		if h.status().Held < row.waits {
			go ask()
		}
		h.waits(row.waits)
	}
	for range 3 {
		if got := <-answers; got != "200 v2" {
			t.Errorf("who waited got %q", got)
		}
	}
	if log := h.log.String(); !strings.Contains(log, `"verb":"pause"`) || !strings.Contains(log, `"verb":"resume"`) {
		t.Error("the event log says nothing of it")
	}
}

// TestPauseForAWhile ends by itself.
func TestPauseForAWhile(t *testing.T) {
	h := newHouse(t)
	if got := h.run("pause web --for 300ms --json"); got.code != 0 || !strings.Contains(got.out, `"until"`) {
		t.Fatalf("%+v", got)
	}
	began := time.Now()
	if text, _ := h.fetch("/bytes/1"); !strings.HasPrefix(text, "200") || time.Since(began) < 100*time.Millisecond {
		t.Errorf("%.20s after %s", text, time.Since(began))
	}
	if got := h.run("history web"); !strings.Contains(got.out, "sluice") || !strings.Contains(got.out, "resume web") {
		t.Error(got.out)
	}
}

// TestExitDuringAPause: who waits is told, and nobody is dropped.
func TestExitDuringAPause(t *testing.T) {
	h := newHouse(t)
	h.process.config.Shutdown.Timeout = 300 * time.Millisecond
	h.run("pause web")
	nc, err := net.Dial("tcp", h.process.addresses[0].String())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(8 * time.Second))
	nc.Write([]byte("GET /bytes/1 HTTP/1.1\r\nHost: h\r\n\r\n"))
	h.waits(1)
	got := h.run("stop --json")
	buf := make([]byte, 4096)
	n, _ := nc.Read(buf)
	if text := string(buf[:n]); !strings.HasPrefix(text, "HTTP/1.1 503") || !strings.Contains(text, "Retry-After: ") {
		t.Errorf("%q", text)
	}
	if !strings.Contains(got.out, `"held"`) {
		t.Errorf("the receipt does not name what waited: %s", got.out)
	}
}
