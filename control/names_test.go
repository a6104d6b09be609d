package control

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"sluice/config"
	"sluice/healthcheck"
	"sluice/names"
	"sluice/upstream"
)

func foundAt(weight int, addresses ...string) names.Finding {
	f := names.Finding{Asked: startedAt}
	for _, a := range addresses {
		f.Answer.Addresses = append(f.Answer.Addresses, names.Address{At: netip.MustParseAddrPort(a), Weight: weight, Target: "host"})
	}
	return f
}

// membersOf is a pool in one line: "10.0.0.1:80 of app:80, …".
func membersOf(p *Pool) string {
	var all []string
	for _, b := range p.Backends {
		text := b.Address()
		if b.Name != "" {
			text += " of " + b.Name
		}
		if b.Gone {
			text += " gone"
		}
		all = append(all, text)
	}
	return strings.Join(all, ", ")
}

func mustLearn(t *testing.T, s State, name string, f names.Finding) State {
	t.Helper()
	next, err := learnt(nameOf(&config.Backend{Name: namedBackend(name).Name}), f)(s)
	if err != nil {
		t.Fatal(err)
	}
	if next.Generation != s.Generation || next.Members != s.Members+1 {
		t.Errorf("generation %d → %d, members %d → %d", s.Generation, next.Generation, s.Members, next.Members)
	}
	return next
}

// untilMembers waits until blue has that many backends and all are up.
func (w *world) untilMembers(n int) {
	w.t.Helper()
	w.until(fmt.Sprintf("%d are up", n), func() bool {
		p := w.c.State().Services["web"].Pool("blue")
		return len(p.Backends) == n && p.eligible() == n
	})
}

// TestOneAddressInManyPlaces: it is one backend of the pool, belongs to the first place, and goes on with another one.
func TestOneAddressInManyPlaces(t *testing.T) {
	s := fromFile(fileOf(t, "web blue=@app:80,@other:80,10.0.0.1:80 green=@app:80"), startedAt, Cause{})
	pool := func() *Pool { return s.Services["web"].Pool("blue") }
	want := func(text string) {
		t.Helper()
		if got := membersOf(pool()); got != text {
			t.Errorf("got %s\nwant %s", got, text)
		}
	}
	want("10.0.0.1:80")
	s = s.observed(Key{"web", "blue", "10.0.0.1:80"}, healthcheck.Verdict{State: healthcheck.Up})
	s = mustLearn(t, s, "app:80", foundAt(1, "10.0.0.1:80", "10.0.0.2:80"))
	want("10.0.0.1:80 of app:80, 10.0.0.2:80 of app:80")
	if got := membersOf(s.Services["web"].Pool("green")); got != "10.0.0.1:80 of app:80, 10.0.0.2:80 of app:80" {
		t.Errorf("the other pool that has the name: %s", got)
	}
	s = mustLearn(t, s, "other:80", foundAt(1, "10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80"))
	want("10.0.0.1:80 of app:80, 10.0.0.2:80 of app:80, 10.0.0.3:80 of other:80")
	s = mustLearn(t, s, "app:80", foundAt(1, "10.0.0.9:80"))
	want("10.0.0.9:80 of app:80, 10.0.0.1:80 of other:80, 10.0.0.2:80 of other:80, 10.0.0.3:80 of other:80")
	s = mustLearn(t, s, "other:80", foundAt(1, "10.0.0.3:80"))
	want("10.0.0.9:80 of app:80, 10.0.0.3:80 of other:80, 10.0.0.1:80")
	if b := pool().Backend("10.0.0.1:80"); !b.Eligible() || b.Gone {
		t.Error("it was up in each of its places, and never gone")
	}
	if _, err := learnt(names.Name{Host: "nobody", Port: 80}, foundAt(1, "10.0.0.3:80"))(s); err != ErrUnchanged {
		t.Errorf("a name that nobody has: %v", err)
	}
}

