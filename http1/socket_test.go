package http1

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"sluice/message"
)

// dialed returns both ends of a connection over a real listener.
func dialed(t testing.TB, network string) (ours, theirs net.Conn) {
	t.Helper()
	address := "127.0.0.1:0"
	if network == "unix" {
		address = filepath.Join(t.TempDir(), "s")
	}
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if theirs, err = net.Dial(network, l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if ours, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ours.Close(); theirs.Close() })
	return ours, theirs
}

func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(5 * time.Second); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Errorf("%s: not in time", what)
			return
		}
	}
}

func reset(c net.Conn) {
	if tcp, ok := c.(*net.TCPConn); ok {
		tcp.SetLinger(0)
	}
	c.Close()
}

type halfCloser interface{ CloseWrite() error }

func TestQuietAndGone(t *testing.T) {
	for _, row := range []struct {
		name        string
		do          func(theirs net.Conn)
		quiet, gone bool
	}{
		{"idle", func(net.Conn) {}, true, false},
		{"data waits", func(c net.Conn) { io.WriteString(c, "x") }, false, false},
		{"closed", func(c net.Conn) { c.Close() }, false, true},
		{"half-closed", func(c net.Conn) { c.(halfCloser).CloseWrite() }, false, true},
		{"data waits before the end", func(c net.Conn) { io.WriteString(c, "x"); c.Close() }, false, true},
		{"reset", reset, false, true},
	} {
		for _, network := range []string{"tcp", "unix"} {
			t.Run(network+" "+row.name, func(t *testing.T) {
				ours, theirs := dialed(t, network)
				c := NewConn(ours, &DefaultLimits)
				row.do(theirs)
				eventually(t, "Quiet", func() bool { return c.Quiet() == row.quiet })
				eventually(t, "Gone", func() bool { return Gone(c.raw) == row.gone })
			})
		}
	}
}

func TestClosedSocketIsNeitherQuietNorThere(t *testing.T) {
	ours, _ := dialed(t, "tcp")
	c := NewConn(ours, &DefaultLimits)
	c.Close()
	if c.Quiet() || !Gone(c.raw) {
		t.Errorf("quiet %v, gone %v", c.Quiet(), Gone(c.raw))
	}
	if err := request(c, new(message.Head)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("read: %v", err)
	}
}

func TestHowReadsOfASocketEnd(t *testing.T) {
	for name, row := range map[string]struct {
		do   func(net.Conn)
		want error
	}{
		"closed":      {func(c net.Conn) { c.Close() }, io.EOF},
		"half-closed": {func(c net.Conn) { c.(halfCloser).CloseWrite() }, io.EOF},
		"reset":       {reset, syscall.ECONNRESET},
		"inside":      {func(c net.Conn) { io.WriteString(c, "GET "); c.Close() }, ErrTruncated},
	} {
		ours, theirs := dialed(t, "tcp")
		c := NewConn(ours, &DefaultLimits)
		row.do(theirs)
		if err := request(c, new(message.Head)); !errors.Is(err, row.want) {
			t.Errorf("%s: %v, want %v", name, err, row.want)
		}
		c.Release()
	}
}

func TestIdleConnectionHoldsNoBuffer(t *testing.T) {
	ours, theirs := socketPair(t)
	c := NewConn(ours, &DefaultLimits)
	var h message.Head
	for range 3 {
		io.WriteString(theirs, get("GET / HTTP/1.1"))
		if err := request(c, &h); err != nil {
			t.Fatal(err)
		}
		c.WriteResponse(reply(200, "OK", lengthOf(0)))
		c.Flush()
		theirs.Read(make([]byte, 1000)) // a socket that is closed with bytes unread is reset
		if !c.Park() || c.in.buf != nil || c.out.buf != nil {
			t.Fatal("parked, and still holds a buffer")
		}
	}
	theirs.Close()
	if err := request(c, &h); err != io.EOF || c.in.buf != nil || c.HeadBegun() {
		t.Errorf("at its end: %v, buffer of %d", err, len(c.in.buf))
	}
}

// A request that comes while the connection waits without a buffer is read all the same.
func TestWaitWithoutABuffer(t *testing.T) {
	ours, theirs := dialed(t, "tcp")
	c := NewConn(ours, &DefaultLimits)
	got := make(chan error, 1)
	go func() {
		defer c.Release()
		got <- c.ReadRequest(new(message.Head), Waits{First: 10 * time.Second, Head: 10 * time.Second})
	}()
	for _, part := range []string{"GE", "T / HTTP/1.1\r\nHo", "st: a\r\n\r\n"} {
		time.Sleep(5 * time.Millisecond)
		io.WriteString(theirs, part)
	}
	if err := <-got; err != nil {
		t.Error(err)
	}
}

