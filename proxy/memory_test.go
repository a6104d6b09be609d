package proxy

import (
	"runtime"
	"testing"
	"time"
)

func TestMemoryHasHysteresis(t *testing.T) {
	var m Memory
	m.limit.Store(100)
	for i, step := range []struct {
		held          int64
		full, changed bool
	}{
		{50, false, false}, {100, false, false}, {101, true, true}, {102, true, false}, {95, true, false}, {90, true, false},
		{89, false, true}, {95, false, false}, {200, true, true},
	} {
		if changed := m.judge(step.held); changed != step.changed || m.Use().Full != step.full {
			t.Errorf("step %d, %d held: full %v, changed %v", i, step.held, m.Use().Full, changed)
		}
	}
}

// TestShedding: while there is no room new requests are refused, and those inside finish.
func TestShedding(t *testing.T) {
	w := newWorld(t, 1, generous)
	inside := w.ask(get)
	b := w.origins[0].conn()
	b.head()
	w.proxy.Memory.full.Store(true)
	refused := w.ask(get)
	refused.has("HTTP/1.1 503", "Retry-After: 1", "Connection: close", `Proxy-Status: sluice; error=proxy_internal_response; details="sent=none"`)
	refused.rest()
	b.send(ok0)
	inside.has("HTTP/1.1 200")
	w.proxy.Memory.full.Store(false)
	inside.send(get)
	b.head()
	b.send(ok0)
	inside.has("HTTP/1.1 200")
	if n := w.proxy.Memory.Use().Shed; n != 1 {
		t.Errorf("%d counted", n)
	}
}

// TestWatchSeesMemory: it is the real memory that is looked at.
func TestWatchSeesMemory(t *testing.T) {
	runtime.GC() // what other tests left behind would go meanwhile, and hide what comes
	var m Memory
	stop, done, told := make(chan struct{}), make(chan struct{}), make(chan bool, 10)
	go func() {
		defer close(done)
		m.Watch(stop, heldMemory()()+(64<<20), func(full bool, _ int64) { told <- full })
	}()
	defer func() { close(stop); <-done }()
	ballast := make([][]byte, 0, 128)
	for range cap(ballast) {
		b := make([]byte, 1<<20)
		for i := 0; i < len(b); i += 4096 {
			b[i] = 1
		}
		ballast = append(ballast, b)
	}
	for _, want := range []bool{true, false} {
		select {
		case full := <-told:
			if full != want || m.Use().Full != want {
				t.Fatalf("told %v, want %v", full, want)
			}
		case <-time.After(8 * time.Second):
			t.Fatalf("not told %v: %+v, %d pieces", want, m.Use(), len(ballast))
		}
		clear(ballast)
	}
}
