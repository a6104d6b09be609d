package control

import (
	"sync/atomic"
	"time"

	"sluice/config"
	"sluice/proxy"
	"sluice/upstream"
)

// ties are what the requests of a service go by beside the load of its backends. They last as long as what they are made
// from.
type ties struct {
	sticky *proxy.Sticky
	loads  map[string]*atomic.Int64 // of the pools that new requests go to, where they go by a hash
}

func (bd *builder) ties(svc *Service, old *builtService) ties {
	var t ties
	if old != nil && old.from.File == svc.File {
		t.sticky = old.ties.sticky
	} else if file := svc.File.Sticky; file != nil {
		t.sticky = proxy.NewSticky(svc.Name, svc.File.Path, file.Cookie, file.TTL, bd.secretOf(file))
	}
	if svc.File.Balance != balanceHash {
		return t
	}
	t.loads = map[string]*atomic.Int64{}
	for _, p := range svc.Pools {
		if !svc.serves(p.Name) {
			continue
		}
		if t.loads[p.Name] = new(atomic.Int64); old != nil && old.ties.loads[p.Name] != nil {
			t.loads[p.Name] = old.ties.loads[p.Name]
		}
	}
	return t
}

func (bd *builder) secretOf(file *config.Sticky) []byte {
	if len(file.Secret) > 0 {
		return file.Secret
	}
	return bd.secret
}

// bind marks a backend's place with what it is tied by. old is the place that it goes on from, or nil.
func (t ties) bind(b, old *upstream.Backend, now time.Time) {
	b.Load = t.loads[b.Pool]
	if t.sticky == nil {
		return
	}
	b.ID = t.sticky.ID(b.Name)
	if old != nil && old.Pins != nil {
		b.Pins = old.Pins
	} else {
		b.Pins = upstream.NewPins(now)
	}
}

// balanceHash is how the configuration calls upstream.Hash.
const balanceHash = "hash"

func balance(name string) upstream.Balance {
	switch name {
	case "round_robin":
		return upstream.RoundRobin
	case balanceHash:
		return upstream.Hash
	}
	return upstream.LeastRequests
}
