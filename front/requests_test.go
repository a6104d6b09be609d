package front

import (
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"sluice/proxy"
	"sluice/upstream"
)

func TestFieldsOfOneConnectionEndThere(t *testing.T) {
	overEach(t, tell, func(s *setup) {
		s.send(request{fields: []string{"te: trailers", "trailer: x-sum", "x-stays: 1"}}).told(s.t, "what goes on",
			[]string{"te: trailers", "x-stays: 1"}, nil)
		s.send(request{fields: []string{"proxy-authorization: Basic x", "http2-settings: x", "proxy: http://evil", "x-stays: 1"}}).told(s.t, "what ends here",
			[]string{"x-stays: 1"}, []string{"proxy-authorization", "http2-settings", "proxy", "te", "connection"})
		if s.h2 {
			return // a stream with connection-specific fields is malformed (RFC 9113 §8.2.2)
		}
		s.send(request{fields: []string{"connection: keep-alive, x-hop", "keep-alive: 5", "proxy-connection: x", "te: gzip", "upgrade: h2c", "x-hop: 1", "x-stays: 1"}}).told(s.t, "hop by hop",
			[]string{"x-stays: 1"}, []string{"x-hop", "keep-alive", "proxy-connection", "te", "upgrade", "connection"})
		s.send(request{fields: []string{"connection: authorization, cookie, host, content-length, x-forwarded-for, x-request-id, via, te", "authorization: a", "cookie: b", "content-length: 2"}, behind: "hi"}).told(s.t, "what may not be taken away",
			[]string{"authorization: a", "cookie: b", "x-forwarded-for: 127.0.0.1", "host: " + s.addr, "body: hi"}, nil)
	})
}

func TestConnectionFieldsMakeAStreamMalformed(t *testing.T) {
	s := newSetup(t, protocols[2], tell)
	for _, field := range []string{"connection: x", "keep-alive: 5", "proxy-connection: x", "transfer-encoding: chunked", "upgrade: websocket", "te: gzip"} {
		if a := s.send(request{fields: []string{field}}); a.status == 200 {
			t.Errorf("%s was served: %s", field, a.body)
		}
	}
}

func TestForgedFieldsAreDropped(t *testing.T) {
	forged := []string{"x-forwarded-for", "x_forwarded_for", "x.forwarded.for", "x-forwarded-port", "x-forwarded-client-cert", "forwarded", "x-real-ip", "x_real-ip", "true-client-ip",
		"client-ip", "x-original-url", "x-rewrite-url", "content_type", "host_", "transfer_encoding", "via_"}
	overEach(t, tell, func(s *setup) {
		fields := []string{"my_field: 1", "my.field: 2"}
		for _, name := range forged {
			fields = append(fields, name+": 6.6.6.6")
		}
		a := s.send(request{fields: fields})
		a.told(s.t, "forged", []string{"my_field: 1", "my.field: 2", "x-forwarded-for: 127.0.0.1", "x-forwarded-host: " + s.addr}, forged[1:])
		if strings.Contains(a.body, "6.6.6.6") {
			s.t.Errorf("passed on:\n%s", a.body)
		}
	})
}

func TestFieldsWithOneValueAreSentOnce(t *testing.T) {
	overEach(t, tell, func(s *setup) {
		for _, name := range []string{"authorization", "content-type"} {
			if a := s.send(request{fields: []string{name + ": a", name + ": b"}}); a.status != 400 {
				s.t.Errorf("two %s: %d", name, a.status)
			}
		}
		s.send(request{fields: []string{"cookie: a=1", "cookie: b=2"}}).told(s.t, "cookies", []string{"cookie: a=1; b=2"}, nil)
	})
}

func TestMethodsThatStopHere(t *testing.T) {
	overEach(t, tell, func(s *setup) {
		for _, method := range []string{"TRACE", "CONNECT"} {
			a := s.send(request{method: method, host: "example.com:443"})
			if a.status != 405 || !strings.Contains(a.fields.Get("Allow"), "GET") {
				s.t.Errorf("%s: %d, Allow %q", method, a.status, a.fields.Get("Allow"))
			}
		}
		a := s.send(request{method: "OPTIONS", target: "*", fields: []string{"max-forwards: 0"}})
		if a.status != 200 || a.body != "" || a.fields.Get("Content-Length") != "0" || !strings.Contains(a.fields.Get("Allow"), "OPTIONS") {
			s.t.Errorf("the last recipient: %+v", a)
		}
		s.send(request{method: "OPTIONS", target: "*"}).told(s.t, "for the server as a whole", []string{"OPTIONS *"}, nil)
		s.send(request{method: "OPTIONS", fields: []string{"max-forwards: 7"}}).told(s.t, "counted down", []string{"OPTIONS /", "max-forwards: 6"}, nil)
		if a := s.send(request{method: "OPTIONS", fields: []string{"max-forwards: x"}}); a.status != 400 {
			s.t.Errorf("no number: %d", a.status)
		}
		if a := s.send(request{target: "*"}); a.status == 200 {
			s.t.Errorf("GET *: %d", a.status)
		}
	})
}

