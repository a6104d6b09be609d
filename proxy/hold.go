package proxy

import (
	"net/http"
	"time"

	"sluice/drain"
	"sluice/message"
)

var (
	errWaited    = &Error{Status: 503, Fault: ByOperator, What: "waited for a backend for as long as this service lets a request wait"}
	errNoRoom    = &Error{Status: 503, Fault: ByOperator, What: "waited for a backend, and newer requests needed the room"}
	errNoMemory  = &Error{Status: 503, Fault: ByOperator, What: "waited for a backend, and newer requests needed the memory"}
	errHeldCheck = &Error{Status: 200, What: "a check that is answered in the place of a backend"}
)

// wait has a request wait until there is a backend for it, and returns nil when there is. A body that was taken in, and
// what of it comes with the head, waits with it.
func (p *Proxy) wait(ex *Exchange) *Error {
	svc := ex.Service
	if svc.checks(&ex.Request) {
		return svc.heldCheck()
	}
	if ex.guest == nil || ex.guest.room != svc.Room {
		ex.guest = newGuest(svc.Room, ex.weight())
	}
	return ex.stay(svc.Room.enter)
}

// waitAgain has a request that was let go, and found each backend full, wait once more: not even the room's own doing may
// turn it away. Where it has not waited before, it is refused.
func (p *Proxy) waitAgain(ex *Exchange, refusal *Error) *Error {
	if ex.guest == nil || ex.guest.room != ex.Service.Room || refusal != errFull && refusal != errQueueFull && refusal != errQueueLong {
		return refusal
	}
	ex.unqueue()
	return ex.stay(ex.guest.room.comeBack)
}

// stay goes into the room and comes out of it.
func (ex *Exchange) stay(in func(*guest, Holds) verdict) *Error {
	began := time.Now()
	how := in(ex.guest, ex.Service.Holds)
	if how == waits {
		ex.setClass(drain.Held)
		ex.enter(ex.guest.room.Gate())
		ex.carry(ex.guest)
		how = <-ex.guest.end
		ex.leave()
		ex.setClass(drain.Request)
	}
	ex.Held += time.Since(began)
	ex.tried.Reset() // it is another moment, and where it failed before is probably what was waited for
	return ex.waited(how)
}

func (ex *Exchange) waited(how verdict) *Error {
	switch how {
	case shedAge:
		return errWaited
	case shedFull:
		return errNoRoom
	case shedBytes:
		return errNoMemory
	case left:
		return ex.failure(errGone)
	}
	return nil
}

// weight is what a request keeps in memory of its own. What any connection costs is not in it: how many those are is
// another cap.
func (ex *Exchange) weight() int64 {
	h := &ex.Request
	n := len(h.Method) + len(h.Target) + len(h.Authority)
	for i := range h.Fields {
		n += len(h.Fields[i].Name) + len(h.Fields[i].Value) + len(": \r\n")
	}
	if ex.intake.buf != nil {
		return int64(n + len(ex.intake.buf.b))
	}
	body, _ := ex.bodyHere()
	return int64(n + len(body))
}

// checks reports a request for what the service's own backends are checked with. Who asks is a load balancer in front of
// Sluice, and one whose check waits takes Sluice out.
func (s *Service) checks(h *message.Head) bool {
	method := string(h.Method)
	return s.Check != "" && (method == "GET" || method == "HEAD") && string(h.Path()) == s.Check
}

// heldCheck answers for the backends: a gap that was planned is none to the outside, any other is.
func (s *Service) heldCheck() *Error {
	if s.Planned {
		return errHeldCheck
	}
	return errNoBackend
}

// answerCheck says that all is well, and that it is not a backend who says so.
func (ex *Exchange) answerCheck() *Error {
	ex.Status = http.StatusOK
	h := &ex.response
	h.Reset()
	h.Status, h.Reason = ex.Status, reason(ex.Status)
	h.Add(message.ContentType, nameContentType, valueText)
	h.Add(message.CacheControl, nameCacheControl, valueNoStore)
	h.Add(message.XRequestID, nameXRequestID, ex.id.bytes())
	if ex.answer(h, []byte("200 OK: requests wait for a backend\n")) != nil {
		return errGone
	}
	return nil
}

// serves reports that requests of the service are taken to backends.
func (s *Service) serves() bool { return !s.Hold && s.Live != nil && len(s.Live.Backends()) > 0 }

// Swap makes s the snapshot of all requests that are claimed from now on. Only control calls it, one at a time. A room is
// closed before and opened after it, so that who is sent into one by either snapshot does not find the other's:
//
//	closes: room, snapshot; a request by the old one is served, or waits as one by the new one would
//	opens:  snapshot, room; who enters in between is let go with the others, and goes by the new one
func (p *Proxy) Swap(s *Snapshot) {
	was := p.live.Load()
	for room, svc := range s.rooms {
		if !svc.serves() {
			room.close(svc.Holds)
		}
	}
	p.live.Store(s)
	p.Queues.WakeAll()
	for room, svc := range s.rooms {
		if svc.serves() {
			room.open(svc.Holds)
		}
	}
	for room := range was.rooms {
		if s.rooms[room] == nil {
			room.clear()
		}
	}
}
