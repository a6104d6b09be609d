package healthcheck

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

const (
	// maxBody is how much of a body is read: health answers are a few hundred bytes, and a server that sends more
	// must not cost memory.
	maxBody = 64 << 10
	// maxAnswer bounds the head and the body together, chunk framing included.
	maxAnswer = 2 * maxBody
	// maxInterim is how many 1xx answers may come before the real one. The limit is arbitrary.
	maxInterim = 5
)

// HTTP sends one GET over a connection of its own. It follows no redirect and uses no proxy: the question goes to the
// configured address and nowhere else.
type HTTP struct {
	spec    Spec
	request []byte
}

// NewHTTP returns a prober for the spec. now stamps the results.
func NewHTTP(spec Spec, now func() time.Time) Prober {
	spec = spec.normal()
	h := &HTTP{spec: spec, request: requestHead(spec)}
	return newProber(spec, now, "HTTP", h.ask)
}

// requestHead writes the whole request. HTTP/1.1 with Connection: close is understood by every server, and keeps the
// check honest: it also tests that the server still takes new connections.
func requestHead(spec Spec) []byte {
	host := spec.Host
	if host == "" {
		host = spec.Address
		if spec.Network == "unix" {
			host = "localhost"
		}
	}
	target := escapeControls(spec.Path)
	if !strings.HasPrefix(target, "/") {
		target = "/" + target
	}
	return fmt.Appendf(nil, "GET %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: sluice-health\r\nAccept: */*\r\nConnection: close\r\n\r\n",
		target, escapeControls(host))
}

// escapeControls percent-encodes the bytes that would end a request line early.
func escapeControls(s string) string {
	var b strings.Builder
	for i := range len(s) {
		if s[i] <= ' ' || s[i] == 0x7f {
			fmt.Fprintf(&b, "%%%02X", s[i])
		} else {
			b.WriteByte(s[i])
		}
	}
	return b.String()
}

func (h *HTTP) ask(conn net.Conn) (said, error) {
	if _, err := conn.Write(h.request); err != nil && !isReset(err) {
		return said{}, &phaseError{"answer", err}
	}
	return h.read(conn)
}

// read judges the answer. A server may answer and reset before it has read our question; what it said still counts.
func (h *HTTP) read(conn net.Conn) (said, error) {
	watched := &watchedReader{Reader: conn}
	limited := &io.LimitedReader{R: watched, N: maxAnswer}
	resp, err := readHead(bufio.NewReader(limited))
	switch {
	case err != nil && limited.N == 0:
		return said{}, errors.New("head of the answer is too long")
	case err != nil && watched.err != nil:
		return said{}, &phaseError{watched.missing(), watched.err}
	case err != nil:
		return said{}, err
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody+1))
	tooLong := len(body) > maxBody || limited.N == 0
	if err != nil && !tooLong {
		return said{}, &phaseError{"whole answer", err}
	}
	return h.judge(resp.StatusCode, h.spec.AskedDrain && isTrue(resp.Header.Get(drainField)), body, tooLong)
}

// watchedReader remembers how a connection ended. The parser takes a line cut short for a whole one and calls it
// malformed; that the time was over, or the server gone, is the better reason.
type watchedReader struct {
	io.Reader
	some bool // at least one byte came
	err  error
}

func (w *watchedReader) Read(p []byte) (n int, err error) {
	n, err = w.Reader.Read(p)
	w.some = w.some || n > 0
	w.err = err
	return n, err
}

func (w *watchedReader) missing() string {
	if w.some {
		return "whole head"
	}
	return "answer"
}

func readHead(in *bufio.Reader) (*http.Response, error) {
	get := &http.Request{Method: http.MethodGet}
	for range maxInterim + 1 {
		resp, err := http.ReadResponse(in, get)
		if err != nil {
			return nil, &phaseError{"whole head", err}
		}
		if resp.StatusCode >= 200 || resp.StatusCode == http.StatusSwitchingProtocols {
			return resp, nil
		}
	}
	return nil, errors.New("only interim answers")
}

// drainField is how a server asks for its own drain in the head of an answer, and statusField how it does in the body.
const (
	drainField     = "Sluice-Drain"
	statusField    = "status"
	drainingStatus = "draining"
)

var errDraining = errors.New(DrainingReason)

func isTrue(value string) bool { return value == "1" || value == "true" }

// judge compares an answer with what the spec wants. The release and the schema are read whatever the verdict, and so is
// a wish to be drained. A body that is too long was not read to its end; it is as good as any where nothing is asked of it.
func (h *HTTP) judge(status int, drain bool, body []byte, tooLong bool) (said, error) {
	out := said{answered: true}
	var doc any
	docErr := errTooLong
	if !tooLong && h.readsBody() {
		doc, docErr = parseJSON(body)
	}
	if h.spec.Release != "" {
		out.release = releaseOf(doc, h.spec.Release)
	}
	if h.spec.Schema {
		out.schema = schemaOf(doc)
	}
	if drain || h.spec.AskedDrain && asksDrain(doc) {
		return out, errDraining
	}
	if err := h.judgeStatus(status); err != nil {
		return out, err
	}
	if len(h.spec.JSON) == 0 {
		return out, nil
	}
	if docErr != nil {
		return out, docErr
	}
	return out, matchObject("", h.spec.JSON, doc)
}

func (h *HTTP) readsBody() bool {
	return h.spec.Release != "" || len(h.spec.JSON) > 0 || h.spec.AskedDrain || h.spec.Schema
}

func asksDrain(doc any) bool {
	object, _ := doc.(map[string]any)
	return object[statusField] == drainingStatus
}

func (h *HTTP) judgeStatus(status int) error {
	var want []string
	for _, r := range h.spec.Status {
		if r.Low <= status && status <= r.High {
			return nil
		}
		want = append(want, r.String())
	}
	note := ""
	if status >= 300 && status < 400 {
		note = " (redirects are not followed)"
	}
	return fmt.Errorf("status %d, want %s%s", status, strings.Join(want, " or "), note)
}
