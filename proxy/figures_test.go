package proxy

import (
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	"sluice/http1"
	"sluice/upstream"
)

// TestWhatCountsForAPool: requests that ended, those of them that are the release's errors, and answers that were timed.
func TestWhatCountsForAPool(t *testing.T) {
	answer := func(text string) func(*world, *peer, *peer) {
		return func(_ *world, _, b *peer) { b.send(text) }
	}
	tests := []struct {
		reason, request         string
		then                    func(w *world, client, backend *peer)
		requests, errors, timed int
	}{
		{"a good answer", get, answer(ok0), 1, 0, 1},
		{"what the client did wrong", get, answer("HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n"), 1, 0, 1},
		{"an error of the app's", get, answer("HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n"), 1, 1, 0},
		{"no answer", post0, func(_ *world, _, b *peer) { b.reset() }, 1, 1, 0},
		{"no HTTP", post0, answer("SSH-2.0\r\n\r\n"), 1, 1, 0},
		{"too late", post0, func(*world, *peer, *peer) {}, 1, 1, 0},
		{"half a body", post0, func(_ *world, _, b *peer) { b.send(ok, "Content-Length: 5\r\n\r\nhe"); b.Close() }, 1, 1, 0},
		{"the client left", post0, func(w *world, c, _ *peer) { c.reset() }, 0, 0, 0},
		{"a drain cut it", get, func(w *world, _, _ *peer) { cutAll(w) }, 0, 0, 0},
		{"it failed as it left", post0, func(w *world, _, b *peer) { w.origins[0].Gate.Close(); b.reset() }, 0, 0, 0},
		{"an error as it left", get, func(w *world, _, b *peer) {
			w.origins[0].Gate.Close()
			b.send("HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n")
		}, 0, 0, 0},
		{"a good answer as it left", get, func(w *world, _, b *peer) { w.origins[0].Gate.Close(); b.send(ok0) }, 1, 0, 1},
	}
	short := generous
	short.Response = 300 * time.Millisecond
	for _, test := range tests {
		w := newWorld(t, 1, short)
		c := w.ask(test.request)
		b := w.origins[0].conn()
		b.head()
		ex := <-w.exchanges
		test.then(w, c, b)
		if test.reason == "the client left" {
			ex.ClientGone()
		}
		w.over()
		s := w.service.FiguresOf("blue").Sample()
		got := fmt.Sprint(s.Requests, s.Errors, s.Latency.Count(), s.Resets)
		if want := fmt.Sprint(test.requests, test.errors, test.timed, 0); got != want {
			t.Errorf("%s: requests, errors, timed, resets are %s, want %s", test.reason, got, want)
		}
		b.Close()
	}
}

// TestUploadIsCountedAndNotTimed: how long it takes is the client's doing too.
func TestUploadIsCountedAndNotTimed(t *testing.T) {
	w := newWorld(t, 1, generous)
	c := w.ask("PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n")
	c.send(string(make([]byte, 100000)))
	b := w.origins[0].conn()
	b.head()
	b.expect(string(make([]byte, 100000)))
	b.send(ok0)
	c.has("HTTP/1.1 200")
	w.over()
	if s := w.service.FiguresOf("blue").Sample(); s.Requests != 1 || s.Latency.Count() != 0 {
		t.Error(s.Requests, s.Latency.Count())
	}
}

// TestFailureThatARetryHidesIsCounted as a reset, for the pool that failed, beside the answer that the client got.
func TestFailureThatARetryHidesIsCounted(t *testing.T) {
	w := newWorld(t, 2, generous)
	c := w.ask(get)
	var first *peer
	select {
	case first = <-w.origins[0].conns:
	case first = <-w.origins[1].conns:
		w.origins[0], w.origins[1] = w.origins[1], w.origins[0]
	}
	first.head()
	first.reset()
	b := w.origins[1].conn()
	b.head()
	b.send(ok0)
	c.has("HTTP/1.1 200")
	if o := w.over(); o.Retries != 1 {
		t.Fatal(o)
	}
	if s := w.service.FiguresOf("blue").Sample(); s.Requests != 1 || s.Errors != 0 || s.Resets != 1 {
		t.Error(s.Requests, s.Errors, s.Resets)
	}
}

