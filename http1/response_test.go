package http1

import (
	"errors"
	"io"
	"strings"
	"testing"

	"sluice/message"
)

func ok(fields, body string) string { return "HTTP/1.1 200 OK\r\n" + fields + "\r\n" + body }

func status(line string) string { return line + "\r\nContent-Length: 0\r\n\r\n" }

// badResponses are 502 to the client, and end the connection to the backend.
var badResponses = []struct {
	name, rule, wire string
}{
	{"line_http09", "RFC 9112 §2.3", "hello, world\r\n\r\n"},
	{"line_empty", "RFC 9112 §4", "\r\nHTTP/1.1 200 OK\r\n\r\n"},
	{"line_short", "RFC 9112 §4", status("HTTP/1.1 20")},
	{"line_lower_case", "RFC 9112 §2.3", status("http/1.1 200 OK")},
	{"line_http2", "RFC 9112 §2.3", status("HTTP/2.0 200 OK")},
	{"line_http_1_2", "RFC 9112 §2.3", status("HTTP/1.2 200 OK")},
	{"line_icy", "RFC 9112 §2.3", status("ICY 200 OKAY")},
	{"line_bare_lf", "RFC 9112 §2.2", "HTTP/1.1 200 OK\nContent-Length: 0\n\n"},
	{"line_tab", "RFC 9112 §4", status("HTTP/1.1\t200 OK")},
	{"line_two_spaces", "RFC 9112 §4", status("HTTP/1.1  200 OK")},
	{"line_leading_space", "RFC 9112 §4", status(" HTTP/1.1 200 OK")},
	{"status_two_digits", "RFC 9110 §15", status("HTTP/1.1 20 OKAY")},
	{"status_four_digits", "RFC 9110 §15", status("HTTP/1.1 2000 OK")},
	{"status_letters", "RFC 9110 §15", status("HTTP/1.1 2xx OK")},
	{"status_plus", "RFC 9110 §15", status("HTTP/1.1 +20 OK")},
	{"status_000", "RFC 9110 §15", status("HTTP/1.1 000 OK")},
	{"status_099", "RFC 9110 §15", status("HTTP/1.1 099 OK")},
	{"status_600", "RFC 9110 §15", status("HTTP/1.1 600 OK")},
	{"status_glued_to_reason", "RFC 9112 §4", status("HTTP/1.1 200OK")},
	{"reason_nul", "RFC 9112 §4", status("HTTP/1.1 200 O\x00K")},
	{"reason_bare_cr", "RFC 9112 §2.2", status("HTTP/1.1 200 O\rK")},
	{"reason_escape", "RFC 9112 §4", status("HTTP/1.1 200 \x1b[0m")},
	{"field_space_before_colon", "RFC 9112 §5.1", ok("Content-Length : 0\r\n", "")},
	{"field_no_colon", "RFC 9112 §5", ok("nonsense\r\n", "")},
	{"field_empty_name", "RFC 9110 §5.1", ok(": x\r\n", "")},
	{"field_obs_fold", "RFC 9112 §5.2", ok("X: 1\r\n 2\r\n", "")},
	{"field_value_nul", "RFC 9110 §5.5", ok("X: \x00\r\n", "")},
	{"field_value_bare_cr", "RFC 9110 §5.5", ok("X: a\rSet-Cookie: b\r\n", "")},
	{"field_value_bare_lf", "RFC 9112 §2.2", ok("X: a\nSet-Cookie: b\r\n", "")},
	{"fields_many", "RFC 6585 §5", ok(strings.Repeat("X: 1\r\n", 21), "")},
	{"head_endless", "RFC 6585 §5", "HTTP/1.1 200 OK\r\n" + strings.Repeat("X: "+strings.Repeat("a", 2000)+"\r\n", 10)},
	{"line_endless", "RFC 6585 §5", "HTTP/1.1 200 " + strings.Repeat("a", 17<<10)},
	{"line_long", "RFC 6585 §5", status("HTTP/1.1 200 " + strings.Repeat("a", 17<<10))},
	{"poison_two_lengths", "RFC 9112 §6.3", ok("Content-Length: 1\r\nContent-Length: 2\r\n", "ab")},
	{"poison_two_equal_lengths", "RFC 9112 §6.3", ok("Content-Length: 1\r\nContent-Length: 1\r\n", "a")},
	{"poison_length_list", "RFC 9112 §6.3", ok("Content-Length: 1, 1\r\n", "a")},
	{"poison_length_and_coding", "RFC 9112 §6.3", ok("Content-Length: 1\r\n"+chunked, "0\r\n\r\n")},
	{"poison_length_and_coding_of_304", "RFC 9112 §6.3", "HTTP/1.1 304 X\r\nContent-Length: 1\r\n" + chunked + "\r\n"},
	{"length_negative", "RFC 9110 §8.6", ok("Content-Length: -1\r\n", "a")},
	{"length_empty", "RFC 9110 §8.6", ok("Content-Length:\r\n", "")},
	{"length_overflow", "RFC 9112 §6.3", ok("Content-Length: 99999999999999999999\r\n", "a")},
	{"length_of_a_204", "RFC 9110 §8.6", "HTTP/1.1 204 X\r\nContent-Length: x\r\n\r\n"},
	{"te_gzip", "RFC 9112 §6.1", ok("Transfer-Encoding: gzip, chunked\r\n", "0\r\n\r\n")},
	{"te_twice", "RFC 9112 §6.3", ok(chunked+chunked, "0\r\n\r\n")},
	{"te_identity", "RFC 9112 §7", ok("Transfer-Encoding: identity\r\n", "")},
	{"te_in_1_0", "RFC 9112 §6.1", "HTTP/1.0 200 OK\r\n" + chunked + "\r\n0\r\n\r\n"},
	{"bytes_after_the_body", "RFC 9112 §9.2", ok("Content-Length: 1\r\n", "a") + "junk\r\n\r\n"},
	{"bytes_after_a_304", "RFC 9112 §6.3", "HTTP/1.1 304 X\r\nContent-Length: 4\r\n\r\nbody\r\n\r\n"},
}

