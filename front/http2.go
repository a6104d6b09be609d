package front

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"sluice/http1"
	"sluice/message"
	"sluice/proxy"
)

// http2Front serves HTTP/2 connections: net/http reads the frames, and each stream becomes an exchange.
type http2Front struct {
	front  *Server
	server *http.Server
	conns  chan net.Conn
	ended  chan struct{}
	doors  sync.Map // door by connection, from when it is handed over until it is taken; only of those for previews
	once   sync.Once
}

func newHTTP2(s *Server) *http2Front {
	f := &http2Front{front: s, conns: make(chan net.Conn), ended: make(chan struct{})}
	f.server = &http.Server{
		Handler: f, Protocols: new(http.Protocols), IdleTimeout: s.opts.Timeouts.Idle,
		MaxHeaderBytes: s.opts.Limits.Head, ConnState: f.connState, ErrorLog: silent(),
		ConnContext:                  f.begin,
		DisableGeneralOptionsHandler: true,
	}
	f.server.Protocols.SetHTTP2(true)
	go f.server.Serve(f)
	return f
}

// serve hands over a connection on which HTTP/2 was agreed. It is in the server's gate already.
func (f *http2Front) serve(nc net.Conn, door string) {
	if door != "" {
		f.doors.Store(nc, door)
	}
	select {
	case f.conns <- nc:
	case <-f.ended:
		f.doors.Delete(nc)
		nc.Close()
		f.front.gate.Leave()
	}
}

func (f *http2Front) begin(ctx context.Context, nc net.Conn) context.Context {
	door, _ := f.doors.LoadAndDelete(nc)
	name, _ := door.(string)
	return f.front.begin(ctx, name)
}

func (f *http2Front) connState(_ net.Conn, state http.ConnState) {
	if state == http.StateClosed {
		f.front.gate.Leave()
	}
}

// goAway tells the clients to open no more streams here, and lets those that are open finish.
func (f *http2Front) goAway(ctx context.Context) { f.server.Shutdown(ctx) }

// Accept, Close and Addr make it the listener that its own server accepts from.
func (f *http2Front) Accept() (net.Conn, error) {
	select {
	case nc := <-f.conns:
		return nc, nil
	case <-f.ended:
		return nil, net.ErrClosed
	}
}

// Close ends Accept.
func (f *http2Front) Close() error {
	f.once.Do(func() { close(f.ended) })
	return nil
}

// Addr is never looked at.
func (f *http2Front) Addr() net.Addr { return &net.UnixAddr{Name: "http2", Net: "unix"} }

// ServeHTTP takes one stream through an exchange.
func (f *http2Front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	st := &stream{w: w, r: r, control: http.NewResponseController(w)}
	st.ex = proxy.NewExchange(st, f.front.streamPeer(r))
	st.ex.Reset(time.Now())
	if err := st.readHead(&f.front.opts.Limits); err != nil {
		f.front.opts.Proxy.Reject(st.ex, err)
		return
	}
	ledger := &f.front.opts.Proxy.Ledger
	ledger.Add(st.ex)
	defer ledger.Remove(st.ex)
	defer context.AfterFunc(r.Context(), st.ex.ClientGone)()
	f.front.opts.Proxy.Serve(st.ex)
	if st.aborted {
		panic(http.ErrAbortHandler) // resets the stream: a clean end would pass for a whole body
	}
}

func (s *Server) streamPeer(r *http.Request) *proxy.Peer {
	p := s.peer(addresses{remote: r.RemoteAddr}, "https", func() string {
		a, _ := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
		return fmt.Sprint(a)
	})
	p.Door = lifeOf(r.Context()).door
	return &p
}

// stream is one HTTP/2 stream as an exchange's client.
type stream struct {
	w       http.ResponseWriter
	r       *http.Request
	control *http.ResponseController
	ex      *proxy.Exchange

	buf     []byte
	read    int64 // bytes of the body so far
	ended   bool  // the body came to its clean end
	aborted bool
}

