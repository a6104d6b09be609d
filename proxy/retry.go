package proxy

import (
	"time"

	"sluice/message"
	"sluice/upstream"
)

// retryable decides whether a failed request may be sent again. Each branch says why; the order matters.
func (ex *Exchange) retryable(err error) bool {
	up, ok := err.(*upstream.Error)
	switch {
	case !ok:
		return false // no backend failed it: another one would not change that
	case ex.gone.Load() || ex.cut.Load():
		return false // nobody waits for it any more
	case ex.begun:
		return false // the client has part of an answer; a second one cannot follow it
	case up.Phase == upstream.Dialling && up.Timeout && ex.Retries > 0:
		return false // two addresses that swallow packets: the network is at fault, and time is gone
	case up.Phase == upstream.Dialling:
		return true // nothing was sent: there was no connection
	case ex.pump.taken():
		return false // part of the body has been read off and cannot be sent again
	case !up.Sent:
		return true // nothing was sent: the connection failed before the first byte
	case up.Untaken:
		return true // it was sent, and provably read by nobody: the server had ended the connection before it came
	case up.Timeout:
		return false // it may still be at work there, and the client has waited long enough
	case ex.Request.Idempotent():
		return true // doing it twice means the same as once (RFC 9110 §9.2.2), and no answer was passed on
	case ex.Request.Get(message.IdempotencyKey) != nil:
		return true // the client and the server have agreed how a repetition is told
	}
	return false // conservatively
}

// mayRepeat reports that a failed request is to be sent again: that it may be, has not been often, and is in the
// budget. What the release before is asked for is asked once.
func (ex *Exchange) mayRepeat(err error) bool {
	policy := ex.Service.Resend
	return ex.miss == nil && ex.Retries+1 < policy.Attempts && ex.retryable(err) && ex.affordable(err, policy)
}

// affordable spends budget for a request that a backend may have read.
func (ex *Exchange) affordable(err error, policy *Resend) bool {
	up, ok := err.(*upstream.Error)
	if ok && (!up.Sent || up.Untaken) {
		return true
	}
	c := ex.Service.Counters
	if c.budget.spend(policy.Share, c.succeeded(), time.Now()) {
		return true
	}
	c.Denied.Add(1)
	return false
}

// repeatable reports that the request may be sent again even where a backend may have read it. One that may not is not
// risked on a connection that its server could be about to end.
func (ex *Exchange) repeatable() bool {
	if !ex.Request.Idempotent() && ex.Request.Get(message.IdempotencyKey) == nil {
		return false
	}
	_, whole := ex.bodyHere()
	return whole
}
