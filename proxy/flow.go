package proxy

import (
	"sync/atomic"
	"time"
)

// flow counts the bytes of one direction of an exchange while they move, for whoever looks at the ledger. Its writer adds
// to it when it is about to wait for more, so that a short exchange, which never waits, pays nothing. One goroutine
// writes; any may read.
type flow struct {
	total   atomic.Int64
	last    atomic.Int64                 // when bytes moved last, since epoch; only where total is above zero
	seconds [recentSeconds]atomic.Uint64 // a ring of the latest seconds: which one, and the bytes in it
	used    bool                         // owned by the writer
}

const (
	// recentSeconds is the window of "bytes in the last ten seconds"; the second at hand is one of them.
	recentSeconds = 10
	// byteBits of a ring's entry are the bytes of one second: a terabyte. The bits above name the second, and come round
	// after half a year.
	byteBits = 40
	mostByte = 1<<byteBits - 1
	secMask  = 1<<(64-byteBits) - 1
)

// epoch is a moment to count seconds from; the time since it steps with no clock that is set.
var epoch = time.Now()

func second(now time.Time) uint64 { return uint64(now.Sub(epoch)/time.Second) & secMask }

// add counts n bytes that moved now.
func (f *flow) add(now time.Time, n int64) {
	if n <= 0 {
		return
	}
	f.used = true
	f.total.Store(f.total.Load() + n)
	f.last.Store(int64(now.Sub(epoch)))
	sec := second(now)
	slot := &f.seconds[sec%recentSeconds]
	was := slot.Load()
	if was>>byteBits == sec {
		n += int64(was & mostByte)
	}
	slot.Store(sec<<byteBits | uint64(min(n, mostByte)))
}

// behind is how much of a total has not been counted yet.
func (f *flow) behind(total int64) int64 { return total - f.total.Load() }

// recent is how many bytes moved in the last seconds.
func (f *flow) recent(now time.Time) (n int64) {
	sec := second(now)
	for i := range f.seconds {
		e := f.seconds[i].Load()
		if (sec-e>>byteBits)&secMask < recentSeconds {
			n += int64(e & mostByte)
		}
	}
	return n
}

// movedAt is when bytes moved last; since, where none did.
func (f *flow) movedAt(since time.Time) time.Time {
	if f.total.Load() == 0 {
		return since
	}
	return epoch.Add(time.Duration(f.last.Load()))
}

func (f *flow) reset() {
	if !f.used {
		return
	}
	f.used = false
	f.total.Store(0)
	for i := range f.seconds {
		f.seconds[i].Store(0)
	}
}

// countIn and countOut catch up with what has moved. They are called before a wait.
func (p *Proxy) countIn(ex *Exchange) {
	if n := ex.in.behind(ex.BytesIn); n > 0 {
		ex.in.add(p.Ledger.Clock.Now(), n)
	}
}

func (p *Proxy) countOut(ex *Exchange) {
	if n := ex.out.behind(ex.BytesOut); n > 0 {
		ex.out.add(p.Ledger.Clock.Now(), n)
	}
}
