package front

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"sluice/drain"
	"sluice/proxy"
)

// TestSlowBodyHoldsNoBackend: whatever carries a body, a backend hears of it when it is here.
func TestSlowBodyHoldsNoBackend(t *testing.T) {
	overEach(t, digestHandler, func(s *setup) {
		for _, length := range []int64{8, -1} {
			from, to := io.Pipe()
			req, _ := http.NewRequest("POST", s.url+"/", from)
			req.ContentLength = length
			before := s.backend.Endpoint.Stats.Requests.Load()
			answer := make(chan string, 1)
			go func() {
				res, err := s.client.Do(req)
				if err != nil {
					answer <- err.Error()
					return
				}
				body, err := io.ReadAll(res.Body)
				res.Body.Close()
				answer <- fmt.Sprint(string(body), err)
			}()
			io.WriteString(to, "half")
			time.Sleep(30 * time.Millisecond)
			if n := s.backend.Endpoint.Stats.Requests.Load() - before; n != 0 || s.backend.Gate.Inside() != 0 {
				s.t.Errorf("length %d: a backend was taken for half a body", length)
			}
			io.WriteString(to, "half")
			to.Close()
			if got, want := <-answer, digest([]byte("halfhalf"))+" 8<nil>"; got != want {
				s.t.Errorf("length %d: %s, want %s", length, got, want)
			}
		}
	})
}

// TestHeldBodyIsSentAgain: a PUT that comes to a backend which dies goes to another one, whatever carried it here.
func TestHeldBodyIsSentAgain(t *testing.T) {
	overEach(t, digestHandler, func(s *setup) {
		dying := dyingBackend(s.t)
		s.route(dying, s.backend)
		body := bytes.Repeat([]byte("x"), 40<<10)
		for range 4 {
			req, _ := http.NewRequest("PUT", s.url+"/", struct{ io.Reader }{bytes.NewReader(body)})
			res, err := s.client.Do(req)
			if err != nil {
				s.t.Fatal(err)
			}
			if got := s.read(res); res.StatusCode != 200 || !strings.HasPrefix(got, digest(body)) {
				s.t.Errorf("%d %s", res.StatusCode, got)
			}
		}
		if dying.Endpoint.Stats.Requests.Load() == 0 {
			s.t.Error("no request came to the backend that dies")
		}
	})
}

// TestTooLargeBodyIsToldSo: the client reads why, though it would go on sending for long.
func TestTooLargeBodyIsToldSo(t *testing.T) {
	overEach(t, digestHandler, func(s *setup) {
		s.most = 100 << 10
		s.route(s.backend)
		for _, length := range []int64{1 << 30, -1} {
			req, _ := http.NewRequest("POST", s.url+"/", io.LimitReader(zeroes{}, 1<<30))
			req.ContentLength = length
			res, err := s.client.Do(req)
			if err != nil {
				s.t.Fatalf("length %d: the answer did not arrive: %v", length, err)
			}
			if body := s.read(res); res.StatusCode != 413 || !strings.Contains(body, "larger than the service takes") {
				s.t.Errorf("length %d: %d %q", length, res.StatusCode, body)
			}
		}
		body := bytes.Repeat([]byte("x"), 100<<10)
		res, err := s.client.Post(s.url+"/", "text/plain", bytes.NewReader(body))
		if err != nil {
			s.t.Fatal(err)
		}
		if got := s.read(res); res.StatusCode != 200 || !strings.HasPrefix(got, digest(body)) {
			s.t.Errorf("a body at the limit: %d %s", res.StatusCode, got)
		}
	})
}

// drips gives a byte now and then, until it is closed.
type drips struct{ ended chan struct{} }

func (d drips) Read(p []byte) (int, error) {
	select {
	case <-d.ended:
		return 0, io.EOF
	case <-time.After(5 * time.Millisecond):
		p[0] = 'x'
		return 1, nil
	}
}

func (d drips) Close() error { return nil }

// TestDrippedBodyIsToldSo: a client that sends a byte now and then is not waited for, however long it would go on.
func TestDrippedBodyIsToldSo(t *testing.T) {
	overEach(t, digestHandler, func(s *setup) {
		s.proxy.Pace = proxy.Pace{Rate: 10_000, Grace: 100 * time.Millisecond}
		s.route(s.backend)
		ended := make(chan struct{})
		defer close(ended)
		for _, length := range []int64{1000, -1} {
			req, _ := http.NewRequest("POST", s.url+"/", drips{ended})
			req.ContentLength = length
			res, err := s.client.Do(req)
			if err != nil {
				s.t.Fatalf("length %d: the answer did not arrive: %v", length, err)
			}
			if body := s.read(res); res.StatusCode != 408 || !strings.Contains(body, "too slowly") {
				s.t.Errorf("length %d: %d %q", length, res.StatusCode, body)
			}
		}
		if n := s.backend.Endpoint.Stats.Requests.Load(); n != 0 {
			s.t.Errorf("a backend was asked %d times", n)
		}
	})
}

// TestExitEndsWhatIsTakenIn: a body that is still to come when Sluice goes has the time of the drain, and no more.
func TestExitEndsWhatIsTakenIn(t *testing.T) {
	overEach(t, digestHandler, func(s *setup) {
		from, to := io.Pipe()
		defer to.Close()
		over := make(chan error, 1)
		go func() {
			res, err := s.client.Post(s.url+"/", "text/plain", from)
			if err == nil {
				res.Body.Close()
			}
			over <- err
		}()
		io.WriteString(to, "half")
		s.waitFor("the connection is there", func() bool { return s.front.Connections() == 1 })
		began := time.Now()
		s.front.Drain(context.Background(), 0, drain.Policy{Timeout: 200 * time.Millisecond})
		if took := time.Since(began); took > 3*time.Second || s.front.Connections() != 0 {
			s.t.Errorf("%d connections are left after %s", s.front.Connections(), took)
		}
		to.Close()
		<-over
	})
}

// TestBodyThatLeavesIsForgotten: nothing waits for the rest of a body whose client is gone.
func TestBodyThatLeavesIsForgotten(t *testing.T) {
	overEach(t, digestHandler, func(s *setup) {
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		from, to := io.Pipe()
		defer to.Close()
		req, _ := http.NewRequestWithContext(ctx, "POST", s.url+"/", from)
		over := make(chan error, 1)
		go func() {
			_, err := s.client.Do(req)
			over <- err
		}()
		io.WriteString(to, "half")
		cancel()
		to.CloseWithError(context.Canceled)
		if err := <-over; err == nil {
			s.t.Error("half a body was answered")
		}
		s.waitFor("the connection ends", func() bool {
			s.client.CloseIdleConnections()
			return s.front.Connections() == 0
		})
		if n := s.backend.Endpoint.Stats.Requests.Load(); n != 0 {
			s.t.Errorf("a backend was asked %d times", n)
		}
	})
}
