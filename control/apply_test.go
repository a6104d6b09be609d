package control

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"sluice/healthcheck"
	"sluice/proxy"
	"sluice/upstream"
)

func TestAFailedSaveChangesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "web live=blue blue=a:1,a:2 green=b:1")
		w.servers.up("v1", "a:1", "a:2", "b:1")
		w.mustStart()
		defer w.c.Close()
		synctest.Wait()
		snapshot, before, records := w.proxy.Snapshot(), describe(w.c.State()), len(w.disk.records)
		w.disk.fail(errors.New("no space left on device"))
		commands := map[string]func() error{
			"flip": func() error { _, err := w.c.Flip(t.Context(), "web", "green", FlipWant{}, operator()); return err },
			"drain": func() error {
				_, err := w.c.SetAdmin(t.Context(), "web", "a:1", "", Drain, AdminWant{}, operator())
				return err
			},
			"maint": func() error {
				_, err := w.c.SetAdmin(t.Context(), "web", "a:2", "", Maint, AdminWant{}, operator())
				return err
			},
		}
		for name, do := range commands {
			if r := refusalOf(t, do()); r.Kind != "storage" {
				t.Errorf("%s: refused as %s", name, r.Kind)
			}
			if w.proxy.Snapshot() != snapshot || describe(w.c.State()) != before || len(w.disk.records) != records {
				t.Errorf("%s: something changed:\n%s", name, describe(w.c.State()))
			}
			for range 2 {
				lease := w.mustClaim("web")
				lease.Release()
			}
		}
	})
}

// A process that is killed around a save finds, when it starts again, exactly the old or exactly the new State.
func TestKilledAroundASave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "web live=blue blue=a:1,a:2 green=b:1")
		w.servers.up("v1", "a:1", "a:2", "b:1")
		w.mustStart()
		defer w.c.Close()
		synctest.Wait()
		for _, change := range []Change{
			flip("web", "green", FlipWant{}, moment{time.Now(), operator()}),
			setAdmin("web", "blue", "a:2", Drain, AdminWant{}, moment{time.Now(), operator()}),
			rollback("web", FlipWant{}, moment{time.Now(), operator()}),
		} {
			old, before := w.disk.copy(), w.c.State()
			applied, err := w.c.Apply(t.Context(), change, operator())
			if err != nil {
				t.Fatal(err)
			}
			checkComesBack(t, w, old, before, "killed before the save")
			checkComesBack(t, w, w.disk.copy(), applied.After, "killed after the save")
		}
	})
}

func checkComesBack(t *testing.T, w *world, disk *memory, want State, why string) {
	t.Helper()
	again := &world{t: t, cfg: w.cfg, disk: disk, servers: w.servers}
	again.mustStart()
	defer again.c.Close()
	synctest.Wait()
	if got := again.c.State(); describe(got) != describe(want) {
		t.Errorf("%s: came back as\n%swant\n%s", why, describe(got), describe(want))
	}
	live := want.Services["web"].Live
	if lease, err := again.claim("web"); err != nil || lease.Backend.Pool != live {
		t.Errorf("%s: the first request after the start: %v, want pool %s", why, err, live)
	} else {
		lease.Release()
	}
}

func TestHealthIsNotADecision(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "web blue=a:1,a:2")
		w.servers.up("v1", "a:1", "a:2")
		w.mustStart()
		defer w.c.Close()
		synctest.Wait()
		saves, generation := w.disk.saves, w.c.Generation()
		lease := w.mustClaim("web")
		inside := lease.Backend
		w.servers.down("connection refused", inside.Name)
		time.Sleep(10 * time.Second)
		if n := len(w.proxy.Snapshot().Route(nil, []byte("/web")).Live.Backends()); n != 1 {
			t.Errorf("%d backends in the choice, want the one that is up", n)
		}
		if inside.Gate.Closed() {
			t.Error("the gate of a backend that went down was closed: what is inside may still finish")
		}
		w.servers.up("v1", inside.Name)
		time.Sleep(10 * time.Second)
		for _, b := range w.proxy.Snapshot().Route(nil, []byte("/web")).Live.Backends() {
			if b.Name == inside.Name && b.Gate != inside.Gate {
				t.Error("it came back with another gate, though it was never taken out")
			}
		}
		lease.Release()
		if w.disk.saves != saves || w.c.Generation() != generation {
			t.Errorf("health was saved: %d saves, generation %d → %d", w.disk.saves-saves, generation, w.c.Generation())
		}
	})
}

