package http1

import (
	"fmt"
	"io"
	"strings"
	"testing"

	"sluice/message"
)

// goodRequests are read, and what is made of them is told in the words of describe, with the body behind.
var goodRequests = []struct {
	name, wire, want string
}{
	{"plain", get("GET / HTTP/1.1"), `GET / @a ""`},
	{"empty_line_before", "\r\n" + get("GET / HTTP/1.1"), `GET / @a ""`},
	{"empty_line_between", get("GET /1 HTTP/1.1") + "\r\n" + get("GET /2 HTTP/1.1"), "GET /1 @a \"\"\nGET /2 @a \"\""},
	{"query", get("GET /a?b=c&d=/../e HTTP/1.1"), `GET /a?b=c&d=/../e @a ""`},
	{"odd_but_visible", get("GET /a;b=1,2!$&'()*+|{}^`\"<>~ HTTP/1.1"), "GET /a;b=1,2!$&'()*+|{}^`\"<>~ @a \"\""},
	{"percent_kept", get("GET /%41%2fb%zz HTTP/1.1"), `GET /%41%2fb%zz @a ""`},
	{"two_slashes", get("GET //x//y HTTP/1.1"), `GET //x//y @a ""`},
	{"asterisk", get("OPTIONS * HTTP/1.1"), `OPTIONS * @a ""`},
	{"options_path", get("OPTIONS /x HTTP/1.1"), `OPTIONS /x @a ""`},
	{"method_lower_case", get("get / HTTP/1.1"), `get / @a ""`},
	{"method_odd", get("M-SEARCH / HTTP/1.1"), `M-SEARCH / @a ""`},
	{"absolute", get("GET http://b/x?y HTTP/1.1"), `GET /x?y @b ""`},
	{"absolute_https_port", get("GET HTTPS://b:8443/x HTTP/1.1"), `GET /x @b:8443 ""`},
	{"absolute_no_path", get("GET http://b HTTP/1.1"), `GET / @b ""`},
	{"absolute_options", get("OPTIONS http://b HTTP/1.1"), `OPTIONS * @b ""`},
	{"absolute_options_path", get("OPTIONS http://b/ HTTP/1.1"), `OPTIONS / @b ""`},
	{"absolute_in_1_0_without_host", "GET http://b/ HTTP/1.0\r\n\r\n", `GET / @b 1.0 close ""`},
	{"host_port", "GET / HTTP/1.1\r\nHost: a:8080\r\n\r\n", `GET / @a:8080 ""`},
	{"host_ipv6", "GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", `GET / @[::1]:80 ""`},
	{"host_upper_case", "GET / HTTP/1.1\r\nHOST: EXAMPLE.com\r\n\r\n", `GET / @EXAMPLE.com ""`},
	{"host_no_space", "GET / HTTP/1.1\r\nHost:a\r\n\r\n", `GET / @a ""`},
	{"host_white_space", "GET / HTTP/1.1\r\nHost: \t a \t\r\n\r\n", `GET / @a ""`},
	{"http_1_0", "GET / HTTP/1.0\r\n\r\n", `GET / @ 1.0 close ""`},
	{"http_1_0_keep_alive", "GET / HTTP/1.0\r\nHost: a\r\nConnection: Keep-Alive\r\n\r\n", `GET / @a 1.0 ""`},
	{"http_1_0_keep_and_close", "GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive, close\r\n\r\n", `GET / @a 1.0 close ""`},
	{"close", post("Connection: close\r\n", ""), `POST / @a close ""`},
	{"close_in_a_list", post("Connection: x, CLOSE ,y\r\n", ""), `POST / @a close ""`},
	{"close_in_second_field", post("Connection: x\r\nConnection: close\r\n", ""), `POST / @a close ""`},
	{"no_body", post("", ""), `POST / @a ""`},
	{"length_zero", post("Content-Length: 0\r\n", ""), `POST / @a length=0 ""`},
	{"length", post("Content-Length: 5\r\n", "hello"), `POST / @a length=5 "hello"`},
	{"length_leading_zeros", post("Content-Length: 0005\r\n", "hello"), `POST / @a length=5 "hello"`},
	{"length_of_a_get", "GET / HTTP/1.1\r\nHost: a\r\ncontent-length: 2\r\n\r\nhi", `GET / @a length=2 "hi"`},
	{"body_like_a_request", post("Content-Length: 35\r\n", get("GET /smuggled HTTP/1.1")), `POST / @a length=35 "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"`},
	{"chunked", post(chunked, "5\r\nhello\r\n0\r\n\r\n"), `POST / @a chunked "hello"`},
	{"chunked_empty", post(chunked, "0\r\n\r\n"), `POST / @a chunked ""`},
	{"chunked_many_zeros", post(chunked, "00000000005\r\nhello\r\n000\r\n\r\n"), `POST / @a chunked "hello"`},
	{"chunked_hex_case", post(chunked, "a\r\n0123456789\r\nA\r\n0123456789\r\n0\r\n\r\n"), `POST / @a chunked "01234567890123456789"`},
	{"chunked_pieces", post(chunked, "1\r\nh\r\n1\r\ne\r\n3\r\nllo\r\n0\r\n\r\n"), `POST / @a chunked "hello"`},
	{"chunked_line_ends_inside", post(chunked, "4\r\n\r\n\r\n\r\n0\r\n\r\n"), `POST / @a chunked "\r\n\r\n"`},
	{"chunked_extension", post(chunked, "5;a=\"b\tc\"\r\nhello\r\n0;x\r\n\r\n"), `POST / @a chunked "hello"`},
	{"chunked_extension_longest", post(chunked, "5;"+strings.Repeat("a", 254)+"\r\nhello\r\n0\r\n\r\n"), `POST / @a chunked "hello"`},
	{"chunked_trailers", post(chunked, "0\r\nA: 1\r\nB:\r\n\r\n"), `POST / @a chunked "" [A: 1] [B: ]`},
	{"chunked_coding_in_any_case", post("TRANSFER-ENCODING: ChunKed\r\n", "0\r\n\r\n"), `POST / @a chunked ""`},
	{"trailers_are_not_the_next_ones", post(chunked, "0\r\nA: 1\r\n\r\n") + post(chunked, "0\r\n\r\n"), "POST / @a chunked \"\" [A: 1]\nPOST / @a chunked \"\""},
	{"continue", post("Expect: 100-Continue\r\nContent-Length: 2\r\n", "hi"), `POST / @a length=2 continue "hi"`},
	{"continue_without_body", post("Expect: 100-continue\r\n", ""), `POST / @a ""`},
	{"expect_in_1_0_is_ignored", "GET / HTTP/1.0\r\nExpect: x\r\n\r\n", `GET / @ 1.0 close ""`},
	{"upgrade", post("Connection: Upgrade\r\nUpgrade: websocket\r\n", ""), `POST / @a upgrade=websocket ""`},
	{"upgrade_not_nominated", post("Upgrade: websocket\r\n", ""), `POST / @a ""`},
	{"upgrade_in_1_0", "GET / HTTP/1.0\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n", `GET / @ 1.0 close ""`},
	{"obs_text", post("X: caf\xe9 \xc3\xa9\r\n", ""), `POST / @a ""`},
	{"value_tab_inside", post("X: a\tb\r\n", ""), `POST / @a ""`},
	{"value_empty", post("X:\r\nY: \t \r\n", ""), `POST / @a ""`},
	{"field_names_of_all_token_bytes", post("!#$%&'*+-.^_`|~09azAZ: 1\r\n", ""), `POST / @a ""`},
	{"fields_up_to_the_limit", post(strings.Repeat("X: 1\r\n", 19), ""), `POST / @a ""`},
	{"target_up_to_the_limit", get("GET /" + strings.Repeat("a", 999) + " HTTP/1.1"), `GET /` + strings.Repeat("a", 999) + ` @a ""`},
	{"pipelined", get("GET /1 HTTP/1.1") + post("Content-Length: 2\r\n", "hi") + post(chunked, "1\r\nx\r\n0\r\n\r\n") + get("GET /4 HTTP/1.1"),
		"GET /1 @a \"\"\nPOST / @a length=2 \"hi\"\nPOST / @a chunked \"x\"\nGET /4 @a \"\""},
}

