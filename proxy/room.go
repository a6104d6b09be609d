package proxy

import (
	"math"
	"sync"
	"time"

	"sluice/drain"
)

// Holds are the caps of a waiting room, and how it lets go.
type Holds struct {
	Age      time.Duration // for which a request waits at most
	Requests int           // that wait at most; the oldest makes room for the newest
	Bytes    int64         // of heads and bodies that wait at most; the same
	Ramp     int           // requests let go in the first second, more or less; the rate doubles with each second
}

// Room is where the requests of one service wait while nobody takes them. It outlives snapshots, and what waits in it does
// too: control keeps one for each service. While it is open nobody enters, and who is inside leaves by the ramp, the oldest
// first. The zero value is an open room.
type Room struct {
	mu     sync.Mutex // guards all of it, and the guests that are inside
	caps   Holds
	closed bool
	opened time.Time // when the release began
	let    int       // let go since then

	oldest, newest *guest
	inside         int
	bytes          int64
	timer          *time.Timer // one for all: the next look; nil before the first guest
	tally          Tally
	gate           *drain.Gate // see Gate
}

// Gate is where the ledger finds who waits here. It counts nobody and is never closed: it is only a name.
func (r *Room) Gate() *drain.Gate {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.gate == nil {
		r.gate = drain.NewGate()
	}
	return r.gate
}

// Tally is what became of those that waited, since the process began. What is missing from Entered waits still.
type Tally struct {
	Entered   int64 // requests that waited
	Released  int64 // let go, to a backend
	Left      int64 // given up by their clients, or ended with Sluice itself
	ShedAge   int64 // turned away because they had waited as long as they may
	ShedFull  int64 // because others came and there was room for no more
	ShedBytes int64 // because others came and there was memory for no more
}

// Shed is how many were turned away.
func (t Tally) Shed() int64 { return t.ShedAge + t.ShedFull + t.ShedBytes }

// Waiting is what a room holds at one moment.
type Waiting struct {
	Inside    int
	Bytes     int64
	Oldest    time.Time // since when the oldest has waited; zero: nobody does
	Releasing bool      // who is inside is being let go
	Tally
}

// verdict is how a wait ended.
type verdict uint8

const (
	waits     verdict = iota // it has not
	released                 // a backend is there
	left                     // the client went, or the exchange was cut
	shedAge                  // it was the oldest for too long
	shedFull                 // there was no room
	shedBytes                // there was no memory
)

// guest is one request that waits.
type guest struct {
	room  *Room
	since time.Time
	bytes int64
	again bool // it was let go and came back: it keeps its place, and is counted once
	full  bool // because each backend was full
	end   chan verdict

	inside       bool
	older, newer *guest
}

func newGuest(room *Room, bytes int64) *guest {
	return &guest{room: room, since: time.Now(), bytes: bytes, end: make(chan verdict, 1)}
}

// Interrupt ends the wait, unless it has ended: its place and its bytes are free from then on.
func (g *guest) Interrupt() {
	g.room.mu.Lock()
	defer g.room.mu.Unlock()
	if g.inside {
		g.room.remove(g, left)
	}
}

// enter lets a guest in, who then waits for what comes on its channel, or says at once what would.
func (r *Room) enter(g *guest, caps Holds) verdict {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.caps = caps
	if !r.closed {
		return released // opened meanwhile: there is a newer snapshot
	}
	r.count(g)
	if g.bytes > caps.Bytes {
		r.tally.ShedBytes++ // alone it would turn everybody else away
		return shedBytes
	}
	r.insert(g)
	r.makeRoom()
	if r.oldest == g || r.inside == 1 {
		r.arm(time.Now())
	}
	return waits
}

// count takes back what was said of a guest that is here again.
func (r *Room) count(g *guest) {
	if g.again {
		r.tally.Released--
		return
	}
	r.tally.Entered++
	g.again = true
}

// comeBack takes a guest in again that was let go and found each backend full: the ramp was too steep for them, and begins
// anew. What it says is what enter says.
func (r *Room) comeBack(g *guest, caps Holds) verdict {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.caps = caps
	r.count(g)
	g.full = !r.closed
	if g.full {
		r.opened, r.let = time.Now(), 0
	}
	r.insert(g)
	r.makeRoom()
	r.arm(time.Now())
	return waits
}

