// Package attacks is the table of what peers may send to break an HTTP/1.1 reader, or a pair of readers that disagree:
// raw requests and raw responses, each with the paragraph that rules it and the verdict Sluice gives. Beside what is
// refused it holds what must be accepted, and how it is read. Only tests import it; it knows nothing of the readers.
//
// A verdict is written in words, one line for each message:
//
//	METHOD target @authority "body"
//	STATUS "reason" "body"
//
// Before the body stand, where they hold and in this order: 1.0, length=N, chunked or until-close, close, continue and
// upgrade=PROTOCOL. Behind it stand the trailer fields, [Name: value] each.
package attacks

import (
	"slices"
	"strings"
)

// Request is what a client sends on one connection before it ends its side. All authorities in the table may be routed
// alike. Sizes are about the default limits.
type Request struct {
	Name string
	Rule string // where it is ruled, and where Sluice is stricter than the rule, that and why
	Wire string

	Status int    // of the refusal, after which the connection is closed; 0 where nothing is refused
	Cut    bool   // the bytes end inside a message: it is neither refused nor whole
	Reads  string // the whole requests before that, a line each
	Begun  string // the request in whose body it goes wrong, as far as that may have been passed on
}

// Count is how many whole requests there are.
func (r *Request) Count() int { return lines(r.Reads) }

// Response is what a server sends on one connection in answer to one request, before it ends its side.
type Response struct {
	Name string
	Rule string
	HEAD bool // the request was a HEAD; a GET otherwise
	Wire string

	Refused bool   // 502 to the client where nothing was passed on, and an aborted answer where something was
	Reads   string // interim responses and the final one, a line each
	Begun   string // the response in whose body it goes wrong, as far as that may have been passed on
	Reuse   bool   // the connection may serve another request
}

func lines(s string) int {
	if s == "" {
		return 0
	}
	return strings.Count(s, "\n") + 1
}

// Count is how many whole responses there are.
func (r *Response) Count() int { return lines(r.Reads) }

// Requests and Responses are the whole tables. They do not change.
var (
	Requests = slices.Concat(requestLines, methods, versions, targets, paths, absolutes, hosts, fieldLines, foldings,
		requestLengths, requestCodings, requestConflicts, chunkSizes, chunkExtensions, chunkEnds, requestTrailers,
		requestOptions, pipelines, requestLimits, requestSweep())
	Responses = slices.Concat(statusLines, statuses, responseFields, responseLengths, responseCodings, bodiless,
		interims, responseChunks, endings, leftovers, responseLimits, responseSweep())
)

// refuse, truncate, breaks and accept are the four verdicts on a request.
func refuse(name, rule string, status int, wire string) Request {
	return Request{Name: name, Rule: rule, Status: status, Wire: wire}
}

func truncate(name, rule, wire, begun string) Request {
	return Request{Name: name, Rule: rule, Cut: true, Wire: wire, Begun: begun}
}

func breaks(name, rule string, status int, wire, begun string) Request {
	return Request{Name: name, Rule: rule, Status: status, Wire: wire, Begun: begun}
}

func accept(name, rule, wire, reads string) Request {
	return Request{Name: name, Rule: rule, Wire: wire, Reads: reads}
}

// after is a request that stands behind others.
func (r Request) after(reads string) Request {
	r.Reads = reads
	return r
}

// get is a request with a line of its own.
func get(line string) string { return line + "\r\nHost: a\r\n\r\n" }

// post is a request with the fields given, and a body behind it.
func post(fields, body string) string {
	return "POST / HTTP/1.1\r\nHost: a\r\n" + fields + "\r\n" + body
}

func hosted(value string) string { return "GET / HTTP/1.1\r\nHost: " + value + "\r\n\r\n" }

const (
	chunked   = "Transfer-Encoding: chunked\r\n"
	lastChunk = "0\r\n\r\n"
)

// inChunks is a chunked request with the body given.
func inChunks(body string) string { return post(chunked, body) }

// The verdicts on a response.
func bad(name, rule, wire string) Response {
	return Response{Name: name, Rule: rule, Wire: wire, Refused: true}
}

func broken(name, rule, wire, begun string) Response {
	return Response{Name: name, Rule: rule, Wire: wire, Refused: true, Begun: begun}
}

// reuse is a good response that leaves its connection fit for the next one; once is a good one that does not.
func reuse(name, rule, wire, reads string) Response {
	return Response{Name: name, Rule: rule, Wire: wire, Reads: reads, Reuse: true}
}

func once(name, rule, wire, reads string) Response {
	return Response{Name: name, Rule: rule, Wire: wire, Reads: reads}
}

// toHEAD is the same response to a HEAD.
func (r Response) toHEAD() Response {
	r.HEAD = true
	return r
}

// afterInterim is a response that goes wrong behind interim ones.
func (r Response) afterInterim(reads string) Response {
	r.Reads = reads
	return r
}

func ok(fields, body string) string { return "HTTP/1.1 200 OK\r\n" + fields + "\r\n" + body }

func status(line string) string { return line + "\r\nContent-Length: 0\r\n\r\n" }
