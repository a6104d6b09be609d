// Package front accepts connections and turns what comes on them, whatever the protocol, into exchanges. It owns the
// clients' connections and their end. It refuses to know services, backends, and where an exchange goes.
package front

import (
	"crypto/tls"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"sluice/drain"
	"sluice/http1"
	"sluice/proxy"
)

// Timeouts bound the waits for a client. Zero is no limit.
type Timeouts struct {
	First        time.Duration // for the first byte on a new connection
	Idle         time.Duration // between requests on a kept connection
	Head         time.Duration // for a request head, from its first byte
	TLSHandshake time.Duration
	Age          time.Duration // of a connection, more or less: see life
}

// Options are what a server is made of. Proxy must be set.
type Options struct {
	Proxy          *proxy.Proxy
	Limits         http1.Limits // zero: http1.DefaultLimits
	Timeouts       Timeouts
	Trusted        []netip.Prefix      // peers whose forwarding fields are believed
	MaxConnections int                 // further ones are closed at once; 0 is no limit
	Clock          *http1.Clock        // ticked by the server; nil: it has one of its own
	MaxRequests    int                 // on one connection; 0 is no limit
	Inherited      *Inherited          // listeners that came with the process; nil: none
	Random         func() float64      // in [0, 1); nil: rand.Float64
	Event          func(string, error) // told what went wrong with a listener; may be nil
}

// Server accepts connections on its listeners. Its methods may be called concurrently.
type Server struct {
	opts     Options
	gate     *drain.Gate // counts connections
	draining atomic.Bool
	inherits atomic.Bool    // some of the listeners were passed on
	accepts  sync.WaitGroup // accept loops
	owned    sync.WaitGroup // the watch
	h2       *http2Front
	workers  workers
	lot      *lot
	stopOnce sync.Once

	spareConns     sync.Pool // *conn
	spareExchanges sync.Pool // *proxy.Exchange

	mu        sync.Mutex
	listeners []net.Listener
	conns     map[*conn]struct{}
}

// New returns a server without listeners. Drain or Close ends it.
func New(opts Options) *Server {
	if opts.Limits == (http1.Limits{}) {
		opts.Limits = http1.DefaultLimits
	}
	if opts.Event == nil {
		opts.Event = func(string, error) {}
	}
	if opts.Clock == nil {
		opts.Clock = new(http1.Clock)
	}
	opts.Clock.Tick()
	if opts.Random == nil {
		opts.Random = rand.Float64
	}
	s := &Server{opts: opts, gate: drain.NewGate(), conns: map[*conn]struct{}{}}
	s.h2 = newHTTP2(s)
	s.lot = newLot(s)
	s.owned.Add(1)
	go s.watch()
	return s
}

// ListenError is a listener that could not be opened. Its text ends with the next step.
type ListenError struct {
	Address string
	Door    string // the listener's name, where it is one for previews
	Err     error
}

func (e *ListenError) Error() string {
	key := "listen:"
	if e.Door != "" {
		key = "preview:"
	}
	switch {
	case errors.Is(e.Err, syscall.EADDRINUSE):
		return fmt.Sprintf("cannot listen on %s: another program has that port; end it (see `ss -ltnp`) or write another address under `%s`", e.Address, key)
	case errors.Is(e.Err, os.ErrPermission):
		return fmt.Sprintf("cannot listen on %s: not allowed; write a port above 1023, or grant it with `setcap cap_net_bind_service=+ep` on the binary", e.Address)
	}
	return fmt.Sprintf("cannot listen on %s: %v; write an address of this machine under `%s`", e.Address, e.Err, key)
}

func (e *ListenError) Unwrap() error { return e.Err }

// Listen opens a listener and serves it. scheme is "http", or "https" and then conf must be set. It returns the address,
// which tells the port where 0 was asked for, or a *ListenError. Where sockets were passed on for the address, it serves
// those.
func (s *Server) Listen(scheme, network, address string, conf *tls.Config) (net.Addr, error) {
	return s.ListenFor("", scheme, network, address, conf)
}

// ListenFor is Listen for previews: what comes in goes to those that name the door.
func (s *Server) ListenFor(door, scheme, network, address string, conf *tls.Config) (net.Addr, error) {
	all, err := s.listen(network, address)
	for _, l := range all {
		if err == nil {
			err = s.serveListener(l, door, scheme, conf)
		}
	}
	if err != nil {
		return nil, &ListenError{Address: address, Door: door, Err: err}
	}
	return all[0].Addr(), nil
}

// serveListener starts the accept loop of a listener.
func (s *Server) serveListener(l net.Listener, door, scheme string, conf *tls.Config) error {
	run := func() { s.accept(l, door, conf) }
	if scheme == "http" {
		a, err := s.newAcceptor(l)
		if err != nil {
			l.Close()
			return err
		}
		a.door = door
		l, run = a, a.run
	}
	s.mu.Lock()
	s.listeners = append(s.listeners, l)
	s.mu.Unlock()
	s.accepts.Add(1)
	go run()
	return nil
}

// accept is the goroutine of a listener with TLS; it ends when the listener is closed, or closes it when its deadline is
// over.
func (s *Server) accept(l net.Listener, door string, conf *tls.Config) {
	defer s.accepts.Done()
	defer l.Close()
	pause := time.Duration(0)
	for {
		nc, err := l.Accept()
		switch {
		case err == nil:
			pause = 0
			s.admit(nc, door, conf)
		case errors.Is(err, net.ErrClosed):
			return
		case errors.Is(err, os.ErrDeadlineExceeded):
			s.admitQueued(l, door, conf)
			return
		default:
			pause = s.acceptFailed(pause, err)
		}
	}
}

