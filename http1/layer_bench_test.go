//go:build !race

package http1

import (
	"net"
	"strings"
	"testing"

	"sluice/message"
)

const small = "GET /index.html HTTP/1.1\r\nHost: example.com\r\nUser-Agent: test\r\nAccept: */*\r\n\r\n"

// page is what a browser sends for a page: 15 fields.
const page = "GET /shop/items?page=2&sort=price HTTP/1.1\r\nHost: www.example.com\r\n" +
	"User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36\r\n" +
	"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8\r\nAccept-Language: en-GB,en;q=0.5\r\n" +
	"Accept-Encoding: gzip, deflate, br, zstd\r\nReferer: https://www.example.com/shop\r\nConnection: keep-alive\r\n" +
	"Cookie: session=0123456789abcdef0123456789abcdef; theme=dark; consent=1\r\nUpgrade-Insecure-Requests: 1\r\nSec-Fetch-Dest: document\r\n" +
	"Sec-Fetch-Mode: navigate\r\nSec-Fetch-Site: same-origin\r\nSec-Fetch-User: ?1\r\nCache-Control: max-age=0\r\n\r\n"

func readHeads(b *testing.B, wire string) {
	c := NewConn(&loop{wire: wire}, &DefaultLimits)
	var h message.Head
	b.ReportAllocs()
	b.SetBytes(int64(len(wire)))
	for b.Loop() {
		if err := request(c, &h); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkReadSmallRequest(b *testing.B)   { readHeads(b, small) }
func BenchmarkReadBrowserRequest(b *testing.B) { readHeads(b, page) }

func BenchmarkWriteResponse(b *testing.B) {
	c := NewConn(&loop{}, &DefaultLimits)
	h := reply(200, "OK", lengthOf(0), "Server", "app", "Date", "Mon, 02 Nov 2026 10:00:00 GMT", "Content-Type", "text/html; charset=utf-8",
		"Cache-Control", "no-cache", "ETag", `"0123456789abcdef"`)
	b.ReportAllocs()
	for b.Loop() {
		c.BeginMessage()
		if c.WriteResponse(h) != nil || c.Flush() != nil {
			b.Fatal("not written")
		}
	}
}

// writeChunks writes a body of 64 KiB in chunks of 1 KiB.
func writeChunks(b testing.TB, c *Conn, h *message.Head, chunk []byte) {
	c.BeginMessage()
	if c.WriteResponse(h) != nil {
		b.Fatal("not written")
	}
	for range 64 {
		if c.WriteBody(chunk) != nil {
			b.Fatal("not written")
		}
	}
	if c.EndBody(nil) != nil || c.Flush() != nil {
		b.Fatal("not written")
	}
}

func BenchmarkWriteChunked(b *testing.B) {
	c := NewConn(&loop{}, &DefaultLimits)
	h, chunk := reply(200, "OK", coded), []byte(strings.Repeat("x", 0x400))
	b.ReportAllocs()
	b.SetBytes(64 << 10)
	for b.Loop() {
		writeChunks(b, c, h, chunk)
	}
}

func TestChunksAllocateNothing(t *testing.T) {
	c := NewConn(&loop{}, &DefaultLimits)
	h, chunk := reply(200, "OK", coded), []byte(strings.Repeat("x", 0x400))
	if n := testing.AllocsPerRun(500, func() { writeChunks(t, c, h, chunk) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// BenchmarkExchange is one request and its response over a real socket, with both sides ours.
func BenchmarkExchange(b *testing.B) {
	for _, network := range []string{"unix", "tcp"} {
		b.Run(network, func(b *testing.B) {
			near, far := socketsOf(b, network)
			client, server := NewConn(near, &DefaultLimits), NewConn(far, &DefaultLimits)
			q := head("GET", "/path?query=1", "example.com", message.Framing{}, "Accept", "*/*", "User-Agent", "test", "X-Request-Id", "1")
			r := reply(200, "OK", lengthOf(100), "Content-Type", "text/plain", "Date", "now")
			body := make([]byte, 100)
			s, back := new(message.Head), new(message.Head)
			b.ReportAllocs()
			for b.Loop() {
				exchange(b, client, server, q, s, r, back, body)
			}
		})
	}
}

func socketsOf(b *testing.B, network string) (near, far net.Conn) {
	if network == "unix" {
		return socketPair(b)
	}
	return dialed(b, network)
}
