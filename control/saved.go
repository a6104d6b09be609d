package control

import (
	"encoding/json"
	"fmt"
	"time"
)

// savedFormat is raised when an older Sluice could no longer read what is saved.
const savedFormat = 1

// saved is the State as it is on disk: decisions only, and only where one was made. Health is found anew.
type saved struct {
	Format     int                     `json:"format"`
	Generation uint64                  `json:"generation"`
	File       string                  `json:"file"` // digest of the file it was joined with
	Services   map[string]savedService `json:"services,omitempty"`
	Leases     map[string]savedLease   `json:"leases,omitempty"`
	// Rollouts are the records of the latest rollouts, by service.
	Rollouts map[string]json.RawMessage `json:"rollouts,omitempty"`
	Keys     []usedKey                  `json:"keys,omitempty"`
}

type savedService struct {
	Live     *Decision               `json:"live,omitempty"`
	Previous string                  `json:"previous,omitempty"`
	Back     *Back                   `json:"way_back,omitempty"` // to Previous
	Restored *Restored               `json:"restored,omitempty"`
	Paused   *Pause                  `json:"paused,omitempty"`
	Split    *Split                  `json:"split,omitempty"`
	Retired  []Retirement            `json:"retired,omitempty"`
	Bake     *Bake                   `json:"bake,omitempty"`
	Backends map[string]savedBackend `json:"backends,omitempty"` // by POOL/ADDRESS
}

type savedBackend struct {
	Pool    string    `json:"pool"`
	Address string    `json:"address"`
	Admin   *Decision `json:"admin,omitempty"`
	Name    string    `json:"name,omitempty"` // which the address came from; empty: the file has it
	// Keep is until when a backend in drain still takes those who are pinned to it.
	Keep *time.Time `json:"keep_until,omitempty"`
}

// encode returns what is saved of the State.
func (s State) encode() ([]byte, error) {
	out := saved{Format: savedFormat, Generation: s.Generation, File: s.Digest, Services: map[string]savedService{}, Leases: s.savedLeases(), Rollouts: s.Rollouts, Keys: s.Keys}
	for name, svc := range s.Services {
		if one := svc.decisions(); one.Live != nil || one.Previous != "" || one.Paused != nil || one.Restored != nil || one.Split != nil || one.Bake != nil || len(one.Retired) > 0 || len(one.Backends) > 0 {
			out.Services[name] = one
		}
	}
	return json.MarshalIndent(out, "", "  ")
}

func (svc *Service) decisions() savedService {
	out := savedService{Live: svc.Decided, Previous: svc.Previous, Back: svc.Back, Restored: svc.Restored, Paused: svc.Paused, Split: svc.Split, Retired: svc.Retired.list(), Bake: svc.Bake, Backends: map[string]savedBackend{}}
	for _, p := range svc.Pools {
		for _, b := range p.Backends {
			if b.Decided != nil {
				out.add(savedBackend{Pool: p.Name, Address: b.Address(), Name: b.Name, Admin: b.Decided, Keep: timeOf(b.Keep)})
			}
		}
		for _, n := range p.Named {
			for address, d := range n.Kept {
				out.add(savedBackend{Pool: p.Name, Address: address, Name: n.File.Address, Admin: d})
			}
		}
	}
	return out
}

func (svc savedService) add(b savedBackend) { svc.Backends[b.Pool+"/"+b.Address] = b }

