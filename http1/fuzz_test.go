package http1

import (
	"bytes"
	"errors"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"sluice/internal/attacks"
	"sluice/message"
)

// largestSeed bounds what the fuzzer starts from: long inputs make slow mutations.
const largestSeed = 4 << 10

// FuzzRequestHead holds what is accepted here to the letter of the RFC, whatever the pieces it came in.
func FuzzRequestHead(f *testing.F) {
	for i, row := range attacks.Requests {
		if len(row.Wire) <= largestSeed {
			f.Add([]byte(row.Wire), i%11)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte, step int) {
		if len(data) > 64<<10 {
			return
		}
		sameInPieces(t, data, max(step, 0)%100, request)
		requestsByTheLetter(t, data)
	})
}

// FuzzResponseHead is FuzzRequestHead for what backends send.
func FuzzResponseHead(f *testing.F) {
	for i, row := range attacks.Responses {
		if len(row.Wire) <= largestSeed {
			f.Add([]byte(row.Wire), i%11, row.HEAD)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte, step int, head bool) {
		if len(data) > 64<<10 {
			return
		}
		read := response
		if head {
			read = toHEAD
		}
		sameInPieces(t, data, max(step, 0)%100, read)
		responsesByTheLetter(t, data, head)
	})
}

func sameInPieces(t *testing.T, data []byte, step int, read func(*Conn, *message.Head) error) {
	t.Helper()
	whole := judge(NewConn(&feed{in: data}, &DefaultLimits), read)
	pieces := judge(NewConn(&feed{in: data, step: step}, &DefaultLimits), read)
	if whole.seen != pieces.seen || whole.err.Error() != pieces.err.Error() {
		t.Errorf("%q\nin steps of %d:\n%s%v\nat once:\n%s%v", data, step, pieces.seen, pieces.err, whole.seen, whole.err)
	}
}

// dumbChunks decodes a chunked body in one go, by the rules and limits of the real one and without its cleverness.
func dumbChunks(in []byte, limits *Limits) (body []byte, trailers string, rest []byte, err error) {
	for extensions := 0; ; {
		var line []byte
		if line, in, err = dumbLine(in, maxChunkLine, errChunk); err != nil {
			return body, "", nil, err
		}
		size, extension, ok := dumbSize(string(line))
		if extensions += extension; !ok || extensions > maxExtensions {
			return body, "", nil, errChunk
		}
		if size == 0 {
			trailers, rest, err = dumbTrailers(in, limits)
			return body, trailers, rest, err
		}
		n := min(size, len(in))
		body = append(body, in[:n]...)
		if in = in[n:]; n < size {
			return body, "", nil, ErrTruncated
		}
		if line, in, err = dumbLine(in, 0, errChunk); err != nil || len(line) > 0 {
			return body, "", nil, errors.Join(err, errChunk)
		}
	}
}

func dumbLine(in []byte, limit int, tooLong error) (line, rest []byte, err error) {
	i := bytes.IndexByte(in, '\n')
	switch {
	case i < 0 && len(in) > limit+1 || i > limit+1:
		return nil, nil, tooLong
	case i < 0:
		return nil, nil, ErrTruncated
	case i == 0 || in[i-1] != '\r':
		return nil, nil, errBareLF
	}
	return in[:i-1], in[i+1:], nil
}

func dumbSize(line string) (size, extension int, ok bool) {
	digits, _, _ := strings.Cut(line, ";")
	n, err := strconv.ParseUint(digits, 16, 60)
	return int(n), len(line) - len(digits), err == nil && len(digits) <= maxSizeDigits && dumbExtension.MatchString(bytesAsRunes(line[len(digits):]))
}

// dumbExtension is the grammar of RFC 9112 §7.1.1, but for the white space behind the size.
var dumbExtension = func() *regexp.Regexp {
	const token = "[!#$%&'*+\\-.^_`|~0-9A-Za-z]+"
	const quoted = `"(?:[\t !#-\[\]-~\x{80}-\x{ff}]|\\[\t -~\x{80}-\x{ff}])*"`
	const one = ";[ \t]*" + token + "(?:[ \t]*=[ \t]*(?:" + token + "|" + quoted + "))?"
	return regexp.MustCompile("^(?:" + one + "(?:[ \t]*" + one + ")*)?$")
}()

func bytesAsRunes(s string) string {
	r := make([]rune, len(s))
	for i := range len(s) {
		r[i] = rune(s[i])
	}
	return string(r)
}

func dumbTrailers(in []byte, limits *Limits) (trailers string, rest []byte, err error) {
	var list []message.Field
	for used := 0; ; {
		var line []byte
		if line, in, err = dumbLine(in, max(0, limits.Trailers-used), errTrailers); err != nil {
			return "", nil, err
		}
		if len(line) == 0 {
			return listed(list), in, nil
		}
		used += len(line)
		if len(list) >= trailerFields || appendField(&list, line) != nil {
			return "", nil, errFieldLine
		}
		if last := len(list) - 1; !mayTrail(list[last].ID) {
			list = list[:last]
		}
	}
}

// FuzzChunkedBody feeds a body in steps of any size; how it was cut must not show.
func FuzzChunkedBody(f *testing.F) {
	for i, row := range attacks.Requests {
		if _, body, ok := strings.Cut(row.Wire, chunked+"\r\n"); ok && len(body) < 8<<10 {
			f.Add([]byte(body), i%7, i)
		}
	}
	for i, body := range []string{"5\r\nhello\r\n0\r\n\r\n", "1;a=b\r\nx\r\n0\r\nX: 1\r\nY: 2\r\n\r\nGET /", "a\r\n0123456789\r\n00\r\n\r\n", "0\r\n\r\n0\r\n\r\n"} {
		f.Add([]byte(body), i+1, 7*i)
	}
	f.Fuzz(func(t *testing.T, data []byte, step, pad int) {
		if len(data) > 64<<10 {
			return
		}
		wantBody, wantTrailers, wantRest, wantErr := dumbChunks(data, &testLimits)
		head := post("X: "+strings.Repeat("p", max(pad, 0)%9000)+"\r\n"+chunked, "")
		in := &feed{in: append([]byte(head), data...), step: max(step, 0) % 5000}
		c := NewConn(in, &testLimits)
		if err := request(c, new(message.Head)); err != nil {
			t.Fatal(err)
		}
		body, err := readBody(c)
		if string(body) != string(wantBody) || errors.Is(err, ErrTruncated) != errors.Is(wantErr, ErrTruncated) || (err == nil) != (wantErr == nil) {
			t.Fatalf("%q\n%q, %v\nwant\n%q, %v", data, body, err, wantBody, wantErr)
		}
		if err != nil {
			return
		}
		rest := string(c.in.buf[c.in.r:c.in.w]) + string(in.in)
		if listed(c.Trailers()) != wantTrailers || rest != string(wantRest) {
			t.Fatalf("%q\ntrailers%s, rest %q\nwant\n%s, %q", data, listed(c.Trailers()), rest, wantTrailers, wantRest)
		}
	})
}
