package proxy

import (
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"sluice/message"
	"sluice/static"
)

// fileAnswer is a file on its way. What conditions and ranges ask for (RFC 9110 §13, §14) is found by net/http, to which
// it is an http.ResponseWriter.
type fileAnswer struct {
	p      *Proxy
	ex     *Exchange
	file   *static.File
	header http.Header // net/http's; of it only what depends on the request is sent
	began  bool
	mute   bool  // there is no body, whatever is written
	left   int64 // bytes of the body that are to come
	err    error
}

// answerWith answers with a file, or with the part of it that is asked for.
func (p *Proxy) answerWith(ex *Exchange, file *static.File) error {
	a := &fileAnswer{p: p, ex: ex, file: file}
	if asked := conditions(&ex.Request); asked == nil {
		a.begin(http.StatusOK, file.Type, "", file.Size)
		a.send(0, a.left)
	} else {
		a.header = http.Header{"Content-Type": {file.Type}, "Etag": {file.Tag}}
		http.ServeContent(a, &http.Request{Method: string(ex.Request.Method), Header: asked}, "", file.Modified, file)
	}
	switch {
	case a.err == nil && a.left > 0:
		return errShortened
	case a.err == nil && ex.Client.Flush() != nil:
		return errGone
	}
	return a.err
}

var conditionFields = [...]string{"If-Match", "If-None-Match", "If-Modified-Since", "If-Unmodified-Since", "If-Range"}

// conditions are the fields that make an answer depend on more than the file; nil: there are none. A range is for GET, in
// bytes; any other is as if it was not there (RFC 9110 §14.2), and the name of the unit is in any case.
func conditions(h *message.Head) (asked http.Header) {
	set := func(name, value string) {
		if asked == nil {
			asked = http.Header{}
		}
		asked.Set(name, value)
	}
	for _, name := range conditionFields {
		if value := joined(h, name); value != nil {
			set(name, string(value))
		}
	}
	unit, ranges, ok := strings.Cut(string(joined(h, "Range")), "=")
	if ok && !h.IsHead() && strings.EqualFold(unit, "bytes") {
		set("Range", "bytes="+ranges)
	}
	return asked
}

var (
	nameContentRange    = []byte("Content-Range")
	nameContentEncoding = []byte("Content-Encoding")
	nameETag            = []byte("ETag")
	nameLastModified    = []byte("Last-Modified")
	nameAcceptRanges    = []byte("Accept-Ranges")
	nameVary            = []byte("Vary")
	nameDate            = []byte("Date")
)

// begin writes the head. That a condition failed, or that a range is none of the file, is said by the status alone.
func (a *fileAnswer) begin(status int, kind, contentRange string, length int64) {
	ex, h := a.ex, &a.ex.response
	h.Reset()
	h.Status, h.Reason = status, reason(status)
	bare := status == http.StatusNotModified || status >= 400
	if a.began, a.mute = true, bare || ex.Request.IsHead(); !a.mute {
		a.left = length
	}
	switch {
	case status == http.StatusNotModified:
		h.Framing = message.Framing{Kind: message.None}
	case bare:
		h.Framing = message.Framing{Kind: message.Length}
	default:
		h.Framing = message.Framing{Kind: message.Length, Length: length}
		a.describe(h, kind)
	}
	ex.put(h, nameContentRange, contentRange)
	a.identify(h, status < 400)
	ex.Status, ex.begun = status, true
	if _, all := ex.Client.WholeBody(); !all {
		ex.Close = true
	}
	ex.mark(h)
	ex.stick(h)
	ex.Client.ArmWrite(a.p.timeouts.Write)
	if ex.Client.WriteResponse(h) != nil {
		a.err = errGone
	}
}

// describe says of the file what a 304 leaves out (RFC 9110 §15.4.5).
func (a *fileAnswer) describe(h *message.Head, kind string) {
	a.ex.put(h, nameContentType, kind)
	a.ex.put(h, nameContentEncoding, a.file.Encoding)
	a.ex.put(h, nameAcceptRanges, "bytes")
	if !a.file.Modified.IsZero() {
		a.ex.put(h, nameLastModified, a.file.Modified.UTC().Format(http.TimeFormat))
	}
}

