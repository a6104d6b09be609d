package proxy

import (
	"bytes"
	"sync"
	"sync/atomic"
	"time"

	"sluice/drain"
	"sluice/http1"
	"sluice/message"
	"sluice/upstream"
)

// Client is the side of an exchange that faces the client: where the request's body comes from and the response goes.
// A front implements it for each protocol. One goroutine reads the body and one writes the response; they may be two.
type Client interface {
	// WholeBody returns the request's body when all of it is here already; SkipBody then takes it off.
	WholeBody() (body []byte, ok bool)
	SkipBody()
	// Next returns the next bytes of the body, good until the next call, and io.EOF at its clean end. ReadBody reads them
	// into memory of the caller's.
	Next() ([]byte, error)
	ReadBody([]byte) (int, error)
	BodyDone() bool
	BodyBuffered() bool
	Trailers() []message.Field
	// ArmRead and ArmWrite say how long a read of the body or a write of the response may wait from now on.
	ArmRead(time.Duration)
	ArmWrite(time.Duration)
	// InterruptReads makes a read of the body fail at once, now and later.
	InterruptReads()

	// WriteResponse writes an interim or a final head; the body follows its framing. Bytes wait until Flush.
	WriteResponse(*message.Head) error
	WriteBody([]byte) error
	EndBody(trailers []message.Field) error
	Flush() error
	// Abort ends the response so that the client knows it for incomplete.
	Abort()

	// Tunnel gives the connection to be used for another protocol, or nil where there is none.
	Tunnel() *http1.Conn
}

// Peer is what is known of a client for as long as its connection lasts. It never changes.
type Peer struct {
	Address string        // without the port
	Scheme  string        // "http" or "https"
	Trusted bool          // its forwarding fields are believed
	Door    string        // the listener for previews that it came in by; empty: one for visitors
	Local   func() string // the address it connected to; stands in for a Host that an HTTP/1.0 client left out
}

// Exchange is one request and its response, whatever carried them. A front makes one for each connection or stream, and
// uses it again after Reset. Request, Client and Peer are the front's to set before Serve.
type Exchange struct {
	Request message.Head
	Client  Client
	Peer    *Peer
	Began   time.Time // when the request head was read

	// What became of it; for the front and the Observer after Serve.
	Service  *Service          // nil: no route
	Backend  *upstream.Backend // the last one tried; nil: none
	Status   int               // as sent to the client; 0: nothing was sent
	BytesIn  int64             // of the request body, as sent on
	BytesOut int64             // of the response body, as sent on
	Retries  int
	Waited   time.Duration // from the last attempt's begin to its response head
	Held     time.Duration // in the service's waiting room
	Err      *Error        // nil: all went well
	Close    bool          // the client's connection cannot carry another request
	Tunneled bool          // the connection was used for another protocol and is spent

	pool     *upstream.Pool // that it goes to; nil: no service was found yet
	response message.Head
	id       requestID
	scratch  []byte // holds what is added to a head
	tried    upstream.Tried
	hold     hold
	wallet   wallet
	visit    visit
	probed   *Probed // it is a probe of this; nil: a visitor's request
	miss     *miss   // nil: the live release has what is asked for, as far as is known
	last     *Error  // why the attempt before failed
	queued   queued
	worn     bool // it failed on a connection that had been idle, which proves nothing against its backend
	sent     sent // over all attempts that failed
	bodyCut  bool // the backend of the attempt at hand did not get all of the body
	begun    bool // a final response head was given to the client
	broken   bool // the response had begun, and was left incomplete
	inflow   inflow
	intake   intake
	pump     pump
	in, out  flow
	again    bool   // the attempt failed, and the request is sent once more
	whole    bool   // the response came to its own end
	guest    *guest // of the waiting room; nil: it has not been there

	unclear   bool // servers read the request's path in different ways
	recipient bool // the request may go no further than here (RFC 9110 §7.6.2)

	class  atomic.Uint32 // a drain.Class
	gone   atomic.Bool   // the client left
	cut    atomic.Bool   // a drain ended it
	spread time.Duration // over which the clients of what was cut with it are to come back; written once, before cut is set

	mu       sync.Mutex  // guards what the ledger reads; see enter
	gate     *drain.Gate // that of the backend it is inside of; nil: inside of none
	carrier  interrupter // what to interrupt to wake it
	headAt   time.Time   // when the response head came
	straight bool        // it came to the backend when its head was read
	entries  uint64      // how often it entered; tells a stale item from a live one
}

// interrupter ends what waits on a connection.
type interrupter interface{ Interrupt() }

// NewExchange returns an exchange for a front's connection or stream.
func NewExchange(client Client, peer *Peer) *Exchange {
	return &Exchange{Client: client, Peer: peer, id: newRequestID()}
}

