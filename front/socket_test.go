package front

import (
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"sluice/http1"
)

// acceptedSocket is a socket as the acceptor makes it, and its other end.
func acceptedSocket(t *testing.T) (*socket, *net.TCPConn) {
	t.Helper()
	l, err := listenConfig.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	deferAccept(rawOf(l), 0) // a connection is wanted before it has brought anything
	theirs, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	f, err := l.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var s *socket
	raw, _ := f.SyscallConn()
	err = raw.Read(func(fd uintptr) bool {
		nfd, _, err := unix.Accept4(int(fd), unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
		if err == nil {
			s = &socket{fd: nfd}
		}
		return err != unix.EAGAIN
	})
	if err != nil || s == nil {
		t.Fatal("nothing was accepted", err)
	}
	t.Cleanup(func() { s.Close(); theirs.Close() })
	return s, theirs.(*net.TCPConn)
}

func (s *socket) waits() bool { return s.joined.Load() != nil }

func TestSocketJoinsThePollerWhenItWaits(t *testing.T) {
	s, theirs := acceptedSocket(t)
	io.WriteString(theirs, "hello")
	waitUntil(t, "bytes are here", func() bool { return !http1.NewConn(s, &http1.DefaultLimits).Quiet() })
	p := make([]byte, 16)
	if n, err := s.Read(p); string(p[:n]) != "hello" || err != nil || s.waits() {
		t.Fatalf("%q, %v, joined %v", p[:n], err, s.waits())
	}
	if n, err := s.Write([]byte("world")); n != 5 || err != nil || s.waits() {
		t.Fatalf("%d, %v, joined %v", n, err, s.waits())
	}
	go io.WriteString(theirs, "later")
	if n, err := s.Read(p); string(p[:n]) != "later" || err != nil {
		t.Fatalf("%q, %v", p[:n], err)
	}
	theirs.CloseWrite()
	if _, err := s.Read(p); err != io.EOF {
		t.Errorf("the end: %v", err)
	}
	if err := s.CloseWrite(); err != nil {
		t.Error(err)
	}
	if rest, err := io.ReadAll(theirs); string(rest) != "world" || err != nil {
		t.Errorf("%q, %v", rest, err)
	}
}

func TestSocketInherits(t *testing.T) {
	s, _ := acceptedSocket(t)
	for name, option := range map[string][2]int{
		"TCP_NODELAY":  {unix.IPPROTO_TCP, unix.TCP_NODELAY},
		"SO_KEEPALIVE": {unix.SOL_SOCKET, unix.SO_KEEPALIVE},
	} {
		if on, err := unix.GetsockoptInt(s.fd, option[0], option[1]); on == 0 || err != nil {
			t.Errorf("%s: %d, %v", name, on, err)
		}
	}
}

func TestSocketAddresses(t *testing.T) {
	s, theirs := acceptedSocket(t)
	if s.LocalAddr().String() != theirs.RemoteAddr().String() {
		t.Errorf("%v, want %v", s.LocalAddr(), theirs.RemoteAddr())
	}
}

// Deadlines that are set before there is anything to wait on hold when there is.
func TestSocketDeadlines(t *testing.T) {
	for name, at := range map[string]func() time.Time{
		"long ago": func() time.Time { return longAgo },
		"soon":     func() time.Time { return time.Now().Add(20 * time.Millisecond) },
	} {
		s, theirs := acceptedSocket(t)
		s.SetDeadline(at())
		if _, err := s.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%s: a read that waits: %v", name, err)
		}
		if _, err := s.Write([]byte(strings.Repeat("x", 64<<20))); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%s: a write that waits: %v", name, err)
		}
		s.SetDeadline(time.Time{})
		io.WriteString(theirs, "x")
		if n, err := s.Read(make([]byte, 1)); n != 1 || err != nil {
			t.Errorf("%s: when it is lifted: %v", name, err)
		}
	}
	s, _ := acceptedSocket(t)
	time.AfterFunc(20*time.Millisecond, func() { s.SetReadDeadline(longAgo) })
	if _, err := s.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a deadline wakes a read: %v", err)
	}
}

func TestSocketCloses(t *testing.T) {
	for name, waits := range map[string]bool{"bare": false, "in the poller": true} {
		s, theirs := acceptedSocket(t)
		if waits {
			if _, err := s.join(); err != nil {
				t.Fatal(err)
			}
		}
		s.ResetOnClose()
		if err := s.Close(); err != nil {
			t.Error(name, err)
		}
		if _, err := theirs.Read(make([]byte, 1)); !errors.Is(err, unix.ECONNRESET) {
			t.Errorf("%s: the client sees %v", name, err)
		}
		if _, err := s.Read(make([]byte, 1)); err == nil || s.Close() == nil {
			t.Errorf("%s: it can be used after its close", name)
		}
	}
}

// A close from another goroutine must not let a use of the descriptor reach whoever has its number next.
func TestSocketClosedWhileItIsUsed(t *testing.T) {
	for range 200 {
		s, _ := acceptedSocket(t)
		var users sync.WaitGroup
		for range 2 {
			users.Add(1)
			go func() {
				defer users.Done()
				for {
					if _, err := s.Write([]byte("mine")); err != nil {
						return
					}
				}
			}()
		}
		s.Close()
		other, theirs := acceptedSocket(t)
		users.Wait()
		other.CloseWrite()
		if stray, err := io.ReadAll(theirs); len(stray) > 0 || err != nil {
			t.Fatalf("%q went to another connection, %v", stray, err)
		}
	}
}

func waitUntil(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(5 * time.Second); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: not in time", what)
		}
	}
}
