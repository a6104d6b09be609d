package control

import (
	"cmp"
	"maps"
	"net/netip"
	"strings"

	"sluice/judge"
	"sluice/proxy"
)

// parting is what lasts as long as a split: its cookies, and what it counts.
type parting struct {
	tickets *proxy.Tickets
	counts  *proxy.SplitCounters
	began   map[string]judge.Sample // what each pool had done when it came to have a part
}

func (bd *builder) parting(svc *Service, old *builtService) *parting {
	if svc.Split == nil {
		return nil
	}
	next := parting{began: map[string]judge.Sample{}}
	if old != nil && old.parting != nil && old.parting.tickets.ID == svc.Split.ID {
		next.tickets, next.counts = old.parting.tickets, old.parting.counts
		maps.Copy(next.began, old.parting.began)
	} else {
		next.tickets, next.counts = proxy.NewTickets(svc.Name, svc.File.Path, svc.Split.ID, bd.splitSecret(svc)), &proxy.SplitCounters{}
	}
	for _, f := range bd.figuresOf(svc) {
		if _, has := next.began[f.Pool]; svc.serves(f.Pool) && !has {
			next.began[f.Pool] = f.Sample()
		}
	}
	return &next
}

// splitSecret is the one of pins.
func (bd *builder) splitSecret(svc *Service) []byte {
	if svc.File.Sticky != nil {
		return bd.secretOf(svc.File.Sticky)
	}
	return bd.secret
}

// split is how requests find their pool; nil: all go to the live one. While a service is paused all wait, whichever pool they
// are for, and are sent on when it goes on.
func (one *builtService) split() *proxy.Split {
	svc := one.from
	if svc.Split == nil || svc.Paused != nil {
		return nil
	}
	out := &proxy.Split{Tickets: one.parting.tickets, Counts: one.parting.counts}
	for i := range svc.Split.Arms {
		a := proxy.Arm{Pool: one.pools[svc.Split.Arms[i].Pool]}
		for _, s := range svc.Split.Arms[i].Spans {
			a.Spans = append(a.Spans, proxy.Span{From: s[0], To: s[1]})
		}
		out.Arms = append(out.Arms, a)
	}
	for _, r := range svc.Split.Rules {
		out.Rules = append(out.Rules, one.rule(r))
	}
	return out
}

func (one *builtService) rule(r SplitRule) proxy.Rule {
	out := proxy.Rule{Header: strings.ToLower(r.Header), Cookie: r.Cookie, Value: r.Value}
	if r.Pool != one.from.Live {
		out.Pool = one.pools[r.Pool]
	}
	out.From, _ = netip.ParsePrefix(cmp.Or(r.From, "none")) // it was read when it was decided on
	return out
}

// inArms are the backends that take a share of the requests.
func (svc *Service) inArms() (all []*Backend) {
	for _, p := range svc.Pools {
		for _, b := range p.Backends {
			if svc.arm(p.Name) != nil && b.Eligible() {
				all = append(all, b)
			}
		}
	}
	return all
}
