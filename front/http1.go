package front

import (
	"errors"
	"net"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"sluice/http1"
	"sluice/message"
	"sluice/proxy"
)

var (
	nameConnection = []byte("Connection")
	valueClose     = []byte("close")
	valueKeepAlive = []byte("keep-alive")
)

const (
	// lingerFor and lingerBytes bound how long and how much is read off a client after its last answer.
	lingerFor   = 2 * time.Second
	lingerBytes = 64 << 20
)

// conn is a client's HTTP/1.1 connection. One goroutine serves its requests one after the other; it rests in the lot while
// none comes.
type conn struct {
	*http1.Conn
	server *Server
	ex     *proxy.Exchange // nil while it rests; set under the server's lock, where the watch reads it
	peer   proxy.Peer
	local  func() string
	life   life
	socket syscall.RawConn // below TLS too; nil: out of reach
	plain  net.Conn        // what carries the bytes, below TLS
	bare   *socket         // plain, where the connection may rest; nil under TLS

	closing bool        // the client was told that this is the last response
	served  bool        // a request has come on it
	slow    bool        // this request came so long after the one before that the acknowledgement of that may have gone alone
	idle    atomic.Bool // waits for a request

	until time.Time // when its rest is over; owned by the lot
	known bool      // the lot's poller knows it; owned by the lot

	goneFor   int    // looks for which the client has been gone; owned by the watch
	acked     uint64 // bytes that the client had acknowledged at the last of them; owned by the watch
	idleTicks int    // ticks for which it has been idle; owned by the closer of idle connections
}

// newConn returns a connection that is nobody's yet. What a connection needs is large enough to be used again.
func (s *Server) newConn() *conn {
	if c, ok := s.spareConns.Get().(*conn); ok {
		return c
	}
	c := &conn{server: s, Conn: http1.NewConn(nil, &s.opts.Limits)}
	c.Conn.Clock = s.opts.Clock
	c.local = func() string { return c.plain.LocalAddr().String() }
	return c
}

// begin makes it the connection of a client. plain is the socket below nc.
func (c *conn) begin(nc, plain net.Conn, scheme, door string) {
	c.Conn.Reset(nc)
	c.plain, c.socket = plain, nil
	if sc, ok := plain.(syscall.Conn); ok {
		c.socket, _ = sc.SyscallConn()
	}
	c.bare, _ = nc.(*socket)
	c.peer = c.server.peer(plain, scheme, c.local)
	c.peer.Door = door
	c.life.begin(&c.server.opts)
	c.closing, c.served, c.known = false, false, false
	c.goneFor, c.acked, c.idleTicks = 0, 0, 0
	c.server.add(c)
}

// turn is what a connection does next.
type turn uint8

const (
	serves turn = iota // a request is here
	rests              // no request came for a while: the connection is the lot's now, and nobody else's
	ends
)

// serve serves the connection until it ends or rests.
func (c *conn) serve() {
	for {
		switch c.next() {
		case rests:
			return
		case ends:
			c.end()
			return
		}
		c.server.opts.Proxy.Serve(c.ex)
		if !c.goesOn() {
			c.end()
			return
		}
		c.joinAcks()
	}
}

// end closes the connection and forgets it.
func (c *conn) end() {
	c.Close()
	c.Release()
	c.server.remove(c)
	c.server.spareConns.Put(c)
}

// next reads a request head.
func (c *conn) next() turn {
	c.idle.Store(true)
	err := c.ReadRequest(&c.ex.Request, c.waits())
	for err != nil && c.woken(err) {
		err = c.ReadRequest(&c.ex.Request, c.waits())
	}
	if err != nil && c.mayRest(err) && c.server.rest(c, c.patience()) {
		return rests
	}
	c.idle.Store(false)
	c.reset(time.Now())
	if err != nil {
		c.refuse(err)
		return ends
	}
	return serves
}

// ackPatience is how long Linux keeps an acknowledgement back for an answer to carry it (TCP_ATO_MIN).
const ackPatience = 40 * time.Millisecond

// joinAcks has acknowledgements ride on answers again. Once an answer came too late for its own, each request gets a packet
// more, as soon as it is read; with thousands of busy clients that costs a tenth of all.
func (c *conn) joinAcks() {
	if c.slow && c.bare != nil {
		rawSocket{c.bare}.Control(http1.AckWithAnswers)
	}
}

