package front

import (
	"sync/atomic"
	"testing"
	"time"
)

// play plays a scene. One that failed while the machine stood still proves nothing and is played again: its deadlines may
// have passed before it was where they count.
func play(t *testing.T, c cell, v variant, once func(*scene)) {
	for tries := 1; ; tries++ {
		began := time.Now()
		text := outcome(c, v, once)
		if text == "" {
			return
		}
		if tries == 5 || !pulse.missed(began) {
			t.Errorf("%s: %s, %s (%s): %s", v.side, c.phase, c.event, v, text)
			return
		}
	}
}

// outcome plays a scene once, and returns what went wrong.
func outcome(c cell, v variant, once func(*scene)) (text string) {
	defer func() {
		switch f := recover().(type) {
		case nil:
		case failed:
			text = string(f)
		default:
			panic(f)
		}
	}()
	starting <- struct{}{}
	var s *scene
	defer func() {
		if s == nil {
			started()
		}
	}()
	s = newScene(c, v)
	defer s.clear()
	defer s.ready.Do(started)
	once(s)
	return ""
}

// starting keeps the scenes that make their way to their event few, so that each comes there in time.
var starting = make(chan struct{}, 4)

func started() { <-starting }

// heartbeat tells whether this process was left to run.
type heartbeat struct{ last atomic.Int64 }

var pulse heartbeat

const (
	beat  = 10 * time.Millisecond
	pause = 100 * time.Millisecond // more than a process that runs ever waits for a beat
)

// run watches until the test is over.
func (h *heartbeat) run(t *testing.T) {
	stop := make(chan struct{})
	t.Cleanup(func() { close(stop) })
	go func() {
		for last := time.Now(); ; {
			select {
			case <-stop:
				return
			case <-time.After(beat):
			}
			now := time.Now()
			if now.Sub(last) > pause {
				h.last.Store(now.UnixNano())
			}
			last = now
		}
	}()
}

// missed reports that the process stood still since then.
func (h *heartbeat) missed(since time.Time) bool {
	return h.last.Load() > since.UnixNano()
}
