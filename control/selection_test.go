package control

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"sluice/config"
	"sluice/drain"
	"sluice/healthcheck"
	"sluice/proxy"
	"sluice/upstream"
)

// cell is one backend of a case: a column for each fact that selection may go by.
type cell struct {
	health healthcheck.State
	admin  Admin
	weight bool // above zero
	full   bool // at max_connections
}

func (c cell) String() string {
	return fmt.Sprintf("{%s %s weight %t full %t}", c.health, c.admin, c.weight, c.full)
}

// each calls yield for each value that a cell can have.
func each(yield func(cell) bool) {
	for _, health := range []healthcheck.State{healthcheck.Unknown, healthcheck.Up, healthcheck.Down} {
		for _, admin := range []Admin{Ready, Drain, Maint} {
			for i := range 4 {
				if !yield(cell{health, admin, i&1 == 0, i&2 != 0}) {
					return
				}
			}
		}
	}
}

// mode is what a whole service has.
type mode struct {
	balance, whenDown string
	keep              bool // what is in drain is kept for those who are pinned to it
}

// expected is docs/balancing.md and DESIGN §6 once more, as plainly as it goes: who may get a request of a client without
// a pin, and the error where there is nobody. With a pin to one of these it is that one.
func expected(cells []cell, m mode) ([]int, error) {
	takers := who(cells, func(c cell) bool { return c.health == healthcheck.Up && c.admin == Ready && c.weight })
	if len(takers) == 0 && m.whenDown == config.WhenDownOpen {
		takers = who(cells, func(c cell) bool { return c.health == healthcheck.Down && c.admin == Ready && c.weight })
	}
	if len(takers) == 0 {
		return nil, upstream.ErrNoBackend
	}
	takers = slices.DeleteFunc(takers, func(i int) bool { return cells[i].full })
	if len(takers) == 0 {
		return nil, upstream.ErrFull
	}
	return takers, nil
}

// takesPin reports that a backend that is not among those for everybody takes those who are pinned to it.
func takesPin(c cell, m mode) bool {
	return m.keep && c.admin == Drain && c.health == healthcheck.Up && c.weight && !c.full
}

func who(cells []cell, is func(cell) bool) (list []int) {
	for i, c := range cells {
		if is(c) {
			list = append(list, i)
		}
	}
	return list
}

// table builds services as control does, and claims from them. Each endpoint has one request on it all the time, so that a
// cap of one is reached and a cap of two is not.
type table struct {
	t       *testing.T
	builder *builder
	old     map[string]*built // by what their hash tables are made from, so that those are made once
	mode    mode
	cases   int
}

func newTable(t *testing.T, m mode) *table {
	o := Options{Config: &config.Config{}, Proxy: proxy.New(proxy.Timeouts{}, nil)}.withDefaults()
	return &table{t: t, builder: newBuilder(o, func() {}), old: map[string]*built{}, mode: m}
}

// state is a State with a service of these backends, and a pool beside it that is not live.
func (tb *table) state(cells []cell) State {
	file := &config.Service{Name: "web", Path: "/", Live: "blue", Balance: tb.mode.balance, WhenDown: tb.mode.whenDown, Sticky: &config.Sticky{Cookie: "pin"}}
	live := &Pool{Name: "blue"}
	for i, c := range cells {
		b := &Backend{Key: Key{"web", "blue", fmt.Sprint("b", i)}, Network: "tcp", Dial: fmt.Sprint("b", i), Max: 2, Admin: c.admin, Risen: true}
		b.Health.State = c.health
		if tb.mode.keep && c.admin == Drain {
			b.Keep = time.Unix(1, 0)
		}
		if c.weight {
			b.Weight = 1 + i
		}
		if c.full {
			b.Max = 1
		}
		live.Backends = append(live.Backends, b)
	}
	idle := &Backend{Key: Key{"web", "green", "g"}, Network: "tcp", Dial: "g", Weight: 1, Admin: Ready}
	svc := &Service{Name: "web", File: file, Live: "blue", Pools: []*Pool{live, {Name: "green", Backends: []*Backend{idle}}}}
	return State{Generation: 1, Services: map[string]*Service{"web": svc}, Order: []string{"web"}}
}

func (tb *table) build(cells []cell, takers string) *builtService {
	key := fmt.Sprint(len(cells), takers)
	old := tb.old[key]
	if old == nil {
		old = &built{}
	}
	next, err := tb.builder.build(tb.state(cells), old)
	if err != nil {
		tb.t.Fatal(err)
	}
	if tb.old[key] == nil {
		for _, e := range next.endpoints {
			busy(tb.t, e)
		}
	}
	tb.old[key] = next
	return next.services["web"]
}

// busy puts a request on an endpoint that stays there.
func busy(t *testing.T, e *upstream.Endpoint) {
	p := upstream.NewPool("other", upstream.RoundRobin, []*upstream.Backend{{Endpoint: e, Weight: 1, Gate: drain.NewGate()}})
	if _, err := p.Claim(&upstream.Tried{}); err != nil {
		t.Fatal(err)
	}
}

