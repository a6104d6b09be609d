package proxy

import (
	"bytes"
	"net/http"
	"slices"
	"time"

	"sluice/message"
	"sluice/upstream"
)

// Before is the release before, which is asked for assets that the live one has not: a page that was loaded before a flip
// still finds its parts. It never changes.
type Before struct {
	Pool  *upstream.Pool         // those of it that a rollback could bring back now
	Asset func(path string) bool // a path whose content never changes, decoded
}

// miss is an asset that the live release has not. Its answer is kept until the release before has been asked.
type miss struct {
	before *Before
	by     *upstream.Backend
	asked  bool // the answer at hand is that of the release before
	kept   bool // head and body are the answer; else it was too long or too slow, and is given up
	head   message.Head
	body   []byte
}

const (
	// mostMissBytes is above what any app says of what it has not.
	mostMissBytes = 64 << 10
	// missWait bounds the wait for the rest of an answer that nobody may ever see.
	missWait = time.Second
)

// isMiss reports an answer that the client is not given, or not yet.
func (ex *Exchange) isMiss(status int) bool {
	if ex.miss != nil {
		return status != http.StatusOK && status != http.StatusPartialContent && status != http.StatusNotModified
	}
	if status != http.StatusNotFound || ex.Service.Before == nil || !ex.asksAsset() {
		return false
	}
	ex.miss = &miss{before: ex.Service.Before, by: ex.Backend}
	return true
}

// asksAsset reports a request for an asset that can be made once more. A body would have to be kept for that.
func (ex *Exchange) asksAsset() bool {
	method := string(ex.Request.Method)
	if method != http.MethodGet && method != http.MethodHead || ex.Request.Upgrade != nil {
		return false
	}
	if body, whole := ex.bodyHere(); !whole || len(body) > 0 {
		return false
	}
	return ex.Service.Before.Asset(string(decode(bytes.Clone(ex.Request.Path()))))
}

// setAside takes an answer that is a miss off its connection, so that it can carry the next request, and keeps the first.
func (ex *Exchange) setAside(conn *upstream.Conn) error {
	m := ex.miss
	if !m.asked {
		m.head = cloned(&ex.response)
	}
	from := conn.HTTP()
	from.ArmRead(missWait)
	var body []byte
	for !from.BodyDone() && len(body) <= mostMissBytes {
		b, err := from.Next()
		if body = append(body, b...); err != nil {
			break
		}
	}
	if whole := from.BodyDone() && len(body) <= mostMissBytes; !m.asked {
		m.body, m.kept = body, whole
	}
	return nil
}

// cloned is a head that outlives the connection it came on.
func cloned(h *message.Head) message.Head {
	out := *h
	out.Reason, out.Fields = bytes.Clone(h.Reason), slices.Clone(h.Fields)
	for i := range out.Fields {
		f := &out.Fields[i]
		f.Name, f.Value = bytes.Clone(f.Name), bytes.Clone(f.Value)
	}
	return out
}

// errMoved is no failure: the release before is another by now, and the request goes by the newer snapshot.
var errMoved = &Error{Status: 503, Fault: ByOperator, What: "the release before has left"}

// askBefore asks the release before, once, and gives the client what that has; else the answer that was kept. The request
// is inside of the backend that it asks, as any other: who waits for that to be empty waits for this too.
func (p *Proxy) askBefore(ex *Exchange) *Error {
	m := ex.miss
	lease, err := m.before.Pool.Claim(&upstream.Tried{})
	switch {
	case err == upstream.ErrClosed && p.beforeMoved(ex):
		ex.miss = nil
		return errMoved
	case err != nil:
		return ex.answerMiss()
	}
	ex.Backend, m.asked = lease.Backend, true
	failure := p.attempt(ex, &lease)
	switch {
	case failure == nil && ex.begun:
		ex.Service.Earlier.Add(1)
		return nil
	case failure != nil && (ex.begun || ex.gone.Load() || ex.cut.Load()):
		return ex.failure(failure)
	}
	return ex.answerMiss()
}

func (p *Proxy) beforeMoved(ex *Exchange) bool {
	svc := p.serviceNow(ex)
	return svc == nil || svc.Before != ex.miss.before
}

// answerMiss says what the live release said.
func (ex *Exchange) answerMiss() *Error {
	m := ex.miss
	ex.Backend, ex.last = m.by, nil
	if !m.kept {
		if ex.say(http.StatusNotFound, nil, nil, "there is no such file") != nil {
			return errGone
		}
		return nil
	}
	h := &ex.response
	*h = m.head
	if h.Framing.Kind != message.None {
		h.Framing = message.Framing{Kind: message.Length, Length: int64(len(m.body))}
	}
	ex.Status, ex.begun = h.Status, true
	ex.mark(h)
	ex.stick(h)
	ex.Client.ArmWrite(refuseWithin)
	if ex.Client.WriteResponse(h) != nil || ex.Client.WriteBody(m.body) != nil {
		return errGone
	}
	ex.BytesOut += int64(len(m.body))
	if ex.endBody(nil) != nil {
		return errGone
	}
	return nil
}
