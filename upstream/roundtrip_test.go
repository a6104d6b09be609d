package upstream

import (
	"context"
	"errors"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sluice/drain"
	"sluice/http1"
	"sluice/message"
)

func TestDialFailures(t *testing.T) {
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	tests := []struct {
		reason           string
		network, address string
		refused          bool
	}{
		{"nobody listens", "tcp", closed.Addr().String(), true},
		{"no such socket", "unix", filepath.Join(t.TempDir(), "none.sock"), true},
		{"no such name", "tcp", "127.0.0.1:notaport", false},
	}
	for _, test := range tests {
		b := &Backend{Endpoint: NewEndpoint(test.network, test.address, Options{}), Weight: 1, Gate: drain.NewGate()}
		_, err := claim(t, b).Connect(context.Background(), time.Now(), false)
		var up *Error
		if !errors.As(err, &up) {
			t.Fatalf("%s: %v", test.reason, err)
		}
		if up.Phase != Dialling || up.Sent || !up.Fresh || up.Timeout || up.Refused() != test.refused {
			t.Errorf("%s: %+v", test.reason, up)
		}
		if !strings.HasPrefix(err.Error(), "cannot connect: ") {
			t.Errorf("%s: %q", test.reason, err)
		}
	}
}

func TestDialTimeout(t *testing.T) {
	_, b := listen(t, "tcp")
	ctx, cancel := context.WithDeadline(context.Background(), time.Now().Add(-time.Second))
	defer cancel()
	_, err := claim(t, b).Connect(ctx, time.Now(), false)
	var up *Error
	if !errors.As(err, &up) || up.Phase != Dialling || !up.Timeout || up.Refused() {
		t.Fatalf("%+v", err)
	}
	if !strings.HasPrefix(err.Error(), "no connection in time: ") {
		t.Errorf("%q", err)
	}
}

func TestFailures(t *testing.T) {
	malformed := func(err error) bool { var e *http1.Error; return errors.As(err, &e) }
	truncated := func(err error) bool { return errors.Is(err, http1.ErrTruncated) }
	any := func(error) bool { return true }
	tests := []struct {
		reason  string
		answer  string
		close   bool
		phase   Phase
		timeout bool
		is      func(error) bool
		text    string
	}{
		{"closed without a byte", "", true, Waiting, false, any, "the connection was closed before a response"},
		{"silent", "", false, Waiting, true, any, "no response in time"},
		{"closed inside of the head", "HTTP/1.1 200", true, Reading, false, truncated, ""},
		{"silent inside of the head", "HTTP/1.1 200 OK\r\nX", false, Reading, true, any, "the response stopped"},
		{"not HTTP", "SSH-2.0-OpenSSH\r\n", false, Reading, false, malformed, ""},
		{"a bare LF", "HTTP/1.1 200 OK\n\n", false, Reading, false, malformed, ""},
		{"two lengths", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", false, Reading, false, malformed, ""},
	}
	for _, test := range tests {
		s, b := listen(t, "tcp")
		l := claim(t, b)
		c := connect(t, l)
		peer := s.peer()
		if err := c.Send(getHead(), []byte("body"), time.Second); err != nil {
			t.Fatal(err)
		}
		go func() {
			peer.Read(make([]byte, 4096)) // all of it: a close with unread bytes would be a reset
			peer.Write([]byte(test.answer))
			if test.close {
				peer.Close()
			}
		}()
		var h message.Head
		err := c.Receive(&h, false, 60*time.Millisecond)
		var up *Error
		if !errors.As(err, &up) {
			t.Fatalf("%s: %v", test.reason, err)
		}
		if up.Phase != test.phase || !up.Sent || !up.Fresh || up.Timeout != test.timeout || !test.is(err) {
			t.Errorf("%s: %+v (%v)", test.reason, up, up.Err)
		}
		if test.text != "" && err.Error() != test.text {
			t.Errorf("%s: %q", test.reason, err)
		}
		l.Discard(c)
	}
}

func TestSendFailures(t *testing.T) {
	s, b := listen(t, "tcp")
	l := claim(t, b)
	c := connect(t, l)
	c.fresh = false
	c.h1.NetConn().(*net.TCPConn).CloseWrite()
	c.Send(getHead(), nil, time.Second)
	err := c.Receive(&message.Head{}, false, time.Second)
	var up *Error
	if !errors.As(err, &up) || up.Phase != Sending || up.Sent || up.Fresh {
		t.Errorf("not a byte left: %+v", up)
	}
	l.Discard(c)
	s.peer()

	c = connect(t, l)
	s.peer() // never reads
	big := make([]byte, 32<<20)
	c.Send(getHead(), big, 50*time.Millisecond)
	err = c.Receive(&message.Head{}, false, time.Second)
	if !errors.As(err, &up) || up.Phase != Sending || !up.Sent || !up.Timeout || !up.Fresh {
		t.Errorf("stuck in the middle: %+v", up)
	}
	l.Discard(c)
}

// TestSentIsOfTheRequestAtHand: what a connection wrote for an earlier request says nothing about this one.
func TestSentIsOfTheRequestAtHand(t *testing.T) {
	s, b := listen(t, "tcp")
	l := claim(t, b)
	c := connect(t, l)
	peer := s.peer()
	c.Send(getHead(), nil, time.Second)
	go answer(peer, "HTTP/1.1 204 No Content\r\n\r\n")
	var h message.Head
	if err := c.Receive(&h, false, time.Second); err != nil {
		t.Fatal(err)
	}
	c.h1.NetConn().(*net.TCPConn).CloseWrite()
	var up *Error
	c.Send(getHead(), nil, time.Second)
	if err := c.Receive(&h, false, time.Second); !errors.As(err, &up) || up.Sent {
		t.Errorf("%+v", up)
	}
	l.Discard(c)
}

func TestReadFailed(t *testing.T) {
	s, b := listen(t, "tcp")
	l := claim(t, b)
	c := connect(t, l)
	s.peer()
	defer l.Discard(c)
	timeout := &net.OpError{Op: "read", Err: context.DeadlineExceeded}
	if up := c.ReadFailed(timeout); up.Phase != Reading || !up.Timeout || up.Error() != "the response stopped" {
		t.Errorf("%+v: %s", up, up)
	}
	if up := c.ReadFailed(http1.ErrTruncated); up.Timeout || !errors.Is(up, http1.ErrTruncated) {
		t.Errorf("%+v", up)
	}
}

func TestDefaults(t *testing.T) {
	e := NewEndpoint("tcp", "127.0.0.1:1", Options{})
	if e.opts.Connect != 2*time.Second || e.opts.Idle != time.Minute || e.opts.MaxIdle != 1024 || e.opts.Limits != &http1.DefaultLimits {
		t.Errorf("%+v", e.opts)
	}
}
