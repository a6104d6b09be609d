package proxy

import (
	"context"
	"strings"
	"testing"
	"time"

	"sluice/upstream"
)

// aside is the only origin as probes see it: it is in no snapshot of visitors.
func (w *world) aside() (*Probed, *Figures) {
	w.t.Helper()
	o := w.origins[0]
	figures := &Figures{Pool: "green"}
	b := *o.Backend
	b.Pool, b.Gate = "green", newGate()
	to, err := NewProbed(w.service, upstream.NewPool("green", upstream.RoundRobin, []*upstream.Backend{&b}), figures)
	if err != nil {
		w.t.Fatal(err)
	}
	return to, figures
}

func lookAt(target string) *Probe {
	return &Probe{Method: "GET", Host: "shop.example", Target: target, Good: func(s int) bool { return s == 200 }, Timeout: 300 * time.Millisecond}
}

// TestProbeIsARequestOfNobody: it takes the way of a visitor to a pool that no visitor reaches, and is counted for that alone.
func TestProbeIsARequestOfNobody(t *testing.T) {
	answer := func(text string) func(*peer) { return func(b *peer) { b.send(text) } }
	tests := []struct {
		reason           string
		then             func(b *peer)
		requests, errors uint64
		timed            uint64
	}{
		{"as it is to be", answer("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"), 1, 0, 1},
		{"in chunks", answer("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"), 1, 0, 1},
		{"another status", answer("HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n"), 1, 1, 0},
		{"an error", answer("HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n"), 1, 1, 0},
		{"no answer", (*peer).reset, 1, 1, 0},
		{"none in time", func(*peer) {}, 1, 1, 0},
		{"half of one", func(b *peer) { b.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe") }, 1, 1, 0},
	}
	for _, test := range tests {
		w := newWorld(t, 1, generous)
		to, figures := w.aside()
		over := make(chan struct{})
		go func() { defer close(over); w.proxy.Probe(context.Background(), to, lookAt("/up?full=1")) }()
		b := w.origins[0].conn()
		head := b.has("GET /up?full=1 HTTP/1.1", "Host: shop.example", "User-Agent: sluice-probe", "X-Request-Id: ", "Via: ")
		if strings.Contains(head, "Cookie") {
			t.Error(head)
		}
		test.then(b)
		<-over
		s := figures.Sample()
		if s.Requests != test.requests || s.Errors != test.errors || s.Latency.Count() != test.timed {
			t.Errorf("%s: %d requests, %d errors, %d timed", test.reason, s.Requests, s.Errors, s.Latency.Count())
		}
		w.origins[0].unused()
		select {
		case o := <-w.done:
			t.Errorf("%s: it was observed: %+v", test.reason, o)
		default:
		}
		if v := w.service.FiguresOf("blue").Sample(); v.Requests != 0 || w.service.Status[2].Load() != 0 {
			t.Errorf("%s: it is among visitors", test.reason)
		}
		b.Close()
	}
}

// TestProbeThatIsCalledOffCountsNothing, nor one that nobody could be asked.
func TestProbeThatIsCalledOffCountsNothing(t *testing.T) {
	w := newWorld(t, 1, generous)
	to, figures := w.aside()
	ctx, cancel := context.WithCancel(context.Background())
	over := make(chan struct{})
	go func() {
		defer close(over)
		what := lookAt("/")
		what.Timeout = time.Minute
		w.proxy.Probe(ctx, to, what)
	}()
	w.origins[0].conn().head()
	cancel()
	<-over
	none, err := NewProbed(w.service, upstream.NewPool("green", upstream.RoundRobin, nil), figures)
	if err != nil {
		t.Fatal(err)
	}
	w.proxy.Probe(context.Background(), none, lookAt("/"))
	if s := figures.Sample(); s.Requests != 0 {
		t.Error(s.Requests, s.Errors)
	}
}

// TestProbeOfNobodyListening counts an error at once.
func TestProbeOfNobodyListening(t *testing.T) {
	w := newWorld(t, 1, generous)
	w.origins[0].l.Close()
	to, figures := w.aside()
	w.proxy.Probe(context.Background(), to, lookAt("/"))
	if s := figures.Sample(); s.Requests != 1 || s.Errors != 1 {
		t.Error(s.Requests, s.Errors)
	}
}
