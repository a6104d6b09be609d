package healthcheck

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
)

// health is a gRPC health server by the letter, on the HTTP/2 server of the standard library.
type health struct {
	status  map[string]int // by service
	trailer map[string]string
	http    int
	raw     []byte // in place of the message
	asked   []string
	head    http.Header
}

func (h *health) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	h.head = r.Header
	h.asked = append(h.asked, fmt.Sprintf("%s %s %s %s %q", r.Proto, r.Method, r.URL.Path, r.Header.Get("Content-Type"), body))
	w.Header().Set("Content-Type", "application/grpc")
	for k, v := range h.trailer {
		w.Header().Set(http.TrailerPrefix+k, v)
	}
	if h.http > 0 {
		w.WriteHeader(h.http)
	}
	service := ""
	if len(body) > 7 {
		service = string(body[7:])
	}
	status, known := h.status[service]
	switch {
	case h.raw != nil:
		w.Write(h.raw)
	case !known:
		w.Header().Set(http.TrailerPrefix+"Grpc-Status", "5")
		return
	default:
		w.Write([]byte{0, 0, 0, 0, 2, 1 << 3, byte(status)})
	}
	if h.trailer["Grpc-Status"] == "" && h.trailer["none"] == "" {
		w.Header().Set(http.TrailerPrefix+"Grpc-Status", "0")
	}
}

// serveGRPC serves HTTP/2 with prior knowledge until the test ends.
func serveGRPC(t *testing.T, network, address string, h http.Handler) string {
	t.Helper()
	listener, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: h, Protocols: new(http.Protocols)}
	server.Protocols.SetUnencryptedHTTP2(true)
	done := make(chan struct{})
	go func() { server.Serve(listener); close(done) }()
	t.Cleanup(func() { server.Close(); <-done })
	return listener.Addr().String()
}

func TestGRPCAnswers(t *testing.T) {
	tests := []struct {
		why     string
		service string
		h       *health
		want    string
	}{
		{"the server as a whole", "", &health{status: map[string]int{"": 1}}, ""},
		{"one service", "shop.Cart", &health{status: map[string]int{"shop.Cart": 1}}, ""},
		{"not serving", "", &health{status: map[string]int{"": 2}}, "status NOT_SERVING, want SERVING"},
		{"unknown", "", &health{status: map[string]int{"": 0}}, "status UNKNOWN, want SERVING"},
		{"a status of the future", "", &health{status: map[string]int{"": 9}}, "status 9, want SERVING"},
		{"a service it does not know", "shop.Kart", &health{status: map[string]int{"shop.Cart": 1}}, `the server knows no service "shop.Kart"`},
		{"no health service", "", &health{status: map[string]int{"": 1}, trailer: map[string]string{"Grpc-Status": "12"}}, "the server has no grpc.health.v1.Health"},
		{"an error of its own", "", &health{status: map[string]int{"": 1}, trailer: map[string]string{"Grpc-Status": "14"}}, "grpc-status 14, want 0"},
		{"no trailers", "", &health{status: map[string]int{"": 1}, trailer: map[string]string{"none": "1"}}, "answer has no grpc-status"},
		{"another HTTP status", "", &health{status: map[string]int{"": 1}, http: 404}, "HTTP status 404, want 200"},
		{"an empty message is UNKNOWN", "", &health{raw: []byte{0, 0, 0, 0, 0}}, "status UNKNOWN, want SERVING"},
		{"other fields beside it", "", &health{raw: []byte{0, 0, 0, 0, 7, 2<<3 | 2, 1, 'x', 3 << 3, 9, 1 << 3, 1}}, ""},
		{"a message cut short", "", &health{raw: []byte{0, 0, 0, 0, 2, 1 << 3}}, "answer is no HealthCheckResponse"},
		{"a compressed one", "", &health{raw: []byte{1, 0, 0, 0, 2, 1 << 3, 1}}, "answer is no HealthCheckResponse"},
		{"a varint without end", "", &health{raw: append([]byte{0, 0, 0, 0, 12, 1 << 3}, bytes.Repeat([]byte{0xff}, 11)...)}, "answer is no HealthCheckResponse"},
		{"an endless message", "", &health{raw: bytes.Repeat([]byte{0}, 1<<20)}, "answer is too long"},
		{"it asks for its drain", "", &health{status: map[string]int{"": 1}, trailer: map[string]string{"Sluice-Drain": "1"}}, DrainingReason},
	}
	for _, test := range tests {
		t.Run(strings.ReplaceAll(test.why, " ", "_"), func(t *testing.T) {
			spec := patient
			spec.Type, spec.Service, spec.AskedDrain = OverGRPC, test.service, true
			spec.Address = serveGRPC(t, "tcp", "127.0.0.1:0", test.h)
			if r := probe(t, spec); r.Reason != test.want || r.Draining != (test.want == DrainingReason) {
				t.Errorf("reason %q, want %q", r.Reason, test.want)
			}
		})
	}
}

