package proxy

import (
	"time"

	"sluice/upstream"
)

// blame counts a failure of the backend's. A connection that could not be made is counted where it is made.
func (ex *Exchange) blame(w *upstream.Watch, err error) {
	if up, ok := err.(*upstream.Error); ok && up.Phase == upstream.Dialling || !ex.proves(err) {
		return
	}
	w.Failed(time.Now())
}

// proves reports that the failure of the attempt at hand says something of the backend. A kept connection that breaks
// before the answer does not: the server may have ended it while the request was on its way.
func (ex *Exchange) proves(err error) bool {
	up, ok := err.(*upstream.Error)
	kept := ok && up.Phase != upstream.Dialling && !up.Fresh && !up.Timeout && up.Phase < upstream.Reading
	return ex.last.Fault == ByBackend && !kept
}

// timeAnswer keeps how long the backend took. That says something only of a request that was there as a whole and of an
// answer that is none of failure: to fail is often quicker, and would make others look slow.
func (ex *Exchange) timeAnswer() {
	if !ex.pump.running && ex.response.Status < 500 {
		ex.Backend.Watch.Took(ex.Waited)
	}
}
