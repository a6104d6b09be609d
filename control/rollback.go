package control

import (
	"cmp"
	"fmt"
	"maps"
	"strings"
	"time"

	"sluice/config"
)

// A flip leaves a way back: the pool, and under which options and routes it served in the moment before. A rollback brings
// back both. The way back stays for as long as there is no other flip; its window only says for how long somebody counts on
// it, and so until when the old servers are kept. Whoever needs it later and finds them up may still take it.

// Back is the way back to the pool that was live before the last flip.
type Back struct {
	Since   time.Time       `json:"since"` // when that was: its window begins
	Release string          `json:"release,omitempty"`
	Options config.Section  `json:"options,omitempty"`
	File    *config.Service `json:"-"` // the options with the pools of today's file; nil: there are none, or Fault
	Fault   string          `json:"-"` // why they cannot be used
}

// Restored is what a rollback brought back beside the pool. It holds while that pool is live and the file says what it said.
type Restored struct {
	Pool    string         `json:"pool"`
	Release string         `json:"release,omitempty"`
	Options config.Section `json:"options"`
	File    config.Section `json:"file"`              // the options that they stand against
	Missing string         `json:"missing,omitempty"` // which could not come back, and why
	At      time.Time      `json:"at"`
	Cause   Cause          `json:"cause"`
}

// back is the way back to what is so now, for whoever leaves it.
func (svc *Service) back(at time.Time) *Back {
	return &Back{Since: at, Release: svc.Pool(svc.Live).releases(), Options: svc.File.Section.Options(), File: svc.File}
}

// under returns the way back with its options read for what the file has today.
func (b Back) under(written *config.Service) *Back {
	b.File, b.Fault = nil, ""
	switch {
	case len(b.Options) == 0:
		return &b
	case maps.Equal(b.Options, written.Section.Options()):
		b.File = written
		return &b
	}
	file, err := written.With(b.Options)
	if err != nil {
		b.Fault = firstProblem(err)
		return &b
	}
	b.File = file
	return &b
}

// firstProblem is what is wrong, in one line; how to write it otherwise is of no use for what stands in no file.
func firstProblem(err error) string {
	line, _, _ := strings.Cut(err.Error(), "\n")
	return line
}

// under returns the service with another section of the configuration in the place of its own. What is known and decided of
// a backend goes on.
func (svc *Service) under(file *config.Service) *Service {
	next := *svc
	next.File, next.Pools = file, nil
	for i := range file.Pools {
		next.Pools = append(next.Pools, svc.poolUnder(&file.Pools[i]))
	}
	return &next
}

func (svc *Service) poolUnder(file *config.Pool) *Pool {
	fresh, was := poolFromFile(file), svc.Pool(file.Name)
	if was == nil {
		return fresh.gather(svc.Name)
	}
	for _, n := range fresh.Named {
		if old := was.named(n.File.Address); old != nil {
			n.Found, n.Kept = old.Found, old.Kept
		}
	}
	fresh.Backends = was.Backends
	return fresh.gather(svc.Name)
}

// asWritten is the service as the file says it, for whoever takes over from what a rollback brought back.
func (svc *Service) asWritten() *Service {
	if svc.Restored == nil {
		return svc
	}
	next := svc.under(svc.Written)
	next.Restored = nil
	return next
}

// restored brings back, after a flip to the pool before, what its way back has beside the pool.
func (svc *Service) restored(s State, back *Back, m moment) *Service {
	file, missing := svc.returning(s, back, svc.Pool(svc.Live))
	if file == svc.Written && missing == "" {
		return svc
	}
	return svc.holding(file, &Restored{
		Pool: svc.Live, Release: svc.Pool(svc.Live).releases(), Options: file.Section.Options(), File: svc.Written.Section.Options(),
		Missing: missing, At: m.at, Cause: m.cause,
	})
}

// holding puts what was brought back in the place of what the file says.
func (svc *Service) holding(file *config.Service, r *Restored) *Service {
	next := svc
	if file != svc.Written {
		next = svc.under(file)
	}
	out := *next.judged()
	out.Restored = r
	return &out
}

// returning is the section of the configuration that comes back with a pool, which is the file's own where nothing does, and
// what could not.
func (svc *Service) returning(s State, back *Back, to *Pool) (file *config.Service, missing string) {
	switch {
	case back == nil:
		return svc.Written, ""
	case back.Fault != "":
		return svc.Written, "the options could not come back: " + back.Fault
	case back.File == nil || back.File == svc.Written || back.File.Same(svc.Written):
		return svc.Written, ""
	}
	if now := to.releases(); now != back.Release && now != "" && back.Release != "" {
		return svc.Written, fmt.Sprintf("the options stay those of the file: they were those of %s, and %s is there now", back.Release, now)
	}
	return svc.yielding(s, back.File)
}

// yielding leaves to other services the routes that have meanwhile become theirs: a rollback takes nothing from anybody.
func (svc *Service) yielding(s State, file *config.Service) (*config.Service, string) {
	for _, name := range s.Order {
		place, taken := s.Services[name].has(svc, file)
		if !taken {
			continue
		}
		next := *file
		next.Hosts, next.Path = svc.Written.Hosts, svc.Written.Path
		next.Section = file.Section.Taking(svc.Written.Section, "hosts", "path")
		missing := fmt.Sprintf("hosts and path could not come back: %s belongs to %s now", place, name)
		if next.Same(svc.Written) {
			return svc.Written, missing
		}
		return &next, missing
	}
	return file, ""
}

// has is a place of a section of a service that this one has or will have: what the file says counts as well as what holds.
// Of its own previews a service has to keep its visitors away too.
func (svc *Service) has(of *Service, file *config.Service) (place string, taken bool) {
	if svc.Name == of.Name {
		own := *svc.Written
		own.Hosts, own.Path = file.Hosts, ""
		return own.Meets(svc.Written)
	}
	if place, taken = file.Meets(svc.Written); !taken {
		place, taken = file.Meets(svc.File)
	}
	return place, taken
}

// drift lists where what was brought back stands against the file.
func (r *Restored) drift(at time.Time) (all []Drift) {
	if r == nil {
		return nil
	}
	why := "of " + cmp.Or(r.Release, r.Pool) + ", rolled back"
	if r.Cause.By != "" {
		why += " by " + r.Cause.By
	}
	for _, d := range r.Options.Differences(r.File) {
		all = append(all, Drift{What: "option " + d.Key, Decided: cmp.Or(d.Is, unsaid), File: cmp.Or(d.Other, unsaid), Why: why + " " + ago(at.Sub(r.At))})
	}
	return all
}

// unsaid is shown for an option that is left to its default.
const unsaid = "nothing"

// cameBack says in a receipt what a rollback brought back.
func (r *Receipt) cameBack(before, after *Service) {
	is := after.Restored
	if is == nil || is == before.Restored {
		return
	}
	if r.Options = is.drift(is.At); is.Missing != "" {
		r.warn(is.Missing)
	}
}

func (r *Receipt) warn(text string) {
	if r.Warning != "" {
		text = r.Warning + "; " + text
	}
	r.Warning = text
}

// optionsText is "max_body 1MiB (the file says 10MiB), path /old (the file says nothing)".
func optionsText(all []Drift) string {
	var parts []string
	for _, d := range all {
		parts = append(parts, fmt.Sprintf("%s %s (the file says %s)", strings.TrimPrefix(d.What, "option "), d.Decided, d.File))
	}
	return strings.Join(parts, ", ")
}
