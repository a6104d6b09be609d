package http1

import (
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"sluice/message"
)

const browser = "GET /shop/items?page=2 HTTP/1.1\r\nHost: www.example.com\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\r\n" +
	"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\nAccept-Language: en-GB,en;q=0.5\r\nAccept-Encoding: gzip, deflate, br, zstd\r\n" +
	"Connection: keep-alive\r\nCookie: session=0123456789abcdef0123456789abcdef; theme=dark\r\nUpgrade-Insecure-Requests: 1\r\n\r\n"

const server = "HTTP/1.1 200 OK\r\nServer: app\r\nDate: Mon, 02 Nov 2026 10:00:00 GMT\r\nContent-Type: text/html; charset=utf-8\r\n" +
	"Cache-Control: no-cache\r\nETag: \"0123456789abcdef\"\r\nContent-Length: 12\r\n\r\nhello, world"

// loop is a connection on which the same bytes come again and again, at once each time; what is written to it is dropped.
type loop struct {
	net.Conn
	wire string
	at   int
}

func (l *loop) Read(p []byte) (int, error) {
	n := copy(p, l.wire[l.at:])
	if l.at += n; l.at == len(l.wire) {
		l.at = 0
	}
	return n, nil
}

func (l *loop) Write(p []byte) (int, error)      { return len(p), nil }
func (l *loop) SetReadDeadline(time.Time) error  { return nil }
func (l *loop) SetWriteDeadline(time.Time) error { return nil }

func BenchmarkReadRequest(b *testing.B) {
	c := NewConn(&loop{wire: browser}, &DefaultLimits)
	var h message.Head
	b.ReportAllocs()
	b.SetBytes(int64(len(browser)))
	for b.Loop() {
		if err := request(c, &h); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkReadResponse(b *testing.B) {
	c := NewConn(&loop{wire: server}, &DefaultLimits)
	var h message.Head
	b.ReportAllocs()
	b.SetBytes(int64(len(server)))
	for b.Loop() {
		if err := response(c, &h); err != nil {
			b.Fatal(err)
		}
		for !c.BodyDone() {
			if _, err := c.Next(); err != nil {
				b.Fatal(err)
			}
		}
	}
}

func BenchmarkWriteRequest(b *testing.B) {
	c := NewConn(&loop{wire: browser}, &DefaultLimits)
	var h message.Head
	if err := request(c, &h); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		c.BeginMessage()
		if c.WriteRequest(&h) != nil || c.Flush() != nil {
			b.Fatal("not written")
		}
	}
}

func BenchmarkChunked(b *testing.B) {
	const chunk = "400\r\n"
	wire := ok(chunked, strings.Repeat(chunk+strings.Repeat("x", 0x400)+"\r\n", 64)+"0\r\n\r\n")
	c := NewConn(&loop{wire: wire}, &DefaultLimits)
	var h message.Head
	b.ReportAllocs()
	b.SetBytes(64 << 10)
	for b.Loop() {
		if err := response(c, &h); err != nil {
			b.Fatal(err)
		}
		c.ReleaseHead()
		for {
			if _, err := c.Next(); err == io.EOF {
				break
			} else if err != nil {
				b.Fatal(err)
			}
		}
	}
}