// reset readies the exchange for the request that is here.
func (c *conn) reset(now time.Time) {
	c.slow = c.served && now.Sub(c.ex.Began) > ackPatience
	c.served = true
	c.ex.Reset(now)
}

// patience is how long a request may take to begin; 0 is no limit.
func (c *conn) patience() time.Duration {
	if c.served {
		return c.server.opts.Timeouts.Idle
	}
	return c.server.opts.Timeouts.First
}

func (c *conn) waits() http1.Waits {
	first := c.patience()
	if c.bare != nil && (first == 0 || first > restAfter) {
		first = restAfter
	}
	return http1.Waits{First: first, Head: c.server.opts.Timeouts.Head}
}

// mayRest reports that the wait for a request ended because it took so long, and that it may go on in the lot.
func (c *conn) mayRest(err error) bool {
	patience := c.patience()
	return c.bare != nil && errors.Is(err, os.ErrDeadlineExceeded) && !c.HeadBegun() && !c.Interrupted() &&
		!c.server.draining.Load() && (patience == 0 || patience > restAfter)
}

// woken reports that the wait was over, for its length or because Sluice goes, but that a request has come at that very
// moment: it is read, so that a client that never retries loses nothing.
func (c *conn) woken(err error) bool {
	if !errors.Is(err, os.ErrDeadlineExceeded) || c.HeadBegun() || c.Interrupted() || c.Quiet() {
		return false
	}
	c.ForgetReads()
	return true
}

// refuse answers a request that cannot be read, where there is one to answer.
func (c *conn) refuse(err error) {
	refusal := &proxy.Error{Fault: proxy.ByClient, What: "malformed request", Err: err}
	var malformed *http1.Error
	switch {
	case errors.As(err, &malformed):
		refusal.Status, refusal.What = malformed.Status, malformed.What
	case errors.Is(err, os.ErrDeadlineExceeded) && c.HeadBegun():
		refusal.Status, refusal.What = 408, "the request head took too long"
	default:
		return
	}
	c.ex.Close = true
	c.server.opts.Proxy.Reject(c.ex, refusal)
	c.Linger(lingerFor, lingerBytes)
}

// goesOn reports whether the connection may carry another request.
func (c *conn) goesOn() bool {
	switch {
	case c.ex.Tunneled:
		return false
	case c.ex.Close || c.closing:
		if c.ex.Status != 0 && !c.saidAll() {
			c.Linger(lingerFor, lingerBytes)
		}
		return false
	}
	if !c.BodyDone() {
		c.SkipBody()
	}
	return true
}

// saidAll reports that the client announced this request as its last and that all of it was read: nothing more comes, so
// that a plain close cannot take the answer with it.
func (c *conn) saidAll() bool { return c.ex.Request.Close && c.BodyDone() && c.Park() }

// WriteResponse writes a head as this client can read it: an HTTP/1.0 client knows no chunks and no interim responses,
// and each must be told whether the connection goes on.
func (c *conn) WriteResponse(h *message.Head) error {
	if h.Status < 200 {
		return c.Conn.WriteResponse(h)
	}
	old := c.ex.Request.Minor == 0
	switch {
	case h.Framing.Known():
	case old:
		h.Framing.Kind = message.UntilClose
		c.ex.Close = true
	default:
		h.Framing.Kind = message.Chunked
	}
	c.closing = c.life.last(c.ex.Began) || c.ex.Close || c.ex.Request.Close || c.server.draining.Load()
	switch {
	case c.closing:
		h.Add(message.Connection, nameConnection, valueClose)
	case old:
		h.Add(message.Connection, nameConnection, valueKeepAlive)
	}
	return c.Conn.WriteResponse(h)
}

// Abort resets the connection: a plain close could pass for the end of a body without a length (RFC 9112 §8). It does so
// below TLS, whose close would say first that all was sent (RFC 9112 §9.8).
func (c *conn) Abort() {
	switch t := c.plain.(type) {
	case *socket:
		t.ResetOnClose()
	case *net.TCPConn:
		t.SetLinger(0)
	}
	c.plain.Close()
	c.ex.Tunneled = true
}

// Tunnel gives the connection to another protocol.
func (c *conn) Tunnel() *http1.Conn { return c.Conn }

var _ proxy.Client = (*conn)(nil)
