package attacks

import (
	"fmt"
	"strings"
)

// place is a message with a mark in it, where one byte goes.
type place struct {
	name, rule, wire string
	begun            string
	allowed          string
}

// requestPlaces are where no control byte may stand, but those allowed.
var requestPlaces = []place{
	{"method", "RFC 9110 §9.1", get("G%T / HTTP/1.1"), "", ""},
	{"target", "RFC 3986 §2", get("GET /a%b HTTP/1.1"), "", ""},
	{"authority", "RFC 3986 §3.2", get("GET http://a%b/ HTTP/1.1"), "", ""},
	{"version", "RFC 9112 §2.3", get("GET / HTTP/1%1"), "", ""},
	{"host", "RFC 9112 §3.2", hosted("a%b"), "", ""},
	{"name", "RFC 9110 §5.1", post("X%Y: 1\r\n", ""), "", ""},
	{"value", "RFC 9110 §5.5", post("X: a%b\r\n", ""), "", "\t"},
	{"length", lengthRule, sized("1%1", "12345678901"), "", ""},
	{"coding", codingRule, coded("chun%ked"), "", ""},
	{"coding_behind", codingRule, coded("chunked%x"), "", ""},
	{"expect", "RFC 9110 §5.5", post("Expect: 100-continue%\r\n", ""), "", "\t"},
	{"chunk_size", chunkRule, ofSize("0%3"), none, ""},
	{"chunk_extension", extensionRule, ofSize("3;a%b"), none, ""},
	{"chunk_quoted", extensionRule, ofSize(`3;a="b%c"`), none, "\t"},
	{"trailer_name", "RFC 9110 §5.1", inChunks("0\r\nX%Y: 1\r\n\r\n"), none, ""},
	{"trailer_value", "RFC 9110 §5.5", inChunks("0\r\nX: a%b\r\n\r\n"), none, "\t"},
}

var responsePlaces = []place{
	{"version", "RFC 9112 §2.3", status("HTTP/1%1 200 OK"), "", ""},
	{"status", "RFC 9112 §4", status("HTTP/1.1 2%0 OK"), "", ""},
	{"reason", "RFC 9112 §4", status("HTTP/1.1 200 O%K"), "", "\t"},
	{"name", "RFC 9110 §5.1", ok("X%Y: 1\r\nContent-Length: 0\r\n", ""), "", ""},
	{"value", "RFC 9110 §5.5", ok("X: a%b\r\nContent-Length: 0\r\n", ""), "", "\t"},
	{"length", lengthRule, ok("Content-Length: 1%1\r\n", "12345678901"), "", ""},
	{"coding", codingRule, ok("Transfer-Encoding: chun%ked\r\n", lastChunk), "", ""},
	{"chunk_size", chunkRule, ok(chunked, "0%3\r\nabc\r\n"+lastChunk), noChunk, ""},
	{"chunk_extension", extensionRule, ok(chunked, "3;a%b\r\nabc\r\n"+lastChunk), noChunk, ""},
	{"trailer_value", "RFC 9110 §5.5", ok(chunked, "0\r\nX: a%b\r\n\r\n"), noChunk, "\t"},
}

// eachControl calls f with each message that has a control byte where none belongs.
func eachControl(places []place, f func(p place, name, wire string)) {
	for _, p := range places {
		for b := range 0x80 {
			if b >= 0x20 && b < 0x7f || strings.IndexByte(p.allowed, byte(b)) >= 0 {
				continue
			}
			f(p, fmt.Sprintf("control_%02x_in_%s", b, p.name), strings.Replace(p.wire, "%", string(rune(b)), 1))
		}
	}
}

// lineEnds are taken for CRLF by one reader or another.
var lineEnds = []struct{ name, bytes string }{{"lf", "\n"}, {"cr", "\r"}, {"lf_cr", "\n\r"}, {"cr_cr_lf", "\r\r\n"}, {"space_lf", " \n"}, {"space_cr", " \r"}, {"nul_cr_lf", "\x00\r\n"}}

// eachLineEnd calls f with a message in which the nth CRLF is another line end.
func eachLineEnd(wire string, f func(n int, name, wire string)) {
	lines := strings.Split(wire, "\r\n")
	for n := range len(lines) - 1 {
		for _, end := range lineEnds {
			f(n, fmt.Sprintf("line_end_%d_%s", n, end.name), strings.Join(lines[:n+1], "\r\n")+end.bytes+strings.Join(lines[n+1:], "\r\n"))
		}
	}
}

func requestSweep() (list []Request) {
	eachControl(requestPlaces, func(p place, name, wire string) {
		list = append(list, breaks(name, p.rule, 400, wire, p.begun))
	})
	eachLineEnd(inChunks("3\r\nabc\r\n0\r\nX: 1\r\n\r\n"), func(n int, name, wire string) {
		row := breaks(name, "RFC 9112 §2.2", 400, wire, [...]string{"", "", "", "", none, abc, abc, abc, abc + " [X: 1]"}[n])
		if strings.HasSuffix(name, "8_cr") || strings.HasSuffix(name, "8_space_cr") {
			row.Status, row.Cut = 0, true
		}
		list = append(list, row)
	})
	return list
}

func responseSweep() (list []Response) {
	eachControl(responsePlaces, func(p place, name, wire string) {
		list = append(list, broken(name, p.rule, wire, p.begun))
	})
	eachLineEnd(ok(chunked, "3\r\nabc\r\n0\r\nX: 1\r\n\r\n"), func(n int, name, wire string) {
		list = append(list, broken(name, "RFC 9112 §2.2", wire, [...]string{"", "", "", noChunk, abcChunk, abcChunk, abcChunk, abcChunk + " [X: 1]"}[n]))
	})
	return list
}
