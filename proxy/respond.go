package proxy

import (
	"io"
	"time"

	"sluice/drain"
	"sluice/http1"
	"sluice/message"
	"sluice/upstream"
)

// respond passes the final response on: its head, and its body as it comes.
func (p *Proxy) respond(ex *Exchange, conn *upstream.Conn) error {
	h := &ex.response
	asksDrain, ok := filterResponse(h)
	if !ok {
		return errNominates
	}
	if asksDrain && p.AppDrain != nil {
		p.AppDrain(ex.Backend)
	}
	ex.Status = h.Status
	if ex.isMiss(h.Status) {
		return ex.setAside(conn)
	}
	ex.Client.ArmWrite(p.timeouts.Write)
	if h.Status == 101 {
		ex.mark(h)
		ex.stick(h)
		return p.tunnel(ex, conn)
	}
	if err := ex.gather(conn, p.timeouts.Body); err != nil {
		return err
	}
	ex.mark(h)
	ex.stick(h)
	ex.begun = true
	if !ex.pump.running {
		p.release(&ex.intake)
	}
	ex.Close = ex.Close || ex.pump.early()
	wait, events := p.classify(ex)
	if err := ex.Client.WriteResponse(h); err != nil {
		return errGone
	}
	conn.HTTP().ReleaseHead()
	if err := p.passBody(ex, conn, wait, events); err != nil {
		return err
	}
	return ex.endBody(conn.HTTP().Trailers())
}

// gather waits for all of a small response to a request that may be sent twice, before the client is given any of it: a
// backend that dies in between then costs a retry and not a broken answer.
func (ex *Exchange) gather(conn *upstream.Conn, wait time.Duration) error {
	if conn.HTTP().BodyDone() || !ex.Request.Idempotent() {
		return nil
	}
	if _, whole := conn.HTTP().WholeBody(); whole {
		return nil
	}
	conn.HTTP().ArmRead(wait)
	if err := conn.HTTP().Gather(); err != nil {
		return conn.ReadFailed(err)
	}
	return nil
}

// classify finds how the response ends when it is drained, and how long it may be silent. An event stream is followed where
// its text can be read.
func (p *Proxy) classify(ex *Exchange) (wait time.Duration, events *eventEnd) {
	h := &ex.response
	switch {
	case isEventStream(h):
		ex.setClass(eventStream)
		ex.Service.Lasting.opened(ex.Waited)
		if !isCoded(h) {
			events = &eventEnd{}
		}
		return p.timeouts.Tunnel, events
	case !h.Framing.Known():
		ex.setClass(unknownLength)
	case drain.Class(ex.class.Load()) != drain.Upload:
		ex.setClass(drain.Request)
	}
	return p.timeouts.Body, nil
}

// passBody writes each piece as it comes. Pieces that are at hand together go out together.
func (p *Proxy) passBody(ex *Exchange, conn *upstream.Conn, wait time.Duration, events *eventEnd) error {
	from := conn.HTTP()
	for !from.BodyDone() {
		if !from.BodyBuffered() {
			p.countOut(ex)
			if err := ex.Client.Flush(); err != nil {
				return errGone
			}
			from.ArmRead(wait)
			ex.Client.ArmWrite(p.timeouts.Write)
		}
		b, err := from.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return p.bodyFailed(ex, conn, err, events)
		}
		if err := ex.Client.WriteBody(b); err != nil {
			return errGone
		}
		ex.BytesOut += int64(len(b))
		if events.follow(b); ex.cut.Load() && events.between() {
			return p.goAway(ex)
		}
		if err := p.passInKernel(ex, conn, wait); err != nil {
			return err
		}
	}
	return nil
}

// passInKernel passes the rest of a large body from socket to socket, where that can be.
func (p *Proxy) passInKernel(ex *Exchange, conn *upstream.Conn, wait time.Duration) error {
	from, to := conn.HTTP(), ex.Client.Tunnel()
	if to == nil || from.BodyBuffered() {
		return nil
	}
	pipe := http1.NewPipe(from, to)
	if pipe == nil {
		return nil
	}
	defer pipe.Close()
	if ex.Client.Flush() != nil {
		return errGone
	}
	for !from.BodyDone() {
		from.ArmRead(wait)
		n, err := pipe.Fill()
		if err != nil {
			return conn.ReadFailed(err)
		}
		if p.empty(pipe, to) != nil {
			return errGone
		}
		ex.BytesOut += int64(n)
		p.countOut(ex)
	}
	return nil
}

// empty sends what a pipe holds. That is much: a slow reader has the time for a write anew whenever it took some.
func (p *Proxy) empty(pipe *http1.Pipe, to *http1.Conn) error {
	for pipe.Holds() {
		to.ArmWrite(p.timeouts.Write)
		if err := pipe.Send(); err != nil {
			return err
		}
	}
	return nil
}

// bodyFailed is met by a drain's cut too, which ends the wait for more: an event stream may end behind a whole event, and
// its clients come back by themselves. Anything else is left visibly incomplete.
func (p *Proxy) bodyFailed(ex *Exchange, conn *upstream.Conn, err error, events *eventEnd) error {
	if ex.cut.Load() && ex.finishEvent(conn.HTTP(), events) {
		return p.goAway(ex)
	}
	return conn.ReadFailed(err)
}

func (ex *Exchange) endBody(trailers []message.Field) error {
	if err := ex.Client.EndBody(keepTrailers(trailers)); err != nil {
		return errGone
	}
	if ex.Client.Flush() != nil {
		return errGone
	}
	return nil
}
