package proxy

import (
	"strings"
	"testing"
	"time"
)

// TestCredit reads as the clock of a client: waited, then brought.
func TestCredit(t *testing.T) {
	type step struct {
		waited time.Duration
		bytes  int
	}
	every := func(wait time.Duration, bytes, times int) (list []step) {
		for range times {
			list = append(list, step{wait, bytes})
		}
		return list
	}
	const body = time.Minute
	tests := []struct {
		reason string
		steps  []step
		ok     bool
	}{
		{"nothing within the grace", every(29*time.Second, 1, 1), true},
		{"a byte a second, beyond it", every(time.Second, 1, 32), false},
		{"the pace, for an hour", every(time.Second, 256, 3600), true},
		{"a little less than it, for long", every(time.Second, 240, 600), false},
		{"a phone that falls silent and comes back", append(every(time.Second, 10_000, 60), step{59 * time.Second, 100}, step{time.Second, 10_000}), true},
		{"a fast beginning, then a drip", append(every(0, 64<<10, 100), every(10*time.Second, 1, 10)...), false},
		{"a fast beginning, then a drip for as long as one silence", append(every(0, 64<<10, 100), every(10*time.Second, 1, 6)...), true},
	}
	for _, test := range tests {
		p := New(Timeouts{Body: body}, nil)
		p.Pace = Pace{Rate: 256, Grace: 30 * time.Second}
		in, ok := &inflow{}, true
		for _, s := range test.steps {
			in.credit -= s.waited
			ok = ok && p.earn(in, s.bytes)
		}
		if ok != test.ok {
			t.Errorf("%s: %v, with a credit of %s", test.reason, ok, in.credit)
		}
	}
}

// drip sends a byte now and then until the connection is over.
func (p *peer) drip(b string, every time.Duration) {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for range ticker.C {
		if _, err := p.Write([]byte(b)); err != nil {
			return
		}
	}
}

// TestDrippedBodyIsA408: before a backend is claimed, and after.
func TestDrippedBodyIsA408(t *testing.T) {
	for name, test := range map[string]struct{ head, begun, drip string }{
		"from its first byte": {long, "", "x"},
		"in chunks":           {"Transfer-Encoding: chunked\r\n\r\n", "", "1\r\nx\r\n"},
		"behind 64 KiB":       {long, enough, "x"},
	} {
		w := newWorld(t, 1, Timeouts{Response: 5 * time.Second, Body: 100 * time.Millisecond, Write: time.Second})
		w.proxy.Pace = Pace{Rate: 10_000, Grace: 50 * time.Millisecond}
		w.route(2)
		c := w.ask(post, test.head, test.begun)
		go c.drip(test.drip, 5*time.Millisecond)
		c.has("HTTP/1.1 408", "Connection: close")
		if o := w.over(); o.Err != errBodySlow {
			t.Errorf("%s: %+v", name, o)
		}
		waitFor(t, "nothing is inside", func() bool { return w.origins[0].Gate.Inside() == 0 })
		w.released()
		c.Close()
	}
}

// TestSlowBackendIsNotTheClientsFault: the body waits for the backend to read it.
func TestSlowBackendIsNotTheClientsFault(t *testing.T) {
	w := newWorld(t, 1, generous)
	w.proxy.Pace = Pace{Rate: 1 << 30, Grace: 100 * time.Millisecond}
	w.route(2)
	const size = 16 << 20
	c := w.ask(post, "Content-Length: 16777216\r\n\r\n")
	go c.Write(make([]byte, size))
	b := w.origins[0].conn()
	b.head()
	for range 8 {
		time.Sleep(40 * time.Millisecond)
		b.expect(strings.Repeat("\x00", size/8))
	}
	b.send(ok0)
	c.has("HTTP/1.1 200")
}

// TestConversationHasNoPace: once the app has begun to answer, the client may send what it has to say when it likes.
func TestConversationHasNoPace(t *testing.T) {
	w := newWorld(t, 1, Timeouts{Response: 5 * time.Second, Body: 200 * time.Millisecond, Write: time.Second})
	w.proxy.Pace = Pace{Rate: 1 << 30, Grace: 100 * time.Millisecond}
	w.route(2)
	c := w.ask(post, "Transfer-Encoding: chunked\r\n\r\n", chunk)
	b := w.origins[0].conn()
	b.head()
	b.expect(chunk)
	b.send(ok, "Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n")
	c.has("HTTP/1.1 200")
	c.expect("1\r\na\r\n")
	for range 10 {
		time.Sleep(30 * time.Millisecond)
		c.send("1\r\nx\r\n")
		b.expect("1\r\nx\r\n")
		b.send("1\r\na\r\n")
		c.expect("1\r\na\r\n")
	}
	c.send(last)
	b.expect(last)
	b.send(last)
	c.expect(last)
	if o := w.over(); o.Err != nil {
		t.Errorf("%+v", o)
	}
}

// TestTooLargeBodyIsA413: before a backend is claimed when its length is known, and as soon as it shows where not.
func TestTooLargeBodyIsA413(t *testing.T) {
	tests := []struct {
		reason, request string
		most            int64
		reaches         bool // a backend, before it shows
		keeps           bool // the connection goes on
	}{
		{"with its head", post + "Content-Length: 5\r\n\r\nhello", 4, false, true},
		{"announced", post + long, 4, false, false},
		{"announced, and asked for leave", post + "Expect: 100-continue\r\n" + long, 4, false, false},
		{"announced, and on its way", post + long + enough, 64 << 10, false, false},
		{"in chunks", post + "Transfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n1\r\ne\r\n", 4, false, false},
		{"in chunks behind 64 KiB", post + "Transfer-Encoding: chunked\r\n\r\n" + chunk + "1\r\nx\r\n", 64 << 10, true, false},
	}
	for _, test := range tests {
		w := newWorld(t, 1, generous)
		w.most = test.most
		w.route(2)
		c := w.ask(test.request)
		head := c.has("HTTP/1.1 413")
		if strings.Contains(head, "Connection: close") == test.keeps {
			t.Errorf("%s: keeps %v\n%s", test.reason, test.keeps, head)
		}
		if o := w.over(); o.Err != errBodyLarge || o.Retries != 0 {
			t.Errorf("%s: %+v", test.reason, o)
		}
		if got := w.origins[0].Endpoint.Stats.Requests.Load() == 1; got != test.reaches {
			t.Errorf("%s: reached a backend: %v", test.reason, got)
		}
		w.released()
	}
}

// TestLargestBodyPasses: the limit is the last size that is taken.
func TestLargestBodyPasses(t *testing.T) {
	for _, request := range []string{"Content-Length: 4\r\n\r\nbody", "Transfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n"} {
		w := newWorld(t, 1, generous)
		w.most = 4
		w.route(2)
		c := w.ask(post, request)
		b := w.origins[0].conn()
		b.head()
		b.expect("body")
		b.send(ok0)
		c.has("HTTP/1.1 200")
	}
}
