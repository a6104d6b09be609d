package attacks

import "strings"

const (
	noChunk  = `200 "OK" chunked ""`
	abcChunk = `200 "OK" chunked "abc"`
)

const (
	bodilessRule = "RFC 9112 §6.3 item 1"
	noCoding     = "RFC 9112 §6.1, no Transfer-Encoding in a 1xx or 204"
	noLength     = "RFC 9110 §8.6, no Content-Length in a 1xx or 204"
)

// bodiless are answers that end with their head.
var bodiless = []Response{
	reuse("no_content", bodilessRule, "HTTP/1.1 204 No Content\r\n\r\n", `204 "No Content" ""`),
	reuse("no_content_of_length_zero", "RFC 9110 §8.6 forbids it; many servers send it, and it is true", "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", `204 "No Content" ""`),
	bad("no_content_of_a_length", noLength, "HTTP/1.1 204 X\r\nContent-Length: 5\r\n\r\nhello"),
	bad("no_content_of_a_length_without_body", noLength, "HTTP/1.1 204 X\r\nContent-Length: 5\r\n\r\n"),
	bad("no_content_of_a_bad_length", lengthRule, "HTTP/1.1 204 X\r\nContent-Length: x\r\n\r\n"),
	bad("no_content_chunked", noCoding, "HTTP/1.1 204 No Content\r\n"+chunked+"\r\n"),
	bad("no_content_chunked_with_body", noCoding, "HTTP/1.1 204 No Content\r\n"+chunked+"\r\n"+lastChunk),
	bad("no_content_chunked_to_head", noCoding, "HTTP/1.1 204 No Content\r\n"+chunked+"\r\n").toHEAD(),
	once("no_content_with_body", bodilessRule, "HTTP/1.1 204 X\r\n\r\nhello", `204 "X" ""`),
	once("no_content_close", "RFC 9112 §9.6", "HTTP/1.1 204 X\r\nConnection: close\r\n\r\n", `204 "X" close ""`),
	reuse("not_modified", bodilessRule, "HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\n\r\n", `304 "Not Modified" ""`),
	reuse("not_modified_of_a_length", "RFC 9110 §8.6, of what a 200 would bring", "HTTP/1.1 304 X\r\nContent-Length: 100\r\n\r\n", `304 "X" ""`),
	reuse("not_modified_chunked", "RFC 9112 §6.1", "HTTP/1.1 304 X\r\n"+chunked+"\r\n", `304 "X" ""`),
	once("not_modified_with_body", bodilessRule, "HTTP/1.1 304 X\r\nContent-Length: 4\r\n\r\nbody", `304 "X" ""`),
	once("not_modified_with_chunks", bodilessRule, "HTTP/1.1 304 X\r\n"+chunked+"\r\n"+lastChunk, `304 "X" ""`),
	reuse("reset_content", "RFC 9110 §15.3.6", "HTTP/1.1 205 X\r\nContent-Length: 0\r\n\r\n", `205 "X" length=0 ""`),
	reuse("reset_content_chunked", "RFC 9110 §15.3.6", "HTTP/1.1 205 X\r\n"+chunked+"\r\n"+lastChunk, `205 "X" chunked ""`),
	reuse("to_head", "RFC 9110 §9.3.2", ok("", ""), `200 "OK" ""`).toHEAD(),
	reuse("to_head_of_a_length", "RFC 9110 §9.3.2", ok("Content-Length: 1000\r\n", ""), `200 "OK" ""`).toHEAD(),
	reuse("to_head_chunked", "RFC 9112 §6.1", ok(chunked, ""), `200 "OK" ""`).toHEAD(),
	reuse("to_head_not_found", "RFC 9110 §9.3.2", "HTTP/1.1 404 X\r\nContent-Length: 9\r\n\r\n", `404 "X" ""`).toHEAD(),
	once("to_head_with_body", bodilessRule, ok("Content-Length: 5\r\n", "hello"), `200 "OK" ""`).toHEAD(),
	once("to_head_with_chunks", bodilessRule, ok(chunked, lastChunk), `200 "OK" ""`).toHEAD(),
	once("to_head_in_1_0", "RFC 9112 §9.3", "HTTP/1.0 200 OK\r\n\r\n", `200 "OK" 1.0 close ""`).toHEAD(),
	bad("to_head_of_two_lengths", "RFC 9112 §6.3 item 5", ok("Content-Length: 1\r\nContent-Length: 2\r\n", "")).toHEAD(),
}

