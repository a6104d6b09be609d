package front

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"sluice/proxy"
	"sluice/upstream"
)

// patience is how long a scene waits for anything.
const patience = 20 * time.Second

// failed is what a scene panics with.
type failed string

func fail(format string, args ...any) { panic(failed(fmt.Sprintf(format, args...))) }

// end is one end of a connection that a scene drives byte by byte. It keeps all that came.
type end struct {
	net.Conn
	seen   []byte
	began  int   // where the request of the scene begins in seen
	from   int   // where the message at hand begins
	over   error // how reading ended; io.EOF is a clean end
	half   bool  // it has ended its own side
	left   bool  // it has closed the connection
	closed chan struct{}
}

func newEnd(nc net.Conn) *end {
	nc.SetDeadline(time.Now().Add(patience))
	return &end{Conn: nc, closed: make(chan struct{})}
}

func (e *end) read() error {
	if e.over == nil {
		buf := make([]byte, 32<<10)
		n, err := e.Conn.Read(buf)
		e.seen, e.over = append(e.seen, buf[:n]...), err
	}
	return e.over
}

// more reads more, and fails the scene when nothing comes.
func (e *end) more() error {
	err := e.read()
	if errors.Is(err, os.ErrDeadlineExceeded) {
		fail("nothing comes, and no end, after %q", e.tail())
	}
	return err
}

func (e *end) tail() string {
	at := e.seen[min(e.from, len(e.seen)):]
	if len(at) > 400 {
		return string(at[:400]) + "…"
	}
	return string(at)
}

func (e *end) send(text string) {
	if _, err := io.WriteString(e.Conn, text); err != nil {
		fail("send: %v", err)
	}
}

// until reads on until the message at hand has the text.
func (e *end) until(text string) {
	for !bytes.Contains(e.seen[e.from:], []byte(text)) {
		if e.more() != nil {
			fail("%v after %q; want %q", e.over, e.tail(), text)
		}
	}
}

// fill reads on until so many bytes of the message at hand are here.
func (e *end) fill(n int) {
	for len(e.seen)-e.began < n {
		if e.more() != nil {
			fail("%v after %q", e.over, e.tail())
		}
	}
}

// toEnd reads to the end of the connection and reports whether that was a clean one.
func (e *end) toEnd() (clean bool) {
	for e.more() == nil {
	}
	return e.over == io.EOF
}

// replay reads the message at hand from its beginning, and then what still comes.
type replay struct {
	e  *end
	at int
}

func (r *replay) Read(p []byte) (int, error) {
	for r.at == len(r.e.seen) {
		if err := r.e.more(); err != nil {
			return 0, err
		}
	}
	n := copy(p, r.e.seen[r.at:])
	r.at += n
	return n, nil
}

// heard is what a reader that knows nothing of Sluice makes of the bytes.
type heard struct {
	begun, whole bool
	status       int
	line, body   string
	close        bool
	reset        bool
}

// response reads the next final response, and steps over it when it is whole.
func (e *end) response(method string) (m heard) {
	r := &replay{e, e.from}
	br := bufio.NewReader(r)
	for {
		res, err := http.ReadResponse(br, &http.Request{Method: method})
		if err != nil {
			m.reset = e.over != nil && e.over != io.EOF
			return m
		}
		if res.StatusCode < 200 && res.StatusCode != 101 {
			continue
		}
		body, err := io.ReadAll(res.Body)
		m = heard{begun: true, whole: err == nil, status: res.StatusCode, body: string(body), close: res.Close}
		m.reset = err != nil && e.over != io.EOF
		e.from = r.at - br.Buffered()
		return m
	}
}

// request reads the next request, and steps over it.
func (e *end) request() (m heard) {
	r := &replay{e, e.from}
	br := bufio.NewReader(r)
	req, err := http.ReadRequest(br)
	if err != nil {
		return m
	}
	body, err := io.ReadAll(req.Body)
	m = heard{begun: true, whole: err == nil, line: req.Method + " " + req.RequestURI, body: string(body)}
	e.from = r.at - br.Buffered()
	return m
}

func (e *end) tcp() *net.TCPConn {
	if t, ok := e.Conn.(*tls.Conn); ok {
		return t.NetConn().(*net.TCPConn)
	}
	return e.Conn.(*net.TCPConn)
}

func (e *end) halfClose() {
	e.half = true
	if err := e.Conn.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
		fail("half-close: %v", err)
	}
}

func (e *end) close() { e.half, e.left = true, true; e.Conn.Close() }

func (e *end) reset() {
	e.tcp().SetLinger(0)
	e.half, e.left = true, true
	e.tcp().Close()
}

