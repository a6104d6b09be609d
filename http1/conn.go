// Package http1 reads and writes HTTP/1.1 messages (RFC 9112) on one connection, in either role. It is strict in what it
// reads and exact in what it writes. It refuses to know proxying: no pools, no routes, no fields but those that frame a
// message or decide whether the connection lives on.
package http1

import (
	"net"
	"sync/atomic"
	"syscall"
	"time"
)

// Limits bounds what a peer may make us hold. A Limits is shared by many connections and never changes.
type Limits struct {
	Head     int // bytes of a start line and fields; at most 64 KiB, which is the largest buffer
	Fields   int // field lines in a head
	Target   int // bytes of a request target
	Field    int // bytes of one field line; 0: as many as the head may have
	Trailers int // bytes of a trailer section; one line of it is 32 KiB at most, whatever the limit
}

// DefaultLimits are for those who have none of their own.
var DefaultLimits = Limits{Head: 64 << 10, Fields: 200, Target: 16 << 10, Trailers: 16 << 10}

// Conn is one connection. While no message is being read or written it holds no buffer. One goroutine reads and one
// writes (they may be two); Interrupt and Close may be called from any.
type Conn struct {
	Clock *Clock // tells the time for deadlines; nil: it is asked for. Set before use

	nc     net.Conn
	raw    syscall.RawConn // nil when the socket is hidden, as under TLS
	limits *Limits

	in    input
	head  headState
	body  bodyState
	out   output
	read  deadline
	write deadline

	interrupted atomic.Bool // reads end at once from now on
	cut         atomic.Bool // writes do too

	onReadable func(fd uintptr) bool // kept, so that waiting allocates nothing
	onMore     func(fd uintptr) bool
	onInto     func(fd uintptr) bool
	onAsk      func(fd uintptr) bool
	onWritable func(fd uintptr) bool
	onLook     func(fd uintptr)
	looked     bool
	asked      askState
	into       []byte // the caller's memory that is being read into
	brought    int    // what came of that
	readErr    error
	first      [1]byte // where the wait for a message reads into while the socket is hidden
}

// NewConn wraps a connection, which the Conn owns from now on. limits is kept, not copied. nc may be nil until Reset.
func NewConn(nc net.Conn, limits *Limits) *Conn {
	c := &Conn{limits: limits}
	c.onReadable, c.onMore, c.onAsk = c.readReady, c.moreReady, c.askReady
	c.onInto, c.onWritable, c.onLook = c.intoReady, c.writeReady, c.look
	c.read.set = func(t time.Time) error { return c.nc.SetReadDeadline(t) }
	c.write.set = func(t time.Time) error { return c.nc.SetWriteDeadline(t) }
	c.Reset(nc)
	return c
}

// Reset makes the Conn of a connection that was closed and released that of another one. Nobody else may hold it.
func (c *Conn) Reset(nc net.Conn) {
	c.nc, c.raw = nc, nil
	c.head, c.body = headState{}, bodyState{trailers: c.body.trailers[:0]}
	c.out.wrote, c.out.chunked = false, false
	c.out.total, c.out.before = 0, 0
	c.read.armed, c.write.armed = false, false
	c.interrupted.Store(false)
	c.cut.Store(false)
	c.asked = askLook
	if sc, ok := nc.(syscall.Conn); ok {
		c.raw, _ = sc.SyscallConn()
	}
}

// NetConn is the connection below.
func (c *Conn) NetConn() net.Conn { return c.nc }

// Close closes the connection at once. Buffers go back when the goroutine that uses them calls Release.
func (c *Conn) Close() error { return c.nc.Close() }

// Release gives the buffers back. Slices read from the connection are dead from then on.
func (c *Conn) Release() {
	c.in.release()
	c.out.release()
}

// Park gives the buffers back between messages, so that an idle connection holds none. It reports whether the input was
// clean: bytes left over are the peer's answer to nothing, and a client connection that has them must be closed.
func (c *Conn) Park() bool {
	if c.in.unread() > 0 {
		return false
	}
	c.Release()
	return true
}

// ParkInput is Park for the read side alone, for when another goroutine writes.
func (c *Conn) ParkInput() {
	if c.in.unread() == 0 {
		c.in.release()
	}
}

// ExpireReads sets a read deadline from a goroutine that is not the reader. The reader calls ForgetReads before it arms
// its own.
func (c *Conn) ExpireReads(d time.Duration) {
	if d > 0 {
		c.nc.SetReadDeadline(time.Now().Add(d))
		c.stayInterrupted()
	}
}

// ForgetReads clears the read deadline, whoever set it.
func (c *Conn) ForgetReads() {
	c.read.armed = false
	c.nc.SetReadDeadline(time.Time{})
	c.stayInterrupted()
}

// stayInterrupted follows each change of the read deadline. To look before the change would not do: an interruption may
// come between the two, and would be lost.
func (c *Conn) stayInterrupted() {
	if c.interrupted.Load() {
		c.nc.SetReadDeadline(longAgo)
	}
}

var longAgo = time.Unix(1, 0)

// Interrupt makes each read and write on the connection fail with os.ErrDeadlineExceeded from now on. It wakes a
// goroutine that waits in one. It may be called from any goroutine, and does not wait.
func (c *Conn) Interrupt() {
	c.cut.Store(true)
	c.nc.SetWriteDeadline(longAgo)
	c.InterruptReads()
}

// InterruptReads is Interrupt for reads only: what is to be said last can still be written.
func (c *Conn) InterruptReads() {
	c.interrupted.Store(true)
	c.nc.SetReadDeadline(longAgo)
}

// Interrupted reports whether reads were ended by Interrupt or InterruptReads.
func (c *Conn) Interrupted() bool { return c.interrupted.Load() }

// ArmRead sets how long reads may wait from now on. See deadline for its exactness.
func (c *Conn) ArmRead(d time.Duration) {
	c.read.arm(d, c.Clock)
	c.stayInterrupted()
}

// ArmWrite sets how long writes may wait from now on.
func (c *Conn) ArmWrite(d time.Duration) {
	c.write.arm(d, c.Clock)
	if c.cut.Load() {
		c.nc.SetWriteDeadline(longAgo)
	}
}
