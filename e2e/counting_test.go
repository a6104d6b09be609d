package e2e

import (
	"context"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// countingBackend answers good requests with their number, has a large answer to read slowly, and knows what is at its door.
type countingBackend struct {
	http.Server
	address string

	mu    sync.Mutex
	conns map[errand]int // connections by what they carried last
	most  int            // the most at any time that carried something other than a large answer
	slow  int            // requests that came although their bodies never will
}

// errand is what a connection is for.
type errand int

const (
	unknown errand = iota // nothing came on it yet
	small
	large
	over
)

// largeAnswer is more than the sockets on the way take; the backend's own takes little, for there are thousands of them.
const (
	largeAnswer = 4 << 20
	sendBuffer  = 32 << 10
)

type errandKey struct{}

func startCounting(t *testing.T) *countingBackend {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b := &countingBackend{address: l.Addr().String(), conns: map[errand]int{}}
	b.Handler, b.ConnContext = b, b.welcome
	go b.Serve(l)
	t.Cleanup(func() { b.Close() })
	return b
}

// welcome follows a connection until its context ends, which is with the connection.
func (b *countingBackend) welcome(ctx context.Context, c net.Conn) context.Context {
	c.(*net.TCPConn).SetWriteBuffer(sendBuffer)
	now := new(errand)
	context.AfterFunc(ctx, func() { b.turn(now, over) })
	return context.WithValue(ctx, errandKey{}, now)
}

// turn counts a connection by another errand than before. Those that nothing came on yet are not counted.
func (b *countingBackend) turn(now *errand, to errand) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.conns[*now]--
	b.conns[to]++
	*now = to
	b.most = max(b.most, b.conns[small])
}

func (b *countingBackend) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	now := r.Context().Value(errandKey{}).(*errand)
	if r.URL.Path == "/large" {
		b.turn(now, large)
		b.sendLarge(w)
		return
	}
	b.turn(now, small)
	if strings.HasPrefix(r.URL.Path, "/slow") {
		b.mu.Lock()
		b.slow++
		b.mu.Unlock()
		io.Copy(io.Discard, r.Body)
		return
	}
	io.WriteString(w, r.URL.RawQuery)
}

func (b *countingBackend) sendLarge(w http.ResponseWriter) {
	w.Header().Set("Content-Length", strconv.Itoa(largeAnswer))
	for block, left := []byte(strings.Repeat("l", 32<<10)), largeAnswer; left > 0; left -= len(block) {
		if _, err := w.Write(block); err != nil {
			return
		}
	}
}

// counts are the most connections that carried no large answer, those that carry one now, and the slow bodies that came.
func (b *countingBackend) counts() (most, largeNow, slow int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.most, b.conns[large], b.slow
}
