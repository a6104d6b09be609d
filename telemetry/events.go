package telemetry

import (
	"io"
	"os"
	"strconv"
	"time"

	"github.com/rs/zerolog"

	"sluice/control"
)

// Events is the log of what happens to Sluice itself: changes, health, drains, trouble. There are few of them, so each
// is written at once. Its methods may be called concurrently.
type Events struct{ log zerolog.Logger }

// NewEvents writes to w: as JSON lines for machines, or where pretty is set as text for people. Colours are left out
// where NO_COLOR is set.
func NewEvents(w io.Writer, pretty bool) *Events {
	if pretty {
		w = zerolog.ConsoleWriter{Out: w, TimeFormat: time.TimeOnly, NoColor: os.Getenv("NO_COLOR") != ""}
	}
	return &Events{log: zerolog.New(zerolog.SyncWriter(w))}
}

// Say writes that something happened. fields are pairs of a name and a value.
func (e *Events) Say(text string, fields ...string) { e.write(e.log.Info(), text, fields) }

// Warn writes that something is not as it should be, and what to do. err may be nil.
func (e *Events) Warn(text string, err error, fields ...string) {
	e.write(e.log.Warn().Err(err), text, fields)
}

func (e *Events) write(ev *zerolog.Event, text string, fields []string) {
	ev.Str("time", time.Now().UTC().Format(stamp))
	for i := 0; i+1 < len(fields); i += 2 {
		ev.Str(fields[i], fields[i+1])
	}
	ev.Msg(text)
}

// Control writes what control reports.
func (e *Events) Control(ev control.Event) {
	line := e.log.WithLevel(level(ev.Kind))
	line.Str("time", ev.Time.UTC().Format(stamp)).Str("kind", ev.Kind)
	addSome(line, "service", ev.Service)
	addSome(line, "pool", ev.Pool)
	addSome(line, "backend", ev.Backend)
	if ev.Generation > 0 {
		line.Str("generation", strconv.FormatUint(ev.Generation, 10))
	}
	if c := ev.Cause; c != nil {
		addSome(line, "verb", c.Verb)
		addSome(line, "by", c.By)
		addSome(line, "via", c.Via)
		addSome(line, "note", c.Note)
		addSome(line, "commit", c.Commit)
		addSome(line, "peer", c.Peer)
	}
	if r := ev.Receipt; r != nil && r.Drain != nil {
		line.Int("finished", r.Drain.Finished).Int("cut", r.Drain.Cut)
	}
	if r := ev.Receipt; r != nil && r.History != nil && ev.Kind == "change" {
		line.Uint64("history_seq", r.History.Seq).Str("history_hash", r.History.Hash)
	}
	line.Msg(ev.Text)
}

// level is how loud a kind of event is.
func level(kind string) zerolog.Level {
	switch kind {
	case "damage", "storage", "fail_open":
		return zerolog.ErrorLevel
	case "drift", "eject", "unresolved", "rollback_not_ready", "bake_worse":
		return zerolog.WarnLevel
	}
	return zerolog.InfoLevel
}

func addSome(e *zerolog.Event, name, value string) {
	if value != "" {
		e.Str(name, value)
	}
}