// Bytes behind a response answer nothing: whoever reused the connection would give them to the next client.
func TestParkRefusesLeftovers(t *testing.T) {
	c := onSocket(t, ok("Content-Length: 1\r\n", "a")+status("HTTP/1.1 200 poisoned"), &DefaultLimits)
	var h message.Head
	if err := response(c, &h); err != nil {
		t.Fatal(err)
	}
	if _, err := readBody(c); err != nil {
		t.Fatal(err)
	}
	if c.Quiet() || c.Park() {
		t.Error("leftover bytes must not pass for an idle connection")
	}
	c.ParkInput()
	if c.in.unread() == 0 {
		t.Error("ParkInput threw bytes away")
	}
	c.Release()
}

func TestLingerReadsOnAndCloses(t *testing.T) {
	ours, theirs := dialed(t, "tcp")
	c := NewConn(ours, &DefaultLimits)
	done := make(chan struct{})
	go func() {
		defer close(done)
		c.WriteRaw([]byte("last words"))
		c.Linger(5*time.Second, 1<<20)
	}()
	theirs.Write(make([]byte, 100_000)) // nobody asked for these: a plain close would answer with a reset
	if got, err := io.ReadAll(theirs); string(got) != "last words" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	theirs.Close()
	<-done
}

func TestLingerIsBounded(t *testing.T) {
	for name, row := range map[string]struct {
		d    time.Duration
		most int64
	}{"by bytes": {time.Minute, 10_000}, "by time": {20 * time.Millisecond, 1 << 40}} {
		ours, theirs := dialed(t, "tcp")
		c := NewConn(ours, &DefaultLimits)
		c.InterruptReads()
		go func() {
			for {
				if _, err := theirs.Write(make([]byte, 1000)); err != nil {
					return
				}
				time.Sleep(time.Millisecond)
			}
		}()
		began := time.Now()
		c.Linger(row.d, row.most)
		if took := time.Since(began); took > 10*time.Second {
			t.Errorf("%s: took %v", name, took)
		}
	}
	f := &feed{in: make([]byte, 10)}
	c := NewConn(f, &DefaultLimits)
	if c.Linger(time.Minute, 10); len(f.in) != 10 || !errors.Is(c.CloseWrite(), errNoHalfClose) {
		t.Error("without a half-close the peer would not know that it may stop")
	}
}

func selfSigned(t *testing.T) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"a"}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// Under TLS the socket is hidden: the wait for a request is done with one byte instead of a buffer.
func TestUnderTLS(t *testing.T) {
	ours, theirs := dialed(t, "tcp")
	server := tls.Server(ours, &tls.Config{Certificates: []tls.Certificate{selfSigned(t)}})
	client := tls.Client(theirs, &tls.Config{InsecureSkipVerify: true})
	c := NewConn(server, &DefaultLimits)
	if c.raw != nil {
		t.Fatal("bytes of the record layer are not bytes of HTTP")
	}
	served := make(chan error, 1)
	go func() { served <- serveEcho(c) }()
	p := NewConn(client, &DefaultLimits)
	defer p.Release()
	var h message.Head
	for _, body := range []string{"x", "hello", string(make([]byte, 100_000))} {
		p.BeginMessage()
		p.WriteRequest(head("POST", "/", "a", lengthOf(int64(len(body)))))
		if err := errors.Join(p.WriteBody([]byte(body)), p.Flush(), response(p, &h)); err != nil {
			t.Fatal(err)
		}
		if got, err := readBody(p); string(got) != body || err != nil || !p.Park() {
			t.Fatalf("%d of %d bytes came back: %v", len(got), len(body), err)
		}
	}
	if err := p.CloseWrite(); err != nil {
		t.Error(err)
	}
	if err := <-served; err != io.EOF {
		t.Errorf("the server ended with %v, want EOF: the client said its end", err)
	}
}

// serveEcho answers each request with its own body, in chunks, until the client ends.
func serveEcho(c *Conn) error {
	defer c.Release()
	var h message.Head
	for {
		if err := c.ReadRequest(&h, Waits{First: 10 * time.Second, Head: 10 * time.Second}); err != nil {
			return err
		}
		c.BeginMessage()
		c.WriteResponse(reply(200, "OK", coded))
		for !c.BodyDone() {
			p, err := c.Next()
			if err != nil {
				return err
			}
			if err := c.WriteBody(p); err != nil {
				return err
			}
		}
		if err := errors.Join(c.EndBody(nil), c.Flush()); err != nil {
			return err
		}
		c.Park()
	}
}

func TestInterruptWakesASocketThatWaits(t *testing.T) {
	ours, _ := dialed(t, "tcp")
	c := NewConn(ours, &DefaultLimits)
	got := readAside(c)
	time.Sleep(5 * time.Millisecond)
	c.Interrupt()
	if err := <-got; !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error(err)
	}
	if err := c.WriteRaw([]byte("x")); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error(err)
	}
}
