package upstream

import (
	"bytes"
	"strconv"
	"sync/atomic"
	"time"
)

// keepAlive is what an endpoint has shown of how long its server keeps an idle connection. A server may end one at any
// moment, but nearly all do so after a fixed time; a request that is on its way at that moment is lost, and where it may
// not be sent twice nothing can be done about it any more. So such a request takes only connections that are well younger
// than some other one that is idle and open still: what the server has just shown to keep.
//
// Each is guarded by the endpoint's lock, but for announced.
type keepAlive struct {
	announced atomic.Int64  // nanoseconds, as the server last said in Keep-Alive: timeout; 0: it did not
	ends      time.Duration // the shortest idle time at which it was seen to end a connection; 0: never seen
	outlived  time.Duration // the longest idle time that a connection was seen to survive since the last end
}

const (
	// leastMargin is what there is at least between the age of a connection that a request is risked on and an age known
	// to be safe: the request travels, and waits for processors on both sides.
	leastMargin = 10 * time.Millisecond
	// leastEnd keeps a server that ends connections at once from being remembered as one of which nothing is known.
	leastEnd = time.Millisecond
)

// earlier is a fifth less, as long as it leaves the margin.
func earlier(d time.Duration) time.Duration { return max(d-max(d/5, leastMargin), 0) }

// limit is how old an idle connection may be for a request that can be sent again: idle at most.
func (k *keepAlive) limit(idle time.Duration) time.Duration {
	if a := time.Duration(k.announced.Load()); a > 0 {
		idle = min(idle, earlier(a))
	}
	if k.ends > 0 {
		idle = min(idle, earlier(k.ends))
	}
	return idle
}

// sure is how old it may be for one that cannot.
func (k *keepAlive) sure(idle time.Duration) time.Duration {
	return min(k.limit(idle), earlier(k.outlived))
}

// saw learns that the server ended a connection that had been idle for d. The shortest is kept, and what lived longer
// proves nothing any more: it may have been another server that kept it, or the same one set otherwise.
func (k *keepAlive) saw(d time.Duration) {
	d = max(d, leastEnd)
	if k.ends == 0 || d < k.ends {
		k.ends = d
	}
	k.outlived = min(k.outlived, d)
}

// lives learns that a connection that has been idle for d is open.
func (k *keepAlive) lives(d time.Duration) { k.outlived = max(k.outlived, d) }

// forget lets the shortest end go, a quarter longer at each look, while a connection lives on beyond it: that end was a
// restart, or another server's. It is slow, for where several servers share an address the shortest is the one to mind:
// a fifth off a quarter more is what it was.
func (k *keepAlive) forget(d, idle time.Duration) {
	if k.ends == 0 || d <= k.ends {
		return
	}
	if k.ends = min(k.ends+max(k.ends/4, leastEnd), d); k.ends >= idle-idle/5 {
		k.ends = 0 // nearly as long as we keep one ourselves
	}
}

// KeepAlive is what an endpoint has learnt of its server, as people read it. Zero is: not yet.
type KeepAlive struct {
	Announced time.Duration // as the server says in Keep-Alive: timeout
	Seen      time.Duration // the shortest idle time after which it was seen to end a connection
	Limit     time.Duration // a connection that was idle for longer is not used; never zero
	Sure      time.Duration // nor for a request that must not be sent twice, when it was idle for longer than this
}

// KeepAlive returns what was learnt so far.
func (e *Endpoint) KeepAlive() KeepAlive {
	e.mu.Lock()
	defer e.mu.Unlock()
	k := &e.keep
	return KeepAlive{time.Duration(k.announced.Load()), k.ends, k.limit(e.opts.Idle), k.sure(e.opts.Idle)}
}

// announce takes the timeout out of a Keep-Alive field: "timeout=5, max=100". What is no number of seconds says nothing,
// and so does a zero, with which some servers say that there is no limit.
func (e *Endpoint) announce(value []byte) {
	for param := range bytes.SplitSeq(value, []byte{','}) {
		name, number, _ := bytes.Cut(bytes.TrimSpace(param), []byte{'='})
		if !bytes.EqualFold(name, []byte("timeout")) {
			continue
		}
		const longest = 1 << 20 // seconds; beyond any use
		if n, err := strconv.ParseUint(string(number), 10, 32); err == nil && n <= longest {
			e.keep.announced.Store(int64(time.Duration(n) * time.Second))
		}
	}
}

// ended learns from a connection that its server ended, if it did, while nothing was asked on it.
func (e *Endpoint) ended(c *Conn, now time.Time) {
	d, ended := c.h1.IdleUntilEnd()
	if !ended {
		return
	}
	if d <= 0 {
		d = now.Sub(c.since) // it was no longer than that
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.keep.saw(d)
}

// sure is how old the connection may be that a request which cannot be sent again takes. Where that is less than age, the
// oldest idle connection is looked at: it may have shown more by now. The caller holds the lock.
func (e *Endpoint) sure(now time.Time, age time.Duration) time.Duration {
	oldest := e.idle[0]
	if lived := now.Sub(oldest.since); age > earlier(e.keep.outlived) && age <= earlier(lived) && oldest.h1.Quiet() {
		e.keep.lives(lived)
	}
	return e.keep.sure(e.opts.Idle)
}