// insert keeps the row by age. Nearly always the guest is the newest of all, or was let go a moment ago as the oldest.
func (r *Room) insert(g *guest) {
	after := r.newest
	for after != nil && after.since.After(g.since) {
		after = after.older
	}
	g.inside, g.older = true, after
	if after == nil {
		g.newer, r.oldest = r.oldest, g
	} else {
		g.newer, after.newer = after.newer, g
	}
	if g.newer == nil {
		r.newest = g
	} else {
		g.newer.older = g
	}
	r.inside++
	r.bytes += g.bytes
}

// remove takes a guest out and tells it why. It is the only place that does, so each is told once.
func (r *Room) remove(g *guest, why verdict) {
	if g.older == nil {
		r.oldest = g.newer
	} else {
		g.older.newer = g.newer
	}
	if g.newer == nil {
		r.newest = g.older
	} else {
		g.newer.older = g.older
	}
	g.inside, g.older, g.newer = false, nil, nil
	r.inside--
	r.bytes -= g.bytes
	r.tally.add(why)
	g.end <- why
}

func (t *Tally) add(why verdict) {
	switch why {
	case released:
		t.Released++
	case left:
		t.Left++
	case shedAge:
		t.ShedAge++
	case shedFull:
		t.ShedFull++
	case shedBytes:
		t.ShedBytes++
	}
}

// makeRoom turns the oldest away until the caps hold. The oldest has had the longest chance, its client is the likeliest to
// have given up, and it would be the next to reach its age in any case.
func (r *Room) makeRoom() {
	for r.inside > r.caps.Requests {
		r.remove(r.oldest, shedFull)
	}
	for r.bytes > r.caps.Bytes {
		r.remove(r.oldest, shedBytes)
	}
}

// close keeps who is inside, and lets others in.
func (r *Room) close(caps Holds) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.caps, r.closed = caps, true
	r.makeRoom()
	r.arm(time.Now())
}

// open begins the release.
func (r *Room) open(caps Holds) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.caps = caps
	if r.closed {
		r.closed, r.opened, r.let = false, time.Now(), 0
	}
	r.look(time.Now())
}

// clear lets everybody go at once: the service is no more.
func (r *Room) clear() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = false
	for r.oldest != nil {
		r.remove(r.oldest, released)
	}
}

const (
	// releaseTick is how finely a release is spread: a hundred times in a second, so that no step of it is a crowd.
	releaseTick = 10 * time.Millisecond
	// shedTick keeps requests that came one after the other from costing a look each when they reach their age.
	shedTick = 50 * time.Millisecond
)

// turn is what the timer calls.
func (r *Room) turn() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.look(time.Now())
}

// look lets go who may, turns away who has waited too long, and comes back for the others. During a release nobody is
// turned away for age but who came back: who waits only for the ramp is about to be served.
func (r *Room) look(now time.Time) {
	for r.oldest != nil && (r.closed || r.oldest.full) && now.Sub(r.oldest.since) >= r.caps.Age {
		r.remove(r.oldest, shedAge)
	}
	if !r.closed {
		for most := 1 + ramped(r.caps.Ramp, now.Sub(r.opened)); r.oldest != nil && r.let < most; r.let++ {
			r.remove(r.oldest, released)
		}
	}
	r.arm(now)
}

// ramped is how many a ramp has let go after a while, besides the first: the sum of a rate that doubles each second.
// A hundred at first are 10,000 in six seconds and a million in thirteen.
func ramped(first int, since time.Duration) int {
	const enough = 1 << 40 // the sum at which it does not matter any more
	return int(min(enough, float64(first)*(math.Exp2(since.Seconds())-1)/math.Ln2))
}

// arm sets the timer for the next look, if there is anyone to look at.
func (r *Room) arm(now time.Time) {
	if r.oldest == nil {
		return
	}
	wait := releaseTick
	if r.closed {
		wait = max(shedTick, r.caps.Age-now.Sub(r.oldest.since))
	}
	if r.timer == nil {
		r.timer = time.AfterFunc(wait, r.turn)
		return
	}
	r.timer.Reset(wait)
}

// Waiting returns what the room holds now.
func (r *Room) Waiting() Waiting {
	r.mu.Lock()
	defer r.mu.Unlock()
	w := Waiting{Inside: r.inside, Bytes: r.bytes, Tally: r.tally, Releasing: !r.closed && r.inside > 0}
	if r.oldest != nil {
		w.Oldest = r.oldest.since
	}
	return w
}
