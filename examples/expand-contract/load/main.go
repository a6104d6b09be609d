// Command load writes users and reads them back over other connections, and holds each answer to what it wrote. It never
// asks twice. It ends with exit code 1 if any request failed or any name was not the one written last, and leaves behind
// what was acknowledged, so that it can be looked for in the database. It knows nothing of what answers.
package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptrace"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"
)

func main() {
	l := &load{releases: map[string]int{}}
	flag.StringVar(&l.url, "url", "http://127.0.0.1:8090", "where the app is")
	ledger := flag.String("ledger", "ledger.txt", "the file that gets each acknowledged user: number, tab, name")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	writers := make([]*writer, 8)
	var group sync.WaitGroup
	for n := range writers {
		writers[n] = newWriter(l, n)
		group.Go(func() { writers[n].work(ctx) })
	}
	group.Wait()
	if err := keep(*ledger, writers); err != nil {
		fmt.Fprintln(os.Stderr, "load:", err)
		os.Exit(2)
	}
	fmt.Printf("load: %d writes acknowledged, %d failed; %d reads, %d failed, %d wrong; the slowest took %s; answered by %v\n",
		l.writes.done, l.writes.failed, l.reads.done, l.reads.failed, l.wrong, l.slowest.Round(time.Millisecond), l.releases)
	if l.writes.failed+l.reads.failed+l.wrong > 0 || l.writes.done == 0 || l.reads.done == 0 {
		os.Exit(1)
	}
}

// keep writes down what was acknowledged. A user whose last write failed is left out: nobody knows what became of that.
func keep(path string, writers []*writer) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	out := bufio.NewWriter(f)
	for _, w := range writers {
		for id, name := range w.names {
			fmt.Fprintf(out, "%s\t%s\n", id, name)
		}
	}
	return errors.Join(out.Flush(), f.Close())
}

type tally struct{ done, failed int }

type load struct {
	url           string
	mu            sync.Mutex // over all below
	writes, reads tally
	wrong         int // reads of another name than the one written last
	slowest       time.Duration
	releases      map[string]int // how many answers each gave
}

// count takes down one answer. The first errors are shown.
func (l *load) count(of *tally, release string, took time.Duration, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.slowest = max(l.slowest, took)
	if err == nil {
		of.done++
		l.releases[release]++
		return
	}
	if of.failed++; of.failed <= 5 {
		fmt.Fprintln(os.Stderr, "load: error:", err)
	}
}

func (l *load) mismatch(id, name, want string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.wrong++; l.wrong <= 5 {
		fmt.Fprintf(os.Stderr, "load: wrong: user %s is %q and was written as %q\n", id, name, want)
	}
}

// writer has users of its own, so that it knows what each one's name has to be.
type writer struct {
	*load
	number        int
	write, read   *http.Client
	names         map[string]string // by id: the last name that was acknowledged
	ids           []string
	named, passes int
}

// newWriter writes and reads by connections of its own; those of every fourth are new for each request.
func newWriter(l *load, number int) *writer {
	client := func() *http.Client {
		return &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: number%4 == 3}}
	}
	return &writer{load: l, number: number, write: client(), read: client(), names: map[string]string{}}
}

func (w *writer) work(ctx context.Context) {
	for ctx.Err() == nil {
		w.pass()
		time.Sleep(25 * time.Millisecond)
	}
}

// pass makes a user or names one anew, in turn, reads that back, and one of long ago.
func (w *writer) pass() {
	w.passes++
	id := ""
	if w.passes%2 == 1 || len(w.ids) == 0 {
		id = w.create()
	} else {
		id = w.rename(w.any())
	}
	w.check(id)
	if len(w.ids) > 0 {
		w.check(w.any())
	}
}

func (w *writer) any() string { return w.ids[rand.IntN(len(w.ids))] }

func (w *writer) name() string {
	w.named++
	return fmt.Sprintf("user-%d-%d", w.number, w.named)
}

func (w *writer) create() string {
	name := w.name()
	id, ok := w.ask(w.write, &w.writes, http.MethodPost, "/users", name)
	if !ok {
		return ""
	}
	w.names[id], w.ids = name, append(w.ids, id)
	return id
}

func (w *writer) rename(id string) string {
	name := w.name()
	delete(w.names, id)
	if _, ok := w.ask(w.write, &w.writes, http.MethodPut, "/users/"+id, name); ok {
		w.names[id] = name
	}
	return id
}

func (w *writer) check(id string) {
	want, known := w.names[id]
	if !known {
		return
	}
	if name, ok := w.ask(w.read, &w.reads, http.MethodGet, "/users/"+id, ""); ok && name != want {
		w.mismatch(id, name, want)
	}
}

func (w *writer) ask(client *http.Client, of *tally, method, path, body string) (string, bool) {
	began := time.Now()
	text, release, err := w.once(client, method, path, body)
	w.count(of, release, time.Since(began), err)
	return text, err == nil
}

// once fails when the client library has asked again by itself.
func (w *writer) once(client *http.Client, method, path, body string) (text, release string, err error) {
	tries := 0
	trace := &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { tries++ }}
	req, err := http.NewRequestWithContext(httptrace.WithClientTrace(context.Background(), trace), method, w.url+path, strings.NewReader(body))
	if err != nil {
		return "", "", err
	}
	res, err := client.Do(req)
	if err != nil {
		return "", "", err
	}
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	switch {
	case err != nil:
		return "", "", err
	case res.StatusCode/100 != 2:
		return "", "", fmt.Errorf("%s %s: %s: %s", method, path, res.Status, strings.TrimSpace(string(data)))
	case tries != 1:
		return "", "", fmt.Errorf("%s %s: asked %d times", method, path, tries)
	}
	return string(data), res.Header.Get("X-Release"), nil
}
