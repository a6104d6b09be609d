package e2e

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// watched is a backend that knows whether the Sluice of the moment has checked it.
type watched struct {
	t       *testing.T
	address string
	release string

	mu        sync.Mutex
	open      int
	checked   bool
	unchecked int // requests that came before the first check
	served    int
}

func startWatched(t *testing.T, release string) *watched {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &watched{t: t, address: l.Addr().String(), release: release}
	server := &http.Server{Handler: w, ConnState: w.count}
	go server.Serve(l)
	t.Cleanup(func() { server.Close() })
	return w
}

func (w *watched) count(_ net.Conn, state http.ConnState) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch state {
	case http.StateNew:
		w.open++
	case http.StateClosed, http.StateHijacked:
		w.open--
	}
}

func (w *watched) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	w.mu.Lock()
	switch r.URL.Path {
	case "/barrier":
	case "/health":
		w.checked = true
	default:
		if w.served++; !w.checked {
			w.unchecked++
		}
	}
	w.mu.Unlock()
	if r.URL.Path == "/health" {
		fmt.Fprintf(rw, `{"status":"ok","version":%q}`, w.release)
		return
	}
	if r.URL.Path == "/slow" {
		time.Sleep(30 * time.Millisecond)
	}
	rw.Header().Set("X-Release", w.release)
	rw.Write(bytes.Repeat([]byte(w.release), bodyWords))
}

const bodyWords = 2000

// forget waits until nothing is left of the Sluice that died, and has the next one check anew. A connection that still waits to be
// accepted comes before one that is made now.
func (w *watched) forget() {
	w.t.Helper()
	client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Get("http://" + w.address + "/barrier")
	if err != nil {
		w.t.Fatal(err)
	}
	io.Copy(io.Discard, res.Body)
	res.Body.Close()
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		w.mu.Lock()
		if w.open == 0 {
			w.checked = false
			w.mu.Unlock()
			return
		}
		w.mu.Unlock()
		if time.Now().After(end) {
			w.t.Fatal("the connections of a dead Sluice stay open")
		}
	}
}

// throng is load that must lose nothing while a Sluice is meant to serve.
type throng struct {
	address string
	window  atomic.Int64 // odd while it is meant to serve
	done    atomic.Int64
	quit    chan struct{}
	workers sync.WaitGroup

	mu   sync.Mutex
	lost []string
}

func startThrong(t *testing.T, address string) *throng {
	c := &throng{address: address, quit: make(chan struct{})}
	for _, path := range []string{"/fast", "/fast", "/slow", "/slow", "/slow"} {
		c.workers.Go(func() { c.work(path) })
	}
	t.Cleanup(c.stop)
	return c
}

func (c *throng) stop() {
	select {
	case <-c.quit:
	default:
		close(c.quit)
	}
	c.workers.Wait()
}

func (c *throng) work(path string) {
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	client := &http.Client{Timeout: 20 * time.Second, Transport: transport}
	for {
		select {
		case <-c.quit:
			return
		default:
		}
		window := c.window.Load()
		why := fetchWhole(client, "http://"+c.address+path)
		switch {
		case window%2 == 0:
			time.Sleep(5 * time.Millisecond)
		case why == "":
			c.done.Add(1)
		case c.window.Load() == window:
			c.mu.Lock()
			c.lost = append(c.lost, why)
			c.mu.Unlock()
		}
	}
}

func fetchWhole(client *http.Client, url string) (why string) {
	res, err := client.Get(url)
	if err != nil {
		return err.Error()
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	switch {
	case err != nil:
		return err.Error()
	case res.StatusCode != 200:
		return fmt.Sprintf("%d %s", res.StatusCode, body)
	case !bytes.Equal(body, bytes.Repeat([]byte(res.Header.Get("X-Release")), bodyWords)):
		return fmt.Sprintf("%d bytes that are not those of %q", len(body), res.Header.Get("X-Release"))
	}
	return ""
}

// chainLine is a line of the history as this test reads it, by the letter of docs/history.md.
type chainLine struct {
	Seq  uint64 `json:"seq"`
	Prev string `json:"prev"`
	Sum  string `json:"sum"`
	Data struct {
		Kind, ID, Verb, Text string
		Generation           uint64
	} `json:"data"`
}

// readChain reads the history in the folder and holds each line to the one before it.
func readChain(t *testing.T, dir string) (all []chainLine) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, "history.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	before := chainLine{Sum: string(bytes.Repeat([]byte("0"), 64))}
	for {
		text, rest, whole := bytes.Cut(data, []byte("\n"))
		if !whole {
			return all // one that is being written
		}
		data = rest
		var l chainLine
		if err := json.Unmarshal(text, &l); err != nil {
			t.Fatalf("line %d of the history: %v", len(all)+1, err)
		}
		body := text[:bytes.LastIndex(text, []byte(`,"sum":`))]
		if hash := sha256.Sum256(body); hex.EncodeToString(hash[:]) != l.Sum || l.Prev != before.Sum || l.Seq != before.Seq+1 {
			t.Fatalf("line %d of the history does not follow: %s", len(all)+1, text)
		}
		all, before = append(all, l), l
	}
}
