package front

// cell is one entry of the tables of docs/closing.md: what happens when, and what each side and the log then see.
type cell struct {
	phase, event string
	client       string // what the client sees
	backend      string // what the backend sees of the request, and what becomes of its connection
	again        string // whether the request is sent again
	log          string // status, fault and loss as the access log and the metrics have them
	rfc          string
}

// What the two sides can see.
const (
	allOfIt     = "answer"        // all of it
	answerClose = "answer, close" // all of it, with Connection: close, and then the end of the connection
	answer400   = "answer, 400, close"
	cutOff      = "cut"   // part of it, then a reset
	reset       = "reset" // a reset, and nothing before it
	closed      = "close" // the end of the connection, and nothing before it
	ended       = "end"   // of the tunnel's direction, after all bytes; the other direction goes on
	gone        = "–"     // it left, or there is nothing to see

	kept       = "whole, kept"
	wholeClose = "whole, close"
	partClose  = "part, close"
	nothing    = "nothing"
	fresh      = "whole, on a new connection"

	no   = "no"
	safe = "if safe"
	yes  = "yes"
)

const (
	phaseFresh     = "connected"
	phaseIdle      = "between two requests"
	phaseHead      = "in the request head"
	phaseBody      = "in a request body up to 64 KiB"
	phaseSending   = "in a longer request body"
	phaseWaiting   = "request sent, no answer yet"
	phaseInterim   = "after an interim response"
	phaseAnswering = "in the answer's head"
	phaseHeld      = "in a short answer that is held back"
	phaseLength    = "in an answer with a length"
	phaseChunked   = "in a chunked answer"
	phaseUntil     = "in an answer that lasts until close"
	phaseAny       = "in the answer's body"
	phaseDone      = "at the end of the answer"
	phaseEarly     = "answered, request body still coming"
	phaseEarlyPart = "in an answer, request body still coming"
	phaseTunnel    = "in a tunnel"
	phaseDialling  = "connecting to a backend"
)

const (
	halfClose = "half-close"
	fullClose = "close"
	rst       = "reset"
	silence   = "silence"
	malformed = "malformed bytes"
	moreBytes = "more bytes"
	goesOn    = "sends on"
	quick     = "half-close, answered at once"
	flowing   = "half-close, the answer flows"
	overlong  = "too many interim responses"
	switching = "101 that nobody asked for"
	saysClose = "Connection: close"
	refused   = "refused"
	allRefuse = "refused by all"
	noReply   = "no reply"
	noneReply = "no reply from any"
	stalled   = "reads no more"
)

