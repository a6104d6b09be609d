package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"charm.land/lipgloss/v2"

	"sluice/admin"
	"sluice/control"
	"sluice/drain"
)

// someItems are one of each class, and what clients may choose about them.
func someItems() []drain.Item {
	return []drain.Item{
		{ID: "52a1c0ffee000001-1", Class: drain.WebSocket, Method: "GET", Host: "shop.example", Path: "/ws/room/7", Client: "192.0.2.7",
			Service: "web", Pool: "blue", Backend: "10.0.0.1:3000", Age: 724_000, Quiet: 125_000, Idle: true, EndsBy: noon.Add(4500 * time.Millisecond)},
		{ID: strings.Repeat("i", 64), Class: drain.Upload, Method: "POST", Host: "shop.example", Path: "/files/" + strings.Repeat("x", 200) + "/end.bin",
			Client: "2001:db8:85a3:8d3:1319:8a2e:370:7348", Pool: "blue", Backend: "10.0.0.1:3000", Age: 12_300, Recent: 12_345_678, EndsBy: noon.Add(24 * time.Second)},
		{ID: "\x1b[2J", Class: drain.Request, Method: "GET", Path: "/\x1b]0;gotcha\a\u202e\u0301x", Pool: "blue", Backend: "10.0.0.1:3000", Age: 900},
	}
}

// TestLiveTable: what a person sees of a drain fits the terminal, and nothing a client chose moves its cursor.
func TestLiveTable(t *testing.T) {
	for _, size := range [][2]int{{80, 24}, {120, 30}, {200, 12}, {40, 6}} {
		v := &progressView{cli: &cli{errTTY: true, getenv: func(string) string { return "1" }}, verb: "drain", began: time.Now()}
		p := admin.Progress{Inside: 103, InsideBy: map[drain.Class]int{drain.Request: 101, drain.Upload: 1, drain.WebSocket: 1}}
		p.EndsBy = map[drain.Class]time.Time{drain.Upload: noon.Add(24 * time.Second), drain.WebSocket: noon.Add(4500 * time.Millisecond)}
		for range 30 {
			p.Items = append(p.Items, someItems()...)
		}
		lines := v.picture(p, noon, size[0], size[1])
		text := strings.Join(lines, "\n")
		if len(lines) >= size[1] {
			t.Errorf("%v: %d lines", size, len(lines))
		}
		for _, line := range lines {
			if w := lipgloss.Width(line); w >= size[0] && size[0] >= 80 {
				t.Errorf("%v: a line of %d: %s", size, w, line)
			}
			if strings.ContainsAny(line, "\x1b\a\u202e\u0301") {
				t.Errorf("%v: raw bytes of a client: %q", size, line)
			}
		}
		for _, want := range []string{"drain 0.0s  inside 103\n", "request 101  upload 1 ≤24s  websocket 1 ≤5s", "websocket", "12m04s", "4.5s", "idle 2m05s", "POST ", "12.3 MB", "24s", "more"} {
			if size[0] >= 80 && !strings.Contains(text, want) {
				t.Errorf("%v: no %q in\n%s", size, want, text)
			}
		}
		if wide := size[0] >= 120; strings.Contains(text, "52a1c0ffee000001-1") != wide {
			t.Errorf("%v: ids\n%s", size, text)
		}
	}
}

// TestPictureStandsStill: columns do not move when the widest entry has gone, and the old picture is painted over.
func TestPictureStandsStill(t *testing.T) {
	var out bytes.Buffer
	v := &progressView{cli: &cli{err: &out, errTTY: true, getenv: func(string) string { return "1" }}, verb: "flip", began: time.Now()}
	items := someItems()
	first := v.picture(admin.Progress{Inside: 3, Items: items}, noon, 80, 24)
	second := v.picture(admin.Progress{Inside: 1, Items: items[2:]}, noon, 80, 24)
	if strings.Index(first[1], "REQUEST") != strings.Index(second[1], "REQUEST") || !strings.Contains(first[1], "REQUEST") {
		t.Errorf("the columns moved:\n%s\n%s", first[1], second[1])
	}
	v.draw(admin.Progress{Inside: 3, Items: items}, noon)
	if v.drawn != 5 || strings.HasPrefix(out.String(), "\r\x1b[") {
		t.Errorf("%d lines, %q", v.drawn, out.String())
	}
	out.Reset()
	v.draw(admin.Progress{Inside: 1, Items: items[2:]}, noon)
	if !strings.HasPrefix(out.String(), "\r\x1b[5A") || !strings.HasSuffix(out.String(), "\x1b[J") || v.drawn != 3 {
		t.Errorf("%d lines, %q", v.drawn, out.String())
	}
	out.Reset()
	v.clear()
	if out.String() != "\r\x1b[3A\x1b[J" {
		t.Errorf("%q", out.String())
	}
}

