// Package telemetry is what Sluice tells about itself: the access log, the event log and the metrics. It reads what
// the proxy and control have counted, and writes it down. It refuses to know how any of it came about, and nothing in
// it ever makes a request wait.
package telemetry

import (
	"fmt"
	"io"
	"math"
	"os"
	"time"

	"github.com/rs/zerolog"

	"sluice/proxy"
)

// AccessLog writes one line of JSON for each exchange. It is a proxy.Observer. Lines are gathered in memory and written
// by a goroutine of its own; where the file cannot keep up, lines are dropped and counted rather than waited for.
type AccessLog struct {
	lines *lines
	log   zerolog.Logger
	owns  io.Closer // closed at the end; nil: not ours
}

var _ proxy.Observer = (*AccessLog)(nil)

// OpenAccessLog opens what the configuration names: "stdout", "off" or a path. For "off" it returns nil. The file is
// appended to. failed is told of the first write that fails after one that did not; it may be nil. Close ends the log.
func OpenAccessLog(where string, failed func(error)) (*AccessLog, error) {
	switch where {
	case "off":
		return nil, nil
	case "stdout", "":
		return NewAccessLog(os.Stdout, failed), nil
	}
	f, err := os.OpenFile(where, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o640)
	if err != nil {
		return nil, fmt.Errorf("cannot open the access log: %w; make its folder, or write another path, `stdout` or `off` under `access_log:`", err)
	}
	a := NewAccessLog(f, failed)
	a.owns = f
	return a, nil
}

// NewAccessLog writes to w, which stays the caller's.
func NewAccessLog(w io.Writer, failed func(error)) *AccessLog {
	l := newLines(w, failed)
	return &AccessLog{lines: l, log: zerolog.New(l)}
}

// Dropped returns how many lines were lost because they could not be written in time, or at all.
func (a *AccessLog) Dropped() int64 {
	if a == nil {
		return 0
	}
	return a.lines.dropped.Load()
}

// Close writes what is left and ends the goroutine. No exchange may be told of from then on.
func (a *AccessLog) Close() error {
	if a == nil {
		return nil
	}
	a.lines.close()
	if a.owns == nil {
		return nil
	}
	return a.owns.Close()
}

// stamp has milliseconds: enough to find a request in another program's log.
const stamp = "2006-01-02T15:04:05.000Z07:00"

// Done writes the line of one exchange. The query is left out: it is where secrets travel.
func (a *AccessLog) Done(ex *proxy.Exchange, took time.Duration) {
	e := a.log.Log()
	e.Str("time", ex.Began.Add(took).UTC().Format(stamp))
	if ex.Peer != nil {
		e.Str("client", ex.Peer.Address)
	}
	e.Bytes("method", ex.Request.Method).Bytes("host", ex.Request.Authority).Bytes("path", ex.Request.Path())
	e.Int("status", ex.Status).Int64("bytes", ex.BytesOut).Float64("duration_ms", milliseconds(took))
	addOrigin(e, ex)
	if ex.Retries > 0 {
		e.Int("retries", ex.Retries)
	}
	if ex.Held > 0 {
		e.Float64("held_ms", milliseconds(ex.Held))
	}
	e.Str("request_id", ex.ID())
	if ex.Err != nil {
		e.Str("fault", ex.Err.Fault.String()).Str("error", ex.Err.Error())
	}
	e.Send()
}

// addOrigin says who answered.
func addOrigin(e *zerolog.Event, ex *proxy.Exchange) {
	if ex.Service != nil {
		e.Str("service", ex.Service.Name)
		if ex.Service.Preview != nil {
			e.Bool("preview", true)
		}
	}
	if b := ex.Backend; b != nil {
		e.Str("pool", b.Pool).Str("backend", b.Name)
		if b.Release != "" {
			e.Str("release", b.Release)
		}
		e.Float64("upstream_ms", milliseconds(ex.Waited))
	}
}

// milliseconds keeps three digits after the point; a log has no use for more.
func milliseconds(d time.Duration) float64 {
	return math.Round(float64(d)/float64(time.Microsecond)) / 1000
}