// TestNobodyThereIsNoErrorOfTheRelease: that no backend is ready may be the operator's doing, and health says the rest.
// That a request found nobody who would even connect is one.
func TestNobodyThereIsNoErrorOfTheRelease(t *testing.T) {
	w := newWorld(t, 1, generous)
	w.origins[0].l.Close()
	w.ask(get).has("HTTP/1.1 502")
	w.over()
	if s := w.service.FiguresOf("blue").Sample(); s.Requests != 1 || s.Errors != 1 {
		t.Error("nobody listens", s.Requests, s.Errors)
	}
	w.origins = nil
	w.route(2)
	w.ask(get).has("HTTP/1.1 503")
	w.over()
	if s := w.service.FiguresOf("blue").Sample(); s.Requests != 0 {
		t.Error("no backend", s.Requests)
	}
}

// TestFiguresAddUpAcrossFlips: each answer is counted once, for the pool whose backend gave it, while snapshots change
// under the requests.
func TestFiguresAddUpAcrossFlips(t *testing.T) {
	f := newFlips(t)
	const clients, each = 4, 300
	served := make(chan [2]uint64, clients)
	var done, beside sync.WaitGroup
	stop := make(chan struct{})
	beside.Go(func() { f.flip(stop) })
	for range clients {
		done.Go(func() { served <- f.ask(each) })
	}
	done.Wait()
	close(stop)
	beside.Wait()
	var want [2]uint64
	for range clients {
		n := <-served
		want[0], want[1] = want[0]+n[0], want[1]+n[1]
	}
	if want[0] == 0 || want[1] == 0 {
		t.Fatal("no flip came in between", want)
	}
	for i, figures := range f.figures {
		s := figures.Sample()
		if s.Requests != want[i] || s.Latency.Count() != want[i] || s.Errors+s.Resets != 0 {
			t.Errorf("pool %s: %d requests, %d timed, %d errors, %d resets; it answered %d", figures.Pool, s.Requests, s.Latency.Count(), s.Errors, s.Resets, want[i])
		}
	}
}

// flips is a service whose two pools take turns.
type flips struct {
	t       *testing.T
	proxy   *Proxy
	figures []*Figures
	pools   [2]*upstream.Pool
}

func newFlips(t *testing.T) *flips {
	f := &flips{t: t, proxy: New(generous, nil)}
	for i, name := range []string{"blue", "green"} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		go acceptAll(l)
		b := backendOf(l)
		b.Pool = name
		t.Cleanup(func() { l.Close(); b.Endpoint.CloseIdle() })
		f.pools[i] = upstream.NewPool(name, upstream.RoundRobin, []*upstream.Backend{b})
		f.figures = append(f.figures, &Figures{Pool: name})
	}
	f.to(0)
	return f
}

func (f *flips) to(live int) {
	s, err := NewSnapshot(1, []*Service{{Name: "web", Path: "/", Live: f.pools[live], Figures: f.figures}})
	if err != nil {
		f.t.Error(err)
	}
	f.proxy.Swap(s)
}

func (f *flips) flip(stop chan struct{}) {
	for i := 0; ; i++ {
		select {
		case <-stop:
			return
		default:
			f.to(i % 2)
			time.Sleep(100 * time.Microsecond)
		}
	}
}

// ask sends requests one after the other, and returns how many each pool answered.
func (f *flips) ask(n int) (by [2]uint64) {
	ours, theirs := net.Pipe()
	defer ours.Close()
	l := &link{Conn: http1.NewConn(theirs, &http1.DefaultLimits), plain: theirs}
	l.ex = NewExchange(l, &Peer{Address: "192.0.2.7", Scheme: "http"})
	ex, buf := l.ex, make([]byte, 4096)
	for range n {
		go ours.Write([]byte(get))
		if err := l.ReadRequest(&ex.Request, http1.Waits{First: time.Minute, Head: time.Minute}); err != nil {
			f.t.Error(err)
			return by
		}
		ex.Reset(time.Now())
		read := make(chan struct{})
		go func() { defer close(read); f.readAnswer(ours, buf) }()
		f.proxy.Serve(ex)
		<-read
		for i, p := range f.pools {
			if ex.Backend != nil && ex.Backend.Pool == p.Name {
				by[i]++
			}
		}
	}
	return by
}

func (f *flips) readAnswer(from net.Conn, buf []byte) {
	n := 0
	for n < 5 || string(buf[n-5:n]) != "hello" {
		k, err := from.Read(buf[n:])
		if err != nil {
			f.t.Error(err)
			return
		}
		n += k
	}
}