// acceptFailed waits a while, longer each time. Out of file descriptors, most likely: what is open goes on, and a place
// may come free.
func (s *Server) acceptFailed(pause time.Duration, err error) time.Duration {
	pause = min(max(2*pause, 5*time.Millisecond), time.Second)
	s.opts.Event("cannot accept a connection; raise the limit of open files or lower `limits: connections`", err)
	time.Sleep(pause)
	return pause
}

// enter counts a connection in, if there is room for it.
func (s *Server) enter() bool {
	most := s.opts.MaxConnections
	return (most <= 0 || s.gate.Inside() < most) && s.gate.Enter()
}

func (s *Server) admit(nc net.Conn, door string, conf *tls.Config) {
	if !s.enter() {
		nc.Close()
		return
	}
	go s.handshake(nc, door, conf)
}

// handshake sets TLS up and hands the connection to the protocol that was agreed on.
func (s *Server) handshake(nc net.Conn, door string, conf *tls.Config) {
	if d := s.opts.Timeouts.TLSHandshake; d > 0 {
		nc.SetDeadline(time.Now().Add(d))
	}
	tc := tls.Server(nc, conf)
	if err := tc.Handshake(); err != nil {
		nc.Close()
		s.gate.Leave()
		return
	}
	nc.SetDeadline(time.Time{})
	if tc.ConnectionState().NegotiatedProtocol == "h2" {
		s.h2.serve(tc, door)
		return
	}
	c := s.newConn()
	c.begin(tc, nc, "https", door)
	c.serve()
}

func (s *Server) peer(nc net.Conn, scheme string, local func() string) proxy.Peer {
	addr, ok := remoteOf(nc)
	if !ok {
		return proxy.Peer{Scheme: scheme, Address: "unix", Local: func() string { return "localhost" }}
	}
	p := proxy.Peer{Scheme: scheme, Address: addr.String(), Local: local}
	for _, prefix := range s.opts.Trusted {
		p.Trusted = p.Trusted || prefix.Contains(addr)
	}
	return p
}

// remoteOf is the address of a client, if it has one.
func remoteOf(nc net.Conn) (netip.Addr, bool) {
	if s, ok := nc.(*socket); ok {
		return s.remote.Addr(), s.remote.IsValid()
	}
	a, err := netip.ParseAddrPort(nc.RemoteAddr().String())
	return a.Addr().Unmap(), err == nil
}

// Connections returns how many connections are open.
func (s *Server) Connections() int { return s.gate.Inside() }

func (s *Server) add(c *conn) {
	s.mu.Lock()
	s.conns[c] = struct{}{}
	s.mu.Unlock()
	s.equip(c)
}

func (s *Server) remove(c *conn) {
	if c.ex != nil {
		s.opts.Proxy.Ledger.Remove(c.ex)
	}
	s.mu.Lock()
	delete(s.conns, c)
	s.mu.Unlock()
	s.gate.Leave()
}

// equip gives a connection the exchange that it needs to serve requests.
func (s *Server) equip(c *conn) {
	if c.ex == nil {
		ex, ok := s.spareExchanges.Get().(*proxy.Exchange)
		if !ok {
			ex = proxy.NewExchange(nil, nil)
		}
		ex.Client, ex.Peer = c, &c.peer
		s.setExchange(c, ex)
	}
	s.opts.Proxy.Ledger.Add(c.ex)
}

func (s *Server) setExchange(c *conn, ex *proxy.Exchange) {
	s.mu.Lock()
	c.ex = ex
	s.mu.Unlock()
}

// rest gives a connection that was idle for a while to the lot, if that takes it.
func (s *Server) rest(c *conn, patience time.Duration) bool {
	var until time.Time
	if patience > 0 {
		until = time.Now().Add(patience - restAfter)
	}
	ex := c.ex
	s.opts.Proxy.Ledger.Remove(ex)
	s.setExchange(c, nil)
	c.Release()
	if s.lot.park(c, until) {
		s.spareExchanges.Put(ex)
		return true
	}
	s.setExchange(c, ex)
	s.opts.Proxy.Ledger.Add(ex)
	return false
}

// resume has a connection served that rested.
func (s *Server) resume(c *conn) {
	s.equip(c)
	s.workers.serve(c)
}

// each calls f for each HTTP/1.1 connection there is. f must not wait.
func (s *Server) each(f func(*conn)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		f(c)
	}
}

// Close ends everything at once.
func (s *Server) Close() {
	s.stop()
	s.gate.Close()
	s.h2.server.Close()
	for _, c := range s.lot.end() {
		c.end()
	}
	s.workers.end()
	s.each(func(c *conn) {
		c.Close()
		if c.ex != nil {
			c.ex.ClientGone()
		}
	})
	s.accepts.Wait()
	s.owned.Wait()
}

// stop ends the listeners.
func (s *Server) stop() {
	s.stopOnce.Do(func() {
		s.draining.Store(true)
		s.mu.Lock()
		listeners := s.listeners
		s.mu.Unlock()
		for _, l := range listeners {
			l.Close() // outside of the lock: it waits for the accept loop, which needs that to admit a connection
		}
	})
}