// Reset readies the exchange for the next request, whose head may have been read already.
func (ex *Exchange) Reset(began time.Time) {
	ex.Began = began
	ex.Service, ex.pool, ex.Backend, ex.Err = nil, nil, nil, nil
	ex.Status, ex.BytesIn, ex.BytesOut, ex.Retries, ex.Waited = 0, 0, 0, 0, 0
	ex.Close, ex.Tunneled, ex.begun, ex.broken = false, false, false, false
	ex.last, ex.guest, ex.Held = nil, nil, 0
	ex.worn, ex.sent, ex.bodyCut = false, sentNone, false
	ex.tried.Reset()
	ex.hold, ex.visit, ex.wallet, ex.miss = hold{}, visit{}, wallet{}, nil
	ex.inflow, ex.intake = inflow{}, intake{}
	ex.again, ex.whole = false, false
	ex.in.reset()
	ex.out.reset()
	ex.pump.reset()
	ex.id.next()
	ex.class.Store(uint32(drain.Request))
	ex.gone.Store(false)
	ex.cut.Store(false)
}

// ID is the request's id, as the backend was told it.
func (ex *Exchange) ID() string { return string(ex.id.bytes()) }

// Lost reports that the response began and did not come to its end, and that it was not the client who ended it.
func (ex *Exchange) Lost() bool { return ex.broken && ex.Err.Fault != ByClient }

// enter makes the exchange visible in the ledger as inside of a gate. From here to leave the request head does not
// change, so the ledger may read it under the lock.
func (ex *Exchange) enter(gate *drain.Gate) {
	ex.mu.Lock()
	ex.gate = gate
	ex.entries++
	ex.headAt, ex.straight = time.Time{}, !ex.begunLater()
	ex.mu.Unlock()
}

// leave takes the exchange out of the ledger. Whatever carries it is out of reach of an interrupt from then on.
func (ex *Exchange) leave() {
	ex.mu.Lock()
	ex.gate, ex.carrier = nil, nil
	ex.mu.Unlock()
}

// uncarry puts the connection out of reach of an interrupt: another exchange may use it next.
func (ex *Exchange) uncarry() {
	ex.mu.Lock()
	ex.carrier = nil
	ex.mu.Unlock()
}

// carry names what to interrupt. An end that was asked for before is caught up with here.
func (ex *Exchange) carry(c interrupter) {
	ex.mu.Lock()
	ex.carrier = c
	ex.mu.Unlock()
	if ex.cut.Load() || ex.gone.Load() {
		c.Interrupt()
	}
}

func (ex *Exchange) headCame(conn *upstream.Conn) {
	at := time.Now()
	ex.mu.Lock()
	ex.headAt = at
	ex.mu.Unlock()
	conn.Answered(&ex.response, at)
	if ex.pump.running {
		conn.HTTP().ForgetReads()
	}
}

// ownHead moves the request head out of the buffer it was read into, which a tunnel gives back while the ledger and the
// Observer still read the head.
func (ex *Exchange) ownHead() {
	ex.mu.Lock()
	defer ex.mu.Unlock()
	h := &ex.Request
	h.Method, h.Target, h.Authority = bytes.Clone(h.Method), bytes.Clone(h.Target), bytes.Clone(h.Authority)
	h.Upgrade = bytes.Clone(h.Upgrade)
	for i := range h.Fields {
		f := &h.Fields[i]
		f.Name, f.Value = bytes.Clone(f.Name), bytes.Clone(f.Value)
	}
}

// ClientGone ends the exchange because its client left. It may be called from any goroutine, and also while the exchange
// is inside of no backend: it then ends as soon as it is.
func (ex *Exchange) ClientGone() {
	ex.mu.Lock()
	defer ex.mu.Unlock()
	ex.gone.Store(true)
	if ex.carrier != nil {
		ex.carrier.Interrupt()
	}
}

// Unwatched reports whether the exchange has been at a backend since before a moment and nobody reads from its client,
// so that nobody would notice that the client left.
func (ex *Exchange) Unwatched(before time.Time) bool {
	ex.mu.Lock()
	defer ex.mu.Unlock()
	switch drain.Class(ex.class.Load()) {
	case drain.Upload, drain.WebSocket, drain.Tunnel:
		return false
	}
	return ex.gate != nil && ex.Began.Before(before)
}

// bodySent starts the wait for the response, unless it has come already: while a body is on its way there is none.
func (ex *Exchange) bodySent(conn *http1.Conn, wait time.Duration) {
	ex.mu.Lock()
	defer ex.mu.Unlock()
	if ex.headAt.IsZero() {
		conn.ExpireReads(wait)
	}
}

func (ex *Exchange) setClass(c drain.Class) { ex.class.Store(uint32(c)) }
