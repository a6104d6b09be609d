package front

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"sluice/drain"
)

// holder is who holds a socket while servers come and go.
type holder struct {
	t    *testing.T
	l    *net.TCPListener
	conf *tls.Config
}

func newHolder(t *testing.T, address string) holder {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return holder{t: t, l: l.(*net.TCPListener)}
}

func (h holder) pass(to *Inherited) {
	h.t.Helper()
	f, err := h.l.File()
	if err == nil {
		err = to.Add(f, "http")
	}
	if err != nil {
		h.t.Fatal(err)
	}
}

// inherits makes a server of the setup's protocol that has the holder's socket.
func (h holder) inherits(s *setup) *Server {
	h.t.Helper()
	in := &Inherited{}
	h.pass(in)
	front := New(Options{Proxy: s.proxy, Timeouts: s.front.opts.Timeouts, Inherited: in})
	h.t.Cleanup(front.Close)
	if at, err := front.Listen(s.scheme, "tcp", h.l.Addr().String(), h.conf); err != nil || at.String() != h.l.Addr().String() {
		h.t.Fatal(at, err)
	}
	return front
}

// ask makes one request on a connection of its own.
func (h holder) ask(s *setup, path string) (*http.Response, error) {
	res, err := s.newClient().Get(s.scheme + "://" + h.l.Addr().String() + path)
	if err == nil {
		io.Copy(io.Discard, res.Body)
		res.Body.Close()
	}
	return res, err
}

// TestInheritedRefusesNobody: while something from before is inside, those who come are answered; those who come when
// nobody runs are answered by the next one.
func TestInheritedRefusesNobody(t *testing.T) {
	for _, p := range protocols {
		t.Run(p.name, func(t *testing.T) { inheritedRefusesNobody(t, p) })
	}
}

func inheritedRefusesNobody(t *testing.T, p protocol) {
	slow := make(chan struct{})
	s := newSetup(t, p, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			<-slow
		}
		io.WriteString(w, "ok")
	})
	h := newHolder(t, "127.0.0.1:0")
	h.conf, s.roots = selfSigned(t)
	first := h.inherits(s)
	if res, err := h.ask(s, "/"); err != nil || res.Close {
		t.Error(res, err)
	}
	inside := make(chan error, 1)
	go func() {
		_, err := h.ask(s, "/slow")
		inside <- err
	}()
	s.waitFor("the slow request is inside, and no other", func() bool {
		all := s.proxy.Ledger.Inside()
		return len(all) == 1 && all[0].Path == "/slow"
	})
	drained := make(chan drain.Report, 1)
	go func() {
		drained <- first.Drain(context.Background(), 10*time.Millisecond, drain.Policy{Timeout: time.Minute, Stream: time.Minute, WebSocket: time.Minute})
	}()
	s.waitFor("the exit has begun", first.draining.Load)
	time.Sleep(100 * time.Millisecond) // well beyond the grace
	if res, err := h.ask(s, "/"); err != nil || !res.Close && !p.h2 {
		t.Error("in the exit:", res, err)
	}
	close(slow)
	if report := <-drained; report.Found != 1 || report.Finished != 1 || report.Took > 15*time.Second {
		t.Errorf("%s", report)
	}
	if err := <-inside; err != nil {
		t.Error(err)
	}

	waiting := make(chan error, 1)
	go func() {
		_, err := h.ask(s, "/")
		waiting <- err
	}()
	time.Sleep(100 * time.Millisecond)
	second := h.inherits(s)
	if err := <-waiting; err != nil {
		t.Error("while nobody ran:", err)
	}
	second.Close()
	nc, err := net.Dial("tcp", h.l.Addr().String())
	if err != nil {
		t.Fatalf("the socket did not outlive the server: %v", err)
	}
	nc.Close()
}

// TestInheritedDoesNotWaitForLongWork: who holds on for longer than half a deadline keeps nobody else waiting for more.
func TestInheritedDoesNotWaitForLongWork(t *testing.T) {
	end := make(chan struct{})
	defer close(end)
	s := newSetup(t, protocols[0], func(w http.ResponseWriter, r *http.Request) { <-end })
	h := newHolder(t, "127.0.0.1:0")
	front := h.inherits(s)
	go http.Get("http://" + h.l.Addr().String())
	s.waitFor("it is inside", func() bool { return len(s.proxy.Ledger.Inside()) == 1 })
	report := front.Drain(context.Background(), 0, drain.Policy{Timeout: time.Second, Stream: 400 * time.Millisecond, WebSocket: time.Second})
	if report.Cut != 1 || report.Took < time.Second || report.Took > 10*time.Second {
		t.Errorf("%s", report)
	}
}

