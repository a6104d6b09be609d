package proxy

import "time"

const (
	// closeEcho is how long a WebSocket peer may take to complete its message when it is cut, and then to answer the Close.
	closeEcho = 500 * time.Millisecond
	// lastFrame is how long it may take beyond that for the frame at hand.
	lastFrame = 100 * time.Millisecond
	// lastBytes is how much of what a peer still sends is read over while its answer to a Close is awaited: what a fast one
	// has under way. A close with bytes unread would be a reset, which may overtake the Close.
	lastBytes = 16 << 20
)

// sayGoodbye ends one direction of a WebSocket that a drain cut: the message at hand is carried to its end, a Close stands
// behind it (1001, "going away", RFC 6455 §7.4.1), and then the other side's own Close is awaited, which is its answer to
// the one that it gets at the same time. The directions do not wait for each other: a peer that reads nothing keeps nobody.
func (t *tunnel) sayGoodbye(w *way) {
	beyond := t.finish(w)
	if w.mayInterject() && !w.closed {
		t.armWrite(w.to)
		w.lost = w.to.WriteRaw(w.goodbye) != nil
	}
	w.follow(beyond)
	w.from.NetConn().SetReadDeadline(time.Now().Add(closeEcho))
	for most := lastBytes; most > 0 && !w.saidGoodbye(); {
		p, err := w.from.Next()
		if err != nil {
			return
		}
		w.follow(p)
		most -= len(p)
	}
}

// finish carries the rest of the message that was under way. One that takes longer than a moment is left incomplete, but
// not inside of a frame if that can be: a Close may stand between two frames of a message (RFC 6455 §5.4). What was read
// beyond that is nobody's any more.
func (t *tunnel) finish(w *way) (beyond []byte) {
	beyond, ended := t.carryTo(w, (*frames).between, closeEcho)
	if !ended {
		beyond, _ = t.carryTo(w, (*frames).mayInterject, lastFrame)
	}
	return beyond
}

// carryTo carries on to where the direction stands as is wished, and reports whether it came to that.
func (t *tunnel) carryTo(w *way, stands func(*frames) bool, within time.Duration) (beyond []byte, ended bool) {
	if w.lost || stands(&w.frames) {
		return nil, true
	}
	w.from.NetConn().SetReadDeadline(time.Now().Add(within))
	for {
		p, err := w.from.Next()
		if err != nil {
			return nil, false
		}
		ahead := w.frames
		n := ahead.end(p, stands)
		if t.pass(w, p[:n]) != nil || stands(&w.frames) {
			return p[n:], true
		}
	}
}