const interimRule = "RFC 9110 §15.2"

const handshake = "HTTP/1.1 101 S\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"

// interims are 1xx, and what stands behind them.
var interims = []Response{
	reuse("interim_continue", interimRule, "HTTP/1.1 100 Continue\r\n\r\n"+status("HTTP/1.1 200 OK"), "100 \"Continue\" \"\"\n"+okEmpty),
	reuse("interim_early_hints", "RFC 8297 §2", "HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\n\r\n"+status("HTTP/1.1 200 OK"), "103 \"Early Hints\" \"\"\n"+okEmpty),
	reuse("interim_unknown", interimRule, "HTTP/1.1 199 X\r\n\r\n"+status("HTTP/1.1 200 OK"), "199 \"X\" \"\"\n"+okEmpty),
	reuse("interim_three", interimRule, strings.Repeat("HTTP/1.1 102 P\r\n\r\n", 3)+status("HTTP/1.1 200 OK"), strings.Repeat("102 \"P\" \"\"\n", 3)+okEmpty),
	reuse("interim_of_length_zero", "RFC 9110 §8.6 forbids it; it is true", "HTTP/1.1 100 C\r\nContent-Length: 0\r\n\r\n"+status("HTTP/1.1 200 OK"), "100 \"C\" \"\"\n"+okEmpty),
	reuse("interim_to_head", interimRule, "HTTP/1.1 100 C\r\n\r\n"+ok("Content-Length: 9\r\n", ""), "100 \"C\" \"\"\n200 \"OK\" \"\"").toHEAD(),
	bad("interim_of_a_length", noLength, "HTTP/1.1 103 E\r\nContent-Length: 10\r\n\r\n"+status("HTTP/1.1 200 OK")),
	bad("interim_chunked", noCoding, "HTTP/1.1 100 C\r\n"+chunked+"\r\n"+status("HTTP/1.1 200 OK")),
	bad("interim_chunked_with_body", noCoding, "HTTP/1.1 100 C\r\n"+chunked+"\r\n"+lastChunk+status("HTTP/1.1 200 OK")),
	bad("interim_in_1_0", "RFC 9110 §15.2, HTTP/1.0 has none", "HTTP/1.0 100 Continue\r\n\r\n"+status("HTTP/1.0 200 OK")),
	bad("interim_with_body", interimRule, "HTTP/1.1 100 C\r\n\r\nhello\r\n\r\n"+status("HTTP/1.1 200 OK")).afterInterim(`100 "C" ""`),
	bad("interim_alone", "RFC 9112 §8", "HTTP/1.1 100 Continue\r\n\r\n").afterInterim(`100 "Continue" ""`),
	bad("interim_then_bad", "RFC 9112 §6.3", "HTTP/1.1 100 C\r\n\r\n"+ok("Content-Length: x\r\n", "")).afterInterim(`100 "C" ""`),
	bad("interim_of_two_lengths", "RFC 9112 §6.3 item 5", "HTTP/1.1 100 C\r\nContent-Length: 0\r\nContent-Length: 0\r\n\r\n"+status("HTTP/1.1 200 OK")),
	bad("interim_then_empty_line", "RFC 9112 §2.2", "HTTP/1.1 100 C\r\n\r\n\r\n"+status("HTTP/1.1 200 OK")).afterInterim(`100 "C" ""`),
	once("switching", "RFC 9110 §15.2.2", handshake, `101 "S" upgrade=websocket ""`),
	once("switching_with_first_bytes", "RFC 9110 §15.2.2", handshake+"\x81\x02hi", `101 "S" upgrade=websocket ""`),
	once("switching_after_an_interim", "RFC 9110 §15.2", "HTTP/1.1 100 C\r\n\r\n"+handshake, "100 \"C\" \"\"\n101 \"S\" upgrade=websocket \"\""),
	bad("switching_without_upgrade", "RFC 9110 §7.8", "HTTP/1.1 101 S\r\nConnection: upgrade\r\n\r\n"),
	bad("switching_to_nothing", "RFC 9110 §7.8", "HTTP/1.1 101 S\r\nConnection: upgrade\r\nUpgrade:\r\n\r\n"),
	bad("switching_not_nominated", "RFC 9110 §7.8", "HTTP/1.1 101 S\r\nUpgrade: websocket\r\n\r\n"),
	bad("switching_of_a_length", noLength, "HTTP/1.1 101 S\r\nConnection: upgrade\r\nUpgrade: websocket\r\nContent-Length: 5\r\n\r\nhello"),
	bad("switching_chunked", noCoding, "HTTP/1.1 101 S\r\nConnection: upgrade\r\nUpgrade: websocket\r\n"+chunked+"\r\n"),
	bad("switching_in_1_0", "RFC 9110 §15.2", "HTTP/1.0 101 S\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"),
}