// timeOf leaves the zero time out of what is written.
func timeOf(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// decode reads what encode wrote.
func decode(data []byte) (saved, error) {
	var out saved
	if err := json.Unmarshal(data, &out); err != nil {
		return saved{}, fmt.Errorf("control: the saved state cannot be read: %w; move the state directory away to start from the file", err)
	}
	if out.Format != savedFormat {
		return saved{}, fmt.Errorf("control: the saved state has format %d and this Sluice reads %d; run the Sluice that wrote it, "+
			"or move the state directory away to start from the file", out.Format, savedFormat)
	}
	for name, svc := range out.Services {
		for _, b := range svc.Backends {
			if b.Admin != nil && !Admin(b.Admin.Value).known() {
				return saved{}, fmt.Errorf("control: the saved state has backend %s/%s in %q; move the state directory away to start "+
					"from the file", name, b.Address, b.Admin.Value)
			}
		}
	}
	return out, nil
}

func (a Admin) known() bool { return a == Ready || a == Drain || a == Maint }

// resolution is one place where what was saved and the file did not agree, and which of the two holds now.
type resolution struct {
	service string
	text    string
}

// join takes the saved decisions into the State that the file asks for. A decision holds for as long as the file says
// what it said when the decision was made, and what was decided on is still there; else the file wins. Each decision
// that ends so is returned. at and cause are those of the start.
func join(s State, old saved, at time.Time, cause Cause) (State, []resolution) {
	j := joiner{at: at, cause: cause}
	s.Generation, s.Rollouts, s.Leases, s.Keys = old.Generation, old.Rollouts, renewed(old.Leases, at), old.Keys
	for _, name := range sortedKeys(old.Services) {
		svc := s.Services[name]
		if svc == nil {
			j.ended(name, "the file has no service %s any more: what was decided on it is dropped", name)
			continue
		}
		s = s.with(j.service(s, svc, old.Services[name]))
	}
	return s, j.ends
}

// joiner collects what comes of one join.
type joiner struct {
	at    time.Time
	cause Cause
	ends  []resolution
}

func (j *joiner) ended(service, format string, args ...any) {
	j.ends = append(j.ends, resolution{service: service, text: fmt.Sprintf(format, args...)})
}

func (j *joiner) service(s State, svc *Service, old savedService) *Service {
	next := *svc
	next.Previous = j.previous(svc, old.Previous)
	if d := old.Live; d != nil {
		j.live(&next, *d)
	}
	if next.Previous == next.Live {
		next.Previous = ""
	}
	next.Back = j.back(&next, old)
	next.Split = j.split(&next, old.Split)
	next.Bake = j.bake(&next, old.Bake)
	next.Retired = retirements(old.Retired)
	next.Paused = j.pause(svc.Name, old.Paused)
	out := j.restored(s, &next, old.Restored)
	for _, name := range sortedKeys(old.Backends) {
		out = j.backend(out, old.Backends[name])
	}
	return out.judged()
}

// pause goes on over a restart, however long that took: whoever paused a service is still at work on it.
func (j *joiner) pause(service string, p *Pause) *Pause {
	if p != nil && !p.Until.After(j.at) {
		j.ended(service, "the pause of %s was over before this start: it serves", service)
		return nil
	}
	return p
}

// split goes on beside the pool that it was made beside, with the pools that there still are.
func (j *joiner) split(svc *Service, sp *Split) *Split {
	if sp == nil {
		return nil
	}
	if sp.Live != svc.Live {
		j.ended(svc.Name, "%s was split beside %s, and %s is live now: the split has ended", svc.Name, sp.Live, svc.Live)
		return nil
	}
	for _, a := range sp.Arms {
		if svc.Pool(a.Pool) == nil {
			j.ended(svc.Name, "the file has no pool %s in %s any more, which took a share: the split has ended", a.Pool, svc.Name)
			return nil
		}
	}
	return sp
}

func (j *joiner) previous(svc *Service, pool string) string {
	if pool != "" && svc.Pool(pool) == nil {
		j.ended(svc.Name, "the file has no pool %s in %s any more: there is nothing to roll back to", pool, svc.Name)
		return ""
	}
	return pool
}

// live decides between the file's live pool and the decided one.
func (j *joiner) live(svc *Service, d Decision) {
	switch {
	case svc.Pool(d.Value) == nil:
		j.ended(svc.Name, "%s was flipped to %s, which the file no longer has: %s is live, as the file says", svc.Name, d.Value, svc.Live)
	case svc.Live == d.File:
		svc.Live, svc.Decided, svc.Since, svc.Cause = d.Value, &d, d.At, d.Cause
	case svc.Live == d.Value:
		svc.Since, svc.Cause = d.At, d.Cause
	default:
		j.ended(svc.Name, "the file's live pool of %s changed from %s to %s since it was flipped to %s: the file wins",
			svc.Name, d.File, svc.Live, d.Value)
		svc.Previous = d.Value
	}
}

func (j *joiner) backend(svc *Service, old savedBackend) *Service {
	if old.Admin == nil {
		return svc
	}
	var b *Backend
	if p := svc.Pool(old.Pool); p != nil {
		if p.named(old.Name) != nil && p.Backend(old.Address) == nil {
			return svc.withPool(p.keeping(old))
		}
		b = p.Backend(old.Address)
	}
	if b == nil {
		if old.Admin.Value != string(Ready) {
			j.ended(svc.Name, "backend %s/%s was in %s, and the file no longer has it", old.Pool, old.Address, old.Admin.Value)
		}
		return svc
	}
	next := *b
	next.Admin, next.Decided = Admin(old.Admin.Value), old.Admin
	if sticky := svc.File.Sticky; old.Keep != nil && sticky != nil && sticky.Keep {
		next.Keep = *old.Keep
	}
	return svc.with(&next)
}
