// Command watch asks a URL over and over, on kept connections and on new ones, never tries again, and counts what went
// wrong. It ends with exit code 1 if anything did. It knows nothing of what answers.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

type watch struct {
	url        string
	done, lost atomic.Int64
	mu         sync.Mutex
	seen       map[string]int // by release
}

func main() {
	w := &watch{seen: map[string]int{}}
	flag.StringVar(&w.url, "url", "http://127.0.0.1:8080/", "what to ask")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var workers sync.WaitGroup
	for n := range 8 {
		workers.Go(func() { w.work(ctx, n%4 == 3) })
	}
	workers.Wait()
	fmt.Printf("watch: %d requests, %d lost, answered by %v\n", w.done.Load(), w.lost.Load(), w.seen)
	if w.lost.Load() > 0 || w.done.Load() == 0 {
		os.Exit(1)
	}
}

// work asks with POST and GET in turn: a client library may repeat a GET by itself, but not a POST.
func (w *watch) work(ctx context.Context, fresh bool) {
	client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: fresh}}
	for n := 0; ctx.Err() == nil; n++ {
		method := http.MethodGet
		if n%2 == 1 && !fresh {
			method = http.MethodHead
		}
		w.ask(client, method)
		time.Sleep(10 * time.Millisecond)
	}
}

func status(res *http.Response) string {
	if res == nil {
		return "no answer"
	}
	return res.Status
}

func (w *watch) ask(client *http.Client, method string) {
	req, err := http.NewRequest(method, w.url, nil)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	res, err := client.Do(req)
	if err == nil {
		_, err = io.Copy(io.Discard, res.Body)
		res.Body.Close()
	}
	w.done.Add(1)
	if err != nil || res.StatusCode != http.StatusOK {
		if w.lost.Add(1) <= 10 {
			fmt.Fprintln(os.Stderr, "watch: lost:", method, err, status(res))
		}
		return
	}
	w.mu.Lock()
	w.seen[res.Header.Get("X-Release")]++
	w.mu.Unlock()
}
