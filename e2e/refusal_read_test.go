package e2e

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// refusalTimes is how often each refusal is read: a close that takes the answer with it does so now and then.
const refusalTimes = 100

// talker is a client that goes on sending whatever it is told, as one does that has not looked for an answer yet.
type talker struct {
	status int
	start  string        // sent first
	more   string        // sent again and again
	bytes  int           // of more, in all
	pause  time.Duration // between two writes
	limits string        // of the configuration; a test of a limit that this Sluice does not know yet is left out
}

var talkers = map[string]talker{
	"408 a head that drips": {status: 408, start: "GET / HTTP/1.1\r\nHost: a\r\nX: ", more: "a", bytes: 120, pause: 5 * time.Millisecond,
		limits: "timeouts: {head: 200ms}\n"},
	"408 a body that drips": {status: 408, start: "POST /slow HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n", more: "b", bytes: 120, pause: 5 * time.Millisecond,
		limits: "limits: {body_rate: 100KiB}\ntimeouts: {body_grace: 200ms}\n"},
	"413 a long body": {status: 413, start: "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4194304\r\n\r\n", more: strings.Repeat("b", 32<<10), bytes: 4 << 20,
		limits: "limits: {body_bytes: 64KiB}\n"},
	"413 a long body in chunks": {status: 413, start: "POST /slow HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", more: "8000\r\n" + strings.Repeat("b", 32<<10) + "\r\n", bytes: 4 << 20,
		limits: "limits: {body_bytes: 16KiB}\n"},
	"413 a long body in chunks, the first of them passed on": {status: 413, start: "POST /slow HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", more: "8000\r\n" + strings.Repeat("b", 32<<10) + "\r\n", bytes: 4 << 20,
		limits: "limits: {body_bytes: 256KiB}\n"},
	"414 a target without end":    {status: 414, start: "GET /", more: strings.Repeat("a", 8<<10), bytes: 4 << 20},
	"431 a field without end":     {status: 431, start: "GET / HTTP/1.1\r\nHost: a\r\nX: ", more: strings.Repeat("a", 8<<10), bytes: 4 << 20},
	"431 fields without end":      {status: 431, start: "GET / HTTP/1.1\r\nHost: a\r\n", more: strings.Repeat("X: 1\r\n", 1000), bytes: 4 << 20},
	"400 a body behind two Hosts": {status: 400, start: "POST / HTTP/1.1\r\nHost: a\r\nHost: b\r\nContent-Length: 4194304\r\n\r\n", more: strings.Repeat("b", 32<<10), bytes: 4 << 20},
}

// TestRefusalsAreRead holds that a client which is still sending reads the whole refusal: a close with unread bytes is a
// reset, and takes with it what the client had not read (RFC 9112 §9.6). Linux spares what has arrived before the reset,
// other systems do not: so the reset itself is what fails here, whether it meets a read or a write.
func TestRefusalsAreRead(t *testing.T) {
	for name, who := range talkers {
		t.Run(name, func(t *testing.T) {
			s := newSluice(t, who.limits+"services:\n  web:\n    backends: ["+startCounting(t).address+"]\n    health: off\n")
			s.start()
			for _, reads := range []string{"while it sends", "when it has sent all"} {
				who.all(t, s.listen, reads)
			}
		})
	}
}

func (who talker) all(t *testing.T, address, reads string) {
	t.Helper()
	results := make(chan error, refusalTimes)
	turns := make(chan struct{}, refusalTimes)
	for range refusalTimes {
		go func() {
			turns <- struct{}{}
			defer func() { <-turns }()
			results <- who.once(address, reads == "while it sends")
		}()
	}
	failed := 0
	for range refusalTimes {
		if err := <-results; err != nil {
			if failed++; failed <= 3 {
				t.Logf("read %s: %v", reads, err)
			}
		}
	}
	if failed > 0 {
		t.Errorf("read %s: %d of %d did not get the whole refusal", reads, failed, refusalTimes)
	}
}

func (who talker) once(address string, beside bool) error {
	nc, err := net.Dial("tcp", address)
	if err != nil {
		return err
	}
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(30 * time.Second))
	if !beside {
		return errors.Join(who.talk(nc), who.read(nc))
	}
	sent := make(chan error)
	go func() { sent <- who.talk(nc) }()
	return errors.Join(who.read(nc), <-sent)
}

// talk sends all there is to send, and ends its side.
func (who talker) talk(nc net.Conn) error {
	_, err := io.WriteString(nc, who.start)
	for left := who.bytes; left > 0 && err == nil; left -= len(who.more) {
		time.Sleep(who.pause)
		_, err = io.WriteString(nc, who.more)
	}
	if err != nil {
		return err
	}
	return nc.(*net.TCPConn).CloseWrite()
}

// read takes the refusal and then the end of the connection, and nothing between.
func (who talker) read(nc net.Conn) error {
	var raw bytes.Buffer
	br := bufio.NewReader(io.TeeReader(nc, &raw))
	res, err := http.ReadResponse(br, nil)
	if err != nil {
		return fmt.Errorf("%w after %q", err, raw.String())
	}
	body, err := io.ReadAll(res.Body)
	switch {
	case err != nil:
		return fmt.Errorf("%w after %q", err, raw.String())
	case res.StatusCode != who.status || res.ContentLength != int64(len(body)) || len(body) == 0 || !res.Close:
		return fmt.Errorf("not the refusal with %d: %q", who.status, raw.String())
	}
	if rest, err := io.ReadAll(br); len(rest) > 0 || err != nil {
		return fmt.Errorf("behind the refusal: %q, %v", rest, err)
	}
	return nil
}
