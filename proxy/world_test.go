package proxy

import (
	"bufio"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sluice/drain"
	"sluice/http1"
	"sluice/message"
	"sluice/upstream"
)

// peer is one end of a connection that a test drives byte by byte.
type peer struct {
	t *testing.T
	net.Conn
	br *bufio.Reader
}

func newPeer(t *testing.T, nc net.Conn) *peer {
	nc.SetDeadline(time.Now().Add(8 * time.Second))
	t.Cleanup(func() { nc.Close() })
	return &peer{t: t, Conn: nc, br: bufio.NewReader(nc)}
}

func (p *peer) send(parts ...string) {
	p.t.Helper()
	if _, err := io.WriteString(p.Conn, strings.Join(parts, "")); err != nil {
		p.t.Fatalf("send: %v", err)
	}
}

// head reads to the empty line, which it leaves out.
func (p *peer) head() string {
	p.t.Helper()
	var b strings.Builder
	for {
		line, err := p.br.ReadString('\n')
		if err != nil {
			p.t.Fatalf("no whole head, only %q: %v", b.String(), err)
		}
		if line == "\r\n" {
			return b.String()
		}
		b.WriteString(line)
	}
}

// has reads a head and checks that it has each of the lines (or beginnings of lines).
func (p *peer) has(lines ...string) string {
	p.t.Helper()
	head := p.head()
	for _, line := range lines {
		if !strings.Contains("\r\n"+head, "\r\n"+line) {
			p.t.Fatalf("no %q in\n%s", line, head)
		}
	}
	return head
}

func (p *peer) expect(text string) {
	p.t.Helper()
	got := make([]byte, len(text))
	n, err := io.ReadFull(p.br, got)
	if err != nil || string(got) != text {
		p.t.Fatalf("read %q, %v; want %q", got[:n], err, text)
	}
}

// rest reads to the end of the connection. whole is false when it was reset.
func (p *peer) rest() (text string, whole bool) {
	p.t.Helper()
	b, err := io.ReadAll(p.br)
	if e, ok := err.(net.Error); ok && e.Timeout() {
		p.t.Fatalf("the connection is still open after %q", b)
	}
	return string(b), err == nil
}

// ends checks that the connection is over, with nothing more on it.
func (p *peer) ends() {
	p.t.Helper()
	if text, _ := p.rest(); text != "" {
		p.t.Fatalf("%q, want the end of the connection", text)
	}
}

// silent checks that nothing comes for a moment.
func (p *peer) silent(d time.Duration) {
	p.t.Helper()
	p.SetReadDeadline(time.Now().Add(d))
	defer p.SetReadDeadline(time.Now().Add(8 * time.Second))
	if b, err := p.br.Peek(1); err == nil {
		p.t.Fatalf("%q came", b)
	} else if e, ok := err.(net.Error); !ok || !e.Timeout() {
		p.t.Fatalf("%v came", err)
	}
}

func (p *peer) closeWrite() { p.Conn.(*net.TCPConn).CloseWrite() }

func (p *peer) reset() {
	p.Conn.(*net.TCPConn).SetLinger(0)
	p.Close()
}

// origin is a backend whose connections the test drives.
type origin struct {
	t     *testing.T
	l     net.Listener
	conns chan *peer
	*upstream.Backend
}

func newOrigin(t *testing.T) *origin {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	o := &origin{t: t, l: l, conns: make(chan *peer, 32)}
	o.Backend = backendOf(l)
	t.Cleanup(func() { l.Close(); o.Endpoint.CloseIdle() })
	go o.accept()
	return o
}

// backendOf is one whose idle connections are known to last. See newStranger for one of which nothing is known.
func backendOf(l net.Listener) *upstream.Backend {
	return &upstream.Backend{
		Endpoint: upstream.NewEndpoint("tcp", l.Addr().String(), upstream.Options{Known: time.Minute}),
		Pool:     "blue", Name: l.Addr().String(), Weight: 1, Gate: drain.NewGate(),
	}
}

func (o *origin) accept() {
	for {
		nc, err := o.l.Accept()
		if err != nil {
			return
		}
		o.conns <- newPeer(o.t, nc)
	}
}

// conn is the next connection that was opened to the origin.
func (o *origin) conn() *peer {
	o.t.Helper()
	select {
	case p := <-o.conns:
		return p
	case <-time.After(8 * time.Second):
		o.t.Fatal("nobody connected")
		return nil
	}
}

// unused checks that no further connection was opened.
func (o *origin) unused() {
	o.t.Helper()
	select {
	case <-o.conns:
		o.t.Error("another connection was opened")
	default:
	}
}

func acceptAll(l net.Listener) {
	for {
		nc, err := l.Accept()
		if err != nil {
			return
		}
		go serveOne(nc)
	}
}

// serveOne answers whatever comes on a connection.
func serveOne(nc net.Conn) {
	buf := make([]byte, 4096)
	answer := []byte("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nDate: Mon, 01 Jan 2024 00:00:00 GMT\r\nContent-Length: 5\r\n\r\nhello")
	for {
		if _, err := nc.Read(buf); err != nil {
			return
		}
		if _, err := nc.Write(answer); err != nil {
			return
		}
	}
}

// outcome is what an Observer keeps of an exchange.
type outcome struct {
	Status, Retries   int
	BytesIn, BytesOut int64
	Err               *Error
	Lost              bool
	Request, Host, ID string
}

