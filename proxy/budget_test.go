package proxy

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sluice/upstream"
)

// TestBudgetOverTime plays traffic at 1,000 requests a second: all well for a minute, then each fails whatever is tried.
func TestBudgetOverTime(t *testing.T) {
	for _, test := range []struct {
		reason      string
		rate        int
		share       float64
		healthy     time.Duration
		storm       time.Duration
		least, most int // retries in the storm
	}{
		{"a fifth, after a minute of health", 1000, 0.2, time.Minute, 10 * time.Second, 900, 2000},
		{"from the beginning there is only what is free", 1000, 0.2, 0, 10 * time.Second, 90, 110},
		{"little traffic has retries all the same", 5, 0.2, time.Minute, 10 * time.Second, 50, 50},
		{"a share of nothing is nothing", 1000, 0, time.Minute, 10 * time.Second, 0, 0},
		{"all of it", 1000, 1, time.Minute, 2 * time.Second, 1000, 1030},
	} {
		var b budget
		now, succeeded := time.Unix(0, 0), int64(0)
		b.begin(now)
		for range int(test.healthy.Seconds()) * test.rate {
			now = now.Add(time.Second / time.Duration(test.rate))
			succeeded++
			if succeeded%1000 == 0 {
				b.spend(test.share, succeeded, now) // now and then one fails
			}
		}
		retries := 0
		for range int(test.storm.Seconds()) * test.rate {
			now = now.Add(time.Second / time.Duration(test.rate))
			if b.spend(test.share, succeeded, now) {
				retries++
			}
		}
		if retries < test.least || retries > test.most {
			t.Errorf("%s: %d retries, want %d to %d", test.reason, retries, test.least, test.most)
		}
	}
}

// TestBudgetLastsForASteadyShare: when one backend of ten fails everything, each of its requests gets another one.
func TestBudgetLastsForASteadyShare(t *testing.T) {
	var b budget
	now, succeeded := time.Unix(0, 0), int64(0)
	b.begin(now)
	denied := 0
	for i := range 60_000 {
		now = now.Add(time.Millisecond)
		if i%10 == 0 && !b.spend(0.2, succeeded, now) {
			denied++
			continue
		}
		succeeded++
	}
	if denied > 10 {
		t.Errorf("%d of 6000 retries denied, though they are half of the budget", denied)
	}
}

// quitter reads a request and ends the connection.
func quitter(l net.Listener, seen *atomic.Int64) {
	for {
		nc, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer nc.Close()
			if _, err := http.ReadRequest(bufio.NewReader(nc)); err == nil {
				seen.Add(1)
			}
		}()
	}
}

// TestNoStorm: three backends fail each request that they have read, at about a thousand a second.
func TestNoStorm(t *testing.T) {
	w := newWorld(t, 0, generous)
	var seen atomic.Int64
	for range 3 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
		go quitter(l, &seen)
		w.origins = append(w.origins, &origin{t: t, l: l, Backend: backendOf(l)})
	}
	w.route(1)
	const clients, each = 10, 200
	pace := time.NewTicker(time.Millisecond)
	defer pace.Stop()
	var all sync.WaitGroup
	for range clients {
		all.Go(func() {
			nc := dialled(t, w.l)
			defer nc.Close()
			br := bufio.NewReader(nc)
			for range each {
				<-pace.C
				io.WriteString(nc, get)
				if res, err := http.ReadResponse(br, nil); err != nil || res.StatusCode != 502 {
					t.Errorf("%v, %v", res, err)
					return
				} else {
					io.Copy(io.Discard, res.Body)
				}
			}
		})
	}
	all.Wait()
	if n := seen.Load(); n < clients*each || n > clients*each*6/5 {
		t.Errorf("the backends saw %d of %d requests", n, clients*each)
	}
	c := w.service.Counters
	if c.Denied.Load() == 0 || c.Retries.Load() < seen.Load()-clients*each {
		t.Errorf("denied %d, retried %d, seen %d", c.Denied.Load(), c.Retries.Load(), seen.Load())
	}
}

// TestUnsentIsFree: a refused connection gives no work to anyone, so that one dead backend of two costs no request,
// however many there are.
func TestUnsentIsFree(t *testing.T) {
	ex := &Exchange{Service: &Service{Resend: &Resend{Attempts: 2}, Counters: &Counters{}}}
	ex.Request.Method = []byte("GET")
	for _, test := range []struct {
		err  *upstream.Error
		free bool
	}{
		{&upstream.Error{Phase: upstream.Dialling}, true},
		{&upstream.Error{Phase: upstream.Waiting, Sent: true, Untaken: true}, true},
		{&upstream.Error{Phase: upstream.Waiting, Sent: true}, false},
	} {
		if got := ex.mayRepeat(test.err); got != test.free {
			t.Errorf("%+v without a budget: sent again %v", test.err, got)
		}
	}
	ex.Service.Resend = &Resend{Attempts: 1, Share: 1}
	if ex.mayRepeat(&upstream.Error{Phase: upstream.Dialling}) {
		t.Error("off is off")
	}
}