func TestWhichSocketIsForWhichAddress(t *testing.T) {
	four, err := net.Listen("tcp4", "0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	defer four.Close()
	_, port, _ := net.SplitHostPort(four.Addr().String())
	in := &Inherited{}
	defer in.Close()
	holder{t: t, l: four.(*net.TCPListener)}.pass(in)
	wild := 1
	if six, err := net.Listen("tcp6", "[::]:"+port); err == nil { // there are machines without IPv6
		defer six.Close()
		holder{t: t, l: six.(*net.TCPListener)}.pass(in)
		wild = 2
	}
	want := map[string]int{
		":" + port: wild, "0.0.0.0:" + port: wild, "[::]:" + port: wild, "127.0.0.1:" + port: 0, ":1": 0, "nowhere.invalid:" + port: 0,
	}
	for address, n := range want {
		if got := len(in.all(address)); got != n || in.Has(address) != (n > 0) {
			t.Errorf("%s: %d sockets, want %d", address, got, n)
		}
	}
	if (*Inherited)(nil).Has(":"+port) || (*Inherited)(nil).Left(nil) != nil {
		t.Error("nothing was passed on")
	}
}

// TestPassedForNoAddress: whoever connects to what nobody serves waits forever.
func TestPassedForNoAddress(t *testing.T) {
	a, b := newHolder(t, "127.0.0.1:0"), newHolder(t, "127.0.0.1:0")
	in := &Inherited{}
	defer in.Close()
	a.pass(in)
	b.pass(in)
	first, second := a.l.Addr().String(), b.l.Addr().String()
	if err := in.Left([]string{second, first, "127.0.0.1:80"}); err != nil {
		t.Error(err)
	}
	err := in.Left([]string{first, "127.0.0.1:80"})
	if err == nil || !strings.Contains(err.Error(), `"http"`) || !strings.Contains(err.Error(), "write http://"+second) {
		t.Error(err)
	}
}

// TestListenTwiceOnWhatWasPassed: one socket has one accept loop.
func TestListenTwiceOnWhatWasPassed(t *testing.T) {
	s := newSetup(t, protocols[0], ok)
	h := newHolder(t, "127.0.0.1:0")
	front := h.inherits(s)
	if _, err := front.Listen("http", "tcp", h.l.Addr().String(), nil); err == nil || !strings.Contains(err.Error(), "twice") {
		t.Error(err)
	}
}

func TestWhatIsNoListenerIsRefused(t *testing.T) {
	h := newHolder(t, "127.0.0.1:0")
	open := map[string]func() (*os.File, error){
		"no socket": func() (*os.File, error) { return os.Open(os.DevNull) },
		"no stream socket": func() (*os.File, error) {
			pc, err := net.ListenPacket("udp", "127.0.0.1:0")
			if err != nil {
				return nil, err
			}
			defer pc.Close()
			return pc.(*net.UDPConn).File()
		},
		"Accept=no": func() (*os.File, error) {
			nc, err := net.Dial("tcp", h.l.Addr().String())
			if err != nil {
				return nil, err
			}
			defer nc.Close()
			return nc.(*net.TCPConn).File()
		},
		"no TCP socket": func() (*os.File, error) {
			l, err := net.Listen("unix", t.TempDir()+"/s")
			if err != nil {
				return nil, err
			}
			t.Cleanup(func() { l.Close() })
			return l.(*net.UnixListener).File()
		},
		"not open": func() (*os.File, error) { return os.NewFile(1000, "gone"), nil },
	}
	for says, file := range open {
		f, err := file()
		if err != nil {
			t.Fatal(says, err)
		}
		if err := (&Inherited{}).Add(f, "web"); err == nil || !strings.Contains(err.Error(), says) || !strings.Contains(err.Error(), `"web"`) {
			t.Errorf("%s: %v", says, err)
		}
	}
}
