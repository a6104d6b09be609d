package front

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// request is one that no library would send: each part goes out as it is.
type request struct {
	method, target, host string
	fields               []string // "name: value", the names in lower case
	behind               string   // bytes behind the head
}

// answer is what became of it. A stream that was reset has status 0.
type answer struct {
	status int
	fields http.Header
	body   string
}

// send sends a request in the protocol at hand and reads its answer.
func (s *setup) send(q request) answer {
	s.t.Helper()
	if q.method == "" {
		q.method = "GET"
	}
	if q.target == "" {
		q.target = "/"
	}
	if q.host == "" {
		q.host = s.addr
	}
	if s.h2 {
		return s.sendStream(q)
	}
	nc := s.dial()
	defer nc.Close()
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: %s\r\n", q.method, q.target, q.host)
	for _, f := range q.fields {
		b.WriteString(f + "\r\n")
	}
	io.WriteString(nc, b.String()+"\r\n"+q.behind)
	res, err := http.ReadResponse(bufio.NewReader(nc), &http.Request{Method: q.method})
	if err != nil {
		s.t.Fatalf("%+v: %v", q, err)
	}
	body, err := io.ReadAll(res.Body)
	if err != nil {
		s.t.Fatalf("%+v: body: %v", q, err)
	}
	return answer{res.StatusCode, res.Header, string(body)}
}

func (s *setup) sendStream(q request) answer {
	nc, err := tls.Dial("tcp", s.addr, &tls.Config{RootCAs: s.roots, ServerName: "localhost", NextProtos: []string{"h2"}})
	if err != nil {
		s.t.Fatal(err)
	}
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(10 * time.Second))
	io.WriteString(nc, http2.ClientPreface)
	fr := http2.NewFramer(nc, nc)
	fr.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	fr.WriteSettings()
	fr.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: q.block(), EndHeaders: true, EndStream: q.behind == ""})
	if q.behind != "" {
		fr.WriteData(1, true, []byte(q.behind))
	}
	return s.readStream(fr, nc)
}

// block is the head as HTTP/2 has it (RFC 9113 §8.3.1).
func (q request) block() []byte {
	var b bytes.Buffer
	enc := hpack.NewEncoder(&b)
	pseudo := [][2]string{{":method", q.method}, {":authority", q.host}}
	if q.method != "CONNECT" {
		pseudo = append(pseudo, [2]string{":scheme", "https"}, [2]string{":path", q.target})
	}
	for _, p := range pseudo {
		enc.WriteField(hpack.HeaderField{Name: p[0], Value: p[1]})
	}
	for _, f := range q.fields {
		name, value, _ := strings.Cut(f, ": ")
		enc.WriteField(hpack.HeaderField{Name: strings.ToLower(name), Value: value})
	}
	return b.Bytes()
}

func (s *setup) readStream(fr *http2.Framer, nc net.Conn) (a answer) {
	for {
		f, err := fr.ReadFrame()
		if err != nil {
			s.t.Fatalf("no end of the stream: %v", err)
		}
		switch f := f.(type) {
		case *http2.SettingsFrame:
			if !f.IsAck() {
				fr.WriteSettingsAck()
			}
		case *http2.MetaHeadersFrame:
			a.fields = http.Header{}
			for _, h := range f.RegularFields() {
				a.fields.Add(h.Name, h.Value)
			}
			a.status, _ = strconv.Atoi(f.PseudoValue("status"))
		case *http2.DataFrame:
			a.body += string(f.Data())
		case *http2.RSTStreamFrame:
			return a
		case *http2.GoAwayFrame:
			return a
		}
		if f.Header().StreamID == 1 && f.Header().Flags.Has(http2.FlagDataEndStream) {
			return a
		}
	}
}

// tell is a backend that says what it was sent.
func tell(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	fmt.Fprintf(w, "%s %s\nhost: %s\n", r.Method, r.RequestURI, r.Host)
	var names []string
	for name := range r.Header {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		for _, value := range r.Header[name] {
			fmt.Fprintf(w, "%s: %s\n", strings.ToLower(name), value)
		}
	}
	fmt.Fprintf(w, "body: %s\n", body)
}

// told checks what the backend was sent: lines that are there, and fields that are not.
func (a answer) told(t *testing.T, reason string, lines, without []string) {
	t.Helper()
	if a.status != 200 {
		t.Errorf("%s: %d %q", reason, a.status, a.body)
		return
	}
	for _, line := range lines {
		if !strings.Contains("\n"+a.body, "\n"+line+"\n") {
			t.Errorf("%s: no %q in\n%s", reason, line, a.body)
		}
	}
	for _, name := range without {
		if strings.Contains("\n"+a.body, "\n"+name+": ") {
			t.Errorf("%s: the backend was told %s:\n%s", reason, name, a.body)
		}
	}
}
