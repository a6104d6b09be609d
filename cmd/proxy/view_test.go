package main

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"

	"sluice/admin"
	"sluice/control"
	"sluice/demo"
	"sluice/drain"
	"sluice/healthcheck"
)

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

func aStatus() control.Status {
	up := control.BackendStatus{
		Address: "10.0.0.1:3000", Admin: control.Ready, Health: healthcheck.Up, Release: "v1", Since: noon.Add(-3 * time.Minute),
		Inside: 3, InsideBy: map[drain.Class]int{drain.Request: 1, drain.WebSocket: 2}, Requests: 1234,
	}
	down := control.BackendStatus{
		Address: "10.0.0.2:3000", Admin: control.Drain, Health: healthcheck.Down, Reason: "connection refused", Since: noon.Add(-5 * time.Second), Failures: 7,
	}
	return control.Status{
		Generation: 12, Version: "1.0", PID: 42, Started: noon.Add(-50 * time.Hour), Draining: true, Damage: "state.json was damaged",
		Services: []control.ServiceStatus{{
			Name: "web", Hosts: []string{"shop.example", "*.shop.example"}, Path: "/", Live: "blue", Release: "v1", Since: noon.Add(-90 * time.Minute),
			Cause: control.Cause{By: "ci", Verb: "flip", Note: "v1 again"}, Inside: 3,
			Rollback: control.RollbackStatus{Pool: "green", Why: "0/1 healthy"},
			Pools: []control.PoolStatus{
				{Name: "blue", Live: true, Backends: []control.BackendStatus{up}}, {Name: "green", Backends: []control.BackendStatus{down}},
			},
			Drift:   []control.Drift{{What: "live", Decided: "blue", File: "green", Why: "flipped by ci 1h ago"}},
			Traffic: control.Traffic{Requests: 1250, Status: [6]int64{0, 0, 1200, 0, 50, 0}, Retries: 2, Lost: 1},
		}},
	}
}

const goldenStatus = `sluice 1.0  up 2d  generation 12  pid 42
on its way out: no change is taken any more
damage: state.json was damaged

web  shop.example *.shop.example  /
  live      blue (release v1)  since 1h30m (flip by ci: v1 again)
  rollback  NOT READY to green: 0/1 healthy
  traffic   1250 requests  2xx 1200  4xx 50  retries 2  inside 3  lost 1
  drift     live: decided blue, the file says green (flipped by ci 1h ago)
  POOL        BACKEND        ADMIN  HEALTH                       RELEASE  INSIDE                      REQUESTS  FAILED
  blue live   10.0.0.1:3000  ready  up 3m00s                     v1       3 (request 1, websocket 2)  1234      0
  green idle  10.0.0.2:3000  drain  down 5s: connection refused  -        0                           0         7
`

// TestStatusTellsWhatIsNotAsUsual: what an operator has to see at a glance.
func TestStatusTellsWhatIsNotAsUsual(t *testing.T) {
	s := aStatus()
	live := &s.Services[0].Pools[0]
	live.FailOpen = true
	live.Backends[0].Warming = 0.25
	live.Backends[0].Ejected = &control.EjectedStatus{Since: noon.Add(-4 * time.Second), Why: "3 connections in a row could not be made"}
	var text bytes.Buffer
	statusView{now: noon}.write(&text, s)
	for _, want := range []string{
		"fail-open too few backends of blue are up", "up 3m00s, warming 25%, ejected 4s: 3 connections in a row could not be made",
	} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("no %q in\n%s", want, text.String())
		}
	}
}

func TestStatusText(t *testing.T) {
	var plain, painted bytes.Buffer
	statusView{now: noon}.write(&plain, aStatus())
	if plain.String() != goldenStatus {
		t.Errorf("got\n%s\nwant\n%s", plain.String(), goldenStatus)
	}
	statusView{paint: true, now: noon}.write(&painted, aStatus())
	if !strings.Contains(painted.String(), "\x1b[31mdown 5s") {
		t.Errorf("nothing is red:\n%s", painted.String())
	}
	bare := painted.String()
	for _, code := range []string{"0", "1", "2", "31", "32", "33"} {
		bare = strings.ReplaceAll(bare, "\x1b["+code+"m", "")
	}
	if bare != goldenStatus {
		t.Errorf("colours move the columns:\n%s", bare)
	}
}

func TestNoColour(t *testing.T) {
	for _, row := range []struct {
		tty  bool
		env  string
		want paint
	}{{true, "", true}, {true, "1", false}, {false, "", false}} {
		c := &cli{outTTY: row.tty, getenv: func(string) string { return row.env }}
		if c.paintOut() != row.want {
			t.Errorf("%+v", row)
		}
	}
}

func TestAges(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-time.Second: "0s", 59 * time.Second: "59s", 61 * time.Second: "1m01s", 25 * time.Hour: "25h00m", 49 * time.Hour: "2d",
	} {
		if got := age(noon, noon.Add(-d)); got != want {
			t.Errorf("%s: %s, want %s", d, got, want)
		}
	}
	if age(noon, time.Time{}) != "never" {
		t.Error("the zero time is never")
	}
}

