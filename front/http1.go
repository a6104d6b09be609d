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

// conn is a client's HTTP/1.1 connection. Its goroutine serves one request after the other.
type conn struct {
	*http1.Conn
	server *Server
	ex     *proxy.Exchange
	life   *life
	socket syscall.RawConn // below TLS too; nil: out of reach
	plain  net.Conn        // what carries the bytes, below TLS

	closing bool        // the client was told that this is the last response
	served  bool        // a request has come on it
	idle    atomic.Bool // waits for a request

	goneFor   int    // looks for which the client has been gone; owned by the watch
	acked     uint64 // bytes that the client had acknowledged at the last of them; owned by the watch
	idleTicks int    // ticks for which it has been idle; owned by the closer of idle connections
}

// serveHTTP1 is the goroutine of a connection. plain is the socket below nc.
func (s *Server) serveHTTP1(nc, plain net.Conn, scheme string) {
	c := &conn{Conn: http1.NewConn(nc, &s.opts.Limits), server: s, plain: plain, life: s.newLife()}
	if sc, ok := plain.(syscall.Conn); ok {
		c.socket, _ = sc.SyscallConn()
	}
	c.ex = proxy.NewExchange(c, s.peer(plain, scheme))
	s.add(c)
	defer s.remove(c)
	defer c.Release()
	defer c.Close()
	for c.next() {
		s.opts.Proxy.Serve(c.ex)
		if !c.goesOn() {
			return
		}
	}
}

// next reads a request head and reports whether there is a request to serve.
func (c *conn) next() bool {
	c.idle.Store(true)
	err := c.ReadRequest(&c.ex.Request, c.waits())
	for err != nil && c.woken(err) {
		err = c.ReadRequest(&c.ex.Request, c.waits())
	}
	c.idle.Store(false)
	c.served = true
	c.ex.Reset(time.Now())
	if err != nil {
		c.refuse(err)
		return false
	}
	return true
}

func (c *conn) waits() http1.Waits {
	t := &c.server.opts.Timeouts
	if c.served {
		return http1.Waits{First: t.Idle, Head: t.Head}
	}
	return http1.Waits{First: t.First, Head: t.Head}
}

// woken reports that the wait was ended because Sluice goes, but that a request has come at that very moment: it is
// read, so that a client that never retries loses nothing.
func (c *conn) woken(err error) bool {
	if !errors.Is(err, os.ErrDeadlineExceeded) || c.HeadBegun() || !c.server.draining.Load() || c.Quiet() {
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
	if t, ok := c.plain.(*net.TCPConn); ok {
		t.SetLinger(0)
	}
	c.plain.Close()
	c.ex.Tunneled = true
}

// Tunnel gives the connection to another protocol.
func (c *conn) Tunnel() *http1.Conn { return c.Conn }

var _ proxy.Client = (*conn)(nil)
