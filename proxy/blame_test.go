package proxy

import (
	"testing"
	"time"

	"sluice/upstream"
)

// watched is a world of one origin whose errors and times are counted.
func watched(t *testing.T, timeouts Timeouts) (*world, *upstream.Watch) {
	var answers upstream.Statuses
	answers.Add(502, 504)
	w := newWorld(t, 1, timeouts)
	watch := upstream.NewWatch(upstream.Thresholds{Errors: 100, Answers: answers, Latency: true}, func() {})
	w.origins[0].Watch = watch
	w.route(2) // what was changed is for all to see
	return w, watch
}

// TestWhatCountsAgainstABackend: each case begins behind one failure, so that it shows whether it adds to the run, ends it,
// or says nothing.
func TestWhatCountsAgainstABackend(t *testing.T) {
	answer := func(text string) func(*peer, *peer) { return func(_, b *peer) { b.send(text) } }
	tests := []struct {
		reason, request string
		then            func(client, backend *peer)
		errors, samples int
	}{
		{"a good answer", post0, answer(ok0), 0, 1},
		{"what the client did wrong is no fault of the backend", post0, answer("HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n"), 0, 1},
		{"a status that counts", post0, answer("HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n"), 2, 0},
		{"a 500 is not among them, and its time is not that of a good answer", post0, answer("HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n"), 0, 0},
		{"no answer, on a new connection", post0, func(_, b *peer) { b.reset() }, 2, 0},
		{"no HTTP", post0, answer("SSH-2.0\r\n\r\n"), 2, 0},
		{"too late", post0, func(_, _ *peer) {}, 2, 0},
		{"half a body", post0, func(_, b *peer) { b.send(ok, "Content-Length: 5\r\n\r\nhe"); b.Close() }, 2, 1},
		{"the client left", post0, func(c, _ *peer) { c.reset() }, 1, 0},
	}
	short := generous
	short.Response = 300 * time.Millisecond
	for _, test := range tests {
		w, watch := watched(t, short)
		watch.Failed(time.Now())
		c := w.ask(test.request)
		b := w.origins[0].conn()
		b.head()
		ex := <-w.exchanges
		test.then(c, b)
		if test.reason == "the client left" {
			ex.ClientGone()
		}
		w.over()
		samples, median := watch.Latencies(1)
		if watch.Errors() != test.errors || samples != test.samples || median > 300*time.Millisecond {
			t.Errorf("%s: %d errors, want %d; %d samples, want %d, of %s", test.reason, watch.Errors(), test.errors, samples, test.samples, median)
		}
		b.Close()
	}
}

// TestKeptConnectionThatBreaksProvesNothing: the server may have ended it while the request was on its way.
func TestKeptConnectionThatBreaksProvesNothing(t *testing.T) {
	w, watch := watched(t, generous)
	c, b := warm(w)
	c.send(post0)
	b.head()
	b.Close()
	c.has("HTTP/1.1 502")
	if w.over(); watch.Errors() != 0 {
		t.Errorf("%d errors", watch.Errors())
	}
}

// TestRefusedConnectionCountsOnce: as a connection, and not as an answer that did not come.
func TestRefusedConnectionCountsOnce(t *testing.T) {
	w, watch := watched(t, generous)
	w.origins[0].l.Close()
	w.ask(get).has("HTTP/1.1 502")
	if w.over(); watch.Errors() != 0 || watch.Connects() != 1 {
		t.Errorf("%d errors, %d connects", watch.Errors(), watch.Connects())
	}
}

// TestSlowUploadIsNotASlowBackend: a body that the client sends slowly is not timed.
func TestSlowUploadIsNotASlowBackend(t *testing.T) {
	w, watch := watched(t, generous)
	c := w.ask("PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n")
	c.send(string(make([]byte, 100000)))
	b := w.origins[0].conn()
	b.head()
	b.expect(string(make([]byte, 100000)))
	b.send(ok0)
	c.has("HTTP/1.1 200")
	w.over()
	if samples, _ := watch.Latencies(1); samples != 0 {
		t.Error("it was timed")
	}
}
