package front

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"sluice/drain"
	"sluice/proxy"
	"sluice/upstream"
)

// pause has the requests of the service wait in a room, or go on.
func (s *setup) pause(room *proxy.Room, hold bool) {
	s.t.Helper()
	snapshot, err := proxy.NewSnapshot(2, []*proxy.Service{{
		Name: "web", Path: "/", Live: upstream.NewPool("blue", upstream.RoundRobin, []*upstream.Backend{s.backend}),
		Hold: hold, Planned: hold, Room: room, Holds: proxy.Holds{Age: time.Minute, Requests: 100, Bytes: 1 << 20, Ramp: 100},
	}})
	if err != nil {
		s.t.Fatal(err)
	}
	s.proxy.Swap(snapshot)
}

func (s *setup) waits(room *proxy.Room, n int) {
	s.t.Helper()
	s.waitFor("requests wait", func() bool { return room.Waiting().Inside == n })
}

// TestHeldOverEachProtocol: a body that is here whole, one that is longer than what is taken in, and none at all.
func TestHeldOverEachProtocol(t *testing.T) {
	overEach(t, digestHandler, func(s *setup) {
		room := new(proxy.Room)
		s.pause(room, true)
		bodies := []string{"", "hello", strings.Repeat("x", 300<<10)}
		answers := make(chan string, len(bodies))
		for _, body := range bodies {
			go func() {
				res, err := s.client.Post(s.url+"/", "text/plain", strings.NewReader(body))
				if err != nil {
					answers <- err.Error()
					return
				}
				answers <- s.read(res)
			}()
		}
		s.waits(room, len(bodies))
		if n := room.Waiting().Bytes; n < 64<<10 || n > 80<<10 {
			t.Errorf("%d bytes wait: of the large body 64 KiB are in memory", n)
		}
		s.pause(room, false)
		got := map[string]bool{}
		for range bodies {
			got[<-answers] = true
		}
		for _, body := range bodies {
			if want := digest([]byte(body)); !got[fmt.Sprintf("%s %d", want, len(body))] {
				t.Errorf("no answer for %d bytes: %v", len(body), got)
			}
		}
	})
}

// TestHeldClientsAreForgotten: one that leaves gives its place back soon, whatever carried it.
func TestHeldClientsAreForgotten(t *testing.T) {
	overEach(t, func(http.ResponseWriter, *http.Request) {}, func(s *setup) {
		room := new(proxy.Room)
		s.pause(room, true)
		ctx, leave := context.WithCancel(t.Context())
		over := make(chan error, 1)
		go func() {
			req, _ := http.NewRequestWithContext(ctx, "GET", s.url+"/", nil)
			_, err := s.client.Do(req)
			over <- err
		}()
		s.waits(room, 1)
		leave()
		if err := <-over; err == nil {
			t.Fatal("it was answered")
		}
		left := time.Now()
		s.waits(room, 0)
		if took := time.Since(left); took > 2*time.Second {
			t.Errorf("its place was free after %s", took)
		}
		if w := room.Waiting(); w.Left != 1 || w.Bytes != 0 {
			t.Errorf("%+v", w)
		}
	})
}

// TestHeldAtTheExit: who waits is answered at the deadline, and the report names it.
func TestHeldAtTheExit(t *testing.T) {
	overEach(t, func(http.ResponseWriter, *http.Request) {}, func(s *setup) {
		room := new(proxy.Room)
		s.pause(room, true)
		status := make(chan int, 1)
		go func() {
			res, err := s.client.Get(s.url + "/")
			if err != nil {
				t.Error(err)
				status <- 0
				return
			}
			s.read(res)
			status <- res.StatusCode
		}()
		s.waits(room, 1)
		report := s.front.Drain(t.Context(), 0, drain.Policy{Timeout: 200 * time.Millisecond})
		if got := <-status; got != 503 {
			t.Errorf("answered %d", got)
		}
		if c := report.Classes[drain.Held]; c.Found != 1 || c.Cut != 1 {
			t.Errorf("%s: %+v", report, report.Classes)
		}
	})
}
