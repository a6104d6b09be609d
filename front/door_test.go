package front

import (
	"crypto/tls"
	"io"
	"net/http"
	"strings"
	"testing"

	"sluice/proxy"
	"sluice/upstream"
)

// TestDoorLeadsToPreviews: what comes in by a listener for previews goes to those that name it, over each protocol, and what
// comes by any other does not.
func TestDoorLeadsToPreviews(t *testing.T) {
	overEach(t, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "hello") }, func(s *setup) {
		pool := upstream.NewPool("blue", upstream.RoundRobin, []*upstream.Backend{s.backend})
		web := &proxy.Service{Name: "web", Path: "/", Live: pool}
		look := proxy.Preview{Doors: []string{"stage"}}
		web.Previews = []*proxy.Service{proxy.NewPreview(web, look, upstream.NewPool("green", upstream.RoundRobin, []*upstream.Backend{s.backend}), nil)}
		snapshot, err := proxy.NewSnapshot(2, []*proxy.Service{web})
		if err != nil {
			s.t.Fatal(err)
		}
		s.proxy.Swap(snapshot)
		var conf *tls.Config
		if s.scheme == "https" {
			conf, s.roots = selfSigned(s.t)
		}
		door, err := s.front.ListenFor("stage", s.scheme, "tcp", "127.0.0.1:0", conf)
		if err != nil {
			s.t.Fatal(err)
		}
		other, err := s.front.ListenFor("elsewhere", s.scheme, "tcp", "127.0.0.1:0", conf)
		if err != nil {
			s.t.Fatal(err)
		}
		staged := s.newClient()
		for range 2 { // on a kept connection too
			for _, tt := range []struct {
				client    *http.Client
				url, mark string
				status    int
			}{
				{s.client, s.url, "", 200},
				{staged, s.scheme + "://" + door.String(), "green", 200},
				{staged, s.scheme + "://" + other.String(), "", 404},
			} {
				res, err := tt.client.Get(tt.url)
				if err != nil {
					s.t.Fatal(err)
				}
				io.Copy(io.Discard, res.Body)
				res.Body.Close()
				if got := res.Header.Get("Sluice-Preview"); res.StatusCode != tt.status || got != tt.mark || (res.ProtoMajor == 2) != s.h2 {
					s.t.Errorf("%s: %s %d, marked %q", tt.url, res.Proto, res.StatusCode, got)
				}
			}
		}
	})
}

// TestListenErrorNamesItsKey: who reads it looks for the line in the file.
func TestListenErrorNamesItsKey(t *testing.T) {
	s := New(Options{Proxy: proxy.New(proxy.Timeouts{}, nil)})
	defer s.Close()
	taken, err := s.Listen("http", "tcp", "127.0.0.1:0", nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.ListenFor("stage", "http", "tcp", taken.String(), nil); err == nil || !strings.Contains(err.Error(), "`preview:`") {
		t.Errorf("a preview: %v", err)
	}
	if _, err := s.Listen("http", "tcp", taken.String(), nil); err == nil || !strings.Contains(err.Error(), "`listen:`") {
		t.Errorf("any other: %v", err)
	}
}
