package http1

import (
	"strings"
	"testing"

	"sluice/message"
)

// post is a request with the fields given, and a body behind it.
func post(fields, body string) string {
	return "POST / HTTP/1.1\r\nHost: a\r\n" + fields + "\r\n" + body
}

func get(line string) string { return line + "\r\nHost: a\r\n\r\n" }

// badRequests must be refused with a status, and nothing of them may reach a backend as a request.
var badRequests = []struct {
	name   string
	status int
	rule   string
	wire   string
}{
	{"line_empty_twice", 400, "RFC 9112 §2.2", "\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"},
	{"line_bare_lf", 400, "RFC 9112 §2.2", "GET / HTTP/1.1\nHost: a\n\n"},
	{"line_bare_lf_first", 400, "RFC 9112 §2.2", "\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"},
	{"line_bare_cr_inside", 400, "RFC 9112 §2.2", "GET /\r HTTP/1.1\r\nHost: a\r\n\r\n"},
	{"line_cr_cr_lf", 400, "RFC 9112 §2.2", "GET / HTTP/1.1\r\r\nHost: a\r\n\r\n"},
	{"line_http09", 400, "RFC 9112 §3", "GET /\r\nHost: a\r\n\r\n"},
	{"line_method_alone", 400, "RFC 9112 §3", get("GET")},
	{"line_no_target", 400, "RFC 9112 §3", get("GET  HTTP/1.1")},
	{"line_two_spaces_before_target", 400, "RFC 9112 §3", get("GET  / HTTP/1.1")},
	{"line_two_spaces_before_version", 400, "RFC 9112 §3", get("GET /  HTTP/1.1")},
	{"line_tab_for_space", 400, "RFC 9112 §3", get("GET\t/ HTTP/1.1")},
	{"line_tab_before_version", 400, "RFC 9112 §3", get("GET /\tHTTP/1.1")},
	{"line_leading_space", 400, "RFC 9112 §3", get(" GET / HTTP/1.1")},
	{"line_trailing_space", 400, "RFC 9112 §3", get("GET / HTTP/1.1 ")},
	{"line_fourth_word", 400, "RFC 9112 §3", get("GET / x HTTP/1.1")},
	{"method_not_token", 400, "RFC 9110 §9.1", get("G(T / HTTP/1.1")},
	{"method_nul", 400, "RFC 9110 §9.1", get("GE\x00T / HTTP/1.1")},
	{"method_high_byte", 400, "RFC 9110 §9.1", get("G\xc3\xa9T / HTTP/1.1")},
	{"method_colon", 400, "RFC 9110 §9.1", get("Host: / HTTP/1.1")},
	{"method_connect", 405, "RFC 9110 §9.3.6", "CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n"},
	{"method_connect_path", 405, "RFC 9110 §9.3.6", get("CONNECT / HTTP/1.1")},
	{"version_lower_case", 400, "RFC 9112 §2.3", get("GET / http/1.1")},
	{"version_other_name", 400, "RFC 9112 §2.3", get("GET / HTTQ/1.1")},
	{"version_one_digit", 400, "RFC 9112 §2.3", get("GET / HTTP/1")},
	{"version_two_digits", 400, "RFC 9112 §2.3", get("GET / HTTP/1.10")},
	{"version_leading_zero", 400, "RFC 9112 §2.3", get("GET / HTTP/01.1")},
	{"version_letter", 400, "RFC 9112 §2.3", get("GET / HTTP/1.x")},
	{"version_comma", 400, "RFC 9112 §2.3", get("GET / HTTP/1,1")},
	{"version_2_0", 505, "RFC 9110 §15.6.6", get("GET / HTTP/2.0")},
	{"version_0_9", 505, "RFC 9110 §15.6.6", get("GET / HTTP/0.9")},
	{"version_1_2", 505, "RFC 9110 §15.6.6", get("GET / HTTP/1.2")},
	{"version_preface_of_http2", 505, "RFC 9113 §3.4", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"},
	{"target_relative", 400, "RFC 9112 §3.2", get("GET index.html HTTP/1.1")},
	{"target_authority_form", 400, "RFC 9112 §3.2.3", get("GET a:80 HTTP/1.1")},
	{"target_asterisk_get", 400, "RFC 9112 §3.2.4", get("GET * HTTP/1.1")},
	{"target_asterisk_and_more", 400, "RFC 9112 §3.2.4", get("OPTIONS */ HTTP/1.1")},
	{"target_fragment", 400, "RFC 9112 §3.2", get("GET /#x HTTP/1.1")},
	{"target_backslash", 400, "RFC 3986 §3.3", get("GET /a\\b HTTP/1.1")},
	{"target_nul", 400, "RFC 3986 §2", get("GET /a\x00b HTTP/1.1")},
	{"target_del", 400, "RFC 3986 §2", get("GET /a\x7f HTTP/1.1")},
	{"target_high_byte", 400, "RFC 3986 §2", get("GET /\xc3\xa9 HTTP/1.1")},
	{"target_question_alone", 400, "RFC 9112 §3.2.1", get("GET ?x HTTP/1.1")},
	{"target_dot_segment", 400, "RFC 3986 §5.2.4", get("GET /a/../b HTTP/1.1")},
	{"target_dot_segment_encoded", 400, "RFC 3986 §5.2.4", get("GET /a/%2e%2E/b HTTP/1.1")},
	{"target_dot_segment_parameters", 400, "RFC 3986 §3.3", get("GET /a/..;x=1/b HTTP/1.1")},
	{"target_dot_segment_encoded_slash", 400, "RFC 3986 §5.2.4", get("GET /a/..%2fb HTTP/1.1")},
	{"target_too_long", 414, "RFC 9110 §15.5.15", get("GET /" + strings.Repeat("a", 1000) + " HTTP/1.1")},
	{"target_longer_than_a_head", 414, "RFC 9110 §15.5.15", get("GET /" + strings.Repeat("a", 20<<10) + " HTTP/1.1")},
	{"target_without_end", 414, "RFC 9110 §15.5.15", "GET /" + strings.Repeat("a", 20<<10)},
	{"absolute_other_scheme", 400, "RFC 9112 §3.2.2", get("GET ftp://a/ HTTP/1.1")},
	{"absolute_no_host", 400, "RFC 9110 §4.2.1", get("GET http:///x HTTP/1.1")},
	{"absolute_userinfo", 400, "RFC 9110 §4.2.4", get("GET http://u:p@a/ HTTP/1.1")},
	{"absolute_bad_port", 400, "RFC 3986 §3.2.3", get("GET http://a:8o/ HTTP/1.1")},
	{"absolute_query_without_path", 400, "RFC 9112 §3.2.1", get("GET http://a?x HTTP/1.1")},
	{"absolute_dot_segment", 400, "RFC 3986 §5.2.4", get("GET http://a/b/.. HTTP/1.1")},
	{"absolute_without_host_field", 400, "RFC 9112 §3.2.2", "GET http://a/ HTTP/1.1\r\n\r\n"},
	{"absolute_with_bad_host_field", 400, "RFC 9112 §3.2", "GET http://a/ HTTP/1.1\r\nHost: b c\r\n\r\n"},
	{"host_missing", 400, "RFC 9112 §3.2", "GET / HTTP/1.1\r\n\r\n"},
	{"host_twice", 400, "RFC 9112 §3.2", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"},
	{"host_twice_the_same", 400, "RFC 9112 §3.2", "GET / HTTP/1.1\r\nHost: a\r\nhost: a\r\n\r\n"},
	{"host_twice_in_1_0", 400, "RFC 9112 §3.2", "GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n"},
	{"host_empty", 400, "RFC 9112 §3.2", "GET / HTTP/1.1\r\nHost:\r\n\r\n"},
	{"host_list", 400, "RFC 9112 §3.2", "GET / HTTP/1.1\r\nHost: a, b\r\n\r\n"},
	{"host_userinfo", 400, "RFC 9112 §3.2", "GET / HTTP/1.1\r\nHost: u@a\r\n\r\n"},
	{"host_path", 400, "RFC 9112 §3.2", "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"},
	{"host_scheme", 400, "RFC 9112 §3.2", "GET / HTTP/1.1\r\nHost: http://a\r\n\r\n"},
	{"host_port_letters", 400, "RFC 9112 §3.2", "GET / HTTP/1.1\r\nHost: a:b\r\n\r\n"},
	{"host_port_alone", 400, "RFC 9112 §3.2", "GET / HTTP/1.1\r\nHost: :80\r\n\r\n"},
	{"host_open_bracket", 400, "RFC 3986 §3.2.2", "GET / HTTP/1.1\r\nHost: [::1\r\n\r\n"},
	{"host_percent", 400, "RFC 3986 §3.2.2", "GET / HTTP/1.1\r\nHost: a%00b\r\n\r\n"},
	{"obs_fold_host", 400, "RFC 9112 §5.2", "GET / HTTP/1.1\r\nHost: a\r\n b\r\n\r\n"},
	{"obs_fold_tab", 400, "RFC 9112 §5.2", post("X: 1\r\n\t2\r\n", "")},
	{"obs_fold_first", 400, "RFC 9112 §2.2", "GET / HTTP/1.1\r\n Host: a\r\n\r\n"},
	{"obs_fold_blank", 400, "RFC 9112 §5.2", post("X: 1\r\n \r\n", "")},
	{"field_space_before_colon", 400, "RFC 9112 §5.1", post("Content-Length : 0\r\n", "")},
	{"field_tab_before_colon", 400, "RFC 9112 §5.1", post("Content-Length\t: 0\r\n", "")},
	{"field_no_colon", 400, "RFC 9112 §5", post("Xyz\r\n", "")},
	{"field_empty_name", 400, "RFC 9110 §5.1", post(": x\r\n", "")},
	{"field_name_space_inside", 400, "RFC 9110 §5.1", post("X Y: 1\r\n", "")},
	{"field_name_nul", 400, "RFC 9110 §5.1", post("X\x00: 1\r\n", "")},
	{"field_name_high_byte", 400, "RFC 9110 §5.1", post("X\xff: 1\r\n", "")},
	{"field_name_vertical_tab", 400, "RFC 9110 §5.1", post("\vTransfer-Encoding: chunked\r\n", "0\r\n\r\n")},
	{"field_name_brace", 400, "RFC 9110 §5.1", post("{X}: 1\r\n", "")},
	{"field_value_nul", 400, "RFC 9110 §5.5", post("X: a\x00b\r\n", "")},
	{"field_value_bare_cr", 400, "RFC 9110 §5.5", post("X: a\rb\r\n", "")},
	{"field_value_bare_lf", 400, "RFC 9112 §2.2", post("X: a\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n")},
	{"field_value_escape", 400, "RFC 9110 §5.5", post("X: \x1b[2J\r\n", "")},
	{"field_value_del", 400, "RFC 9110 §5.5", post("X: \x7f\r\n", "")},
	{"field_count", 431, "RFC 6585 §5", post(strings.Repeat("X: 1\r\n", 20), "")},
	{"field_long", 431, "RFC 6585 §5", post("X: "+strings.Repeat("a", 17<<10)+"\r\n", "")},
	{"field_without_end", 431, "RFC 6585 §5", "GET / HTTP/1.1\r\nHost: a\r\nX: " + strings.Repeat("a", 17<<10)},
	{"head_long_by_many_fields", 431, "RFC 6585 §5", post(strings.Repeat("X: "+strings.Repeat("a", 2000)+"\r\n", 10), "")},
	{"head_ends_with_lf", 400, "RFC 9112 §2.2", "GET / HTTP/1.1\r\nHost: a\r\n\n"},

	{"smuggle_two_content_lengths", 400, "RFC 9112 §6.3", post("Content-Length: 1\r\nContent-Length: 2\r\n", "ab")},
	{"smuggle_two_equal_content_lengths", 400, "RFC 9112 §6.3", post("Content-Length: 1\r\nContent-Length: 1\r\n", "a")},
	{"smuggle_content_length_list", 400, "RFC 9112 §6.3", post("Content-Length: 1, 1\r\n", "a")},
	{"smuggle_length_then_coding", 400, "RFC 9112 §6.3", post("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n")},
	{"smuggle_coding_then_length", 400, "RFC 9112 §6.3", post("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", "0\r\n\r\n")},
	{"length_plus", 400, "RFC 9110 §8.6", post("Content-Length: +1\r\n", "a")},
	{"length_minus", 400, "RFC 9110 §8.6", post("Content-Length: -1\r\n", "a")},
	{"length_hex", 400, "RFC 9110 §8.6", post("Content-Length: 0x1\r\n", "a")},
	{"length_underscore", 400, "RFC 9110 §8.6", post("Content-Length: 1_0\r\n", "a")},
	{"length_fraction", 400, "RFC 9110 §8.6", post("Content-Length: 1.0\r\n", "a")},
	{"length_empty", 400, "RFC 9110 §8.6", post("Content-Length:\r\n", "")},
	{"length_space_inside", 400, "RFC 9110 §8.6", post("Content-Length: 1 0\r\n", "a")},
	{"length_beyond_64_bits", 400, "RFC 9112 §6.3", post("Content-Length: 18446744073709551617\r\n", "a")},
	{"length_beyond_63_bits", 400, "RFC 9112 §6.3", post("Content-Length: 9223372036854775808\r\n", "a")},
	{"length_high_digit", 400, "RFC 9110 §8.6", post("Content-Length: \xd9\xa1\r\n", "a")},
	{"te_chunked_twice", 400, "RFC 9112 §6.3", post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n")},
	{"te_chunked_twice_in_a_list", 501, "RFC 9112 §6.1", post("Transfer-Encoding: chunked, chunked\r\n", "0\r\n\r\n")},
	{"te_chunked_then_identity", 501, "RFC 9112 §6.1", post("Transfer-Encoding: chunked, identity\r\n", "0\r\n\r\n")},
	{"te_second_field_unknown", 400, "RFC 9112 §6.3", post("Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n", "0\r\n\r\n")},
	{"te_gzip_chunked", 501, "RFC 9112 §6.1", post("Transfer-Encoding: gzip, chunked\r\n", "0\r\n\r\n")},
	{"te_leading_comma", 501, "RFC 9112 §6.1", post("Transfer-Encoding: ,chunked\r\n", "0\r\n\r\n")},
	{"te_trailing_comma", 501, "RFC 9112 §6.1", post("Transfer-Encoding: chunked,\r\n", "0\r\n\r\n")},
	{"te_parameter", 501, "RFC 9112 §7", post("Transfer-Encoding: chunked;q=1\r\n", "0\r\n\r\n")},
	{"te_quoted", 501, "RFC 9112 §7", post("Transfer-Encoding: \"chunked\"\r\n", "0\r\n\r\n")},
	{"te_empty", 501, "RFC 9112 §6.1", post("Transfer-Encoding:\r\n", "")},
	{"te_identity", 501, "RFC 9112 §7", post("Transfer-Encoding: identity\r\n", "")},
	{"te_prefix", 501, "RFC 9112 §7", post("Transfer-Encoding: xchunked\r\n", "0\r\n\r\n")},
	{"te_vertical_tab", 400, "RFC 9110 §5.5", post("Transfer-Encoding: \vchunked\r\n", "0\r\n\r\n")},
	{"te_in_1_0", 400, "RFC 9112 §6.1", "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
	{"expect_unknown", 417, "RFC 9110 §10.1.1", post("Expect: 200-ok\r\n", "")},
	{"expect_empty", 417, "RFC 9110 §10.1.1", post("Expect:\r\n", "")},
	{"expect_known_then_unknown", 417, "RFC 9110 §10.1.1", post("Expect: 100-continue\r\nExpect: x\r\n", "")},
	{"expect_unknown_then_known", 417, "RFC 9110 §10.1.1", post("Expect: x\r\nExpect: 100-continue\r\n", "")},
}

func TestBadRequests(t *testing.T) {
	for _, row := range badRequests {
		t.Run(row.name, func(t *testing.T) {
			v := inEveryWay(t, row.wire, &testLimits, request)
			if v.status() != row.status {
				t.Errorf("%s: %v, want status %d", row.rule, v.err, row.status)
			}
			if v.seen != "" {
				t.Errorf("%s: read as\n%s", row.rule, v.seen)
			}
		})
	}
}

const chunked = "Transfer-Encoding: chunked\r\n"

// badChunks are bodies that go wrong behind a good head. kept is what may be passed on before that.
var badChunks = []struct {
	name   string
	status int
	body   string
	kept   string
}{
	{"size_empty", 400, "\r\nabc\r\n0\r\n\r\n", ""},
	{"size_0x", 400, "0x3\r\nabc\r\n0\r\n\r\n", ""},
	{"size_plus", 400, "+3\r\nabc\r\n0\r\n\r\n", ""},
	{"size_minus", 400, "-3\r\nabc\r\n0\r\n\r\n", ""},
	{"size_underscore", 400, "1_0\r\nabc\r\n0\r\n\r\n", ""},
	{"size_not_hex", 400, "g\r\nabc\r\n0\r\n\r\n", ""},
	{"size_leading_space", 400, " 3\r\nabc\r\n0\r\n\r\n", ""},
	{"size_trailing_space", 400, "3 \r\nabc\r\n0\r\n\r\n", ""},
	{"size_comma", 400, "3,\r\nabc\r\n0\r\n\r\n", ""},
	{"size_16_digits", 400, "0000000000000003\r\nabc\r\n0\r\n\r\n", ""},
	{"size_overflow", 400, "ffffffffffffffff\r\nabc\r\n0\r\n\r\n", ""},
	{"size_wraps_to_3", 400, "10000000000000003\r\nabc\r\n0\r\n\r\n", ""},
	{"size_bare_lf", 400, "3\nabc\r\n0\r\n\r\n", ""},
	{"size_bare_cr", 400, "3\rabc\r\n0\r\n\r\n", ""},
	{"size_nul", 400, "3\x00\r\nabc\r\n0\r\n\r\n", ""},
	{"size_line_without_end", 400, "3;" + strings.Repeat("a", 300), ""},
	{"extension_bare_lf", 400, "3;a\nabc\r\n0\r\n\r\n", ""},
	{"extension_bare_cr", 400, "3;a\rb\r\nabc\r\n0\r\n\r\n", ""},
	{"extension_nul", 400, "3;a\x00\r\nabc\r\n0\r\n\r\n", ""},
	{"extension_long", 400, "3;" + strings.Repeat("a", 255) + "\r\nabc\r\n0\r\n\r\n", ""},
	{"extensions_many", 400, strings.Repeat("1;"+strings.Repeat("a", 200)+"\r\nx\r\n", 30) + "0\r\n\r\n", strings.Repeat("x", 20)},
	{"data_long", 400, "3\r\nabcd\r\n0\r\n\r\n", "abc"},
	{"data_without_end", 400, "3\r\nabc0\r\n\r\n", "abc"},
	{"data_ended_by_lf", 400, "3\r\nabc\n0\r\n\r\n", "abc"},
	{"data_ended_by_cr_x", 400, "3\r\nabc\rX0\r\n\r\n", "abc"},
	{"data_then_junk_without_line_end", 400, "3\r\nabcXY", "abc"},
	{"last_then_junk", 400, "3\r\nabc\r\n0\r\nXX\r\n\r\n", "abc"},
	{"trailer_no_colon", 400, "0\r\nXX\r\n\r\n", ""},
	{"trailer_space_before_colon", 400, "0\r\nX : 1\r\n\r\n", ""},
	{"trailer_obs_fold", 400, "0\r\nX: 1\r\n 2\r\n\r\n", ""},
	{"trailer_bare_lf", 400, "0\r\nX: 1\n\r\n", ""},
	{"trailer_end_bare_lf", 400, "0\r\n\n", ""},
	{"trailer_nul", 400, "0\r\nX: \x00\r\n\r\n", ""},
	{"trailer_long", 431, "0\r\nX: " + strings.Repeat("a", 300) + "\r\n\r\n", ""},
	{"trailer_without_end", 431, "0\r\nX: " + strings.Repeat("a", 400), ""},
	{"trailers_together_long", 431, "0\r\n" + strings.Repeat("X: "+strings.Repeat("a", 90)+"\r\n", 4) + "\r\n", ""},
}

func TestBadChunks(t *testing.T) {
	for _, row := range badChunks {
		t.Run(row.name, func(t *testing.T) {
			c := NewConn(&feed{in: []byte(post(chunked, row.body)), step: 1}, &testLimits)
			var h message.Head
			if err := request(c, &h); err != nil {
				t.Fatal(err)
			}
			body, err := readBody(c)
			if string(body) != row.kept {
				t.Errorf("the body began with %q, want %q", body, row.kept)
			}
			if v := (verdict{err: err}); v.status() != row.status {
				t.Errorf("%v, want status %d (RFC 9112 §7.1)", err, row.status)
			}
			inEveryWay(t, post(chunked, row.body), &testLimits, request)
		})
	}
}

func TestTrailerCount(t *testing.T) {
	limits := testLimits
	limits.Trailers = 16 << 10
	wire := post(chunked, "0\r\n"+strings.Repeat("X: 1\r\n", trailerFields)+"\r\n")
	if v := inEveryWay(t, wire, &limits, request); v.err.Error() != "EOF" {
		t.Errorf("%d trailers: %v", trailerFields, v.err)
	}
	wire = post(chunked, "0\r\n"+strings.Repeat("X: 1\r\n", trailerFields+1)+"\r\n")
	if v := inEveryWay(t, wire, &limits, request); v.status() != 431 {
		t.Errorf("%d trailers: %v", trailerFields+1, v.err)
	}
}