// A verdict that was on its way when the backend was taken out of the checks says nothing any more.
func TestAStaleVerdictIsIgnored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "web blue=a:1,a:2")
		w.servers.up("v1", "a:1", "a:2")
		w.mustStart()
		defer w.c.Close()
		synctest.Wait()
		k := Key{"web", "blue", "a:1"}
		old := w.c.now.Load().checks[k]
		setAdminNow(t, w, "a:1", Maint)
		setAdminNow(t, w, "a:1", Drain)
		w.servers.down("connection refused", "a:1")
		setAdminNow(t, w, "a:1", Ready)
		synctest.Wait()
		w.c.findings.add(finding{old, healthcheck.Verdict{State: healthcheck.Up, Release: "v0"}})
		now := w.c.now.Load().checks[k]
		w.c.findings.add(finding{now, healthcheck.Verdict{State: healthcheck.Up, Release: "v0", Epoch: now.epoch - 1}})
		w.c.takeFindings()
		if b := w.c.State().Backend(k); b.Health.State == healthcheck.Up {
			t.Errorf("a verdict of another incarnation was believed: %+v", b.Health)
		}
	})
}

func setAdminNow(t *testing.T, w *world, backend string, admin Admin) *Operation {
	t.Helper()
	op, err := w.c.SetAdmin(t.Context(), "web", backend, "", admin, AdminWant{}, operator())
	if err != nil {
		t.Fatal(err)
	}
	return op
}

func TestAChangeThatCannotBeBuiltIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "web blue=a:1", "api blue=b:1")
		w.mustStart()
		defer w.c.Close()
		synctest.Wait()
		before := w.c.now.Load()
		wrong := map[string]Change{
			"a live pool that is not there": func(s State) (State, error) {
				svc := *s.Services["web"]
				svc.Live = "red"
				return s.with(&svc), nil
			},
			"two services with one route": func(s State) (State, error) {
				svc := *s.Services["web"]
				file := *svc.File
				file.Path = "/api"
				svc.File = &file
				return s.with(&svc), nil
			},
			"a service without a place": func(s State) (State, error) {
				return s.with(&Service{Name: "shop"}), nil
			},
		}
		for why, change := range wrong {
			_, err := w.c.Apply(t.Context(), change, operator())
			if r := refusalOf(t, err); r.Kind != "conflict" {
				t.Errorf("%s: refused as %s", why, r.Kind)
			}
			if w.c.now.Load() != before {
				t.Errorf("%s: something changed", why)
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := w.c.Apply(ctx, func(s State) (State, error) { return s, nil }, operator()); err != context.Canceled {
			t.Errorf("with a cancelled context: %v", err)
		}
	})
}

// TestInvariants plays random commands and verdicts and looks after each whether everything that must hold does.
func TestInvariants(t *testing.T) {
	for seed := range uint64(10) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { playRandom(t, rand.New(rand.NewPCG(seed, 1))) })
		})
	}
}

func playRandom(t *testing.T, rnd *rand.Rand) {
	w := newWorld(t, "web blue=a:1,a:2,a:3 green=b:1,b:2 red=a:1,c:1", "api one=a:1 two=d:1,d:2")
	w.mustStart()
	defer func() { w.c.Close() }()
	var leases []upstream.Lease
	for range 120 {
		before := w.c.Generation()
		decided, what := randomStep(w, rnd, &leases)
		synctest.Wait()
		if after := w.c.Generation(); after != before+decided {
			t.Fatalf("%s: generation %d → %d, want %d more", what, before, after, decided)
		}
		checkInvariants(t, w, what)
	}
	for _, l := range leases {
		l.Release()
	}
	synctest.Wait()
	if rest := unfinished(w.c.now.Load().leaving); len(rest) > 0 {
		t.Errorf("all leases are released, and %d gates are not empty", len(rest))
	}
}