// ofTheClient is what clients do.
var ofTheClient = []cell{
	{phaseFresh, halfClose, closed, nothing, no, gone, "9112 §9.5"},
	{phaseFresh, fullClose, gone, nothing, no, gone, "9112 §9.5"},
	{phaseFresh, rst, gone, nothing, no, gone, "9112 §9.5"},
	{phaseFresh, silence, closed, nothing, no, gone, "9112 §9.5"},
	{phaseFresh, malformed, "400, close", nothing, no, "400 client", "9112 §2.2"},

	{phaseIdle, halfClose, closed, kept, no, gone, "9112 §9.5"},
	{phaseIdle, fullClose, gone, kept, no, gone, "9112 §9.5"},
	{phaseIdle, rst, gone, kept, no, gone, "9112 §9.5"},
	{phaseIdle, silence, closed, kept, no, gone, "9112 §9.5"},
	{phaseIdle, malformed, "400, close", kept, no, "400 client", "9112 §2.2"},

	{phaseHead, halfClose, closed, nothing, no, gone, "9112 §8"},
	{phaseHead, fullClose, gone, nothing, no, gone, "9112 §8"},
	{phaseHead, rst, gone, nothing, no, gone, "9112 §8"},
	{phaseHead, silence, "408, close", nothing, no, "408 client", "9110 §15.5.9"},
	{phaseHead, malformed, "400, close", nothing, no, "400 client", "9112 §5"},

	{phaseBody, halfClose, "400, close", nothing, no, "400 client", "9112 §8"},
	{phaseBody, fullClose, gone, nothing, no, "400 client", "9112 §8"},
	{phaseBody, rst, gone, nothing, no, "499 client", "9112 §8"},
	{phaseBody, silence, "408, close", nothing, no, "408 client", "9110 §15.5.9"},
	{phaseBody, malformed, "400, close", nothing, no, "400 client", "9112 §7.1"},

	{phaseSending, halfClose, "400, close", partClose, no, "400 client", "9112 §8"},
	{phaseSending, fullClose, gone, partClose, no, "400 client", "9112 §8"},
	{phaseSending, rst, gone, partClose, no, "499 client", "9112 §8"},
	{phaseSending, silence, "408, close", partClose, no, "408 client", "9110 §15.5.9"},
	{phaseSending, malformed, "400, close", partClose, no, "400 client", "9112 §7.1"},

	{phaseDialling, halfClose, reset, nothing, no, "499 client", "9112 §9.6"},
	{phaseDialling, fullClose, gone, nothing, no, "499 client", "9112 §9.5"},
	{phaseDialling, rst, gone, nothing, no, "499 client", "9112 §9.5"},

	{phaseWaiting, quick, allOfIt, kept, no, "200", "9112 §9.6"},
	{phaseWaiting, halfClose, reset, wholeClose, no, "499 client", "9112 §9.6"},
	{phaseWaiting, fullClose, gone, wholeClose, no, "499 client", "9112 §9.5"},
	{phaseWaiting, rst, gone, wholeClose, no, "499 client", "9112 §9.5"},
	{phaseWaiting, moreBytes, allOfIt, kept, no, "200", "9112 §9.3.2"},
	{phaseWaiting, malformed, answer400, kept, no, "200", "9112 §2.2"},

	{phaseInterim, quick, allOfIt, kept, no, "200", "9112 §9.6"},
	{phaseInterim, halfClose, reset, wholeClose, no, "499 client", "9112 §9.6"},
	{phaseInterim, fullClose, gone, wholeClose, no, "499 client", "9112 §9.5"},
	{phaseInterim, rst, gone, wholeClose, no, "499 client", "9112 §9.5"},

	{phaseAnswering, quick, allOfIt, kept, no, "200", "9112 §9.6"},
	{phaseAnswering, halfClose, reset, wholeClose, no, "499 client", "9112 §9.6"},
	{phaseAnswering, rst, gone, wholeClose, no, "499 client", "9112 §9.5"},

	{phaseHeld, quick, allOfIt, kept, no, "200", "9112 §9.6"},
	{phaseHeld, halfClose, reset, wholeClose, no, "499 client", "9112 §9.6"},
	{phaseHeld, rst, gone, wholeClose, no, "499 client", "9112 §9.5"},

	{phaseAny, quick, allOfIt, kept, no, "200", "9112 §9.6"},
	{phaseAny, flowing, allOfIt, kept, no, "200", "9112 §9.6"},
	{phaseAny, halfClose, cutOff, wholeClose, no, "200 client", "9112 §9.6"},
	{phaseAny, fullClose, gone, wholeClose, no, "200 client", "9112 §9.5"},
	{phaseAny, rst, gone, wholeClose, no, "200 client", "9112 §9.5"},

	{phaseEarly, goesOn, answerClose, partClose, no, "200", "9112 §9.5"},
	{phaseEarly, silence, answerClose, partClose, no, "200", "9112 §9.6"},
	{phaseEarly, halfClose, answerClose, partClose, no, "200", "9112 §9.6"},
	{phaseEarly, fullClose, gone, partClose, no, "200", "9112 §9.6"},
	{phaseEarly, rst, gone, partClose, no, "200", "9112 §9.6"},

	{phaseTunnel, halfClose, ended, ended, no, "101", "9110 §7.8"},
	{phaseTunnel, fullClose, gone, ended, no, "101", "9110 §7.8"},
	{phaseTunnel, rst, gone, reset, no, "101 client", "9110 §7.8"},
	{phaseTunnel, silence, reset, reset, no, "101", "9110 §7.8"},
}

