package openloop

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"sluice/internal/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }

func serve(t *testing.T, handler http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(handler)
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

func measured(t *testing.T, plan Plan) (Result, error) {
	t.Helper()
	g, err := Dial(plan)
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	if err := g.Warm(t.Context()); err != nil {
		return Result{}, err
	}
	return g.Measure(t.Context())
}

func TestEachConnectionIsUsedInTurn(t *testing.T) {
	var mu sync.Mutex
	seen := map[string]int{}
	address := serve(t, func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		seen[r.RemoteAddr]++
		mu.Unlock()
		io.WriteString(w, "hello")
	})
	got, err := measured(t, Plan{Address: address, Connections: 50, Rate: 1000, Measured: 200 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	if got.Requests != 200 || got.Took < 150*time.Millisecond || got.P50 <= 0 || got.P99 < got.P50 || got.Max < got.P99 || got.Lag <= 0 || got.Lag > got.P99 {
		t.Errorf("got %+v, want the 200 requests that were due in 0.2 s", got)
	}
	mu.Lock()
	defer mu.Unlock()
	sum := 0
	for _, n := range seen {
		sum += n
	}
	if len(seen) != 50 || sum != 250 {
		t.Errorf("%d connections carried %d requests, want 50 to warm up and 200 more on 50 connections", len(seen), sum)
	}
}

// A server that stops for a while must be charged for every request that was due meanwhile, not for the one it held.
func TestStallIsChargedToEachRequestThatWaited(t *testing.T) {
	var mu sync.Mutex
	n := 0
	address := serve(t, func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if n++; n == 10 {
			time.Sleep(300 * time.Millisecond) // what is tested is that this shows
		}
	})
	got, err := measured(t, Plan{Address: address, Connections: 1, Rate: 500, Measured: 400 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	if got.Requests != 200 || got.P50 < 20*time.Millisecond || got.Late < 50 {
		t.Errorf("got %+v: most of 200 requests were due in the 300 ms of a stall", got)
	}
}

func TestWhatIsNoAnswerIsAnError(t *testing.T) {
	for reason, handler := range map[string]http.HandlerFunc{
		"answered \"HTTP/1.1 404":  http.NotFound,
		"without Content-Length":   func(w http.ResponseWriter, r *http.Request) { w.(http.Flusher).Flush() },
		"the connection was close": func(w http.ResponseWriter, r *http.Request) { panic(http.ErrAbortHandler) },
	} {
		_, err := measured(t, Plan{Address: serve(t, handler), Connections: 1, Rate: 100, Measured: time.Second})
		if err == nil || !strings.Contains(err.Error(), reason) {
			t.Errorf("got %v, want %q", err, reason)
		}
	}
}

func TestNobodyWantsItAnyMore(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	address := serve(t, func(w http.ResponseWriter, r *http.Request) { cancel() })
	g, err := Dial(Plan{Address: address, Connections: 1, Rate: 10, Measured: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	if _, err := g.Measure(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestPlansThatCannotBeRun(t *testing.T) {
	for reason, plan := range map[string]Plan{
		"no connection": {Address: "127.0.0.1:1", Rate: 1},
		"no rate":       {Address: "127.0.0.1:1", Connections: 1},
		"no address":    {Connections: 1, Rate: 1},
		"IPv6":          {Address: "[::1]:1", Connections: 1, Rate: 1},
		"no time":       {Address: "127.0.0.1:1", Connections: 1, Rate: 1, Measured: -1},
	} {
		if g, err := Dial(plan); err == nil {
			g.Close()
			t.Errorf("%s: no error", reason)
		}
	}
}

// TestResponsesComeInPieces cuts one response at each place.
func TestResponsesComeInPieces(t *testing.T) {
	const wire = "HTTP/1.1 200 OK\r\nServer: x\r\nCONTENT-length:  5 \r\n\r\nhello"
	for cut := 1; cut < len(wire); cut++ {
		c := &conn{busy: true}
		if whole, err := c.take([]byte(wire[:cut])); whole || err != nil {
			t.Fatalf("cut at %d: %v, %v", cut, whole, err)
		}
		if whole, err := c.take([]byte(wire[cut:])); !whole || err != nil {
			t.Fatalf("cut at %d: %v, %v", cut, whole, err)
		}
	}
	c := &conn{busy: true}
	if _, err := c.take([]byte(wire + "x")); !errors.Is(err, errUnasked) {
		t.Errorf("a byte too many: %v", err)
	}
}

// TestServe speaks with a generator as with a process of its own.
func TestServe(t *testing.T) {
	address := serve(t, func(w http.ResponseWriter, r *http.Request) {})
	toIt, in := io.Pipe()
	out, fromIt := io.Pipe()
	done := make(chan error, 1)
	go func() { done <- Serve(toIt, fromIt); fromIt.Close() }()
	plan, _ := json.Marshal(Plan{Address: address, Connections: 3, Rate: 300, Measured: 100 * time.Millisecond})
	in.Write(append(plan, '\n'))
	dec := make([]byte, 5)
	if _, err := io.ReadFull(out, dec); err != nil || !bytes.Equal(dec, []byte("warm\n")) {
		t.Fatalf("%q, %v", dec, err)
	}
	in.Write([]byte("go\n"))
	var got Result
	if err := json.NewDecoder(out).Decode(&got); err != nil || got.Requests != 30 {
		t.Errorf("%+v, %v", got, err)
	}
	select {
	case err := <-done:
		t.Errorf("it ended before it was told to: %v", err)
	default:
	}
	in.Close()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestServeEndsWithWhoStartedIt(t *testing.T) {
	address := serve(t, func(w http.ResponseWriter, r *http.Request) {})
	plan, _ := json.Marshal(Plan{Address: address, Connections: 1, Rate: 100, Measured: time.Hour})
	var out bytes.Buffer
	if err := Serve(bytes.NewReader(append(plan, '\n')), &out); err != nil && !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if err := Serve(strings.NewReader(""), &out); err == nil {
		t.Error("no plan is no error")
	}
}