func TestVerdict(t *testing.T) {
	rows := []struct {
		name    string
		outcome admin.Outcome
		waited  bool
		code    int
	}{
		{"done", admin.Outcome{Over: true, Receipt: control.Receipt{Done: true}}, true, exitDone},
		{"nobody waited", admin.Outcome{}, false, exitDone},
		{"unchanged", admin.Outcome{Over: true, Receipt: control.Receipt{Unchanged: true}}, true, exitDone},
		{"the deadline", admin.Outcome{}, true, exitUnknown},
		{"over and not done", admin.Outcome{Over: true}, true, exitFailed},
		{"more was cut than allowed", admin.Outcome{Over: true, Receipt: control.Receipt{Done: true}, Problem: &admin.Problem{}}, true, exitFailed},
	}
	for _, row := range rows {
		code, err := exitDone, verdict(row.outcome, row.waited)
		var exit exitError
		switch {
		case errors.As(err, &exit):
			code = exit.code
		case err != nil:
			code = exitFailed
		}
		if code != row.code {
			t.Errorf("%s: exit code %d, want %d", row.name, code, row.code)
		}
	}
}

func TestReceiptListsWhatWasCut(t *testing.T) {
	var out bytes.Buffer
	c := &cli{out: &out}
	r := control.Receipt{Verb: "drain", Service: "web", Done: true, Began: noon, Drain: &drain.Report{Count: drain.Count{Found: 25, Cut: 25}, Took: time.Second}}
	for range 25 {
		r.Drain.CutList = append(r.Drain.CutList, drain.Item{
			ID: "f00-1", Class: drain.WebSocket, Method: "GET", Host: "shop.example", Path: "/ws", Client: "10.1.2.3", Began: noon.Add(-12 * time.Second),
		})
	}
	c.printReceipt(admin.Outcome{Receipt: r, Over: true})
	if !strings.Contains(out.String(), "  cut: websocket f00-1 GET shop.example/ws from 10.1.2.3, 12.0s old\n") || !strings.Contains(out.String(), "and 5 more") {
		t.Errorf("%s", out.String())
	}
}

func TestSpark(t *testing.T) {
	for _, row := range []struct {
		values []float64
		want   string
	}{{nil, "    "}, {[]float64{0, 0}, "  ▁▁"}, {[]float64{1, 4, 8}, " ▁▄█"}, {[]float64{9, 1, 1, 1, 1}, "████"}} {
		if got := spark(row.values, 4); got != row.want {
			t.Errorf("%v: %q, want %q", row.values, got, row.want)
		}
	}
}

// TestDemoView draws a scene and looks for what a person should find in it.
func TestDemoView(t *testing.T) {
	m := &demoModel{rates: map[demo.Class][]float64{}, width: 100}
	s := scene{at: noon, status: aStatus(), address: "127.0.0.1:8080", act: directorView{
		next: noon.Add(1800 * time.Millisecond), flips: 3, acts: []act{{at: noon, short: "blue → green (v2) in 0.8 ms"}, {at: noon, short: "refused", failed: true}},
	}}
	for i := range 3 {
		s.counts = demo.Counts{Elapsed: time.Duration(i) * time.Second, Classes: map[demo.Class]demo.Count{
			demo.Get: {Done: 100 * i, P99: 2 * time.Millisecond, Release: "v1"}, demo.Tunnel: {Cut: 2, Lost: 1, Messages: 10 * i, Release: "v2"},
		}}
		m.Update(s)
	}
	m.Update(scene{at: noon, counts: s.counts, act: s.act, address: s.address}) // Sluice was too busy to tell
	text := m.View().Content
	for _, want := range []string{"127.0.0.1:8080", "next flip in 1.8s", "flips 3", "lost 1", "● blue", "request 1, websocket 2", "get", "2.0 ms", "blue → green (v2) in 0.8 ms", "refused", "q quit"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	if r := m.rates[demo.Get]; len(r) != 2 || r[1] != 100 {
		t.Errorf("rates %v", r)
	}
	if m.rates[demo.Tunnel][1] != 10 {
		t.Errorf("a session's rate is that of its messages: %v", m.rates[demo.Tunnel])
	}
}

func TestDemoKeys(t *testing.T) {
	d := &director{asks: make(chan string, 1)}
	m := &demoModel{stage: &stage{director: d}, rates: map[demo.Class][]float64{}}
	for key, want := range map[rune]string{'f': "flip", 'r': "rollback"} {
		m.Update(tea.KeyPressMsg{Code: key, Text: string(key)})
		m.Update(tea.KeyPressMsg{Code: key, Text: string(key)}) // one too many is dropped and waits for nothing
		if got := <-d.asks; got != want {
			t.Errorf("%c asks for %s", key, got)
		}
	}
	if _, cmd := m.Update(tea.KeyPressMsg{Code: 'q', Text: "q"}); cmd == nil {
		t.Error("q does not quit")
	}
	m.Update(tea.WindowSizeMsg{Width: 70, Height: 20})
	if m.width != 70 {
		t.Error("the window's size is not taken")
	}
}

// TestDemo is the demo itself, for a moment.
func TestDemo(t *testing.T) {
	got := command(nil, "demo", "--duration", "2500ms", "--flip-every", "700ms")
	for _, want := range []string{"two releases of the demo app", "lost 0", "flip web: blue → green (release v2)", "websocket"} {
		if got.code != 0 || !strings.Contains(got.out, want) {
			t.Fatalf("exit %d, want %q\n%s%s", got.code, want, got.out, got.err)
		}
	}
}

func TestDemoReceiptFails(t *testing.T) {
	for _, row := range []struct {
		result demoResult
		want   string
	}{{demoResult{Lost: 2}, "lost 2"}, {demoResult{Failed: "409"}, "lost 0"}} {
		var out bytes.Buffer
		c := &cli{out: &out, getenv: func(string) string { return "" }}
		if err := c.demoReceipt(row.result); err == nil || !strings.Contains(out.String(), row.want) {
			t.Errorf("%+v: %v\n%s", row.result, err, out.String())
		}
	}
}
