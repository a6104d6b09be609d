package demo

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/coder/websocket"
)

const (
	maxMessage   = 1 << 20          // bytes of one WebSocket message that /ws echoes
	echoPatience = 10 * time.Minute // how long /echo and /ws stay open with nothing said
)

// events counts, one server-sent event at a time, until the client leaves.
func (a *App) events(w http.ResponseWriter, r *http.Request) {
	ms, err := number(r.URL.Query(), "ms", 100)
	interval := time.Duration(ms) * time.Millisecond
	if err != nil || ms < 1 || interval > maxWait {
		http.Error(w, fmt.Sprintf("use /events?ms=N with N from 1 to %d\n", maxWait.Milliseconds()), http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	flush := http.NewResponseController(w)
	for n := 1; ; n++ {
		if _, err := io.WriteString(w, event(n, a.release)); err != nil || flush.Flush() != nil {
			return
		}
		if !wait(r.Context(), interval) {
			return
		}
	}
}

// event is the exact n-th event of /events, which the traffic expects byte for byte.
func event(n int, release string) string {
	return fmt.Sprintf("id: %d\ndata: {\"n\":%d,\"release\":%q}\n\n", n, n, release)
}

// websocket echoes each message as it came, text as text and binary as binary, and answers a close with a close.
func (a *App) websocket(w http.ResponseWriter, r *http.Request) {
	keep := &keeper{ResponseWriter: w}
	defer keep.release(a)
	c, err := websocket.Accept(keep, r, &websocket.AcceptOptions{
		// A proxy may have changed Host, and an echo gives nobody anything they do not have.
		OriginPatterns: []string{"*"},
	})
	if err != nil {
		return // Accept has answered
	}
	defer c.CloseNow()
	c.SetReadLimit(maxMessage)
	for echoMessage(c) == nil {
	}
}

func echoMessage(c *websocket.Conn) error {
	ctx, cancel := context.WithTimeout(context.Background(), echoPatience)
	defer cancel()
	kind, message, err := c.Read(ctx)
	if err != nil {
		return err
	}
	return c.Write(ctx, kind, message)
}

// keeper remembers the connection that a library takes over, so that the app can close it.
type keeper struct {
	http.ResponseWriter
	conn net.Conn
}

func (k *keeper) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	c, rw, err := http.NewResponseController(k.ResponseWriter).Hijack()
	k.conn = c
	return c, rw, err
}

func (k *keeper) release(a *App) {
	if k.conn != nil {
		k.conn.Close()
		a.forget(k.conn)
	}
}

// echo speaks the protocol "echo": after the 101, each byte comes back as it came. When the client half-closes, the rest
// is echoed and then the connection closed.
func (a *App) echo(w http.ResponseWriter, r *http.Request) {
	if !strings.EqualFold(r.Header.Get("Upgrade"), "echo") {
		w.Header().Set("Upgrade", "echo")
		http.Error(w, "ask for it with Connection: Upgrade and Upgrade: echo\n", http.StatusUpgradeRequired)
		return
	}
	conn, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		http.Error(w, "this server cannot hand over its connections\n", http.StatusInternalServerError)
		return
	}
	defer a.forget(conn)
	defer conn.Close()
	head := w.Header()
	head.Set("Connection", "Upgrade")
	head.Set("Upgrade", "echo")
	fmt.Fprint(rw, "HTTP/1.1 101 Switching Protocols\r\n")
	head.Write(rw)
	fmt.Fprint(rw, "\r\n")
	if rw.Flush() == nil {
		echoBytes(conn, rw.Reader)
	}
}

func echoBytes(conn net.Conn, from io.Reader) {
	buf := make([]byte, piece)
	for {
		conn.SetDeadline(time.Now().Add(echoPatience))
		n, err := from.Read(buf)
		if _, failed := conn.Write(buf[:n]); failed != nil || err != nil {
			return
		}
	}
}