func TestBadResponses(t *testing.T) {
	for _, row := range badResponses {
		t.Run(row.name, func(t *testing.T) {
			v := inEveryWay(t, row.wire, &testLimits, response)
			if v.status() == 0 {
				t.Errorf("%s: read as\n%s%v", row.rule, v.seen, v.err)
			}
			if v.err == errTargetLong {
				t.Error("a response has no target")
			}
			if v.seen != "" && !strings.HasPrefix(row.name, "bytes_after") {
				t.Errorf("%s: read as\n%s", row.rule, v.seen)
			}
		})
	}
}

var goodResponses = []struct {
	name, wire, want string
}{
	{"length", ok("Content-Length: 5\r\n", "hello"), `200 "OK" length=5 "hello"`},
	{"length_zero", ok("Content-Length: 0\r\n", ""), `200 "OK" length=0 ""`},
	{"length_leading_zeros", ok("Content-Length: 002\r\n", "hi"), `200 "OK" length=2 "hi"`},
	{"chunked", ok(chunked, "5\r\nhello\r\n0\r\n\r\n"), `200 "OK" chunked "hello"`},
	{"chunked_empty", ok(chunked, "0\r\n\r\n"), `200 "OK" chunked ""`},
	{"chunked_trailers", ok(chunked, "1\r\nx\r\n0\r\nA: b\r\n\r\n"), `200 "OK" chunked "x" [A: b]`},
	{"chunked_extension", ok(chunked, "1;sig=x\r\nx\r\n0\r\n\r\n"), `200 "OK" chunked "x"`},
	{"until_close", ok("", "hello"), `200 "OK" until-close close "hello"`},
	{"until_close_empty", ok("", ""), `200 "OK" until-close close ""`},
	{"until_close_like_a_response", ok("", status("HTTP/1.1 200 OK")), `200 "OK" until-close close "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"`},
	{"until_close_says_keep_alive", ok("Connection: keep-alive\r\n", "x"), `200 "OK" until-close close "x"`},
	{"http_1_0", "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi", `200 "OK" 1.0 length=2 close "hi"`},
	{"http_1_0_keep_alive", "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nhi", `200 "OK" 1.0 length=2 "hi"`},
	{"http_1_0_until_close", "HTTP/1.0 200 OK\r\n\r\nhi", `200 "OK" 1.0 until-close close "hi"`},
	{"close", ok("Connection: close\r\nContent-Length: 2\r\n", "hi"), `200 "OK" length=2 close "hi"`},
	{"close_in_a_list", ok("connection: foo ,Close\r\nContent-Length: 0\r\n", ""), `200 "OK" length=0 close ""`},
	{"reason_empty", status("HTTP/1.1 200 "), `200 "" length=0 ""`},
	{"reason_and_space_absent", status("HTTP/1.1 200"), `200 "" length=0 ""`},
	{"reason_words", status("HTTP/1.1 404 Not  Found at all"), `404 "Not  Found at all" length=0 ""`},
	{"reason_obs_text", status("HTTP/1.1 404 p\xe9rdu"), `404 "p\xe9rdu" length=0 ""`},
	{"reason_tab", status("HTTP/1.1 404 a\tb"), `404 "a\tb" length=0 ""`},
	{"reason_trailing_space", status("HTTP/1.1 404 a "), `404 "a" length=0 ""`},
	{"status_599", status("HTTP/1.1 599 X"), `599 "X" length=0 ""`},
	{"no_content", "HTTP/1.1 204 No Content\r\n\r\n", `204 "No Content" ""`},
	{"no_content_with_length", "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", `204 "No Content" ""`},
	{"no_content_chunked", "HTTP/1.1 204 No Content\r\n" + chunked + "\r\n", `204 "No Content" ""`},
	{"not_modified", "HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\n\r\n", `304 "Not Modified" ""`},
	{"not_modified_with_length", "HTTP/1.1 304 Not Modified\r\nContent-Length: 100\r\n\r\n", `304 "Not Modified" ""`},
	{"reset_content", "HTTP/1.1 205 X\r\nContent-Length: 0\r\n\r\n", `205 "X" length=0 ""`},
	{"interim", "HTTP/1.1 100 Continue\r\n\r\n" + status("HTTP/1.1 200 OK"), "100 \"Continue\" \"\"\n200 \"OK\" length=0 \"\""},
	{"interim_early_hints", "HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\n\r\n" + status("HTTP/1.1 200 OK"), "103 \"Early Hints\" \"\"\n200 \"OK\" length=0 \"\""},
	{"interim_many", strings.Repeat("HTTP/1.1 102 P\r\n\r\n", 3) + status("HTTP/1.1 200 OK"), strings.Repeat("102 \"P\" \"\"\n", 3) + "200 \"OK\" length=0 \"\""},
	{"interim_with_length", "HTTP/1.1 103 E\r\nContent-Length: 10\r\n\r\n" + status("HTTP/1.1 200 OK"), "103 \"E\" \"\"\n200 \"OK\" length=0 \"\""},
	{"switching", "HTTP/1.1 101 S\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n", `101 "S" upgrade=websocket ""`},
	{"upgrade_offered_only", ok("Upgrade: h2c\r\nContent-Length: 0\r\n", ""), `200 "OK" length=0 ""`},
	{"error", "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 3\r\n\r\nbad", `500 "Internal Server Error" length=3 "bad"`},
	{"host_field_means_nothing", ok("Host: a\r\nHost: b\r\nContent-Length: 0\r\n", ""), `200 "OK" length=0 ""`},
	{"expect_field_means_nothing", ok("Expect: x\r\nContent-Length: 0\r\n", ""), `200 "OK" length=0 ""`},
	{"pipelined", ok("Content-Length: 1\r\n", "a") + ok(chunked, "1\r\nb\r\n0\r\n\r\n") + ok("Content-Length: 1\r\n", "c"),
		"200 \"OK\" length=1 \"a\"\n200 \"OK\" chunked \"b\"\n200 \"OK\" length=1 \"c\""},
	{"head_up_to_the_limit", ok("X: "+strings.Repeat("a", 16<<10-len(ok("X: \r\nContent-Length: 1\r\n", "")))+"\r\nContent-Length: 1\r\n", "x"), `200 "OK" length=1 "x"`},
	{"body_large", ok("Content-Length: 200000\r\n", strings.Repeat("x", 200000)), `200 "OK" length=200000 "` + strings.Repeat("x", 200000) + `"`},
}