func TestProgressInALog(t *testing.T) {
	var errOut bytes.Buffer
	v := &progressView{cli: &cli{err: &errOut}, verb: "drain"}
	at := func(age time.Duration, inside int) {
		v.began = time.Now().Add(-age)
		p := admin.Progress{Inside: inside, InsideBy: map[drain.Class]int{drain.WebSocket: inside}}
		v.update(p)
	}
	at(900*time.Millisecond, 3) // most are over by now
	at(1500*time.Millisecond, 3)
	at(5*time.Second, 3) // nothing new
	at(6*time.Second, 2)
	at(7*time.Second, 1) // too soon
	at(9500*time.Millisecond, 1)
	want := "drain: 3 (websocket 3) inside, 1.5s\ndrain: 2 (websocket 2) inside, 6.0s\ndrain: 1 (websocket 1) inside, 9.5s\n"
	if errOut.String() != want {
		t.Errorf("got\n%swant\n%s", errOut.String(), want)
	}
	errOut.Reset()
	v = &progressView{cli: &cli{err: &errOut}, verb: "ready", began: time.Now().Add(-1500 * time.Millisecond)}
	v.update(admin.Progress{})
	v.update(admin.Progress{})
	if s := errOut.String(); s != "ready: waiting for the backend to be up, 1.5s\n" {
		t.Errorf("%q", s)
	}
}

// TestProgressAsJSON is for machines, and only where it does not stand between the lines of the receipt.
func TestProgressAsJSON(t *testing.T) {
	for _, apart := range []bool{true, false} {
		var errOut bytes.Buffer
		v := &progressView{cli: &cli{err: &errOut, json: true, apart: apart}, verb: "drain", began: time.Now().Add(-2 * time.Second)}
		v.update(admin.Progress{Inside: 1, Items: someItems()[2:]})
		var line admin.Line
		if err := json.Unmarshal(errOut.Bytes(), &line); (err == nil && line.Progress.Inside == 1) != apart {
			t.Errorf("apart %v: %q", apart, errOut.String())
		}
	}
}

func TestMiddleCut(t *testing.T) {
	for _, row := range []struct {
		text string
		most int
		want string
	}{{"short", 5, "short"}, {"0123456789abcdef", 10, "012345…def"}, {"日本語日本語日本語", 9, "日本…語"}, {"abcdef", 1, "…"}, {"", 0, ""}} {
		got := middleCut(row.text, row.most)
		if lipgloss.Width(got) > max(1, row.most) || row.want != "日本…語" && got != row.want {
			t.Errorf("%q to %d: %q", row.text, row.most, got)
		}
	}
}

func TestAgesAndBytes(t *testing.T) {
	for d, want := range map[time.Duration]string{-1: "0.0s", 9900 * time.Millisecond: "9.9s", 59 * time.Second: "59s", 3700 * time.Second: "1h01m", 99 * time.Hour: "4d"} {
		if got := shortAge(d); got != want {
			t.Errorf("%s: %s", d, got)
		}
	}
	for n, want := range map[int64]string{0: "0 B", 999: "999 B", 1500: "1.5 kB", 12_345_678: "12.3 MB", 5e15: "5000.0 TB"} {
		if got := byteText(n); got != want {
			t.Errorf("%d: %s", n, got)
		}
	}
}

func TestReceiptByClass(t *testing.T) {
	var out bytes.Buffer
	c := &cli{out: &out, getenv: func(string) string { return "" }}
	rep := &drain.Report{Count: drain.Count{Found: 9, Finished: 6, Cut: 1, Retried: 2}, CutMore: 7, Classes: map[drain.Class]drain.Count{
		drain.Request: {Found: 8, Finished: 6, Retried: 2}, drain.Stream: {Found: 1, Cut: 1},
	}}
	for i := range 25 {
		rep.CutList = append(rep.CutList, drain.Item{ID: fmt.Sprint("\x1b", i), Class: drain.Stream, Path: "/" + strings.Repeat("p", 500)})
	}
	c.printReceipt(admin.Outcome{Receipt: control.Receipt{Verb: "drain", Service: "web", Done: true, Drain: rep}})
	for _, want := range []string{"2 retried elsewhere", "CLASS    FOUND  FINISHED  CUT  RETRIED", "request  8      6         0    2", "and 12 more (--json lists the oldest 25)", `\x1b7`, "…"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
	if strings.Contains(out.String(), "\x1b") {
		t.Errorf("raw: %q", out.String())
	}
}
