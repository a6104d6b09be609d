package proxy

import (
	"io"
	"sync"

	"sluice/drain"
	"sluice/message"
)

// intake is what of a request's body is taken in before a backend is claimed: all of it, or its first 64 KiB. A client
// that sends slowly so holds nothing of a backend's, and what is here whole can be sent again to another one.
type intake struct {
	used  bool // the body was not here with its head
	whole bool // all of it is now, and no trailers that are to follow it
	n     int
	buf   *intakeBuffer // nil: none is held
}

// intakeSizes are the steps in which the memory of a body grows with what has come of it. The last is what is waited for.
var intakeSizes = [...]int{1 << 10, 8 << 10, 64 << 10}

type intakeBuffer struct {
	step int
	b    []byte
}

var intakePools [len(intakeSizes)]sync.Pool

func newIntakeBuffer(step int) *intakeBuffer {
	if b, ok := intakePools[step].Get().(*intakeBuffer); ok {
		return b
	}
	return &intakeBuffer{step: step, b: make([]byte, intakeSizes[step])}
}

// defaultIntake is room for a thousand bodies of full size, and what a small machine can spare.
const defaultIntake = 64 << 20

// hold counts memory, and refuses what would be too much. The first step is everyone's: a connection has more than that
// for its head.
func (p *Proxy) hold(from, to int) bool {
	more := int64(to - from)
	if p.held.Add(more) <= p.Intake || more <= 0 {
		return true
	}
	p.held.Add(-more)
	return false
}

// counted is what of a buffer's memory counts.
func (b *intakeBuffer) counted() int {
	if b == nil || b.step == 0 {
		return 0
	}
	return len(b.b)
}

// takeIn waits for the body, before the request is anything to a backend. A body that came with its head costs nothing
// here.
func (p *Proxy) takeIn(ex *Exchange) *Error {
	if _, whole := ex.Client.WholeBody(); whole {
		return nil
	}
	if _, err := p.route(ex); err != nil {
		return err
	}
	if err := p.invite(ex); err != nil {
		return errGone
	}
	ex.setClass(drain.Upload)
	ex.enter(p.taking)
	ex.carry((*takingIn)(ex))
	err := p.fill(&ex.intake, ex)
	ex.leave()
	ex.setClass(drain.Request)
	if err != nil {
		return ex.notTakenIn(err)
	}
	ex.intake.finish(ex)
	return nil
}

// takingIn is an exchange that only reads from its client.
type takingIn Exchange

// Interrupt ends the reading.
func (ex *takingIn) Interrupt() { ex.Client.InterruptReads() }

func (ex *Exchange) notTakenIn(err error) *Error {
	switch {
	case ex.gone.Load():
		return errGone
	case ex.cut.Load():
		return errCut
	}
	return clientFailure(err)
}

// invite asks for the body where the client waits to be asked (RFC 9110 §10.1.1). The backend is sent a plain request.
func (p *Proxy) invite(ex *Exchange) error {
	if !ex.Request.ExpectContinue {
		return nil
	}
	ex.Request.ExpectContinue = false
	ex.Client.ArmWrite(p.timeouts.Write)
	if err := ex.Client.WriteResponse(&message.Head{Status: 100, Reason: reason(100)}); err != nil {
		return err
	}
	return ex.Client.Flush()
}

// fill reads until the body is whole or there is no more room for it.
func (p *Proxy) fill(in *intake, ex *Exchange) error {
	for in.used = true; !ex.Client.BodyDone() && p.room(in, ex); {
		began := p.await(ex)
		n, err := ex.Client.ReadBody(in.buf.b[in.n:])
		in.n += n
		if err := p.came(ex, n, began, err); err != nil && err != io.EOF {
			return err
		}
	}
	return nil
}

// room makes sure that there is some, or reports that there is none to be had: the request is then claimed for with what
// it has. To refuse it would lose what a backend may well have time for.
func (p *Proxy) room(in *intake, ex *Exchange) bool {
	step := 0
	if in.buf != nil {
		if in.roomy(ex) {
			return true
		}
		step = in.buf.step + 1
	}
	if step == len(intakeSizes) {
		return false
	}
	next := newIntakeBuffer(step)
	if !p.hold(in.buf.counted(), next.counted()) {
		intakePools[step].Put(next)
		return in.buf != nil && in.n < len(in.buf.b)
	}
	copy(next.b, in.bytes())
	in.giveBack()
	in.buf = next
	return true
}

// roomy reports that the buffer at hand is worth another read. For less than an eighth of it, it is not, where a larger one
// is needed anyway.
func (in *intake) roomy(ex *Exchange) bool {
	size, f := len(in.buf.b), ex.Request.Framing
	fits := f.Kind == message.Length && f.Length <= int64(size) || in.buf.step == len(intakeSizes)-1
	return size-in.n > size/8 || fits && in.n < size
}

func (in *intake) bytes() []byte {
	if in.buf == nil {
		return nil
	}
	return in.buf.b[:in.n]
}

func (in *intake) giveBack() {
	if in.buf != nil {
		intakePools[in.buf.step].Put(in.buf)
		in.buf = nil
	}
}

// release gives the memory back: the body was sent for the last time.
func (p *Proxy) release(in *intake) {
	if in.buf != nil {
		p.held.Add(-int64(in.buf.counted()))
		in.giveBack()
	}
}

// finish looks at what was taken in. A chunked body that is whole has a length now, which more servers understand.
func (in *intake) finish(ex *Exchange) {
	in.whole = ex.Client.BodyDone() && len(ex.Client.Trailers()) == 0
	if in.whole {
		ex.Request.Framing = message.Framing{Kind: message.Length, Length: int64(in.n)}
	}
}

// bodyHere is what of the body goes with the head.
func (ex *Exchange) bodyHere() (body []byte, whole bool) {
	if ex.intake.used {
		return ex.intake.bytes(), ex.intake.whole
	}
	return ex.Client.WholeBody()
}
