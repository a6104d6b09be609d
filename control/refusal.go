package control

import (
	"fmt"
	"slices"
	"strings"

	"sluice/healthcheck"
)

// find returns the service, or says which there are. It also refuses a caller that has seen another generation.
func (s State) find(service string, ifMatch *uint64) (*Service, error) {
	svc := s.Services[service]
	if svc == nil {
		return nil, &Refusal{
			Kind: "unknown",
			What: fmt.Sprintf("there is no service %q", service),
			Hint: "the services are: " + strings.Join(s.Order, ", "),
		}
	}
	if ifMatch != nil && *ifMatch != s.Generation {
		return nil, &Refusal{
			Kind: "generation",
			What: fmt.Sprintf("the state is at generation %d, not %d: somebody changed it meanwhile", s.Generation, *ifMatch),
			Hint: "look at `sluice history`, then ask again with the new generation",
		}
	}
	return svc, nil
}

// find returns the pool, or says which there are.
func (svc *Service) find(pool string) (*Pool, error) {
	if p := svc.Pool(pool); p != nil {
		return p, nil
	}
	var names []string
	for _, p := range svc.Pools {
		names = append(names, p.Name)
	}
	return nil, &Refusal{
		Kind: "unknown",
		What: fmt.Sprintf("service %s has no pool %q", svc.Name, pool),
		Hint: "its pools are: " + strings.Join(names, ", "),
	}
}

// locate finds a backend by ADDRESS or POOL/ADDRESS; pool narrows the choice when it is given.
func (svc *Service) locate(pool, backend string) (*Backend, error) {
	if pool != "" {
		if _, err := svc.find(pool); err != nil {
			return nil, err
		}
	}
	var found []*Backend
	for _, p := range svc.Pools {
		for _, b := range p.Backends {
			if b.isNamed(pool, backend) {
				found = append(found, b)
			}
		}
	}
	switch len(found) {
	case 0:
		return nil, svc.noBackend(pool, backend)
	case 1:
		return found[0], nil
	}
	return nil, ambiguous(backend, found)
}

func (b *Backend) isNamed(pool, backend string) bool {
	if pool != "" && pool != b.Pool() {
		return false
	}
	return slices.Contains([]string{b.Address(), b.Pool() + "/" + b.Address()}, backend) ||
		b.Name != "" && !b.Gone && slices.Contains([]string{b.Name, b.Pool() + "/" + b.Name}, backend)
}

func (svc *Service) noBackend(pool, backend string) error {
	where := "service " + svc.Name
	if pool != "" {
		where = "pool " + pool + " of " + where
	}
	var names []string
	for _, p := range svc.Pools {
		for _, b := range p.Backends {
			if pool == "" || pool == p.Name {
				names = append(names, p.Name+"/"+b.Address())
			}
		}
	}
	if n := svc.nameless(pool, backend); n != nil {
		return &Refusal{
			Kind: "unknown",
			What: n.trouble(),
			Hint: "a name is looked up again and again; ask again when `sluice status` shows an address",
		}
	}
	return &Refusal{
		Kind: "unknown",
		What: fmt.Sprintf("%s has no backend %q", where, backend),
		Hint: "its backends are: " + list(names),
	}
}

// nameless is the name that is meant, where it has no address; else nil.
func (svc *Service) nameless(pool, backend string) *Named {
	for _, p := range svc.Pools {
		if pool != "" && pool != p.Name {
			continue
		}
		for _, n := range p.Named {
			if (backend == n.File.Address || backend == p.Name+"/"+n.File.Address) && n.trouble() != "" {
				return n
			}
		}
	}
	return nil
}

func ambiguous(backend string, found []*Backend) error {
	var names []string
	for _, b := range found {
		names = append(names, b.Pool()+"/"+b.Address())
	}
	if b := found[0]; b.Name != "" && (backend == b.Name || backend == b.Pool()+"/"+b.Name) {
		return &Refusal{
			Kind: "conflict",
			What: fmt.Sprintf("%s stands for %d backends, and this is done to one", backend, len(found)),
			Hint: "write which one is meant: " + list(names),
		}
	}
	return &Refusal{
		Kind: "conflict",
		What: fmt.Sprintf("%s is in more than one pool", backend),
		Hint: "write which one is meant: " + strings.Join(names, " or "),
	}
}

