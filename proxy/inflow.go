package proxy

import "time"

// Pace is the least that a request body must bring: Rate bytes for each second that it is waited for, once Grace is used
// up. Only waiting counts, so that a backend which reads slowly is not held against the client. A Rate of 0 asks for
// nothing.
type Pace struct {
	Rate  int
	Grace time.Duration
}

// inflow is how a request body comes in.
type inflow struct {
	bytes  int64
	credit time.Duration // how long the client may yet be waited for: bytes earn some, waiting costs it
}

// await readies a read of the body, and says when it began; never is one that need not wait.
func (p *Proxy) await(ex *Exchange) (began time.Time) {
	if ex.Client.BodyBuffered() {
		return began
	}
	ex.Client.ArmRead(p.timeouts.Body)
	return time.Now()
}

// came judges what a read brought.
func (p *Proxy) came(ex *Exchange, n int, began time.Time, err error) error {
	if err != nil {
		return err
	}
	in := &ex.inflow
	in.bytes += int64(n)
	if ex.Service.exceeds(in.bytes) {
		return errBodyLarge
	}
	if p.Pace.Rate > 0 && !began.IsZero() {
		in.credit -= time.Since(began)
	}
	if !p.earn(in, n) && !ex.answered() {
		return errBodySlow
	}
	return nil
}

// earn reports whether there is credit. There is never more of it than the grace and one longest silence: a fast beginning
// does not pay for hours of dripping, and who kept the pace may fall silent for as long as anyone.
func (p *Proxy) earn(in *inflow, n int) bool {
	if p.Pace.Rate <= 0 {
		return true
	}
	in.credit += time.Duration(n) * time.Second / time.Duration(p.Pace.Rate)
	ok := in.credit+p.Pace.Grace >= 0
	in.credit = min(in.credit, p.timeouts.Body)
	return ok
}

// answered reports that the response has begun. What the client still sends then is its part of a conversation, at
// whatever pace: the app has had its say.
func (ex *Exchange) answered() bool {
	ex.mu.Lock()
	defer ex.mu.Unlock()
	return ex.gate != nil && !ex.headAt.IsZero()
}