func TestExpectations(t *testing.T) {
	overEach(t, tell, func(s *setup) {
		if a := s.send(request{fields: []string{"expect: 200-ok"}}); a.status != 417 {
			s.t.Errorf("an expectation that cannot be met: %d", a.status)
		}
		s.send(request{fields: []string{"expect: 100-continue"}}).told(s.t, "without a body", nil, []string{"expect"})
	})
}

// admin routes /admin to a backend that does not answer as the other one does.
func (s *setup) admin() {
	s.t.Helper()
	pool := upstream.NewPool("blue", upstream.RoundRobin, []*upstream.Backend{s.backend})
	none := upstream.NewPool("blue", upstream.RoundRobin, nil)
	snapshot, err := proxy.NewSnapshot(2, []*proxy.Service{{Name: "web", Path: "/", Live: pool}, {Name: "admin", Path: "/admin", Live: none}})
	if err != nil {
		s.t.Fatal(err)
	}
	s.proxy.Swap(snapshot)
}

func TestPathsAreRoutedAsForwarded(t *testing.T) {
	const elsewhere = 503 // of the service with no backend
	overEach(t, tell, func(s *setup) {
		s.admin()
		for target, forwarded := range map[string]string{
			"/%61?%61=//;%2f\\&b": "/a?%61=//;%2f\\&b", "/x//y;z/%2f": "/x//y;z/%2F", "/%c3%a9": "/%C3%A9", "/ADMIN": "/ADMIN", "/caf%e9": "/caf%E9", "//x": "//x",
		} {
			s.send(request{target: target}).told(s.t, target, []string{"GET " + forwarded}, nil)
		}
		for _, target := range []string{"/admin", "/%61dmin/x", "/admin/a;b", "/admin/%7E"} {
			if a := s.send(request{target: target}); a.status != elsewhere {
				s.t.Errorf("%s: %d %s", target, a.status, a.body)
			}
		}
		for _, target := range []string{"//admin", "/x/../admin", "/x/..;/admin", "/x/%2e%2e/admin", "/admin%2f..", "/%2fadmin", "/%5cadmin", "/x\\admin", "/admin;x", "/%2561dmin",
			"/%c0%afadmin", "/admin%00", "/%zz", "/%u002f", "/x%0a", "/x#y", "//h/admin", "/x%ff%"} {
			if a := s.send(request{target: target}); a.status != 400 && !(s.h2 && a.status == 0) {
				s.t.Errorf("%s: %d %s", target, a.status, a.body)
			}
		}
	})
}

func TestOneHostIsRoutedOnAndForwarded(t *testing.T) {
	overEach(t, tell, func(s *setup) {
		s.send(request{host: "EXAMPLE.Com.:8443"}).told(s.t, "in its one form", []string{"host: example.com:8443", "x-forwarded-host: example.com:8443"}, nil)
		for _, host := range []string{"a b", "u@a", "a..b", ".", "a:", "a:99999", "a/b", "a,b", "[::1"} {
			if a := s.send(request{host: host}); a.status != 400 && !(s.h2 && a.status == 0) {
				s.t.Errorf("%s: %d", host, a.status)
			}
		}
		if s.h2 {
			s.send(request{host: "example.com", fields: []string{"host: evil.org"}}).told(s.t, "Host does not decide", []string{"host: example.com"}, nil)
			return
		}
		s.send(request{host: "evil.org", target: "http://EXAMPLE.com/%61"}).told(s.t, "Host does not decide", []string{"GET /a", "host: example.com"}, nil)
	})
}

func TestLengthsOfStreams(t *testing.T) {
	s := newSetup(t, protocols[2], tell)
	for _, length := range []string{"+2", "-2", "0x2", "2,2", "", "99999999999999999999", "3", "1"} {
		if a := s.send(request{method: "POST", fields: []string{"content-length: " + length}, behind: "hi"}); a.status == 200 {
			t.Errorf("%q was served: %s", length, a.body)
		}
	}
	s.send(request{method: "POST", fields: []string{"content-length: 2"}, behind: "hi"}).told(t, "the right one", []string{"content-length: 2", "body: hi"}, nil)
}

func TestResponseFieldsOfOneConnectionEndThere(t *testing.T) {
	overEach(t, func(w http.ResponseWriter, r *http.Request) {
		conn, _, _ := w.(http.Hijacker).Hijack()
		io.WriteString(conn, "HTTP/1.1 200 OK\r\nConnection: close, X-Hop\r\nX-Hop: 1\r\nKeep-Alive: 5\r\nProxy-Authenticate: Basic\r\nUpgrade: h2c\r\nX-Stays: 2\r\nContent-Length: 2\r\n\r\nok")
		conn.Close()
	}, func(s *setup) {
		a := s.send(request{})
		var names []string
		for name := range a.fields {
			names = append(names, name)
		}
		for _, gone := range []string{"X-Hop", "Keep-Alive", "Proxy-Authenticate", "Upgrade"} {
			if slices.Contains(names, gone) {
				s.t.Errorf("%s was passed on", gone)
			}
		}
		if a.status != 200 || a.body != "ok" || a.fields.Get("X-Stays") != "2" {
			s.t.Errorf("%+v", a)
		}
	})
}