func nothingBefore(service string) error {
	return &Refusal{
		Kind: "conflict",
		What: fmt.Sprintf("there is nothing to roll back to: %s has no previous pool", service),
		Hint: fmt.Sprintf("flip to a pool by its name: sluice flip %s POOL", service),
	}
}

func (p *Pool) notReady(service string) error {
	return &Refusal{
		Kind: "unhealthy",
		What: fmt.Sprintf("rollback NOT READY: no backend of %s is up: %s", p.Name, p.troubles()),
		Hint: fmt.Sprintf("start the backends of %s, then run `sluice rollback %s` again", p.Name, service),
	}
}

func (p *Pool) notUp(service string, up, ready int) error {
	if len(p.Backends) == 0 {
		return &Refusal{
			Kind: "unhealthy",
			What: fmt.Sprintf("%s has no backend: %s", p.Name, p.troubles()),
			Hint: "start servers under that name, or mend the DNS; then flip again",
		}
	}
	if ready == 0 {
		return &Refusal{
			Kind: "unhealthy",
			What: fmt.Sprintf("no backend of %s is ready: %s", p.Name, p.troubles()),
			Hint: fmt.Sprintf("let one take traffic: sluice ready %s %s/%s", service, p.Name, p.first()),
		}
	}
	if want := p.wrongBuilds(); want != "" {
		return &Refusal{
			Kind: "release",
			What: fmt.Sprintf("%s is not release %s: %s", p.Name, want, p.troubles()),
			Hint: fmt.Sprintf("start release %s on the backends of %s, or change what is expected of them", want, p.Name),
		}
	}
	return &Refusal{
		Kind: "unhealthy",
		What: fmt.Sprintf("%d of %d are up in %s: %s", up, ready, p.Name, p.troubles()),
		Hint: fmt.Sprintf("mend what is down, or take it out with `sluice drain %s BACKEND`; then flip again", service),
	}
}

// wrongBuilds returns the expected release when nothing but that keeps the pool from taking traffic.
func (p *Pool) wrongBuilds() (want string) {
	for _, b := range p.Backends {
		if b.Admin != Ready || b.Eligible() {
			continue
		}
		if _, kind, _ := b.condition(); kind != healthcheck.WrongBuild {
			return ""
		}
		want = b.Want
	}
	return want
}

func (p *Pool) first() string {
	if len(p.Backends) == 0 {
		return "BACKEND"
	}
	return p.Backends[0].Address()
}

// troubles says of each backend that takes no traffic why that is.
func (p *Pool) troubles() string {
	var all []string
	for _, b := range p.Backends {
		if !b.Eligible() && (b.Admin == Ready || p.ready() == 0) {
			all = append(all, b.Address()+" "+b.trouble())
		}
	}
	return list(append(all, p.unresolved()...))
}

// unresolved says of each name without an address why that is.
func (p *Pool) unresolved() (all []string) {
	for _, n := range p.Named {
		if why := n.trouble(); why != "" {
			all = append(all, why)
		}
	}
	return all
}

func (b *Backend) trouble() string {
	state, _, reason := b.condition()
	switch {
	case b.Admin != Ready:
		return "is in " + string(b.Admin)
	case state == healthcheck.Up && b.Ejection.Out():
		return fmt.Sprintf("ejected (%s)", b.Ejection.Why)
	case reason != "":
		return fmt.Sprintf("%s (%s)", state, reason)
	case state == healthcheck.Unknown:
		return "unknown (no check has ended yet)"
	}
	return state.String()
}

// releases names what the eligible backends of the pool report: "v1", or "v1+v2" when they differ.
func (p *Pool) releases() string { return strings.Join(p.releaseList(), "+") }

func (p *Pool) releaseList() (all []string) {
	for _, b := range p.Backends {
		if r := b.Health.Release; b.Eligible() && r != "" && !slices.Contains(all, r) {
			all = append(all, r)
		}
	}
	slices.Sort(all)
	return all
}

func unknownAdmin(admin Admin) error {
	return &Refusal{
		Kind: "unknown",
		What: fmt.Sprintf("a backend cannot be in %q", admin),
		Hint: "write ready, drain or maint",
	}
}
