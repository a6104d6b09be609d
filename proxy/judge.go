package proxy

import (
	"time"

	"sluice/upstream"
)

// blame counts a failure of the backend's. A kept connection that breaks before the answer proves nothing: the server may
// have ended it while the request was on its way. And a connection that could not be made is counted where it is made.
func (ex *Exchange) blame(w *upstream.Watch, err error) {
	if ex.last.Fault != ByBackend {
		return
	}
	if up, ok := err.(*upstream.Error); ok && (up.Phase == upstream.Dialling || !up.Fresh && !up.Timeout && up.Phase < upstream.Reading) {
		return
	}
	w.Failed(time.Now())
}

// timeAnswer keeps how long the backend took. That says something only of a request that was there as a whole and of an
// answer that is none of failure: to fail is often quicker, and would make others look slow.
func (ex *Exchange) timeAnswer() {
	if !ex.pump.running && ex.response.Status < 500 {
		ex.Backend.Watch.Took(ex.Waited)
	}
}
