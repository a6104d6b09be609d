package proxy

import (
	"strings"
	"sync"
	"testing"
	"time"

	"sluice/drain"
)

func TestFlowForgetsAfterTenSeconds(t *testing.T) {
	var f flow
	at := time.Now()
	for i := range 30 { // ten bytes each second
		f.add(at.Add(time.Duration(i)*time.Second), 10)
	}
	now := at.Add(29 * time.Second)
	if n := f.recent(now); n != 100 {
		t.Errorf("%d bytes in ten seconds, want 100", n)
	}
	for after, want := range map[time.Duration]int64{4 * time.Second: 60, 9 * time.Second: 10, 10 * time.Second: 0, time.Hour: 0} {
		if n := f.recent(now.Add(after)); n != want {
			t.Errorf("%s later %d bytes, want %d", after, n, want)
		}
	}
	if moved := f.movedAt(time.Time{}); f.total.Load() != 300 || now.Sub(moved) != 0 {
		t.Errorf("total %d, moved %s ago", f.total.Load(), now.Sub(moved))
	}
	f.add(now, mostByte)
	if n := f.recent(now); n < mostByte {
		t.Errorf("a second's count came round: %d", n)
	}
	f.reset()
	if n := f.recent(now); n != 0 || f.total.Load() != 0 || f.movedAt(at) != at {
		t.Errorf("%d after a reset", n)
	}
}

// TestFlowIsReadWhileItMoves is for the race detector, and for counts that only grow.
func TestFlowIsReadWhileItMoves(t *testing.T) {
	var f flow
	var both sync.WaitGroup
	done := make(chan struct{})
	both.Go(func() {
		defer close(done)
		for range 20000 {
			f.add(time.Now(), 3)
		}
	})
	var seen int64
	for open := true; open; {
		select {
		case <-done:
			open = false
		default:
		}
		if n := f.recent(time.Now()); n < seen && seen-n > 60000 {
			t.Errorf("%d after %d", n, seen)
		} else {
			seen = n
		}
	}
	both.Wait()
	if f.total.Load() != 60000 || seen != 60000 {
		t.Errorf("total %d, recent %d", f.total.Load(), seen)
	}
}

// awaitItem waits until the one exchange inside looks right.
func (w *world) awaitItem(what string, ok func(drain.Item) bool) drain.Item {
	w.t.Helper()
	var it drain.Item
	waitFor(w.t, what, func() bool {
		items := w.proxy.Ledger.Inside()
		if len(items) == 1 {
			it = items[0]
		}
		return len(items) == 1 && ok(it)
	})
	return it
}

// TestBytesAreCountedWhileTheyMove: of each kind of work, before it is over.
func TestBytesAreCountedWhileTheyMove(t *testing.T) {
	w := newWorld(t, 1, generous)
	moved := func(in, out int64) func(drain.Item) bool {
		return func(it drain.Item) bool {
			return it.BytesIn == in && it.BytesOut == out && it.Recent == in+out && !it.Idle
		}
	}

	c := w.ask(post, "Content-Length: 5\r\n\r\nhello")
	b := w.origins[0].conn()
	b.head()
	w.awaitItem("a small body is counted", moved(5, 0))
	b.send(ok0)
	c.has("HTTP/1.1 200")
	w.over()
	w.origins[0].Endpoint.CloseIdle()

	c = w.ask(post, long, enough)
	b = w.origins[0].conn()
	b.head()
	b.expect(enough)
	it := w.awaitItem("an upload is counted", moved(int64(len(enough)), 0))
	if it.Class != drain.Upload || it.Service != "web" || it.Route != "/" || it.Path != "/up" || it.Pool != "blue" || it.Backend != w.origins[0].Name {
		t.Errorf("%+v", it)
	}
	c.send(rest)
	b.expect(rest)
	b.send(ok0)
	w.over()
	w.origins[0].Endpoint.CloseIdle()

	w.ask(get)
	b = w.origins[0].conn()
	b.head()
	b.send(events, "9\r\ndata: x\n\n\r\n")
	w.awaitItem("an event stream is counted", moved(0, 9))
	b.send(last)
	w.over()
	w.origins[0].Endpoint.CloseIdle()

	c, b = open(w, "echo")
	c.send("12345")
	b.expect("12345")
	b.send("123")
	w.awaitItem("a tunnel is counted while it is open", moved(5, 3))
	c.Close()
	w.over()
}

func TestQuietWorkIsIdle(t *testing.T) {
	ex := incoming(false)
	ex.Peer = &Peer{}
	ex.Began = time.Now()
	ex.enter(drain.NewGate())
	ex.in.add(ex.Began.Add(2*time.Second), 7)
	for age, want := range map[time.Duration]drain.Item{
		time.Second:      {Quiet: 0, Recent: 7}, // the coarse clock of who counts may be ahead of who looks
		3 * time.Second:  {Quiet: 1000, Recent: 7},
		13 * time.Second: {Quiet: 11000, Idle: true},
	} {
		it, _ := ex.item(nil, ex.Began.Add(age))
		if it.Quiet != want.Quiet || it.Idle != want.Idle || it.Recent != want.Recent && age > 2*time.Second || it.Age != age.Milliseconds() {
			t.Errorf("after %s: quiet %d, idle %v, recent %d", age, it.Quiet, it.Idle, it.Recent)
		}
	}
}

func TestShownText(t *testing.T) {
	for _, row := range []struct{ reason, text, want string }{
		{"plain", "/a/b", "/a/b"},
		{"control characters", "/\x1b[2J\a\x7f", "/%1B[2J%07%7F"},
		{"bytes that are no ASCII", "/\u009b\xff", "/%C2%9B%FF"},
		{"too long", "/" + strings.Repeat("a", 300) + strings.Repeat("b", 300), "/" + strings.Repeat("a", 255) + "…" + strings.Repeat("b", 256)},
	} {
		if got := shown([]byte(row.text), longestPath); got != row.want {
			t.Errorf("%s: %q", row.reason, got)
		}
	}
}

func TestLookListsTheOldest(t *testing.T) {
	var l Ledger
	var all []*Exchange
	gate, other := drain.NewGate(), drain.NewGate()
	for i := range 500 {
		ex := incoming(false)
		ex.Peer = &Peer{}
		ex.Began = time.Now().Add(-time.Duration((i*7919)%500) * time.Second)
		ex.setClass(drain.Class(i % 2))
		ex.enter([]*drain.Gate{gate, other}[i%5/4])
		l.Add(ex)
		all = append(all, ex)
	}
	if got := l.Look(10); got.Total != 500 || len(got.Items) != 10 || got.More != 490 || got.Items[0].Age/1000 != 499 || got.Items[9].Age/1000 != 490 {
		t.Errorf("%d inside, %d listed, %d more; the oldest %d ms", got.Total, len(got.Items), got.More, got.Items[0].Age)
	}
	if got := l.Look(1000, gate); got.Total != 400 || len(got.Items) != 400 || got.By[drain.Request] != 200 || got.By[drain.Upload] != 200 {
		t.Errorf("of one gate: %d, %v", got.Total, got.By)
	}
	if got := l.Look(0, gate, other); got.Total != 500 || len(got.Items) != 0 || got.More != 500 {
		t.Errorf("counted only: %+v", got)
	}
	for _, ex := range all {
		ex.leave()
	}
	if got := l.Look(10); got.Total != 0 || got.Items == nil {
		t.Errorf("%+v", got)
	}
}