// TestTheLastOnesStay only while nothing else takes traffic.
func TestTheLastOnesStay(t *testing.T) {
	s := fromFile(fileOf(t, "web blue=@app:80"), startedAt, Cause{})
	see := func(address string, state healthcheck.State) {
		k := Key{"web", "blue", address}
		s = s.observed(k, healthcheck.Verdict{State: state})
		if next, err := outgrown("web", "blue")(s); err == nil {
			s = next
		}
	}
	want := func(why, text string) {
		t.Helper()
		if got := membersOf(s.Services["web"].Pool("blue")); got != text {
			t.Errorf("%s: got %s, want %s", why, got, text)
		}
	}
	s = mustLearn(t, s, "app:80", foundAt(1, "10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80"))
	see("10.0.0.1:80", healthcheck.Up)
	see("10.0.0.2:80", healthcheck.Up)
	see("10.0.0.3:80", healthcheck.Down)
	s = mustLearn(t, s, "app:80", foundAt(1, "10.0.0.8:80", "10.0.0.9:80"))
	want("those that were up stay", "10.0.0.8:80 of app:80, 10.0.0.9:80 of app:80, 10.0.0.1:80 of app:80 gone, 10.0.0.2:80 of app:80 gone")
	see("10.0.0.8:80", healthcheck.Down)
	see("10.0.0.2:80", healthcheck.Down)
	want("one is down", "10.0.0.8:80 of app:80, 10.0.0.9:80 of app:80, 10.0.0.1:80 of app:80 gone")
	s = mustLearn(t, s, "app:80", foundAt(1, "10.0.0.1:80", "10.0.0.9:80"))
	want("it comes back", "10.0.0.1:80 of app:80, 10.0.0.9:80 of app:80")
	s = mustLearn(t, s, "app:80", foundAt(1, "10.0.0.9:80"))
	see("10.0.0.9:80", healthcheck.Up)
	want("something new is up", "10.0.0.9:80 of app:80")
	see("10.0.0.9:80", healthcheck.Down)
	want("denied by nobody", "10.0.0.9:80 of app:80")
	s = mustLearn(t, s, "app:80", names.Finding{Failure: "NXDOMAIN", Absent: true})
	s = s.grown()
	want("denied and down", "")
}

func TestSharesOfServiceRecords(t *testing.T) {
	cfg := fileOf(t, "web blue=10.0.0.9:80")
	cfg.Services[0].Pools[0].Backends[0].Name = config.Name{Host: "_http._tcp.app", Service: true}
	s := fromFile(cfg, startedAt, Cause{})
	name := names.Name{Host: "_http._tcp.app", Service: true}
	for _, weight := range []int{3, 7} {
		next, err := learnt(name, foundAt(weight, "10.0.0.1:3000"))(s)
		if err != nil {
			t.Fatal(err)
		}
		s = next
		if b := s.Services["web"].Pools[0].Backends[0]; b.Weight != weight || b.Host != "host:3000" {
			t.Errorf("%+v", b)
		}
	}
}