func TestGRPCAsks(t *testing.T) {
	h := &health{status: map[string]int{"a": 1}}
	spec := Spec{Type: OverGRPC, Network: "unix", Address: filepath.Join(t.TempDir(), "g.sock"), Service: "a", Timeout: 30 * time.Second}
	serveGRPC(t, "unix", spec.Address, h)
	for range 3 {
		if r := probe(t, spec); !r.OK {
			t.Fatal(r.Reason)
		}
	}
	want := `HTTP/2.0 POST /grpc.health.v1.Health/Check application/grpc "\x00\x00\x00\x00\x03\n\x01a"`
	if len(h.asked) != 3 || h.asked[0] != want || h.head.Get("Te") != "trailers" || h.head.Get("Grpc-Timeout") != "30000m" {
		t.Errorf("asked %q, want %q; head %v", h.asked, want, h.head)
	}
}

func TestGRPCFromOtherServers(t *testing.T) {
	frames := func(write func(*http2.Framer)) func(net.Conn, string) {
		var out bytes.Buffer
		write(http2.NewFramer(&out, nil))
		return say(out.String())
	}
	tests := []struct {
		why    string
		handle func(net.Conn, string)
		reason string
	}{
		{"an HTTP/1 server", ok("{}"), "answer is not gRPC"},
		{"closes at once", say(""), "connection closed without an answer"},
		{"silence", silent, "no answer within 150ms"},
		{"goes away", frames(func(f *http2.Framer) {
			f.WriteSettings()
			f.WriteGoAway(0, http2.ErrCodeEnhanceYourCalm, nil)
		}), "the server takes no calls on a new connection: ENHANCE_YOUR_CALM"},
		{"refuses the stream", frames(func(f *http2.Framer) {
			f.WriteSettings()
			f.WriteRSTStream(1, http2.ErrCodeRefusedStream)
		}), "the server refused the call: REFUSED_STREAM"},
		{"a stream nobody opened", frames(func(f *http2.Framer) { f.WriteSettings(); f.WriteData(3, true, []byte("x")) }), "answer is not gRPC"},
		{"settings without end", func(c net.Conn, _ string) {
			f := http2.NewFramer(c, nil)
			for range 100_000 {
				if f.WriteSettings() != nil {
					return
				}
			}
		}, "answer is too long"},
		{"ends after the settings", frames(func(f *http2.Framer) { f.WriteSettings() }), "answer ended early"},
	}
	for _, test := range tests {
		t.Run(strings.ReplaceAll(test.why, " ", "_"), func(t *testing.T) {
			spec := patient
			if strings.Contains(test.reason, "within") {
				spec = quick
			}
			spec.Type = OverGRPC
			spec.Address = serve(t, "tcp", "127.0.0.1:0", func(c net.Conn, r string) {
				test.handle(c, r)
				if test.why != "silence" {
					c.(*net.TCPConn).CloseWrite()
					io.Copy(io.Discard, c) // a reset would take away what was written
				}
			})
			if r := probe(t, spec); r.Reason != test.reason {
				t.Errorf("reason %q, want %q", r.Reason, test.reason)
			}
		})
	}
}

func TestTCP(t *testing.T) {
	spec := patient
	spec.Type = OverTCP
	spec.Address = serve(t, "tcp", "127.0.0.1:0", say(""))
	if r := probe(t, spec); !r.OK || r.Release != "" {
		t.Errorf("%+v", r)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	spec.Address = listener.Addr().String()
	listener.Close()
	if r := probe(t, spec); r.Reason != "connection refused" {
		t.Errorf("%+v", r)
	}
	spec.Network, spec.Address = "unix", filepath.Join(t.TempDir(), "x.sock")
	if r := probe(t, spec); r.Reason != "no socket at "+spec.Address {
		t.Errorf("%+v", r)
	}
}

// FuzzServingStatus: no message makes the codec panic, and what it reads it reads again.
func FuzzServingStatus(f *testing.F) {
	f.Add([]byte{0, 0, 0, 0, 2, 8, 1})
	f.Add([]byte{0, 0, 0, 0, 7, 18, 1, 'x', 24, 9, 8, 1})
	f.Fuzz(func(t *testing.T, body []byte) {
		a, err := servingStatus(body)
		if b, again := servingStatus(append(bytes.Clone(body), 0)); err == nil && again == nil {
			t.Errorf("%d and %d: a message and one that is longer than it says", a, b)
		}
	})
}