// randomStep does something and returns by how much the generation must rise.
func randomStep(w *world, rnd *rand.Rand, leases *[]upstream.Lease) (uint64, string) {
	addresses := []string{"a:1", "a:2", "a:3", "b:1", "b:2", "c:1", "d:1", "d:2"}
	service := []string{"web", "web", "api"}[rnd.IntN(3)]
	svc := w.c.State().Services[service]
	pool := svc.Pools[rnd.IntN(len(svc.Pools))]
	backend := pool.Backends[rnd.IntN(len(pool.Backends))].Address()
	switch n := rnd.IntN(20); {
	case n < 6:
		w.servers.up(fmt.Sprintf("v%d", rnd.IntN(2)), addresses[rnd.IntN(len(addresses))])
		return 0, "up"
	case n < 7:
		w.servers.down("status 500", addresses[rnd.IntN(len(addresses))])
		return 0, "down"
	case n < 9:
		time.Sleep(time.Duration(rnd.IntN(5000)) * time.Millisecond)
		return 0, "wait"
	case n < 11:
		if l, err := w.claim(service); err == nil {
			*leases = append(*leases, l)
		}
		return 0, "claim"
	case n < 12 && len(*leases) > 0:
		(*leases)[0].Release()
		*leases = (*leases)[1:]
		return 0, "release"
	case n < 15:
		op, err := w.c.Flip(w.t.Context(), service, pool.Name, FlipWant{}, operator())
		return decided(op, err), "flip " + service + " " + pool.Name
	case n < 15+2 && service == "web" && rnd.IntN(2) == 0:
		want := randomSplit(rnd, svc)
		op, err := w.c.Split(w.t.Context(), service, want, operator())
		return decided(op, err), fmt.Sprintf("split %v %v", want.Shares, want.Only)
	case n < 16:
		op, err := w.c.Rollback(w.t.Context(), service, FlipWant{}, operator())
		return decided(op, err), "rollback " + service
	case n < 17:
		w.disk.fail(errors.New("full"))
		defer w.disk.fail(nil)
		_, err := w.c.SetAdmin(w.t.Context(), service, backend, pool.Name, Drain, AdminWant{}, operator())
		_ = err
		return 0, "drain with a full disk"
	default:
		admin := []Admin{Ready, Ready, Drain, Maint}[rnd.IntN(4)]
		op, err := w.c.SetAdmin(w.t.Context(), service, backend, pool.Name, admin, AdminWant{}, operator())
		return decided(op, err), string(admin) + " " + service + " " + pool.Name + "/" + backend
	}
}

func randomSplit(rnd *rand.Rand, svc *Service) SplitWant {
	want := SplitWant{Shares: map[string]int{}}
	for _, p := range svc.Pools {
		if p.Name != svc.Live && rnd.IntN(2) == 0 {
			want.Shares[p.Name] = []int{0, 1, 500, 2500, 5000, whole}[rnd.IntN(6)]
		}
	}
	if rnd.IntN(4) == 0 {
		want.Only, want.Rules = true, []RuleText{{ByHeader, svc.Live + "=X-Canary: never"}}
	}
	return want
}

func decided(op *Operation, err error) uint64 {
	if err != nil || op.Receipt().Unchanged {
		return 0
	}
	return 1
}

func checkInvariants(t *testing.T, w *world, what string) {
	t.Helper()
	n := w.c.now.Load()
	snapshot := w.proxy.Snapshot()
	if snapshot != n.built.snapshot || snapshot.Generation != n.state.Generation {
		t.Fatalf("%s: the proxy serves another snapshot than the State's", what)
	}
	for svc, b := range n.state.backends {
		checkBackend(t, n, svc, b, what)
	}
	for name, svc := range n.state.Services {
		one := snapshot.Route(nil, []byte("/"+name))
		checkOffered(t, n, one.Live, svc.Live, what)
		checkSplit(t, n, svc, one.Split, what)
	}
	for _, l := range n.leaving {
		if !l.gate.Closed() {
			t.Fatalf("%s: %s left and its gate is open", what, l.Key)
		}
	}
	checkSaved(t, w, n.state, what)
}