func TestGoodResponses(t *testing.T) {
	for _, row := range goodResponses {
		t.Run(row.name, func(t *testing.T) {
			read := inEveryWay
			if len(row.wire) > 100_000 {
				read = inPieces // more than a socket holds unread
			}
			v := read(t, row.wire, &testLimits, response)
			if v.err != io.EOF {
				t.Errorf("refused: %v", v.err)
			}
			if got := strings.TrimSuffix(v.seen, "\n"); got != row.want {
				t.Errorf("read as\n%.500s\nwant\n%.500s", got, row.want)
			}
		})
	}
}

func inPieces(t *testing.T, wire string, limits *Limits, read func(*Conn, *message.Head) error) verdict {
	t.Helper()
	whole := judge(NewConn(&feed{in: []byte(wire)}, limits), read)
	if v := judge(NewConn(&feed{in: []byte(wire), step: 999}, limits), read); v.seen != whole.seen || v.err != whole.err {
		t.Errorf("in pieces %v, at once %v", v.err, whole.err)
	}
	return whole
}

// HEAD is the reason why a response cannot be read without its request (RFC 9112 §6.3).
func TestResponsesToHEADHaveNoBody(t *testing.T) {
	for _, fields := range []string{"", "Content-Length: 1000\r\n", chunked} {
		v := inEveryWay(t, ok(fields, "")+status("HTTP/1.1 404 X"), &testLimits, toHEAD)
		if v.seen != "200 \"OK\" \"\"\n404 \"X\" \"\"\n" || v.err != io.EOF {
			t.Errorf("with %q: %v\n%s", fields, v.err, v.seen)
		}
	}
}

// A body that ends before its end is never passed on as whole, unless nothing but the close ends it (RFC 9112 §8).
func TestEachPrefixOfAResponseIsTruncated(t *testing.T) {
	for _, row := range goodResponses {
		if strings.Contains(row.want, "until-close") || len(row.wire) > 10_000 || strings.Count(row.want, "\n") > 0 {
			continue
		}
		for n := 1; n < len(row.wire); n++ {
			v := judge(NewConn(&feed{in: []byte(row.wire[:n]), step: 5}, &testLimits), response)
			if !errors.Is(v.err, ErrTruncated) || strings.HasSuffix(v.seen, "\n") {
				t.Fatalf("%s, cut at %d of %d: %v\n%s", row.name, n, len(row.wire), v.err, v.seen)
			}
		}
	}
}
