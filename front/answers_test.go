package front

import (
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"sluice/internal/attacks"
	"sluice/internal/strictread"
)

// newEvil is a backend that answers /evil?N with the bytes of row N of the table, and all else well. Each good answer tells
// which row was sent on its connection before.
func newEvil(t testing.TB) net.Listener {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			go serveEvil(nc)
		}
	}()
	return l
}

func serveEvil(nc net.Conn) {
	defer nc.Close()
	before := "none"
	var got []byte
	for buf := make([]byte, 8<<10); ; {
		n, err := nc.Read(buf)
		if err != nil {
			return
		}
		got = append(got, buf[:n]...)
		q, rest, err := strictread.ReadRequest(got)
		if err != nil {
			continue
		}
		got = append([]byte{}, rest...)
		number, isEvil := strings.CutPrefix(q.Path, "/evil?")
		if !isEvil {
			fmt.Fprintf(nc, "HTTP/1.1 200 OK\r\nBefore: %s\r\nContent-Length: 4\r\n\r\ngood", before)
			continue
		}
		i, _ := strconv.Atoi(number)
		row := attacks.Responses[i]
		io.WriteString(nc, row.Wire)
		if before = number; !row.Reuse && !strings.HasPrefix(row.Name, "left_") {
			return
		}
	}
}

// A backend may answer anything: the client reads what is right, or sees that it is not whole, and no later answer comes
// from a connection on which something went wrong or was left.
func TestAttackingResponsesThroughTheFront(t *testing.T) {
	address := newFrontBefore(t, newEvil(t).Addr().String())
	reused := 0
	for i, row := range attacks.Responses {
		method := "GET"
		if row.HEAD {
			method = "HEAD"
		}
		judgeAnswer(t, row, method, ask(t, address, method, fmt.Sprintf("/evil?%d", i)))
		next, _, err := strictread.ReadResponse(ask(t, address, "GET", "/next"), "GET")
		if err != nil || string(next.Body) != "good" {
			t.Fatalf("%s was followed by %+v, %v", row.Name, next, err)
		}
		if before, err := strconv.Atoi(next.Values("Before")[0]); err == nil {
			if reused++; !attacks.Responses[before].Reuse {
				t.Errorf("%s: its connection was used again", attacks.Responses[before].Name)
			}
		}
	}
	if reused < 20 {
		t.Errorf("only %d connections were used again: the check saw too little", reused)
	}
}

// ask sends one request and returns what comes back up to the end of the final response, or of the connection.
func ask(t *testing.T, address, method, path string) (back []byte) {
	t.Helper()
	nc, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(20 * time.Second))
	fmt.Fprintf(nc, "%s %s HTTP/1.1\r\nHost: a\r\n\r\n", method, path)
	for buf := make([]byte, 64<<10); ; {
		n, err := nc.Read(buf)
		back = append(back, buf[:n]...)
		if finals, _ := answers(back, []string{method}); len(finals) > 0 || err != nil {
			return back
		}
	}
}

func judgeAnswer(t *testing.T, row attacks.Response, method string, back []byte) {
	t.Helper()
	finals, rest := answers(back, []string{method})
	sent, _ := answers([]byte(row.Wire), []string{method})
	switch {
	case len(rest) > 0 && len(finals) > 0:
		t.Errorf("%s: %q behind the answer", row.Name, rest)
	case len(finals) == 0:
		if row.Begun == "" {
			t.Errorf("%s: no answer but %q", row.Name, back)
		}
	case row.Refused || strings.Contains(row.Reads, "101 "):
		if finals[0].Status != 502 {
			t.Errorf("%s: status %d, want 502", row.Name, finals[0].Status)
		}
	case finals[0].Status != sent[0].Status || string(finals[0].Body) != string(sent[0].Body):
		t.Errorf("%s: %d %q, want %d %q", row.Name, finals[0].Status, finals[0].Body, sent[0].Status, sent[0].Body)
	}
}
