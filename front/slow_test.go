package front

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
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
