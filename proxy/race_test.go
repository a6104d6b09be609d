package proxy

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sluice/upstream"
)

// forgetful is a backend that ends a connection which has been idle for a while, as all do, but after a very short while.
// It counts how often it did each request.
type forgetful struct {
	l    net.Listener
	keep time.Duration

	ends, conns atomic.Int64
	mu          sync.Mutex
	done        map[string]int
	last        net.Conn // the one it accepted last
}

func newForgetful(t *testing.T, keep time.Duration) *forgetful {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := &forgetful{l: l, keep: keep, done: map[string]int{}}
	t.Cleanup(func() { l.Close() })
	go f.accept()
	return f
}

func (f *forgetful) accept() {
	for {
		nc, err := f.l.Accept()
		if err != nil {
			return
		}
		f.conns.Add(1)
		f.mu.Lock()
		f.last = nc
		f.mu.Unlock()
		go f.serve(nc)
	}
}

func (f *forgetful) serve(nc net.Conn) {
	defer nc.Close()
	for br := bufio.NewReader(nc); ; {
		nc.SetReadDeadline(time.Now().Add(f.keep))
		r, err := http.ReadRequest(br)
		if err != nil {
			f.ends.Add(1)
			return
		}
		io.Copy(io.Discard, r.Body)
		f.mu.Lock()
		f.done[r.Header.Get("X-Id")]++
		f.mu.Unlock()
		io.WriteString(nc, ok0)
	}
}

// atItsPace sends POSTs one after the other on a connection, at the pace at which the backend ends its own, and returns
// how many failed. again connects anew.
func atItsPace(keep time.Duration, name string, n int, again func() net.Conn) (failed int) {
	nc := again()
	br := bufio.NewReader(nc)
	for i := range n {
		fmt.Fprintf(nc, "POST / HTTP/1.1\r\nHost: x\r\nX-Id: %s-%d\r\nContent-Length: 2\r\n\r\nhi", name, i)
		if res, err := http.ReadResponse(br, nil); err != nil || res.StatusCode != 200 {
			failed++
			nc.Close()
			nc = again()
			br.Reset(nc)
		}
		time.Sleep(keep - 1500*time.Microsecond + rand.N(3*time.Millisecond))
	}
	nc.Close()
	return failed
}

// TestKeepAliveRaceIsImpossible: a backend ends idle connections at the very moment at which the next POST comes. A client
// that takes the risk loses some; through Sluice none is lost, and none is done twice.
func TestKeepAliveRaceIsImpossible(t *testing.T) {
	const keep, clients, each = 50 * time.Millisecond, 8, 50
	w := newWorld(t, 0, generous)
	f := newForgetful(t, keep)
	w.origins = []*origin{newStranger(t, f.l)}
	w.route(1)
	var failed, raced atomic.Int64
	var all sync.WaitGroup
	for c := range clients {
		all.Go(func() {
			failed.Add(int64(atItsPace(keep, fmt.Sprint("c", c), each, func() net.Conn { return w.dial() })))
		})
		all.Go(func() {
			raced.Add(int64(atItsPace(keep, fmt.Sprint("d", c), each, func() net.Conn { return dialled(t, f.l) })))
		})
	}
	all.Wait()
	w.origins[0].Endpoint.CloseIdle()
	if raced.Load() == 0 {
		t.Error("without Sluice no request was lost: there was no race")
	}
	if failed.Load() != 0 {
		t.Errorf("%d of %d POSTs failed; %d did without Sluice", failed.Load(), clients*each, raced.Load())
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for c := range clients {
		for i := range each {
			if n := f.done[fmt.Sprintf("c%d-%d", c, i)]; n != 1 {
				t.Errorf("POST %d of client %d was done %d times", i, c, n)
			}
		}
	}
	t.Logf("%d of %d lost without Sluice, %d with it; learnt %+v", raced.Load(), clients*each, failed.Load(), w.origins[0].Endpoint.KeepAlive())
}

// newStranger is an origin of which nothing is known yet.
func newStranger(t *testing.T, l net.Listener) *origin {
	o := &origin{t: t, l: l, Backend: backendOf(l)}
	o.Endpoint = upstream.NewEndpoint("tcp", l.Addr().String(), upstream.Options{})
	return o
}

func dialled(t *testing.T, l net.Listener) net.Conn {
	nc, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Error(err)
	}
	return nc
}

// TestSteadyPostsKeepTheirConnection: what makes POSTs safe must not cost a connection for each.
func TestSteadyPostsKeepTheirConnection(t *testing.T) {
	w := newWorld(t, 0, generous)
	f := newForgetful(t, time.Minute)
	w.origins = []*origin{newStranger(t, f.l)}
	w.route(1)
	for _, gap := range []time.Duration{0, 5 * time.Millisecond} {
		before := f.conns.Load()
		if n := atItsPace(gap+1500*time.Microsecond, "x", 250, func() net.Conn { return w.dial() }); n != 0 {
			t.Errorf("%d POSTs failed", n)
		}
		if n := f.conns.Load() - before; n > 50 {
			t.Errorf("%d connections for 250 POSTs", n)
		}
		t.Logf("%d connections", f.conns.Load()-before)
	}
	w.origins[0].Endpoint.CloseIdle()
}

// TestPostsThatNobodyRead: the backend ends a kept connection while a POST is on its way. Now and then its end comes
// between the look at the connection and the writing. The POST was then read by nobody, which can be proved, and it is sent
// again. Whatever the order, none is done twice, and where one may have been done its client is told.
func TestPostsThatNobodyRead(t *testing.T) {
	w := newWorld(t, 0, generous)
	f := newForgetful(t, time.Minute)
	again, end := 0, time.Now().Add(20*time.Second)
	for i := 0; again < 3; i++ {
		if time.Now().After(end) {
			t.Fatalf("of %d POSTs none was on its way at the right moment", i)
		}
		o := w.endUnder(f, fmt.Sprint(i))
		f.mu.Lock()
		n := f.done[fmt.Sprint(i)]
		f.mu.Unlock()
		switch {
		case o.Status == 200 && n == 1:
			again += o.Retries
		case o.Status != 502 || n > 1 || o.Retries != 0:
			t.Fatalf("done %d times: %+v", n, o)
		}
	}
}

// endUnder sends a POST on a kept connection, and ends that at about the moment at which the POST is written to it.
func (w *world) endUnder(f *forgetful, id string) outcome {
	w.t.Helper()
	o := &origin{t: w.t, l: f.l, Backend: backendOf(f.l)}
	defer o.Endpoint.CloseIdle()
	w.origins = []*origin{o}
	w.route(1)
	c := w.ask(get)
	defer c.Close()
	<-w.exchanges
	c.has("HTTP/1.1 200")
	w.over()
	f.mu.Lock()
	kept := f.last
	f.mu.Unlock()
	late := time.Now().Add(rand.N(200 * time.Microsecond))
	go func() {
		for time.Now().Before(late) {
		}
		kept.Close()
	}()
	c.send("POST / HTTP/1.1\r\nHost: x\r\nX-Id: ", id, "\r\nContent-Length: 2\r\n\r\nhi")
	c.has("HTTP/1.1 ")
	return w.over()
}