func answered(body string) string { return ok(chunked, body) }

var responseChunks = []Response{
	broken("chunk_size_empty", chunkRule, answered("\r\nabc\r\n"+lastChunk), noChunk),
	broken("chunk_size_0x", chunkRule, answered("0x3\r\nabc\r\n"+lastChunk), noChunk),
	broken("chunk_size_plus", chunkRule, answered("+3\r\nabc\r\n"+lastChunk), noChunk),
	broken("chunk_size_minus", chunkRule, answered("-3\r\nabc\r\n"+lastChunk), noChunk),
	broken("chunk_size_underscore", chunkRule, answered("0_3\r\nabc\r\n"+lastChunk), noChunk),
	broken("chunk_size_not_hex", chunkRule, answered("hello"+"\r\n"+lastChunk), noChunk),
	broken("chunk_size_leading_space", chunkRule, answered(" 3\r\nabc\r\n"+lastChunk), noChunk),
	broken("chunk_size_padded", "RFC 9112 §7.1, as servers of old did", answered("3    \r\nabc\r\n"+lastChunk), noChunk),
	broken("chunk_size_overflows", chunkRule, answered("ffffffffffffffff\r\nabc\r\n"+lastChunk), noChunk),
	broken("chunk_size_wraps_to_3", chunkRule, answered("10000000000000003\r\nabc\r\n"+lastChunk), noChunk),
	broken("chunk_size_of_16_digits", "RFC 9112 §7.1, a limit against overflow", answered("0000000000000003\r\nabc\r\n"+lastChunk), noChunk),
	broken("chunk_extension_bare_lf", "RFC 9112 §2.2", answered("3;a\nabc\r\n"+lastChunk), noChunk),
	broken("chunk_extension_empty", extensionRule, answered("3;\r\nabc\r\n"+lastChunk), noChunk),
	broken("chunk_extension_space_before", "RFC 9112 §7.1.1 lets BWS stand there; readers differ", answered("3 ;a\r\nabc\r\n"+lastChunk), noChunk),
	broken("chunk_longer", chunkRule, answered("3\r\nabcd\r\n"+lastChunk), abcChunk),
	broken("chunk_shorter", chunkRule, answered("4\r\nabc\r\n"+lastChunk), `200 "OK" chunked "abc\r"`),
	broken("chunk_data_without_end", chunkRule, answered("3\r\nabc"+lastChunk), abcChunk),
	broken("chunk_data_ended_by_lf", "RFC 9112 §2.2", answered("3\r\nabc\n"+lastChunk), abcChunk),
	broken("chunk_last_missing", "RFC 9112 §8", answered("3\r\nabc\r\n"), abcChunk),
	broken("chunk_last_half", "RFC 9112 §8", answered("3\r\nabc\r\n0\r\n"), abcChunk),
	broken("chunk_last_bare_lf", "RFC 9112 §2.2", answered("3\r\nabc\r\n0\n\n"), abcChunk),
	broken("chunk_body_plain", chunkRule, answered("<html></html>"+"\r\n\r\n"), noChunk),
	broken("chunk_data_short", "RFC 9112 §8", answered("5\r\nabc"), abcChunk),
	broken("trailer_no_colon", "RFC 9112 §5", answered("0\r\nXX\r\n\r\n"), noChunk),
	broken("trailer_fold", "RFC 9112 §5.2", answered("0\r\nX: 1\r\n 2\r\n\r\n"), noChunk+" [X: 1]"),
	broken("trailer_space_before_colon", "RFC 9112 §5.1", answered("0\r\nX : 1\r\n\r\n"), noChunk),
	broken("trailer_splits_the_response", "RFC 9112 §2.2", answered("0\r\nX: 1\n\nHTTP/1.1 200 OK\r\n\r\n"), noChunk),
	reuse("trailer_length_dropped", "RFC 9110 §6.5.1", answered("0\r\nContent-Length: 5\r\nA: 1\r\n\r\n"), noChunk+" [A: 1]"),
	reuse("trailer_coding_dropped", "RFC 9110 §6.5.1", answered("0\r\nTransfer-Encoding: chunked\r\n\r\n"), noChunk),
	reuse("trailer_connection_dropped", "RFC 9110 §6.5.1", answered("0\r\nConnection: close\r\n\r\n"), noChunk),
}