func badStream(status int, what string) *proxy.Error {
	return &proxy.Error{Status: status, Fault: proxy.ByClient, What: what}
}

var (
	errConnect    = badStream(405, "CONNECT is for forward proxies (RFC 9110 §9.3.6)")
	errMethod     = badStream(400, "malformed method (RFC 9110 §9.1)")
	errTarget     = badStream(400, "malformed path (RFC 9113 §8.3.1)")
	errDots       = badStream(400, "dot segment in the path: send the path without it (RFC 3986 §5.2.4)")
	errAuthority  = badStream(400, "malformed authority (RFC 9113 §8.3.1)")
	errLength     = badStream(400, "malformed Content-Length (RFC 9113 §8.1.1)")
	errExpect     = badStream(417, "Expect is not 100-continue (RFC 9110 §10.1.1)")
	errTargetLong = badStream(414, "request target too long")
	errFieldCount = badStream(431, "too many fields")
	errFieldLong  = badStream(431, "field too large")
)

// readHead makes the request head of the stream's. Connection-specific fields were refused by the reader below
// (RFC 9113 §8.2.2), and it answers 100-continue; the target and the authority obey the same rules here as in HTTP/1.1.
func (st *stream) readHead(limits *http1.Limits) *proxy.Error {
	h := &st.ex.Request
	h.Reset()
	h.Method, h.Target, h.Authority = []byte(st.r.Method), []byte(st.r.RequestURI), []byte(st.r.Host)
	if err := checkHead(h); err != nil {
		return err
	}
	if st.r.Header["Expect"] != nil {
		return errExpect
	}
	for name, values := range st.r.Header {
		for _, value := range values {
			h.Add(message.Lookup([]byte(name)), []byte(name), []byte(value))
		}
	}
	st.announceTrailers(h)
	if err := st.readFraming(h); err != nil {
		return err
	}
	return excess(h, limits)
}

// excess holds a head that another reader took in to the limits of ours.
func excess(h *message.Head, limits *http1.Limits) *proxy.Error {
	if len(h.Target) > limits.Target {
		return errTargetLong
	}
	if len(h.Fields) > limits.Fields {
		return errFieldCount
	}
	for i := range h.Fields {
		if f := &h.Fields[i]; limits.Field > 0 && len(f.Name)+len(": ")+len(f.Value) > limits.Field {
			return errFieldLong
		}
	}
	return nil
}

func checkHead(h *message.Head) *proxy.Error {
	switch {
	case string(h.Method) == "CONNECT":
		return errConnect
	case !message.IsToken(h.Method):
		return errMethod
	case !message.IsTarget(h.Target), h.Target[0] != '/' && (string(h.Target) != "*" || string(h.Method) != "OPTIONS"):
		return errTarget
	case message.HasDotSegment(h.Path()):
		return errDots
	case !message.IsAuthority(h.Authority):
		return errAuthority
	}
	return nil
}

// announceTrailers gives back the field that the reader below has made the names of the trailers.
func (st *stream) announceTrailers(h *message.Head) {
	for name := range st.r.Trailer {
		h.Add(message.Trailer, []byte("Trailer"), []byte(name))
	}
}

func (st *stream) readFraming(h *message.Head) *proxy.Error {
	length := st.r.Header["Content-Length"]
	if length != nil && !isLength(length[0]) {
		return errLength
	}
	switch n := st.r.ContentLength; {
	case n == 0: // no body can follow: the reader below refuses DATA beyond the length (RFC 9113 §8.1.1)
		st.ended = true
		if length != nil {
			h.Framing = message.Framing{Kind: message.Length}
		}
	case n > 0:
		h.Framing = message.Framing{Kind: message.Length, Length: n}
	default:
		h.Framing = message.Framing{Kind: message.Chunked}
	}
	return nil
}