func (a *fileAnswer) identify(h *message.Head, found bool) {
	if a.file.Varies {
		a.ex.put(h, nameVary, "Accept-Encoding")
	}
	if found {
		a.ex.put(h, nameETag, a.file.Tag)
		a.ex.put(h, nameCacheControl, a.file.Cache)
	}
	h.Add(message.XRequestID, nameXRequestID, a.ex.id.bytes())
	a.ex.addDate(h)
}

// put adds a field, if it has a value.
func (ex *Exchange) put(h *message.Head, name []byte, value string) {
	if value != "" {
		h.Add(message.Lookup(name), name, ex.keep(value))
	}
}

// addDate says when an answer was made whose origin is Sluice (RFC 9110 §6.6.1).
func (ex *Exchange) addDate(h *message.Head) {
	ex.put(h, nameDate, time.Now().UTC().Format(http.TimeFormat))
}

// Header, WriteHeader, Write and ReadFrom are those of net/http.
func (a *fileAnswer) Header() http.Header { return a.header }

func (a *fileAnswer) WriteHeader(status int) {
	if !a.began {
		length, _ := strconv.ParseInt(a.header.Get("Content-Length"), 10, 64)
		a.begin(status, a.header.Get("Content-Type"), a.header.Get("Content-Range"), length)
	}
}

func (a *fileAnswer) Write(b []byte) (int, error) {
	if a.mute || a.err != nil {
		return len(b), a.err
	}
	if a.err = a.ex.stopped(); a.err != nil {
		return 0, a.err
	}
	a.ex.Client.ArmWrite(a.p.timeouts.Write)
	if a.ex.Client.WriteBody(b) != nil {
		a.err = errGone
		return 0, a.err
	}
	a.moved(int64(len(b)))
	return len(b), nil
}

// ReadFrom sends a part of the file from where it stands. Parts that have a text between them come in another way.
func (a *fileAnswer) ReadFrom(r io.Reader) (int64, error) {
	part, ok := r.(*io.LimitedReader)
	if !ok || part.R != io.Reader(a.file) || a.mute {
		return io.Copy(struct{ io.Writer }{a}, r)
	}
	offset, err := a.file.Seek(0, io.SeekCurrent)
	if err != nil {
		return 0, err
	}
	a.send(offset, part.N)
	return part.N - a.left, a.err
}

// worthSending is from where on a file's bytes do not come through our memory: below, they go out with the head in one
// write.
const worthSending = 64 << 10

type fileBuffer [worthSending]byte

// send writes n bytes of the file, and looks between turns whether anybody still wants them.
func (a *fileAnswer) send(offset, n int64) {
	conn := a.ex.Client.Tunnel()
	inKernel := n > worthSending && conn != nil && conn.SendsFiles()
	for n > 0 && a.err == nil {
		if a.err = a.ex.stopped(); a.err != nil {
			return
		}
		a.ex.Client.ArmWrite(a.p.timeouts.Write)
		var sent int64
		var err error
		if inKernel {
			sent, err = conn.SendFile(a.file.File, offset, n)
		} else {
			sent, err = a.copy(offset, n)
		}
		a.err = fileError(err)
		offset, n = offset+sent, n-sent
		a.moved(sent)
	}
}

// copy writes the next bytes of the file through memory.
func (a *fileAnswer) copy(offset, n int64) (int64, error) {
	buf, ok := a.p.buffers.Get().(*fileBuffer)
	if !ok {
		buf = new(fileBuffer)
	}
	defer a.p.buffers.Put(buf)
	got, err := a.file.ReadAt(buf[:min(n, worthSending)], offset)
	if got == 0 {
		return 0, err
	}
	if a.ex.Client.WriteBody(buf[:got]) != nil {
		return 0, errGone
	}
	return int64(got), nil
}

func fileError(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return errShortened
	}
	return errGone
}

// stopped says why nothing more is to be sent, if that is so.
func (ex *Exchange) stopped() error {
	switch {
	case ex.cut.Load():
		return errCut
	case ex.gone.Load():
		return errGone
	}
	return nil
}

// moved counts body bytes, and shows them where there are more to come.
func (a *fileAnswer) moved(n int64) {
	a.ex.BytesOut += n
	if a.left -= n; a.left > 0 {
		a.p.countOut(a.ex)
	}
}