func TestGoodRequests(t *testing.T) {
	for _, row := range goodRequests {
		t.Run(row.name, func(t *testing.T) {
			v := inEveryWay(t, row.wire, &testLimits, request)
			if v.err != io.EOF {
				t.Errorf("refused: %v", v.err)
			}
			if got := strings.TrimSuffix(v.seen, "\n"); got != row.want {
				t.Errorf("read as\n%s\nwant\n%s", got, row.want)
			}
		})
	}
}

// Wherever a good request is cut off, it is neither passed on as whole nor taken for an idle end.
func TestEachPrefixOfARequestIsTruncated(t *testing.T) {
	for _, row := range goodRequests {
		whole := judge(NewConn(&feed{in: []byte(row.wire)}, &testLimits), request).seen
		for n := range len(row.wire) {
			v := judge(NewConn(&feed{in: []byte(row.wire[:n]), step: 5}, &testLimits), request)
			switch {
			case v.err == ErrTruncated && !strings.HasSuffix(v.seen, "\n"):
			case v.err == ErrTruncated && strings.HasPrefix(whole, v.seen) && v.seen != whole:
			case v.err == io.EOF && strings.HasPrefix(whole, v.seen) && v.seen != whole: // between two requests
			default:
				t.Fatalf("%s, cut at %d of %d: %v\n%s", row.name, n, len(row.wire), v.err, v.seen)
			}
		}
	}
}