// endings are bodies that the close ends, well or not.
var endings = []Response{
	once("until_close", "RFC 9112 §6.3 item 8", ok("", "hello"), lasts(`"hello"`)),
	once("until_close_empty", "RFC 9112 §6.3 item 8", ok("", ""), lasts(`""`)),
	once("until_close_like_a_response", "RFC 9112 §6.3 item 8", ok("", status("HTTP/1.1 200 OK")), lasts(`"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"`)),
	once("until_close_like_chunks", "RFC 9112 §6.3 item 8", ok("", lastChunk), lasts(`"0\r\n\r\n"`)),
	once("until_close_says_keep_alive", "RFC 9112 §6.3 item 8", ok("Connection: keep-alive\r\n", "x"), lasts(`"x"`)),
	once("until_close_underscored_length", "RFC 9110 §5.1", ok("Content_Length: 1\r\n", "xyz"), lasts(`"xyz"`)),
	once("http_1_0", "RFC 9112 §9.3", "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi", `200 "OK" 1.0 length=2 close "hi"`),
	reuse("http_1_0_keep_alive", "RFC 9112 §9.3", "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nhi", `200 "OK" 1.0 length=2 "hi"`),
	once("http_1_0_until_close", "RFC 9112 §6.3 item 8", "HTTP/1.0 200 OK\r\n\r\nhi", `200 "OK" 1.0 until-close close "hi"`),
	once("close", "RFC 9112 §9.6", ok("Connection: close\r\nContent-Length: 2\r\n", "hi"), `200 "OK" length=2 close "hi"`),
	once("close_in_a_list", "RFC 9110 §7.6.1", ok("connection: foo ,Close\r\nContent-Length: 0\r\n", ""), `200 "OK" length=0 close ""`),
	once("close_in_second_field", "RFC 9110 §5.3", ok("Connection: foo\r\nConnection: close\r\nContent-Length: 0\r\n", ""), `200 "OK" length=0 close ""`),
	once("close_chunked", "RFC 9112 §9.6", ok("Connection: close\r\n"+chunked, lastChunk), `200 "OK" chunked close ""`),
	broken("length_beyond_the_body", "RFC 9112 §8", ok("Content-Length: 6\r\n", "hello"), `200 "OK" length=6 "hello"`),
	broken("length_without_body", "RFC 9112 §8", ok("Content-Length: 6\r\n", ""), `200 "OK" length=6 ""`),
	broken("length_beyond_the_body_in_1_0", "RFC 9112 §8", "HTTP/1.0 200 OK\r\nContent-Length: 6\r\n\r\nhello", `200 "OK" 1.0 length=6 close "hello"`),
}