// checkOffered: requests that are for a pool find its backends that are well, and no other.
func checkOffered(t *testing.T, n *now, p *upstream.Pool, name, what string) {
	t.Helper()
	for _, up := range p.Backends() {
		b := n.state.Backend(Key{up.Service, up.Pool, up.Name})
		if up.Gate.Closed() || b == nil || !b.Eligible() || b.Pool() != name || up.Release != b.Health.Release {
			t.Fatalf("%s: the snapshot offers %s: closed %v, %+v", what, up.Name, up.Gate.Closed(), b)
		}
	}
}

// checkSplit: each number is of one pool, an arm has what it is to have, and is in the snapshot with its backends.
func checkSplit(t *testing.T, n *now, svc *Service, sp *proxy.Split, what string) {
	t.Helper()
	if (svc.Split == nil) != (sp == nil) {
		t.Fatalf("%s: %s in the State, and %+v in the snapshot", what, svc.sharesText(), sp)
	}
	if sp == nil {
		return
	}
	taken := map[uint32]string{}
	for i, a := range svc.Split.Arms {
		if a.Pool == svc.Live || sp.Arms[i].Pool.Name != a.Pool {
			t.Fatalf("%s: arm %d is %s, and %s in the snapshot", what, i, a.Pool, sp.Arms[i].Pool.Name)
		}
		checkOffered(t, n, sp.Arms[i].Pool, a.Pool, what)
		if up := sp.Arms[i].Pool.Backends(); len(up) != svc.Pool(a.Pool).eligible() {
			t.Fatalf("%s: %d of %s are offered, and %d are eligible", what, len(up), a.Pool, svc.Pool(a.Pool).eligible())
		}
		for _, s := range sp.Arms[i].Spans {
			for number := s.From; number < s.To; number++ {
				if taken[number] != "" {
					t.Fatalf("%s: number %d is of %s and of %s", what, number, taken[number], a.Pool)
				}
				taken[number] = a.Pool
			}
		}
	}
}

func checkBackend(t *testing.T, n *now, svc *Service, b *Backend, what string) {
	t.Helper()
	up := n.built.services[svc.Name].open[b.Key]
	if open := up != nil && !up.Gate.Closed(); open != (svc.serves(b.Pool()) && b.Admin == Ready) {
		t.Fatalf("%s: %s is %s in %s, live is %s: gate open %v", what, b.Key, b.Admin, b.Pool(), svc.Live, open)
	}
	if checked := n.checks[b.Key] != nil; checked != (b.Admin != Maint) {
		t.Fatalf("%s: %s is in %s and checked: %v", what, b.Key, b.Admin, checked)
	}
	if b.Admin == Maint && b.Health.State != healthcheck.Unknown {
		t.Fatalf("%s: %s is in maint and thought to be %s", what, b.Key, b.Health.State)
	}
	if n.built.endpoints[address{b.Network, b.Dial}] == nil {
		t.Fatalf("%s: %s has no endpoint", what, b.Key)
	}
}

// checkSaved looks whether what is on disk would bring the same decisions back.
func checkSaved(t *testing.T, w *world, s State, what string) {
	t.Helper()
	old, err := decode(w.disk.copy().state)
	if err != nil {
		t.Fatal(err)
	}
	back, ends := join(fromFile(w.cfg, time.Now(), Cause{}), old, time.Now(), Cause{})
	if len(ends) > 0 || decisionsOf(back) != decisionsOf(s) {
		t.Fatalf("%s: the disk would bring back\n%sand there is\n%s", what, decisionsOf(back), decisionsOf(s))
	}
}

func decisionsOf(s State) string {
	var b strings.Builder
	fmt.Fprintln(&b, s.Generation)
	for svc, one := range s.backends {
		fmt.Fprintln(&b, one.Key, one.Admin, svc.sharesText(), svc.Previous)
	}
	return b.String()
}