// world is a proxy with a front that speaks HTTP/1.1, some origins, and a service that all requests go to.
type world struct {
	t         *testing.T
	proxy     *Proxy
	service   *Service
	origins   []*origin
	retry     time.Duration // of the service
	most      int64         // of the service
	queue     Queueing      // of the service
	done      chan outcome
	exchanges chan *Exchange

	l     net.Listener
	links sync.WaitGroup

	mu   sync.Mutex
	peer Peer // who connects from now on
}

var generous = Timeouts{Response: 5 * time.Second, Body: 5 * time.Second, Write: 5 * time.Second, Tunnel: 5 * time.Second}

func newWorld(t *testing.T, origins int, timeouts Timeouts) *world {
	t.Helper()
	w := &world{
		t: t, done: make(chan outcome, 4096), exchanges: make(chan *Exchange, 64),
		peer: Peer{Address: "192.0.2.7", Scheme: "http", Local: func() string { return "here" }},
	}
	w.proxy = New(timeouts, w)
	for range origins {
		w.origins = append(w.origins, newOrigin(t))
	}
	w.route(1)
	var err error
	if w.l, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	w.links.Go(w.accept) // while it runs, none is waited for that it has yet to add
	t.Cleanup(w.links.Wait)
	t.Cleanup(func() { w.l.Close() })
	return w
}

// route swaps a snapshot in that sends everything to the origins in turn.
func (w *world) route(generation uint64) {
	var list []*upstream.Backend
	for _, o := range w.origins {
		list = append(list, o.Backend)
	}
	w.service = &Service{Name: "web", Path: "/", Live: upstream.NewPool("blue", upstream.RoundRobin, list), Retry: w.retry, Most: w.most, Queue: w.queue, Line: w.proxy.Queues.NewQueue()}
	s, err := NewSnapshot(generation, []*Service{w.service})
	if err != nil {
		w.t.Fatal(err)
	}
	w.proxy.Swap(s)
}

func (w *world) Done(ex *Exchange, _ time.Duration) {
	w.done <- outcome{
		ex.Status, ex.Retries, ex.BytesIn, ex.BytesOut, ex.Err, ex.Lost(),
		string(ex.Request.Method) + " " + string(ex.Request.Target), string(ex.Request.Authority), ex.ID(),
	}
}

// over is the outcome of the next exchange to end.
func (w *world) over() outcome {
	w.t.Helper()
	select {
	case o := <-w.done:
		return o
	case <-time.After(8 * time.Second):
		w.t.Fatal("the exchange does not end")
		return outcome{}
	}
}

func (w *world) accept() {
	for {
		nc, err := w.l.Accept()
		if err != nil {
			return
		}
		l := &link{Conn: http1.NewConn(nc, &http1.DefaultLimits), plain: nc}
		w.mu.Lock()
		from := w.peer
		w.mu.Unlock()
		l.ex = NewExchange(l, &from)
		w.exchanges <- l.ex
		w.links.Go(func() { l.serve(w.proxy) })
	}
}

// dial connects a client.
func (w *world) dial() *peer {
	w.t.Helper()
	nc, err := net.Dial("tcp", w.l.Addr().String())
	if err != nil {
		w.t.Fatal(err)
	}
	return newPeer(w.t, nc)
}

// ask dials, and sends a request as it is.
func (w *world) ask(parts ...string) *peer {
	w.t.Helper()
	p := w.dial()
	p.send(parts...)
	return p
}

// inside waits until the ledger lists n exchanges.
func (w *world) inside(n int) []drain.Item {
	w.t.Helper()
	var items []drain.Item
	waitFor(w.t, "exchanges are inside", func() bool { items = w.proxy.Ledger.Inside(); return len(items) == n })
	return items
}

func waitFor(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(8 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: did not come about", what)
		}
	}
}

// link is a client's connection, much as a front makes it.
type link struct {
	*http1.Conn
	ex    *Exchange
	plain net.Conn

	cutAtFlush atomic.Bool // a drain cuts the exchange just when its answer is written
}

func (l *link) serve(p *Proxy) {
	defer l.Release()
	defer l.Close()
	p.Ledger.Add(l.ex)
	defer p.Ledger.Remove(l.ex)
	for l.ReadRequest(&l.ex.Request, http1.Waits{}) == nil {
		l.ex.Reset(time.Now())
		p.Serve(l.ex)
		switch {
		case l.ex.Tunneled:
			return
		case l.ex.Close || l.ex.Request.Close:
			l.Linger(time.Second, 64<<20)
			return
		case !l.BodyDone():
			l.SkipBody()
		}
	}
}

func (l *link) WriteResponse(h *message.Head) error {
	if h.Status >= 200 && !h.Framing.Known() {
		h.Framing.Kind = message.Chunked
	}
	if h.Status >= 200 && (l.ex.Close || l.ex.Request.Close) {
		h.Add(message.Connection, nameConnection, valueClose)
	}
	return l.Conn.WriteResponse(h)
}

func (l *link) Flush() error {
	err := l.Conn.Flush()
	if l.cutAtFlush.CompareAndSwap(true, false) {
		l.ex.end(l.ex.entries, 0)
	}
	return err
}

func (l *link) Abort() {
	l.plain.(*net.TCPConn).SetLinger(0)
	l.Close()
	l.ex.Tunneled = true
}

func (l *link) Tunnel() *http1.Conn { return l.Conn }

const (
	get  = "GET / HTTP/1.1\r\nHost: x\r\n\r\n"
	ok   = "HTTP/1.1 200 OK\r\n"
	ok0  = ok + "Content-Length: 0\r\n\r\n"
	last = "0\r\n\r\n"
)