// result is what the log has of an exchange.
type result struct {
	text    string
	retries int
}

// scene is a Sluice before two backends that are driven by hand, one client, and one cell to come true.
type scene struct {
	cell
	variant
	proxy     *proxy.Proxy
	front     *Server
	address   string
	ready     sync.Once // it has come to its event
	origins   [2]*upstream.Backend
	sockets   []int // that nobody listens on
	listeners []net.Listener
	arrivals  chan *end // backend connections that a request has come on
	results   chan result
	early     *result // where it was awaited before the event
	accepts   sync.WaitGroup
	opened    sync.Mutex
	ends      []*end // all connections to backends; guarded by opened while backends accept

	c, b    *end
	old     []*end // backend connections that have carried a request before
	sent    string // the whole body that the request has
	rest    string // what completes the answer
	unsent  string // what completes the request
	body    string // of the answer
	dialled int64  // requests that warmed the connections up
}

func newScene(c cell, v variant) *scene {
	s := &scene{cell: c, variant: v, arrivals: make(chan *end, 8), results: make(chan result, 8)}
	pt, ft := deadlines(c, v)
	s.proxy = proxy.New(pt, s)
	for i := range s.origins {
		s.origins[i] = backendAt(s.origin(i))
		s.origins[i].Endpoint = upstream.NewEndpoint("tcp", s.origins[i].Name, upstream.Options{Connect: s.connectWithin(i), Known: time.Minute})
	}
	s.route()
	s.front = New(Options{Proxy: s.proxy, Timeouts: ft})
	scheme, conf := "http", (*tls.Config)(nil)
	if v.tls != nil {
		scheme, conf = "https", v.tls.server
	}
	addr, err := s.front.Listen(scheme, "tcp", "127.0.0.1:0", conf)
	must(err)
	s.address = addr.String()
	return s
}

// origin opens a backend, unless the scene is about one that cannot be reached.
func (s *scene) origin(i int) (address string) {
	switch {
	case s.event == allRefuse, s.event == refused && i == 0:
		return s.deaf(false)
	case s.event == noneReply, s.event == noReply && i == 0, s.side == "client" && s.phase == phaseDialling:
		return s.deaf(true)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(err)
	s.listeners = append(s.listeners, l)
	s.accepts.Go(func() { s.accept(l) })
	return l.Addr().String()
}

func (s *scene) route() {
	snapshot, err := proxy.NewSnapshot(1, []*proxy.Service{{
		Name: "web", Path: "/", Live: upstream.NewPool("blue", upstream.RoundRobin, s.origins[:]),
	}})
	must(err)
	s.proxy.Swap(snapshot)
}

func (s *scene) accept(l net.Listener) {
	for {
		nc, err := l.Accept()
		if err != nil {
			return
		}
		e := newEnd(nc)
		s.opened.Lock()
		s.ends = append(s.ends, e)
		s.opened.Unlock()
		go s.await(e)
	}
}

// await tells of a backend connection when a request comes on it; its end is told to who waits for that.
func (s *scene) await(e *end) {
	e.began, e.from = len(e.seen), len(e.seen)
	if e.read() != nil {
		close(e.closed)
		return
	}
	s.arrivals <- e
}

// arrival is the next backend connection that a request comes on.
func (s *scene) arrival() *end {
	select {
	case e := <-s.arrivals:
		return e
	case <-time.After(patience):
		fail("no request comes to a backend")
		return nil
	}
}

// Done makes the scene the proxy's Observer.
func (s *scene) Done(ex *proxy.Exchange, _ time.Duration) {
	text := fmt.Sprint(ex.Status)
	if ex.Err != nil {
		text += " " + ex.Err.Fault.String()
	}
	if ex.Lost() {
		text += " lost"
	}
	s.results <- result{text, ex.Retries}
}

func (s *scene) result() result {
	if r := s.early; r != nil {
		s.early = nil
		return *r
	}
	select {
	case r := <-s.results:
		return r
	case <-time.After(patience):
		fail("the exchange does not end")
		return result{}
	}
}

// dial connects a client.
func (s *scene) dial() *end {
	nc, err := net.Dial("tcp", s.address)
	must(err)
	if s.tls != nil {
		nc = tls.Client(nc, s.tls.client)
	}
	return newEnd(nc)
}

// warm leaves one idle connection to each backend.
func (s *scene) warm() {
	for range s.origins {
		c := s.dial()
		c.send("GET /warm HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
		b := s.arrival()
		b.request()
		b.send(whole("warm"))
		c.response("GET")
		c.reset()
		s.result()
		s.old = append(s.old, b)
		s.dialled++
		go s.await(b)
	}
}

// requests is how many were sent to backends since the connections were warmed up.
func (s *scene) requests() (n int64) {
	for _, o := range s.origins {
		n += o.Endpoint.Stats.Requests.Load()
	}
	return n - s.dialled
}

// backendOf is the backend that a connection belongs to.
func (s *scene) backendOf(e *end) *upstream.Backend {
	for _, o := range s.origins {
		if o.Endpoint.Address == e.LocalAddr().String() {
			return o
		}
	}
	fail("a connection of no backend")
	return nil
}

// finish ends the client, and sees to it that nothing is left. It resets, so that the kernel has no thousand closed
// connections to remember.
func (s *scene) finish() {
	s.c.reset()
	for _, o := range s.origins {
		until("the backends are left", func() bool { return o.Gate.Inside() == 0 })
	}
	until("the client's connection is given up", func() bool { return s.front.Connections() == 0 })
}

// clear ends what a scene that failed may have left.
func (s *scene) clear() {
	s.front.Close()
	for _, l := range s.listeners {
		l.Close()
	}
	for _, fd := range s.sockets {
		unix.Close(fd)
	}
	s.accepts.Wait() // and with it for the last to write ends
	for _, e := range s.ends {
		e.reset()
	}
	for _, o := range s.origins {
		o.Endpoint.CloseIdle()
	}
}

// until polls a condition that another goroutine or the kernel brings about.
func until(what string, ok func() bool) {
	for end := time.Now().Add(patience); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			fail("%s: did not come about", what)
		}
	}
}

