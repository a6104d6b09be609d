package http1

import "time"

// deadline keeps a socket deadline coarsely: it is set a little later than asked for and left alone while it is still
// right, so that a busy connection pays for a timer every few seconds and not per request. A wait asked to last d lasts
// between d and d + d/8, and by a Clock up to d + d/4.
type deadline struct {
	set   func(time.Time) error
	armed bool
	at    time.Duration // since origin, with armed
}

func (t *deadline) arm(d time.Duration, clock *Clock) {
	if d <= 0 {
		t.clear()
		return
	}
	now, lag := clock.sinceOrigin(d)
	if early := t.at - now - d; t.armed && early >= lag && early <= lag+d/8 {
		return
	}
	t.armed, t.at = true, now+lag+d+d/8
	t.set(origin.Add(t.at))
}

func (t *deadline) clear() {
	if t.armed {
		t.armed = false
		t.set(time.Time{})
	}
}