const leftoverRule = "RFC 9112 §9.2, an answer to nothing"

// leftovers are whole answers with something behind them, which must not reach another client.
var leftovers = []Response{
	once("left_a_byte", leftoverRule, ok("Content-Length: 1\r\n", "ab"), `200 "OK" length=1 "a"`),
	once("left_a_line_end", leftoverRule, ok("Content-Length: 1\r\n", "a\r\n"), `200 "OK" length=1 "a"`),
	once("left_a_second_response", leftoverRule, ok("Content-Length: 1\r\n", "a")+ok("Content-Length: 6\r\n", "poison"), `200 "OK" length=1 "a"`),
	once("left_an_interim", leftoverRule, ok("Content-Length: 1\r\n", "a")+"HTTP/1.1 100 C\r\n\r\n", `200 "OK" length=1 "a"`),
	once("left_behind_length_zero", leftoverRule, ok("Content-Length: 0\r\n", "hello"), okEmpty),
	once("left_behind_chunks", leftoverRule, answered("3\r\nabc\r\n"+lastChunk+"junk"), abcChunk),
	once("left_a_second_last_chunk", leftoverRule, answered(lastChunk+lastChunk), noChunk),
	once("left_behind_204", leftoverRule, "HTTP/1.1 204 X\r\n\r\n"+status("HTTP/1.1 200 OK"), `204 "X" ""`),
	once("left_behind_304", leftoverRule, "HTTP/1.1 304 X\r\nContent-Length: 4\r\n\r\n"+status("HTTP/1.1 200 OK"), `304 "X" ""`),
	once("left_behind_head", leftoverRule, ok("Content-Length: 60\r\n", ok("Content-Length: 6\r\n", "poison")), `200 "OK" ""`).toHEAD(),
	once("left_a_nul", leftoverRule, ok("Content-Length: 0\r\n", "\x00"), okEmpty),
}

var responseLimits = []Response{
	reuse("limit_fields_reached", "RFC 6585 §5", ok(strings.Repeat("X: 1\r\n", 199)+"Content-Length: 0\r\n", ""), okEmpty),
	bad("limit_fields", "RFC 6585 §5", ok(strings.Repeat("X: 1\r\n", 200)+"Content-Length: 0\r\n", "")),
	bad("limit_line", "RFC 6585 §5", status("HTTP/1.1 200 "+strings.Repeat("a", 65<<10))),
	bad("limit_line_without_end", "RFC 6585 §5", "HTTP/1.1 200 "+strings.Repeat("a", 65<<10)),
	bad("limit_field", "RFC 6585 §5", ok("X: "+strings.Repeat("a", 65<<10)+"\r\nContent-Length: 0\r\n", "")),
	bad("limit_head_endless", "RFC 6585 §5", "HTTP/1.1 200 OK\r\n"+strings.Repeat("X: "+strings.Repeat("a", 2000)+"\r\n", 40)),
	broken("limit_trailers", trailerRule, answered("0\r\nX: "+strings.Repeat("a", 17<<10)+"\r\n\r\n"), noChunk),
	broken("limit_chunk_extension", extensionRule, answered("3;"+strings.Repeat("a", 300)+"\r\nabc\r\n"+lastChunk), noChunk),
}
