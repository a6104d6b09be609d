package http1

import "time"

// deadline keeps a socket deadline coarsely: it is set a little later than asked for and left alone while it is still
// right, so that a busy connection pays for a timer every few seconds and not per request. A wait asked to last d lasts
// between d and d + d/8.
type deadline struct {
	set   func(time.Time) error
	armed bool
	at    time.Duration // since origin, with armed
}

// origin is a moment to count from. The time since it is read off the monotonic clock alone, which costs half of what
// the time of day costs.
var origin = time.Now()

func (t *deadline) arm(d time.Duration) {
	if d <= 0 {
		t.clear()
		return
	}
	want := time.Since(origin) + d
	if early := t.at - want; t.armed && early >= 0 && early <= d/8 {
		return
	}
	t.armed, t.at = true, want+d/8
	t.set(time.Now().Add(d + d/8))
}

func (t *deadline) clear() {
	if t.armed {
		t.armed = false
		t.set(time.Time{})
	}
}