// noticed waits until Sluice's kernel has what a backend did to an idle connection.
func noticed(b *end) {
	if b.left {
		until("the kernel forgets the connection", func() bool { return !known(b.RemoteAddr(), b.LocalAddr()) })
		return
	}
	until("the kernel acknowledges", func() bool { return b.acknowledged() })
}

// acknowledged reports that the other side's kernel has all that was sent, the end with it.
func (e *end) acknowledged() (all bool) {
	raw, err := e.tcp().SyscallConn()
	if err != nil {
		return true // closed, see known
	}
	raw.Control(func(fd uintptr) {
		info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
		all = err == nil && info.Unacked == 0 && (!e.half || info.State != tcpFinWait1)
	})
	return all
}

const tcpFinWait1 = 4

// known reports that the kernel has an established connection between these addresses: it asks for that one
// (sock_diag(7)), because a table of all takes long to read on a busy machine.
func known(local, remote net.Addr) bool {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, unix.NETLINK_SOCK_DIAG)
	must(err)
	defer unix.Close(fd)
	ask := make([]byte, 72)
	binary.NativeEndian.PutUint32(ask[0:], uint32(len(ask)))
	binary.NativeEndian.PutUint16(ask[4:], sockDiagByFamily)
	binary.NativeEndian.PutUint16(ask[6:], unix.NLM_F_REQUEST)
	ask[16], ask[17] = unix.AF_INET, unix.IPPROTO_TCP
	binary.NativeEndian.PutUint32(ask[20:], 0xffffffff) // in any state
	binary.BigEndian.PutUint16(ask[24:], uint16(local.(*net.TCPAddr).Port))
	binary.BigEndian.PutUint16(ask[26:], uint16(remote.(*net.TCPAddr).Port))
	copy(ask[28:], local.(*net.TCPAddr).IP.To4())
	copy(ask[44:], remote.(*net.TCPAddr).IP.To4())
	copy(ask[64:], "\xff\xff\xff\xff\xff\xff\xff\xff") // no cookie
	must(unix.Sendto(fd, ask, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}))
	told := make([]byte, 4096)
	_, err = unix.Read(fd, told)
	must(err)
	const established = 1
	return binary.NativeEndian.Uint16(told[4:]) == sockDiagByFamily && told[17] == established
}

const sockDiagByFamily = 20

// deaf is an address at which nobody listens, or where the queue is full and stays so. Its sockets are closed at the end
// of the scene, so that nobody else gets it.
func (s *scene) deaf(queue bool) string {
	fd := s.socket()
	must(unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}))
	bound, err := unix.Getsockname(fd)
	must(err)
	if queue {
		must(unix.Listen(fd, 0))
		for range 2 {
			unix.Connect(s.socket(), bound)
		}
	}
	return fmt.Sprintf("127.0.0.1:%d", bound.(*unix.SockaddrInet4).Port)
}

func (s *scene) socket() int {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	must(err)
	s.sockets = append(s.sockets, fd)
	return fd
}

func must(err error) {
	if err != nil {
		fail("%v", err)
	}
}

var _ proxy.Observer = (*scene)(nil)
