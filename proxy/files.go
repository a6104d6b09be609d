package proxy

import (
	"bytes"
	"fmt"
	"net/http"
	"slices"

	"sluice/message"
	"sluice/static"
	"sluice/upstream"
)

var (
	errNoFolder  = Error{Status: 503, Fault: ByOperator, What: "the folder of the release cannot be read"}
	errShortened = &Error{Status: 502, Fault: ByOperator, Type: httpResponseIncomplete, What: "the file became shorter while it was read"}

	nameLocation = []byte("Location")
	valueReads   = []byte("GET, HEAD")
)

// fromFolder answers from the folder of a static release. Nothing is sent anywhere, so there is nothing to be sent again.
func (p *Proxy) fromFolder(ex *Exchange, lease *upstream.Lease) error {
	stats := &lease.Backend.Endpoint.Stats
	stats.Requests.Add(1)
	err := p.serveFile(ex, lease.Backend.Files)
	ex.whole, ex.again = err == nil, false
	ex.leave()
	if err != nil {
		ex.last = ex.failure(err)
		if ex.last.Fault == ByOperator && ex.last != errCut {
			stats.Failures.Add(1)
		}
	}
	if gate := lease.Backend.Gate; gate.Closed() {
		gate.Ended(p.ending(ex, err))
	}
	return err
}

func (p *Proxy) serveFile(ex *Exchange, folder *static.Folder) error {
	if method := string(ex.Request.Method); method != http.MethodGet && method != http.MethodHead {
		return ex.say(http.StatusMethodNotAllowed, nameAllow, valueReads, "files are read with GET or HEAD")
	}
	file, err := folder.Open(string(decode(bytes.Clone(ex.Request.Path()))), string(joined(&ex.Request, "Accept-Encoding")))
	switch {
	case (err == static.ErrNotFound || err == static.ErrFolder && ex.miss != nil) && ex.isMiss(http.StatusNotFound):
		return nil
	case err == static.ErrFolder:
		return ex.addSlash()
	case err == static.ErrNotFound:
		return ex.say(http.StatusNotFound, nil, nil, "there is no such file")
	case err != nil:
		failed := errNoFolder
		failed.Err = err
		return &failed
	}
	defer file.Close()
	return p.answerWith(ex, file)
}

// addSlash sends a client that left out the slash at a folder's end to the path that has it. The path of a folder that
// was found begins with one slash alone, but "//" would name a host (RFC 3986 §4.2), so it is looked at again.
func (ex *Exchange) addSlash() error {
	target, end := ex.Request.Target, len(ex.Request.Path())
	if bytes.HasPrefix(target, []byte("//")) {
		return ex.say(http.StatusNotFound, nil, nil, "there is no such file")
	}
	location := slices.Concat(target[:end], []byte("/"), target[end:])
	return ex.say(http.StatusMovedPermanently, nameLocation, location, "the path of a folder ends in a slash")
}

// say answers in words. Nobody is to keep them: the next release may have the file.
func (ex *Exchange) say(status int, name, value []byte, what string) error {
	h := &ex.response
	h.Reset()
	h.Status, h.Reason = status, reason(status)
	if name != nil {
		h.Add(message.Lookup(name), name, value)
	}
	h.Add(message.ContentType, nameContentType, valueText)
	h.Add(message.CacheControl, nameCacheControl, valueNoStore)
	h.Add(message.XRequestID, nameXRequestID, ex.id.bytes())
	ex.addDate(h)
	ex.mark(h)
	ex.Status = status
	if ex.answer(h, fmt.Appendf(nil, "%d %s: %s\nrequest %s\n", status, h.Reason, what, ex.id.bytes())) != nil {
		return errGone
	}
	return nil
}

// joined is the value of a field of which there may be several lines (RFC 9110 §5.3).
func joined(h *message.Head, name string) (value []byte) {
	for i := range h.Fields {
		f := &h.Fields[i]
		switch {
		case len(f.Name) != len(name) || !bytes.EqualFold(f.Name, []byte(name)):
		case value == nil:
			value = f.Value
		default:
			value = slices.Concat(value, []byte(", "), f.Value)
		}
	}
	return value
}
