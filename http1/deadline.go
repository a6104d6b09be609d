package http1

import "time"

// deadline keeps a socket deadline coarsely: it is set a little later than asked for and left alone while it is still
// right, so that a busy connection pays for a timer every few seconds and not per request. A wait asked to last d lasts
// between d and d + d/8.
type deadline struct {
	set func(time.Time) error
	at  time.Time
}

func (t *deadline) arm(d time.Duration) {
	if d <= 0 {
		t.clear()
		return
	}
	want := time.Now().Add(d)
	if early := t.at.Sub(want); early >= 0 && early <= d/8 {
		return
	}
	t.at = want.Add(d / 8)
	t.set(t.at)
}

func (t *deadline) clear() {
	if !t.at.IsZero() {
		t.at = time.Time{}
		t.set(t.at)
	}
}