// TestManyNamesAtOnce: pools grow and shrink while requests enter and leave. Nobody is sent to what is gone, each drain
// ends, and no gate is left with somebody inside.
func TestManyNamesAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "web blue=@app:80,@other:80")
		all := make([]string, 20)
		for i := range all {
			all[i] = fmt.Sprintf("10.0.0.%d:80", i+1)
		}
		w.servers.up("v1", all...)
		w.dns.set("app:80", "", all[:3]...)
		w.dns.set("other:80", "", all[2:5]...)
		w.mustStart()
		w.untilMembers(5)
		for round := range 60 {
			var leases []upstream.Lease
			for range 10 {
				lease := w.mustClaim("web")
				if w.c.State().Backend(Key{"web", "blue", lease.Backend.Name}) == nil {
					t.Errorf("round %d: sent to %s, which is gone", round, lease.Backend.Name)
				}
				leases = append(leases, lease)
			}
			from := round * 7 % 15
			w.dns.set("app:80", "", all[from:from+3]...)
			w.dns.set("other:80", "", all[from+1:from+5]...)
			if round%9 == 0 {
				w.dns.set("other:80", "SERVFAIL")
			}
			time.Sleep(7 * time.Second)
			for _, l := range leases {
				l.Release()
			}
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		w.c.prune()
		if left := w.c.now.Load().leaving; len(left) != 0 {
			t.Errorf("%d gates are not empty", len(left))
		}
		n := len(w.c.State().Services["web"].Pool("blue").Backends)
		if checks, endpoints := len(w.c.now.Load().checks), len(w.c.now.Load().built.endpoints); checks != n || endpoints != n {
			t.Errorf("%d backends, %d checks, %d endpoints", n, checks, endpoints)
		}
		if w.c.Generation() != 1 {
			t.Errorf("generation %d, and nobody decided anything", w.c.Generation())
		}
		ended := 0
		for _, e := range w.heard() {
			if e.Kind == "drain" && e.Receipt.Done {
				ended++
			}
		}
		if ended < 20 {
			t.Errorf("only %d drains: nothing was tried", ended)
		}
		w.c.Close()
	})
}

// TestAFailedCheckLooksTheNameUp: the container was replaced, and its name has long to live.
func TestAFailedCheckLooksTheNameUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "web blue=@app:80")
		w.cfg.DNS = config.DNS{Least: time.Hour, Most: time.Hour}
		w.servers.up("v1", "10.0.0.1:80", "10.0.0.2:80")
		w.dns.set("app:80", "", "10.0.0.1:80")
		w.mustStart()
		w.untilMembers(1)
		w.servers.down("refused", "10.0.0.1:80")
		w.dns.set("app:80", "", "10.0.0.2:80")
		began := time.Now()
		w.until("the other one is up", func() bool {
			p := w.c.State().Services["web"].Pool("blue")
			return len(p.Backends) == 1 && p.Backends[0].Address() == "10.0.0.2:80" && p.eligible() == 1
		})
		if took := time.Since(began); took > 3*time.Second || w.dns.lookups() != 2 {
			t.Errorf("it took %s and %d lookups", took, w.dns.lookups())
		}
		w.c.Close()
	})
}

// TestStaticPoolsAreAskedForByNobody: a file without names starts no watch and no lookup.
func TestStaticPoolsAreAskedForByNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "web blue=10.0.0.1:80")
		w.servers.up("v1", "10.0.0.1:80")
		w.mustStart()
		time.Sleep(time.Hour)
		if n := len(w.c.now.Load().watches); n != 0 || w.dns.lookups() != 0 {
			t.Errorf("%d watches, %d lookups", n, w.dns.lookups())
		}
		w.c.Close()
	})
}

// TestDecisionsThatCannotBeForgotten: a disk that is full is told of, and the address goes all the same.
func TestDecisionsThatCannotBeForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "web blue=@app:80")
		w.servers.up("v1", "10.0.0.1:80", "10.0.0.2:80")
		w.dns.set("app:80", "", "10.0.0.1:80", "10.0.0.2:80")
		w.mustStart()
		w.untilMembers(2)
		if _, err := w.c.SetAdmin(t.Context(), "web", "10.0.0.1:80", "", Drain, AdminWant{}, operator()); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		w.heard()
		w.disk.fail(fmt.Errorf("full"))
		w.dns.set("app:80", "", "10.0.0.2:80")
		time.Sleep(10 * time.Second)
		synctest.Wait()
		var kinds []string
		for _, e := range w.heard() {
			kinds = append(kinds, e.Kind)
		}
		if !slices.Contains(kinds, "storage") || len(w.c.State().Services["web"].Pool("blue").Backends) != 1 {
			t.Errorf("told %v: %s", kinds, describe(w.c.State()))
		}
		w.c.Close()
	})
}