func TestFieldsAreKeptAsTheyCame(t *testing.T) {
	wire := post("X-First:  1 \r\nvia: a, b\r\nX-First: 2\r\nCookie: x=\"y\"; z=caf\xe9\r\nEmpty:\r\n", "")
	c := onSocket(t, wire, &testLimits)
	defer c.Release()
	var h message.Head
	if err := request(c, &h); err != nil {
		t.Fatal(err)
	}
	want := " [Host: a] [X-First: 1] [via: a, b] [X-First: 2] [Cookie: x=\"y\"; z=caf\xe9] [Empty: ]"
	if got := listed(h.Fields); got != want {
		t.Errorf("fields\n%s\nwant\n%s", got, want)
	}
	if h.Fields[2].ID != message.Via || h.Fields[1].ID != message.Other {
		t.Error("IDs do not fit the names")
	}
}

// A second request, and a body, may begin at any place of the buffer: the sweep moves both over its end.
// A pipeline is read no further ahead than one buffer, and holds no memory beside it: that is the limit on its depth.
func TestPipelineIsHeldInOneBuffer(t *testing.T) {
	const depth = 10_000
	one := get("GET /x HTTP/1.1")
	f := &feed{in: []byte(strings.Repeat(one, depth))}
	c, h := NewConn(f, &DefaultLimits), new(message.Head)
	defer c.Release()
	for i := range depth {
		if err := request(c, h); err != nil {
			t.Fatal(err)
		}
		ahead := len(one)*(depth-i-1) - len(f.in)
		if ahead > smallSize || len(c.in.buf) > smallSize || c.in.kept != nil {
			t.Fatalf("request %d: %d bytes ahead, in a buffer of %d", i, ahead, len(c.in.buf))
		}
	}
}

func TestPipelinesOverTheBuffersEnd(t *testing.T) {
	for n := smallSize - 220; n < smallSize+10; n++ {
		pipelineAfter(t, n, []int{0, smallSize - 50})
	}
	for n := smallSize - 220; n < smallSize+10; n += 10 {
		pipelineAfter(t, n, []int{1, 1001})
	}
	for n := largeSize - 220; n <= largeSize; n += 10 {
		pipelineAfter(t, n, []int{0, smallSize - 50})
	}
}

// pipelineAfter reads requests behind one whose head, and one whose head and body, take n bytes.
func pipelineAfter(t *testing.T, n int, steps []int) {
	t.Helper()
	const rest = "PUT /second HTTP/1.1\r\nHost: b\r\nContent-Length: 20\r\n\r\n01234567890123456789" +
		"POST /third HTTP/1.1\r\nHost: c\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX: 1\r\n\r\n"
	const restSeen = "PUT /second @b length=20 \"01234567890123456789\"\nPOST /third @c chunked \"hello\" [X: 1]\n"
	head := post("X-Pad: "+strings.Repeat("p", n-len(post("X-Pad: \r\n", "")))+"\r\n", "")
	body := strings.Repeat("b", n-len(post("Content-Length: 00000\r\n", "")))
	for _, row := range []struct{ name, wire, seen string }{
		{"head", head, "POST / @a \"\"\n"},
		{"body", post(fmt.Sprintf("Content-Length: %05d\r\n", len(body)), body), fmt.Sprintf("POST / @a length=%d %q\n", len(body), body)},
		{"head with body", strings.Replace(head, "X-Pad: pppppppppppppppp", "Content-Length: 30\r\nX:", 1) + strings.Repeat("c", 30),
			fmt.Sprintf("POST / @a length=30 %q\n", strings.Repeat("c", 30))},
		{"head with chunks", strings.Replace(head, "X-Pad: pppppppppppppppppppppppp", "Transfer-Encoding: chunked\r\nX:", 1) + "3\r\nabc\r\n0\r\nY: 1\r\n\r\n",
			"POST / @a chunked \"abc\" [Y: 1]\n"},
	} {
		for _, step := range steps {
			v := judge(NewConn(&feed{in: []byte(row.wire + rest), step: step}, &DefaultLimits), request)
			if v.seen != row.seen+restSeen || v.err != io.EOF {
				t.Fatalf("%s of %d, step %d: %v\n%.300s", row.name, n, step, v.err, v.seen)
			}
		}
	}
}