// isLength takes what HTTP/1.1 takes: digits, in reason.
func isLength(s string) bool { return s != "" && len(s) <= 18 && strings.Trim(s, "0123456789") == "" }

// WholeBody has only the body that there is not: streams are pumped.
func (st *stream) WholeBody() ([]byte, bool) { return nil, st.ended }

// SkipBody does nothing: see WholeBody.
func (st *stream) SkipBody() {}

// Next reads the body through a buffer of the stream's own.
func (st *stream) Next() ([]byte, error) {
	if st.buf == nil && !st.ended {
		st.buf = make([]byte, 32<<10)
	}
	n, err := st.ReadBody(st.buf)
	return st.buf[:n], err
}

// ReadBody reads the body. Its length is counted here too: a stream that ends early must not pass for a whole message.
func (st *stream) ReadBody(p []byte) (int, error) {
	if st.ended {
		return 0, io.EOF
	}
	n, err := st.r.Body.Read(p)
	st.read += int64(n)
	switch {
	case err == io.EOF && st.r.ContentLength >= 0 && st.read != st.r.ContentLength:
		return 0, http1.ErrTruncated
	case err == io.EOF:
		st.ended = true
		return n, nil
	}
	return n, err
}

// BodyDone reports whether the body came to its end.
func (st *stream) BodyDone() bool { return st.ended }

// BodyBuffered is not known of a stream.
func (st *stream) BodyBuffered() bool { return false }

// Trailers are the fields behind the body.
func (st *stream) Trailers() (fields []message.Field) {
	for name, values := range st.r.Trailer {
		for _, value := range values {
			fields = append(fields, message.Field{Name: []byte(name), Value: []byte(value), ID: message.Lookup([]byte(name))})
		}
	}
	return fields
}

func in(d time.Duration) time.Time {
	if d <= 0 {
		return time.Time{}
	}
	return time.Now().Add(d)
}

// ArmRead sets the stream's read deadline.
func (st *stream) ArmRead(d time.Duration) { st.control.SetReadDeadline(in(d)) }

// ArmWrite sets the stream's write deadline.
func (st *stream) ArmWrite(d time.Duration) { st.control.SetWriteDeadline(in(d)) }

// InterruptReads makes reads of the body fail.
func (st *stream) InterruptReads() { st.control.SetReadDeadline(longAgo) }

// Interrupt makes reads and writes fail.
func (st *stream) Interrupt() {
	st.InterruptReads()
	st.control.SetWriteDeadline(longAgo)
}

// WriteResponse writes an interim or a final head.
func (st *stream) WriteResponse(h *message.Head) error {
	out := st.w.Header()
	if h.Interim() {
		defer clear(out)
	}
	for _, f := range h.Fields {
		out.Add(string(f.Name), string(f.Value))
	}
	if h.Framing.Kind == message.Length {
		out.Set("Content-Length", strconv.FormatInt(h.Framing.Length, 10))
	}
	if !h.Interim() && lifeOf(st.r.Context()).last(st.ex.Began) {
		out.Set("Connection", "close") // which the server below turns into a GOAWAY
	}
	st.w.WriteHeader(h.Status)
	return nil
}

// WriteBody writes body bytes.
func (st *stream) WriteBody(p []byte) error {
	if len(p) == 0 {
		return nil
	}
	_, err := st.w.Write(p)
	return err
}

// EndBody adds the trailers; the stream ends when its handler returns.
func (st *stream) EndBody(trailers []message.Field) error {
	for _, f := range trailers {
		st.w.Header().Add(http.TrailerPrefix+string(f.Name), string(f.Value))
	}
	return nil
}

// Flush sends what was written.
func (st *stream) Flush() error { return st.control.Flush() }

// Abort makes the stream end with a reset.
func (st *stream) Abort() { st.aborted = true }

// Tunnel is nil: a stream carries no other protocol.
func (st *stream) Tunnel() *http1.Conn { return nil }

var _ proxy.Client = (*stream)(nil)
