package proxy

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"sluice/drain"
	"sluice/http1"
)

// Ledger knows each exchange there is, and so what is inside of a backend. A request costs it nothing: exchanges are
// added and removed with their connections, and looked through when someone asks.
type Ledger struct {
	Clock  *http1.Clock // by which exchanges count bytes; nil: they ask for the time. Set before Serve
	shards [ledgerShards]ledgerShard
}

// ledgerShards keeps a look at many exchanges from holding up the connections that come meanwhile. The number is arbitrary.
const ledgerShards = 64

type ledgerShard struct {
	mu  sync.Mutex
	all map[*Exchange]struct{}
}

func (l *Ledger) shardOf(ex *Exchange) *ledgerShard { return &l.shards[ex.id.base[0]%ledgerShards] }

// Add makes an exchange known, once for its whole life.
func (l *Ledger) Add(ex *Exchange) {
	s := l.shardOf(ex)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all == nil {
		s.all = map[*Exchange]struct{}{}
	}
	s.all[ex] = struct{}{}
}

// Remove forgets an exchange.
func (l *Ledger) Remove(ex *Exchange) {
	s := l.shardOf(ex)
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.all, ex)
}

// each calls f for each exchange there is. f must not wait.
func (l *Ledger) each(f func(*Exchange)) {
	for i := range l.shards {
		l.shards[i].each(f)
	}
}

func (s *ledgerShard) each(f func(*Exchange)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for ex := range s.all {
		f(ex)
	}
}

// Inside lists what is inside of the gates; with none given, what is inside of any.
func (l *Ledger) Inside(gates ...*drain.Gate) []drain.Item {
	var items []drain.Item
	now, wanted := time.Now(), newGates(gates)
	l.each(func(ex *Exchange) {
		if it, ok := ex.item(wanted, now); ok {
			items = append(items, it)
		}
	})
	slices.SortFunc(items, older)
	return items
}

func older(a, b drain.Item) int { return cmp.Or(a.Began.Compare(b.Began), cmp.Compare(a.ID, b.ID)) }

// longDownload is how old a response of unknown length is when it is no longer an ordinary request but a stream.
const longDownload = 5 * time.Second

// item is the exchange as a person reads it. Its texts are copied under the lock: the head lives in a buffer.
func (ex *Exchange) item(wanted gates, now time.Time) (drain.Item, bool) {
	ex.mu.Lock()
	defer ex.mu.Unlock()
	if ex.gate == nil || !wanted.has(ex.gate) {
		return drain.Item{}, false
	}
	it, entry := ex.described(now), ex.entries
	it.Gate = ex.gate
	it.Cut = func(spread time.Duration) bool { return ex.end(entry, spread) }
	return it, true
}

// described is called with the lock, or by the goroutine that serves the exchange.
func (ex *Exchange) described(now time.Time) drain.Item {
	it := drain.Item{
		ID: ex.ID(), Key: ex.id.key(), Class: ex.drainClass(now), Began: ex.Began, Retries: ex.Retries,
		Method: shown(ex.Request.Method, longestMethod), Host: shown(ex.Request.Authority, longestHost),
		Path: shown(ex.Request.Path(), longestPath), Client: ex.Peer.Address,
	}
	if ex.Service != nil {
		it.Service, it.Route = ex.Service.Name, ex.Service.Path
	}
	if ex.Backend != nil {
		it.Pool, it.Backend = ex.Backend.Pool, ex.Backend.Name
	}
	it.Lasting = it.Class == drain.WebSocket || it.Class == drain.Tunnel || drain.Class(ex.class.Load()) == eventStream
	ex.measure(&it, now)
	return it
}

// measure tells how old it is and what moves.
func (ex *Exchange) measure(it *drain.Item, now time.Time) {
	quiet := now.Sub(ex.in.movedAt(ex.Began))
	quiet = max(0, min(quiet, now.Sub(ex.out.movedAt(ex.Began))))
	it.Age = max(0, now.Sub(ex.Began)).Milliseconds()
	it.BytesIn, it.BytesOut = ex.in.total.Load(), ex.out.total.Load()
	it.Recent = ex.in.recent(now) + ex.out.recent(now)
	it.Quiet, it.Idle = quiet.Milliseconds(), quiet >= recentSeconds*time.Second
}

// drainClass is the class at a moment: what has no length turns out to be a stream by lasting.
func (ex *Exchange) drainClass(now time.Time) drain.Class {
	class := drain.Class(ex.class.Load())
	switch {
	case class == eventStream:
		return drain.Stream
	case class != unknownLength:
		return class
	case now.Sub(ex.headAt) > longDownload:
		return drain.Stream
	}
	return drain.Request
}

const (
	// unknownLength marks a response whose length is not known and that may turn out to be a stream.
	unknownLength = drain.Class(255)
	// eventStream marks one that is a stream from the beginning, and does not end by itself.
	eventStream = drain.Class(254)
)

// end cuts the exchange, if it is still the one that was listed. The clients of all that is ended with it are to come back
// spread over a time.
func (ex *Exchange) end(entry uint64, spread time.Duration) bool {
	ex.mu.Lock()
	defer ex.mu.Unlock()
	if ex.gate == nil || ex.entries != entry {
		return false
	}
	if !ex.cut.Load() {
		ex.spread = spread
	}
	ex.cut.Store(true)
	if ex.carrier != nil {
		ex.carrier.Interrupt()
	}
	time.AfterFunc(lastTake, func() { ex.abandon(entry) })
	return true
}

// lastTake is how long the client of an exchange that was cut may take to read what was on its way. It is less than
// what a drain gives what was cut to unwind.
const lastTake = 2 * time.Second

// abandon ends what waits on a client that takes nothing.
func (ex *Exchange) abandon(entry uint64) {
	ex.mu.Lock()
	defer ex.mu.Unlock()
	if ex.gate == nil || ex.entries != entry {
		return
	}
	if c, ok := ex.Client.(interrupter); ok {
		c.Interrupt()
	}
}