// ofTheBackend is what backends do.
var ofTheBackend = []cell{
	{phaseIdle, fullClose, allOfIt, fresh, no, "200", "9112 §9.5"},
	{phaseIdle, rst, allOfIt, fresh, no, "200", "9112 §9.5"},
	{phaseIdle, moreBytes, allOfIt, fresh, no, "200", "9112 §9.2"},
	{phaseIdle, silence, allOfIt, fresh, no, "200", "9112 §9.5"},

	{phaseDialling, refused, allOfIt, kept, yes, "200", "9110 §9.2.2"},
	{phaseDialling, noReply, allOfIt, kept, yes, "200", "9110 §9.2.2"},
	{phaseDialling, allRefuse, "502", nothing, yes, "502 backend", "9110 §15.6.3"},
	{phaseDialling, noneReply, "504", nothing, yes, "504 backend", "9110 §15.6.5"},

	{phaseSending, halfClose, "502, close", partClose, no, "502 backend", "9112 §8"},
	{phaseSending, fullClose, "502, close", gone, no, "502 backend", "9112 §8"},
	{phaseSending, rst, "502, close", gone, no, "502 backend", "9112 §8"},
	{phaseSending, malformed, "502, close", partClose, no, "502 backend", "9112 §4"},
	{phaseSending, stalled, "504, close", partClose, no, "504 backend", "9110 §15.6.5"},

	{phaseWaiting, halfClose, "502", wholeClose, safe, "502 backend", "9110 §9.2.2"},
	{phaseWaiting, fullClose, "502", gone, safe, "502 backend", "9110 §9.2.2"},
	{phaseWaiting, rst, "502", gone, safe, "502 backend", "9110 §9.2.2"},
	{phaseWaiting, silence, "504", wholeClose, no, "504 backend", "9110 §15.6.5"},
	{phaseWaiting, malformed, "502", wholeClose, safe, "502 backend", "9112 §4"},
	{phaseWaiting, overlong, "502", wholeClose, no, "502 backend", "9110 §15.2"},
	{phaseWaiting, switching, "502", wholeClose, no, "502 backend", "9110 §15.2.2"},

	{phaseInterim, halfClose, "502", wholeClose, safe, "502 backend", "9110 §15.2"},
	{phaseInterim, fullClose, "502", gone, safe, "502 backend", "9110 §15.2"},
	{phaseInterim, rst, "502", gone, safe, "502 backend", "9110 §15.2"},
	{phaseInterim, silence, "504", wholeClose, no, "504 backend", "9110 §15.6.5"},

	{phaseAnswering, halfClose, "502", wholeClose, safe, "502 backend", "9112 §8"},
	{phaseAnswering, fullClose, "502", gone, safe, "502 backend", "9112 §8"},
	{phaseAnswering, rst, "502", gone, safe, "502 backend", "9112 §8"},
	{phaseAnswering, silence, "504", wholeClose, no, "504 backend", "9110 §15.6.5"},
	{phaseAnswering, malformed, "502", wholeClose, safe, "502 backend", "9112 §5"},

	{phaseHeld, halfClose, "502", wholeClose, safe, "502 backend", "9112 §8"},
	{phaseHeld, fullClose, "502", gone, safe, "502 backend", "9112 §8"},
	{phaseHeld, rst, "502", gone, safe, "502 backend", "9112 §8"},
	{phaseHeld, silence, "504", wholeClose, no, "504 backend", "9110 §15.6.5"},

	{phaseLength, halfClose, cutOff, wholeClose, no, "200 backend lost", "9112 §8"},
	{phaseLength, fullClose, cutOff, gone, no, "200 backend lost", "9112 §8"},
	{phaseLength, rst, cutOff, gone, no, "200 backend lost", "9112 §8"},
	{phaseLength, silence, cutOff, wholeClose, no, "200 backend lost", "9112 §8"},

	{phaseChunked, halfClose, cutOff, wholeClose, no, "200 backend lost", "9112 §8"},
	{phaseChunked, fullClose, cutOff, gone, no, "200 backend lost", "9112 §8"},
	{phaseChunked, rst, cutOff, gone, no, "200 backend lost", "9112 §8"},
	{phaseChunked, silence, cutOff, wholeClose, no, "200 backend lost", "9112 §8"},
	{phaseChunked, malformed, cutOff, wholeClose, no, "200 backend lost", "9112 §7.1"},

	{phaseUntil, halfClose, allOfIt, wholeClose, no, "200", "9112 §6.3"},
	{phaseUntil, fullClose, allOfIt, gone, no, "200", "9112 §6.3"},
	{phaseUntil, rst, cutOff, gone, no, "200 backend lost", "9112 §8"},
	{phaseUntil, silence, cutOff, wholeClose, no, "200 backend lost", "9112 §8"},

	{phaseDone, goesOn, allOfIt, kept, no, "200", "9112 §9.3"},
	{phaseDone, saysClose, allOfIt, wholeClose, no, "200", "9112 §9.6"},
	{phaseDone, halfClose, allOfIt, fresh, no, "200", "9112 §9.5"},
	{phaseDone, rst, allOfIt, fresh, no, "200", "9112 §9.5"},
	{phaseDone, moreBytes, allOfIt, wholeClose, no, "200", "9112 §9.2"},

	{phaseEarly, halfClose, answerClose, partClose, no, "200", "9112 §9.5"},
	{phaseEarly, fullClose, answerClose, gone, no, "200", "9112 §9.5"},
	{phaseEarly, rst, answerClose, gone, no, "200", "9112 §9.5"},

	{phaseEarlyPart, halfClose, cutOff, partClose, no, "200 backend lost", "9112 §8"},
	{phaseEarlyPart, rst, cutOff, gone, no, "200 backend lost", "9112 §8"},

	{phaseTunnel, halfClose, ended, ended, no, "101", "9110 §7.8"},
	{phaseTunnel, fullClose, ended, gone, no, "101", "9110 §7.8"},
	{phaseTunnel, rst, reset, gone, no, "101 backend lost", "9110 §7.8"},
}
