package demo

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"strconv"
	"sync"
	"time"
)

// Class is a kind of traffic.
type Class string

// The classes. The first five are requests; the others are sessions that last.
const (
	Get       Class = "get"       // bodies of many sizes, with a length or in chunks, on kept connections; some HEAD
	Post      Class = "post"      // bodies whose digest is checked, and requests that must be carried out once only
	Close     Class = "close"     // as get, with a connection per request
	Slow      Class = "slow"      // requests that take 150 ms
	Upload    Class = "upload"    // 64 to 512 KiB sent in chunks over some 100 ms, digest checked
	Stream    Class = "stream"    // server-sent events, none missing, none half
	WebSocket Class = "websocket" // text and binary messages, each echoed; ended by a close frame
	Tunnel    Class = "tunnel"    // an upgrade to "echo", raw bytes, ended by a half-close
)

// Classes returns all classes, in the order in which people should see them.
func Classes() []Class {
	return []Class{Get, Post, Close, Slow, Upload, Stream, WebSocket, Tunnel}
}

// DefaultWorkers is a mix that shows every class at little cost: under half a core for proxy, apps and clients together.
func DefaultWorkers() map[Class]int {
	return map[Class]int{Get: 4, Post: 2, Close: 1, Slow: 2, Upload: 1, Stream: 2, WebSocket: 2, Tunnel: 1}
}

// Config is what traffic to make. Only Address has no default.
type Config struct {
	Network string      // "tcp" (default) or "unix"
	Address string      // what to connect to: host:port, or a socket's path
	TLS     *tls.Config // nil (default) for plain text; otherwise ServerName and trust are the caller's
	Host    string      // the Host field; default Address, or "localhost" for "unix"

	Workers map[Class]int // how many at a time of each class; default DefaultWorkers
	Seed    uint64        // of all that is random; sizes, thinking times and bytes follow from it

	// Think is how long worker number n of a class waits between two requests. The default: 0 to 5 ms. Each
	// second worker of a request class waits 1 to 3 s, so that connections lie idle through a flip too.
	Think func(class Class, n int, r *rand.Rand) time.Duration
	// Session is how long a stream, WebSocket or tunnel lasts if nobody ends it; default 2 to 8 s.
	Session func(class Class, r *rand.Rand) time.Duration
	// Timeout is the longest silence of the other side before a request counts as lost; default 30 s.
	Timeout time.Duration
	// TolerateCut names the classes in which an end without a goodbye, between two messages, counts as cut and not as
	// lost; default WebSocket and Tunnel. A drain that reaches its deadline cuts those as a matter of policy.
	TolerateCut []Class

	// OnResult, if set, is told each result. It is called from many goroutines and must return soon.
	OnResult func(Result)
}

func (c Config) withDefaults() (Config, error) {
	if c.Address == "" {
		return c, errors.New("demo: traffic needs an Address to go to")
	}
	if c.Network == "" {
		c.Network = "tcp"
	}
	if c.Host == "" {
		c.Host = c.Address
		if c.Network == "unix" {
			c.Host = "localhost"
		}
	}
	if c.Workers == nil {
		c.Workers = DefaultWorkers()
	}
	for class := range c.Workers {
		if errands[class] == nil {
			return c, fmt.Errorf("demo: no class %q; use one of %v", class, Classes())
		}
	}
	if c.Think == nil {
		c.Think = think
	}
	if c.Session == nil {
		c.Session = func(_ Class, r *rand.Rand) time.Duration { return between(r, 2*time.Second, 8*time.Second) }
	}
	if c.Timeout == 0 {
		c.Timeout = 30 * time.Second
	}
	if c.TolerateCut == nil {
		c.TolerateCut = []Class{WebSocket, Tunnel}
	}
	c.TLS = onlyHTTP1(c.TLS, c.Address)
	return c, nil
}

// onlyHTTP1 keeps the other side from choosing HTTP/2, which these clients do not speak.
func onlyHTTP1(from *tls.Config, address string) *tls.Config {
	if from == nil {
		return nil
	}
	t := from.Clone()
	t.NextProtos = []string{"http/1.1"}
	if host, _, err := net.SplitHostPort(address); err == nil && t.ServerName == "" {
		t.ServerName = host
	}
	return t
}

