package http1

import (
	"io"
	"net"
	"testing"
	"time"

	"sluice/message"
)

// A sender that writes a message in small pieces, with Nagle's algorithm on, keeps each back until the one before was
// acknowledged. Reading it takes no longer than its pieces take to come, although we have nothing to say meanwhile.
func TestPiecesComeAtOnce(t *testing.T) {
	t.Run("of a request", func(t *testing.T) {
		least := fastest(t, []string{post("Content-Length: 4\r\n", ""), "bo", "dy"}, func(c *Conn) error {
			var h message.Head
			if err := c.ReadRequest(&h, Waits{}); err != nil {
				return err
			}
			return readAll(c)
		})
		if least > 30*time.Millisecond {
			t.Errorf("the fastest took %v", least)
		}
	})
	t.Run("of an answer", func(t *testing.T) {
		least := fastest(t, []string{ok("Content-Length: 4\r\n", ""), "bo", "dy"}, func(c *Conn) error {
			var h message.Head
			if err := c.ReadResponse(&h, false, Waits{}); err != nil {
				return err
			}
			return readAll(c)
		})
		if least > 30*time.Millisecond {
			t.Errorf("the fastest took %v", least)
		}
	})
	t.Run("of a head", func(t *testing.T) {
		least := fastest(t, []string{"HTTP/1.1 204 No", " Content\r\n", "\r\n"}, func(c *Conn) error {
			var h message.Head
			return c.ReadResponse(&h, false, Waits{})
		})
		if least > 30*time.Millisecond {
			t.Errorf("the fastest took %v", least)
		}
	})
}

// fastest has a peer send the pieces several times, each time after a byte from us, and returns the shortest time that read
// took. The first is not among them: the kernel acknowledges what comes at the beginning of a connection at once.
func fastest(t *testing.T, pieces []string, read func(*Conn) error) (least time.Duration) {
	ours, theirs := dialed(t, "tcp")
	go sendPieces(theirs.(*net.TCPConn), pieces)
	c := NewConn(ours, &DefaultLimits)
	defer c.Release()
	for i := range 8 {
		began := time.Now()
		if _, err := ours.Write([]byte("?")); err != nil {
			t.Fatal(err)
		}
		if err := read(c); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); i == 1 || i > 1 && took < least {
			least = took
		}
	}
	return least
}

// sendPieces ends with the connection.
func sendPieces(to *net.TCPConn, pieces []string) {
	to.SetNoDelay(false)
	for asked := make([]byte, 1); ; {
		if _, err := to.Read(asked); err != nil {
			return
		}
		for _, piece := range pieces {
			io.WriteString(to, piece)
		}
	}
}

func readAll(c *Conn) error {
	p := make([]byte, 100)
	for {
		switch _, err := c.ReadBody(p); err {
		case nil:
		case io.EOF:
			return nil
		default:
			return err
		}
	}
}
