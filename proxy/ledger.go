package proxy

import (
	"slices"
	"sync"
	"time"

	"sluice/drain"
)

// Ledger knows each exchange there is, and so what is inside of a backend. A request costs it nothing: exchanges are
// added and removed with their connections, and looked through when someone asks.
type Ledger struct {
	mu  sync.Mutex
	all map[*Exchange]struct{}
}

// Add makes an exchange known, once for its whole life.
func (l *Ledger) Add(ex *Exchange) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.all == nil {
		l.all = map[*Exchange]struct{}{}
	}
	l.all[ex] = struct{}{}
}

// Remove forgets an exchange.
func (l *Ledger) Remove(ex *Exchange) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.all, ex)
}

// Inside lists what is inside of the gates; with none given, what is inside of any.
func (l *Ledger) Inside(gates ...*drain.Gate) []drain.Item {
	l.mu.Lock()
	defer l.mu.Unlock()
	var items []drain.Item
	now := time.Now()
	for ex := range l.all {
		if it, ok := ex.item(gates, now); ok {
			items = append(items, it)
		}
	}
	slices.SortFunc(items, func(a, b drain.Item) int { return a.Began.Compare(b.Began) })
	return items
}

// longDownload is how old a response of unknown length is when it is no longer an ordinary request but a stream.
const longDownload = 5 * time.Second

// item is the exchange as a person reads it. Its texts are copied under the lock: the head lives in a buffer.
func (ex *Exchange) item(gates []*drain.Gate, now time.Time) (drain.Item, bool) {
	ex.mu.Lock()
	defer ex.mu.Unlock()
	if ex.gate == nil || len(gates) > 0 && !slices.Contains(gates, ex.gate) {
		return drain.Item{}, false
	}
	class, entry := drain.Class(ex.class.Load()), ex.entries
	if class == unknownLength {
		class = drain.Request
		if now.Sub(ex.headAt) > longDownload {
			class = drain.Stream
		}
	}
	return drain.Item{
		ID: ex.ID(), Key: ex.id.key(), Class: class, Began: ex.Began,
		Method: string(ex.Request.Method), Host: string(ex.Request.Authority), Path: string(ex.Request.Path()),
		Client: ex.Peer.Address,
		Cut:    func() bool { return ex.end(entry) },
	}, true
}

// unknownLength marks a response whose length is not known and that may turn out to be a stream.
const unknownLength = drain.Class(255)

// end cuts the exchange, if it is still the one that was listed.
func (ex *Exchange) end(entry uint64) bool {
	ex.mu.Lock()
	defer ex.mu.Unlock()
	if ex.gate == nil || ex.entries != entry {
		return false
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