func think(class Class, n int, r *rand.Rand) time.Duration {
	session := class == Stream || class == WebSocket || class == Tunnel
	if n%2 == 1 && !session {
		return between(r, time.Second, 3*time.Second)
	}
	return between(r, 0, 5*time.Millisecond)
}

func between(r *rand.Rand, least, most time.Duration) time.Duration {
	return least + time.Duration(r.Int64N(int64(most-least)))
}

// Result is one request, or one session from its beginning to its end.
type Result struct {
	Class     Class
	RequestID string
	Release   string    // who answered; "" if nobody did
	Began     time.Time // the first byte was about to be written, or the connection could not be made
	Ended     time.Time
	Bytes     int64 // of body or messages, sent and checked
	ByServer  bool  // a session that the other side ended well, with a goodbye
	Cut       bool  // a session that ended between two messages without a goodbye; Err says how
	Err       error // nil, or a *Fault
}

// Traffic is running traffic. All methods may be called concurrently.
type Traffic struct {
	cfg   Config
	run   string // makes request ids differ from those of any other run
	leave context.CancelFunc
	ended sync.WaitGroup
	tally *tally
}

// Start begins traffic that goes on until Stop, or until ctx ends, which has the same effect: requests under way finish
// and are counted. It fails only on a Config that makes no sense.
func Start(ctx context.Context, cfg Config) (*Traffic, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	leaving, leave := context.WithCancel(ctx)
	began := time.Now()
	t := &Traffic{cfg: cfg, run: strconv.FormatInt(began.UnixNano(), 36), leave: leave, tally: newTally(began)}
	for i, class := range Classes() {
		for n := range cfg.Workers[class] {
			r := rand.New(rand.NewPCG(cfg.Seed, uint64(i)<<32|uint64(n)))
			w := &worker{traffic: t, client: newClient(&t.cfg, r), leaving: leaving, class: class, n: n}
			t.ended.Add(1)
			go w.work()
		}
	}
	return t, nil
}

// Stop lets the requests under way finish, closes the sessions properly, and returns the final counts. It may be called
// more than once.
func (t *Traffic) Stop() Counts {
	t.leave()
	t.ended.Wait()
	return t.Count()
}

// worker makes the requests of one class, one after the other. It is owned by its goroutine.
type worker struct {
	traffic *Traffic
	client  *client
	leaving context.Context
	class   Class
	n       int // which worker of its class
	turn    int
}

func (w *worker) work() {
	defer w.traffic.ended.Done()
	defer w.client.drop()
	wait(w.leaving, between(w.client.rand, 0, 20*time.Millisecond)) // so that they do not all knock at once
	for i := 0; w.leaving.Err() == nil; i++ {
		r := w.errand(fmt.Sprintf("%s-%s-%d-%d", w.traffic.run, w.class, w.n, i))
		w.traffic.settle(r)
		w.think(r)
	}
}

func (w *worker) errand(id string) Result {
	r := Result{Class: w.class, RequestID: id, Began: time.Now()}
	w.traffic.opened(w.class)
	r.Err = errands[w.class](w, &r)
	r.Ended = time.Now()
	var f *Fault
	r.Cut = errors.As(r.Err, &f) && f.Cut
	if r.Err != nil {
		w.client.drop()
	}
	return r
}

// think waits until the next request is due. A worker whose request was lost gives the other side a moment first, so that
// a broken proxy is reported and not stormed.
func (w *worker) think(last Result) {
	d := w.traffic.cfg.Think(w.class, w.n, w.client.rand)
	if last.Err != nil {
		d = max(d, 50*time.Millisecond)
	}
	was := w.client.reopened
	if err := w.client.rest(w.leaving, d); err != nil {
		last.Err, last.Ended = err, time.Now()
		w.traffic.surplus(last)
		w.client.drop()
	}
	w.traffic.reopened(w.class, w.client.reopened-was)
}

// tolerates reports whether a cut of that class is policy.
func (c *Config) tolerates(class Class) bool { return slices.Contains(c.TolerateCut, class) }
