package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"sync"
)

// sameWork starts p once and checks that it does to a request what every peer must do, so that no figure is low
// because less was done. It returns the configuration that was used.
func sameWork(ctx context.Context, p server, dir string, w work) (string, error) {
	seen := &observer{}
	backend := httptest.NewServer(seen)
	defer backend.Close()
	r, err := p.start(ctx, dir, w, nil, []string{backend.Listener.Addr().String()})
	if err != nil {
		return "", err
	}
	defer r.stop()
	seen.forget() // what the start itself asked
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	for range 2 {
		if err := get(ctx, client, r.url); err != nil {
			return "", fmt.Errorf("%s: %w", p.name, err)
		}
	}
	err = seen.check(!p.noID)
	if err == nil && w.accessLog {
		r.stop() // which also writes out what it still buffers
		err = checkLogged(filepath.Dir(r.log))
	}
	if err != nil {
		return "", fmt.Errorf("%s does not do the same work: %w; mend its configuration in bench", p.name, err)
	}
	return r.config, nil
}

// checkLogged looks for a line of each of our two requests in what the peer wrote: HAProxy and kamal-proxy log to their
// output, the others to a file beside it. A line is a JSON object that tells when, what was asked, the answer, its size and
// how long it took.
func checkLogged(dir string) error {
	lines := 0
	for _, name := range []string{"access.log", "output.log"} {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		for line := range bytes.Lines(text) {
			if !bytes.Contains(line, []byte("GET")) {
				continue
			}
			if err := checkLine(line); err != nil {
				return err
			}
			lines++
		}
	}
	if lines < 2 {
		return fmt.Errorf("its access log has %d lines of 2 requests", lines)
	}
	return nil
}

// loggedFields is what each peer calls what every line must tell.
var loggedFields = [][]string{
	{"time", "ts", "StartUTC"}, {"method", "request", "RequestMethod"}, {"path", "request", "RequestPath"}, {"host", "request", "RequestHost"},
	{"status", "OriginStatus"}, {"bytes", "size", "resp_content_length", "DownstreamContentSize"}, {"duration_ms", "duration", "Duration"},
}

func checkLine(line []byte) error {
	var doc map[string]any
	if err := json.Unmarshal(line, &doc); err != nil {
		return fmt.Errorf("its access log is no JSON: %w in %s", err, tail(line))
	}
	for _, names := range loggedFields {
		if !slices.ContainsFunc(names, func(name string) bool { _, ok := doc[name]; return ok }) {
			return fmt.Errorf("its access log has no %s: %s", names[0], tail(line))
		}
	}
	return nil
}

// observer is a backend that keeps what reached it of the two requests we send; health checks carry no request
// id and are left out.
type observer struct {
	mu   sync.Mutex
	seen []*http.Request
}

func (o *observer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("X-Request-Id") == "" && r.Header.Get("X-Forwarded-For") == "" {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	const most = 16 // two are expected
	if len(o.seen) < most {
		o.seen = append(o.seen, r)
	}
}

func (o *observer) forget() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.seen = nil
}

// check wants both requests as they should be; with ids, each with one of its own.
func (o *observer) check(ids bool) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.seen) != 2 {
		return fmt.Errorf("%d of 2 requests reached the backend marked as forwarded", len(o.seen))
	}
	for _, r := range o.seen {
		if err := checkForwarded(r); err != nil {
			return err
		}
	}
	if !ids {
		return nil
	}
	if o.seen[0].Header.Get("X-Request-Id") == "" {
		return errors.New("X-Request-Id is missing")
	}
	if o.seen[0].Header.Get("X-Request-Id") == o.seen[1].Header.Get("X-Request-Id") {
		return errors.New("two requests have the same X-Request-Id")
	}
	return nil
}

func checkForwarded(r *http.Request) error {
	switch host, _, err := net.SplitHostPort(r.RemoteAddr); {
	case err != nil || host != "127.0.0.1":
		return fmt.Errorf("it came from %s, not by loopback", r.RemoteAddr)
	case r.Proto != "HTTP/1.1" || r.Close:
		return fmt.Errorf("the connection to the backend is not kept (%s)", r.Proto)
	case r.Header.Get("X-Forwarded-For") != "127.0.0.1":
		return fmt.Errorf("X-Forwarded-For is %q", r.Header.Get("X-Forwarded-For"))
	case r.Header.Get("X-Forwarded-Proto") != "http":
		return fmt.Errorf("X-Forwarded-Proto is %q", r.Header.Get("X-Forwarded-Proto"))
	}
	return nil
}