// check tries a case with each kind of pin.
func (tb *table) check(cells []cell) {
	may, want := expected(cells, tb.mode)
	unlimited := slices.Clone(cells)
	for i := range unlimited {
		unlimited[i].full = false
	}
	takers, _ := expected(unlimited, tb.mode)
	one := tb.build(cells, fmt.Sprint(takers))
	pins := map[string]uint64{"no pin": 0, "forged": 12345, "elsewhere": one.service.Sticky.ID("g")}
	for reason, id := range pins {
		tb.claim(cells, one, reason, id, may, want)
	}
	for i := range cells {
		only, fails := may, want
		if slices.Contains(may, i) || takesPin(cells[i], tb.mode) {
			only, fails = []int{i}, nil
		}
		tb.claim(cells, one, fmt.Sprint("pinned to ", i), one.service.Sticky.ID(fmt.Sprint("b", i)), only, fails)
	}
	if want == nil {
		tb.spread(cells, one, may)
	}
}

func (tb *table) claim(cells []cell, one *builtService, reason string, pin uint64, may []int, want error) {
	tb.t.Helper()
	tb.cases++
	lease, err := one.service.Live.ClaimFor(&upstream.Tried{}, upstream.Ask{Pin: pin, Key: 7})
	if err != want {
		tb.t.Errorf("%v %v, %s: error %v, want %v", tb.mode, cells, reason, err, want)
	}
	if err != nil {
		return
	}
	defer lease.Release()
	if got := place(lease); !slices.Contains(may, got) {
		tb.t.Errorf("%v %v, %s: got %d, may be %v", tb.mode, cells, reason, got, may)
	}
}

func place(l upstream.Lease) int { return int(l.Backend.Name[1] - '0') }

// spread holds each balance to its word, among clients without a pin.
func (tb *table) spread(cells []cell, one *builtService, may []int) {
	got := map[int]int{}
	var first int
	for i := range 20 {
		lease, err := one.service.Live.ClaimFor(&upstream.Tried{}, upstream.Ask{Key: 7})
		if err != nil {
			tb.t.Fatalf("%v %v: %v", tb.mode, cells, err)
		}
		if i == 0 {
			first = place(lease)
		}
		got[place(lease)]++
		lease.Release()
	}
	heaviest := may[len(may)-1] // all have as much to do, and the weights rise from place to place
	switch tb.mode.balance {
	case "round_robin":
		if len(got) != len(may) {
			tb.t.Errorf("%v %v: round robin went to %v of %v", tb.mode, cells, got, may)
		}
	case "least_requests":
		if got[heaviest] != 20 {
			tb.t.Errorf("%v %v: the fewest requests by weight are on %d, and it went to %v", tb.mode, cells, heaviest, got)
		}
	case "hash":
		if got[first] != 20 {
			tb.t.Errorf("%v %v: one key went to %v", tb.mode, cells, got)
		}
	}
}

// TestSelection tries the whole product: health, administration, weight, cap, pin, balance, when_down and on_drain, for pools of one
// and two backends, and of three in every combination (their order there does not matter to what is asked). That a
// selection always ends is held by the clock.
func TestSelection(t *testing.T) {
	all := slices.Collect(each)
	cases := 0
	for _, m := range []mode{{whenDown: config.WhenDownFail}, {whenDown: config.WhenDownOpen}, {whenDown: config.WhenDownFail, keep: true}} {
		for _, m.balance = range []string{"least_requests", "round_robin", "hash"} {
			tb := newTable(t, m)
			spin := time.AfterFunc(20*time.Second, func() { panic(fmt.Sprint("selection does not end: ", tb.mode)) })
			for i, a := range all {
				tb.check([]cell{a})
				for j, b := range all {
					tb.check([]cell{a, b})
					for _, c := range all[max(i, j):] {
						if i <= j {
							tb.check([]cell{a, b, c})
						}
					}
				}
			}
			spin.Stop()
			cases += tb.cases
		}
	}
	t.Logf("%d cases", cases)
	if cases < 500_000 {
		t.Errorf("only %d cases", cases)
	}
}

// TestSelectionByName has the cases that stand for a bug somewhere, or that somebody will ask about.
func TestSelectionByName(t *testing.T) {
	up, down, unknown := healthcheck.Up, healthcheck.Down, healthcheck.Unknown
	for _, test := range []struct {
		reason string
		cells  []cell
		may    []int
		want   error
	}{
		{"Traefik's spin: one fenced and up, one unfenced and down", []cell{{up, Drain, true, false}, {down, Ready, true, false}}, nil, upstream.ErrNoBackend},
		{"nothing gets traffic before its first pass", []cell{{unknown, Ready, true, false}}, nil, upstream.ErrNoBackend},
		{"all in drain", []cell{{up, Drain, true, false}, {up, Drain, true, false}}, nil, upstream.ErrNoBackend},
		{"maint is not undone by an old verdict", []cell{{up, Maint, true, false}}, nil, upstream.ErrNoBackend},
		{"weight 0 takes nothing, and there is nobody else", []cell{{up, Ready, false, false}, {down, Ready, true, false}}, nil, upstream.ErrNoBackend},
		{"full is another answer than gone", []cell{{up, Ready, true, true}, {down, Ready, true, false}}, nil, upstream.ErrFull},
		{"the one that is left", []cell{{up, Ready, true, true}, {up, Drain, true, false}, {up, Ready, true, false}}, []int{2}, nil},
	} {
		for _, balance := range []string{"least_requests", "round_robin", "hash"} {
			tb := newTable(t, mode{balance: balance, whenDown: config.WhenDownFail})
			may, want := expected(test.cells, tb.mode)
			if !slices.Equal(may, test.may) || want != test.want {
				t.Errorf("%s: the reference says %v, %v", test.reason, may, want)
			}
			tb.check(test.cells)
		}
	}
}
