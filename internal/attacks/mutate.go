package attacks

import (
	"math/rand/v2"
	"strings"
)

// pieces are what readers split messages by, and what they disagree on.
var pieces = []string{
	"\r\n", "\n", "\r", "\r\n\r\n", "\n\n", "\n\r", " ", "\t", "\v", "\f", "\x00", "\x7f", "\xa0", "\xff", ":", ",", ";", "=", "\"", "\\", "/", "?", "#", "@", "%",
	"0", "1", "5", "0x", "+", "-", "_", "00", "ffffffffffffffff", "18446744073709551616", "..", "%2e", "%00", "//", "*",
	"GET ", "POST ", "HEAD ", "OPTIONS ", "CONNECT ", " HTTP/1.1", " HTTP/1.0", " HTTP/1.2", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 100 C\r\n\r\n", "HTTP/1.1 204 X\r\n",
	"http://b", "Host: a\r\n", "Host: b\r\n", "Host:", "Content-Length: 5\r\n", "Content-Length: 0\r\n", "Content-Length:", "Transfer-Encoding: chunked\r\n",
	"Transfer-Encoding:", "chunked", "identity", "gzip", "Connection: close\r\n", "Connection: keep-alive\r\n", "Connection: upgrade\r\nUpgrade: websocket\r\n",
	"Expect: 100-continue\r\n", "Trailer: X\r\n", "X: 1\r\n", "0\r\n\r\n", "0\r\n", "3\r\nabc\r\n", "3;a=b\r\nabc\r\n", "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
}

// Mutate changes a message in one to four places, as attackers and bad lines do: bytes are changed, pieces taken out, put
// in, doubled and exchanged with another message.
func Mutate(rnd *rand.Rand, wire, other string) string {
	for range 1 + rnd.IntN(4) {
		at, until := span(rnd, wire)
		switch rnd.IntN(7) {
		case 0:
			wire = wire[:at] + string([]byte{byte(rnd.Uint32())}) + wire[min(at+1, len(wire)):]
		case 1:
			wire = wire[:at] + wire[until:]
		case 2:
			wire = wire[:until] + wire[at:]
		case 3:
			from, to := span(rnd, other)
			wire = wire[:at] + other[from:to] + wire[until:]
		case 4:
			wire = doubleLine(rnd, wire)
		default:
			wire = wire[:at] + pieces[rnd.IntN(len(pieces))] + wire[at:]
		}
	}
	return wire
}

// span is a part of at most 40 bytes.
func span(rnd *rand.Rand, s string) (at, until int) {
	at = rnd.IntN(len(s) + 1)
	return at, min(at+rnd.IntN(40), len(s))
}

// doubleLine puts one line of a message before another.
func doubleLine(rnd *rand.Rand, wire string) string {
	lines := strings.SplitAfter(wire, "\r\n")
	from, to := rnd.IntN(len(lines)), rnd.IntN(len(lines))
	return strings.Join(lines[:to], "") + lines[from] + strings.Join(lines[to:], "")
}
