package http1

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"testing"
	"time"

	"sluice/message"
)

// piped is a response of n bytes on its way from one socket to another: what the sender writes behind its head, and what
// the receiver reads.
type piped struct {
	from, to *Conn
	sender   net.Conn
	receiver net.Conn
}

func newPiped(t testing.TB, network string, framing string) piped {
	t.Helper()
	var p piped
	a, b := dialed(t, network)
	c, d := dialed(t, network)
	p.from, p.sender = NewConn(a, &DefaultLimits), b
	p.to, p.receiver = NewConn(c, &DefaultLimits), d
	io.WriteString(p.sender, "HTTP/1.1 200 OK\r\n"+framing+"\r\n\r\n")
	if err := p.from.ReadResponse(new(message.Head), false, tenSeconds); err != nil {
		t.Fatal(err)
	}
	return p
}

var tenSeconds = Waits{First: 10 * time.Second, Head: 10 * time.Second}

// move carries the body to its end or to what ends it.
func (p piped) move() (fillErr, sendErr error) {
	pipe := NewPipe(p.from, p.to)
	if pipe == nil {
		return errors.New("no pipe"), nil
	}
	defer pipe.Close()
	for !p.from.BodyDone() {
		if _, err := pipe.Fill(); err != nil {
			return err, nil
		}
		for pipe.Holds() {
			if err := pipe.Send(); err != nil {
				return nil, err
			}
		}
	}
	return nil, nil
}

func TestPipeCarriesEachByte(t *testing.T) {
	body := make([]byte, 3<<20+17)
	for i := range body {
		body[i] = byte(rand.Uint32())
	}
	for _, network := range []string{"tcp", "unix"} {
		for range 3 { // the pipe is used again
			p := newPiped(t, network, "Content-Length: 3145745")
			go p.sender.Write(append(body, "next"...))
			got := make(chan []byte)
			go func() {
				b := make([]byte, len(body))
				io.ReadFull(p.receiver, b)
				got <- b
			}()
			if err, sendErr := p.move(); err != nil || sendErr != nil {
				t.Fatal(network, err, sendErr)
			}
			if !bytes.Equal(<-got, body) {
				t.Errorf("%s: other bytes came out", network)
			}
			if p.from.Quiet() {
				t.Errorf("%s: what stands behind the body was taken with it", network)
			}
		}
	}
}

func TestPipeThatBreaks(t *testing.T) {
	p := newPiped(t, "tcp", "Content-Length: 1000000")
	sender, receiver := p.sender, p.receiver
	go func() { sender.Write(make([]byte, 400_000)); sender.Close() }()
	go io.Copy(io.Discard, receiver)
	if err, _ := p.move(); !errors.Is(err, ErrTruncated) {
		t.Errorf("the sender ended early: %v", err)
	}
	p = newPiped(t, "tcp", "Content-Length: 100000000")
	long := p.sender
	go long.Write(make([]byte, 50_000_000))
	reset(p.receiver)
	if err, sendErr := p.move(); err != nil || sendErr == nil {
		t.Errorf("the receiver is gone: %v, %v", err, sendErr)
	}
	p = newPiped(t, "tcp", "Content-Length: 1000000")
	p.from.Interrupt()
	if err, _ := p.move(); err == nil {
		t.Error("an interrupted wait went on")
	}
}

func TestNoPipeWhereCopyingIsTheWay(t *testing.T) {
	for _, framing := range []string{"Content-Length: 1000", "Transfer-Encoding: chunked", "X: y"} {
		if p := newPiped(t, "tcp", framing); NewPipe(p.from, p.to) != nil {
			t.Errorf("a pipe for %s", framing)
		}
	}
}

// TestPipesAreBounded: beyond the bound the way is copying, until one is given back.
func TestPipesAreBounded(t *testing.T) {
	p := newPiped(t, "tcp", "Content-Length: 1000000")
	already := mostPipes() - pipesOpen.Load()
	pipesOpen.Add(already)
	defer pipesOpen.Add(-already)
	for len(pipes) > 0 {
		kept := <-pipes
		kept.held = 1 // it is closed, and not kept
		defer func() { kept.from, kept.to = p.from, p.to; kept.Close() }()
	}
	if pipe := NewPipe(p.from, p.to); pipe != nil {
		t.Fatal("one more pipe than may be")
	}
	pipesOpen.Add(-1)
	pipe := NewPipe(p.from, p.to)
	pipesOpen.Add(1)
	if pipe == nil {
		t.Fatal("no pipe though there is room for one")
	}
	pipe.Close()
}
