package control

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"sluice/upstream"
)

var rewrite = flag.Bool("rewrite", false, "write what came out into testdata/*.txt")

// block is one command of a transcript, the lines under it, and what it is to print.
type block struct {
	comments []string
	command  string
	input    []string
	want     string
}

// TestTranscripts plays each file of testdata. A block is: comments, a command, lines of input, "----", what it prints,
// and an empty line.
func TestTranscripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no transcripts:", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			synctest.Test(t, func(t *testing.T) { playFile(t, file, string(text)) })
		})
	}
}

func playFile(t *testing.T, file, text string) {
	p := &player{world: newWorld(t), seen: map[string]string{}}
	var out strings.Builder
	for _, b := range blocks(text) {
		got := p.play(b)
		if got != b.want && !*rewrite {
			t.Errorf("%s: %s\ngot:\n%swant:\n%s", file, b.command, got, b.want)
		}
		b.write(&out, got)
	}
	if p.c != nil {
		p.leaveAll()
		p.c.Close()
	}
	if *rewrite {
		if err := os.WriteFile(file, []byte(strings.TrimSuffix(out.String(), "\n")), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func blocks(text string) []block {
	var all []block
	for _, part := range strings.Split(strings.TrimSpace(text), "\n\n") {
		var b block
		head, want, _ := strings.Cut(part+"\n", "----\n")
		b.want = strings.TrimRight(want, "\n")
		if b.want != "" {
			b.want += "\n"
		}
		for _, line := range strings.Split(strings.TrimSpace(head), "\n") {
			switch {
			case strings.HasPrefix(line, "#"):
				b.comments = append(b.comments, line)
			case b.command == "":
				b.command = line
			default:
				b.input = append(b.input, line)
			}
		}
		all = append(all, b)
	}
	return all
}

func (b block) write(out *strings.Builder, got string) {
	for _, line := range append(append(b.comments, b.command), b.input...) {
		out.WriteString(line + "\n")
	}
	out.WriteString("----\n" + got + "\n")
}

// player is a world that is played by words.
type player struct {
	*world
	seen   map[string]string // by service: what the snapshot says
	leases []upstream.Lease
	out    strings.Builder
}

func (p *player) printf(format string, args ...any) { fmt.Fprintf(&p.out, format+"\n", args...) }

func (p *player) play(b block) string {
	p.out.Reset()
	words := strings.Fields(b.command)
	do := p.commands()[words[0]]
	if do == nil {
		p.t.Fatalf("no command %q", b.command)
	}
	do(b, words[1:])
	synctest.Wait()
	p.printEvents()
	if p.c != nil {
		p.printSwaps()
	}
	return p.out.String()
}

func (p *player) commands() map[string]func(block, []string) {
	return map[string]func(block, []string){
		"config":   func(b block, _ []string) { p.cfg = fileOf(p.t, b.input...) },
		"start":    func(block, []string) { p.begin() },
		"close":    func(block, []string) { p.c.Close() },
		"restart":  func(block, []string) { p.restart() },
		"up":       func(_ block, w []string) { p.servers.up(w[0], w[1:]...) },
		"silent":   func(_ block, w []string) { p.servers.up("", w...) },
		"dns":      p.setDNS,
		"down":     func(b block, w []string) { p.servers.down(strings.Join(b.input, " "), w...) },
		"wait":     func(_ block, w []string) { p.wait(w[0]) },
		"enter":    func(_ block, w []string) { p.enter(w[0], w[1]) },
		"leave":    func(block, []string) { p.leaveOne() },
		"flip":     func(_ block, w []string) { p.flip(w) },
		"rollback": func(_ block, w []string) { p.did(p.c.Rollback(p.t.Context(), w[0], FlipWant{}, operator())) },
		"drain":    func(_ block, w []string) { p.admin(w, Drain) },
		"ready":    func(_ block, w []string) { p.admin(w, Ready) },
		"maint":    func(_ block, w []string) { p.admin(w, Maint) },
		"pause":    func(_ block, w []string) { p.pause(w) },
		"resume":   func(_ block, w []string) { p.did(p.c.Resume(p.t.Context(), w[0], nil, operator())) },
		"retire":   func(_ block, w []string) { p.retire(w) },
		"lease":    func(_ block, w []string) { p.lease(w) },
		"hold":     func(_ block, w []string) { p.hold(w[0], w[1]) },
		"room":     func(_ block, w []string) { p.room(w[0]) },
		"disk":     func(_ block, w []string) { p.setDisk(w[0]) },
		"damage":   func(b block, _ []string) { p.disk.damage = strings.Join(b.input, " ") },
		"stop":     func(block, []string) { p.c.Stopping(Cause{By: "signal", Via: "signal", Verb: "stop"}) },
		"status":   func(block, []string) { p.status() },
		"history":  func(_ block, w []string) { p.history(w) },
	}
}

func (p *player) begin() {
	if err := p.start(); err != nil {
		p.printf("not started: %v", err)
	}
}

func (p *player) restart() {
	p.leaveAll()
	p.c.Close()
	p.heard()
	p.seen = map[string]string{}
	p.begin()
}

func (p *player) wait(d string) {
	length, err := time.ParseDuration(d)
	if err != nil {
		p.t.Fatal(err)
	}
	time.Sleep(length)
}

// enter sends a request to one backend: it claims until that one comes, and gives the others back.
func (p *player) enter(service, address string) {
	var others []upstream.Lease
	defer func() {
		for _, l := range others {
			l.Release()
		}
	}()
	for range 10 {
		lease, err := p.claim(service)
		if err != nil {
			p.printf("%v", err)
			return
		}
		if lease.Backend.Name == address {
			p.leases = append(p.leases, lease)
			p.printf("inside %s/%s", lease.Backend.Pool, lease.Backend.Name)
			return
		}
		others = append(others, lease)
	}
	p.printf("no request comes to %s", address)
}

func (p *player) leaveOne() {
	if len(p.leases) == 0 {
		p.t.Fatal("nobody is inside to leave")
	}
	p.leases[0].Release()
	p.leases = p.leases[1:]
}

func (p *player) leaveAll() {
	for len(p.leases) > 0 {
		p.leaveOne()
	}
}

func (p *player) flip(w []string) {
	var want FlipWant
	for _, option := range w[2:] {
		key, value, _ := strings.Cut(option, "=")
		switch key {
		case "release":
			want.Release = value
		case "match":
			n, err := strconv.ParseUint(value, 10, 64)
			if err != nil {
				p.t.Fatal(err)
			}
			want.IfMatch = &n
		}
	}
	p.did(p.c.Flip(p.t.Context(), w[0], w[1], want, operator()))
}

func (p *player) admin(w []string, admin Admin) {
	p.did(p.c.SetAdmin(context.Background(), w[0], w[1], "", admin, AdminWant{}, operator()))
}

// did prints how a command was answered.
func (p *player) did(op *Operation, err error) {
	if err != nil {
		r := refusalOf(p.t, err)
		p.printf("refused (%s): %s", r.Kind, r.What)
		p.printf("hint: %s", r.Hint)
		return
	}
	synctest.Wait()
	r := op.Receipt()
	if r.Unchanged {
		p.printf("%s", r.what())
	}
	if !r.Done {
		p.printf("operation %s is under way", r.ID)
	}
}

func (p *player) pause(w []string) {
	var want PauseWant
	if len(w) > 1 {
		want.For = mustDuration(p.t, w[1])
	}
	p.did(p.c.Pause(p.t.Context(), w[0], want, operator()))
}

func (p *player) retire(w []string) {
	var want RetireWant
	if len(w) > 2 {
		want.Wait = mustDuration(p.t, w[2])
	}
	p.did(p.c.Retire(p.t.Context(), w[0], w[1], want, operator()))
}

func (p *player) lease(w []string) {
	l, err := p.c.PutLease(Lease{Name: w[0], Release: w[1]}, mustDuration(p.t, w[2]))
	if err != nil {
		p.did(nil, err)
		return
	}
	p.printf("lease %s of %s for %s", l.Name, l.Release, time.Until(l.Until))
}

func (p *player) hold(service, release string) {
	h, err := p.c.HoldRelease(service, release, 0)
	if err != nil {
		p.t.Fatal(err)
	}
	p.printf("hold %v: %s", h.Hold, h.Why)
}

func (p *player) room(service string) {
	s, _ := p.c.ServiceStatus(service)
	p.printf("%s %s", s.Hold.State, s.Hold.Why)
	if h := s.Hold.Paused; h != nil {
		p.printf("paused by %s %s ago, for %s more", h.Cause.By, time.Since(h.Since), time.Until(h.Until))
	}
}

func (p *player) setDisk(how string) {
	if how == "full" {
		p.disk.fail(errors.New("no space left on device"))
	} else {
		p.disk.fail(nil)
	}
}

func (p *player) printEvents() {
	var health []string
	for _, e := range p.heard() {
		text := e.Text
		if e.Kind == "drain" {
			text = "done " + strconv.FormatUint(e.Generation, 10) + ": " + outcome(*e.Receipt)
		}
		if line := e.Kind + ": " + text; found(e) {
			health = append(health, line)
		} else {
			p.printf("%s", line)
		}
	}
	slices.Sort(health)
	for _, line := range slices.Compact(health) {
		p.printf("%s", line)
	}
}

// found are events that nobody asked for, so that they come in no order.
func found(e Event) bool {
	return e.Kind == "health" || strings.HasPrefix(e.Kind, "rollback") || e.Kind == "hold" || e.Kind == "drift" && e.Cause == nil || e.Cause != nil && e.Cause.By == "dns"
}

// outcome leaves out what depends on the speed of the machine.
func outcome(r Receipt) string {
	switch {
	case r.Drain != nil:
		return r.Drain.String()
	case r.Done && (r.Verb == "pause" || r.Verb == "resume"):
		return "nothing is inside, or waits"
	case r.Done:
		return "up, release " + r.Release
	}
	return "did not come up"
}

// printSwaps prints which services the snapshot serves otherwise than before, and what left with somebody inside.
func (p *player) printSwaps() {
	snapshot := p.proxy.Snapshot()
	for _, name := range p.c.State().Order {
		svc := snapshot.Route(nil, []byte("/"+name))
		var addresses []string
		for _, b := range svc.Live.Backends() {
			addresses = append(addresses, b.Name)
		}
		is := fmt.Sprintf("%s (%s)", svc.Live.Name, strings.Join(addresses, " "))
		if svc.Hold {
			is += map[bool]string{true: " requests wait, as planned", false: " requests wait"}[svc.Planned]
		}
		if p.seen[name] != is {
			p.printf("swap %d: %s → %s", snapshot.Generation, name, is)
		}
		p.seen[name] = is
	}
	var leaving []string
	for _, l := range unfinished(p.c.now.Load().leaving) {
		leaving = append(leaving, fmt.Sprintf("leaving %s inside %d", l.Key, l.gate.Inside()))
	}
	slices.Sort(leaving)
	for _, line := range leaving {
		p.printf("%s", line)
	}
}

func (p *player) status() {
	s := p.c.Status()
	p.printf("generation %d%s", s.Generation, map[bool]string{true: ", stopping"}[s.Draining])
	if s.Damage != "" {
		p.printf("damage: %s", s.Damage)
	}
	for _, svc := range s.Services {
		p.printf("%s: live %s %s, inside %d, rollback %v %s %s", svc.Name, svc.Live, orDash(svc.Release), svc.Inside,
			svc.Rollback.Ready, orDash(svc.Rollback.Pool), svc.Rollback.Why)
		for _, pool := range svc.Pools {
			p.printf("  %s: eligible %d, inside %d%s", pool.Name, pool.Eligible, pool.Inside, map[bool]string{true: ", armed"}[pool.Armed])
			for _, b := range pool.Backends {
				p.printf("    %s %s %s %s inside %d %s", b.Address, b.Admin, b.Health, orDash(b.Release), b.Inside, b.Reason)
			}
			for _, n := range pool.Names {
				p.printf("    name %s answered %v, addresses %d, lookups %d, failures %d %s", n.Name, n.Answered, n.Addresses, n.Lookups, n.Failures, n.Reason)
			}
			for _, l := range pool.Leaving {
				p.printf("    leaving %s inside %d", l.Address, l.Inside)
			}
		}
		for _, d := range svc.Drift {
			p.printf("  drift: %s is %s, the file says %s: %s", d.What, d.Decided, d.File, d.Why)
		}
	}
}

func (p *player) history(w []string) {
	all, err := p.c.History(strings.Join(w, ""), 0)
	if err != nil {
		p.t.Fatal(err)
	}
	for _, e := range all {
		end := ""
		if e.Outcome != nil {
			end = " [" + outcome(*e.Outcome) + "]"
		}
		p.printf("%d %s %s: %s%s", e.Generation, e.Kind, e.Cause.By, e.Text, end)
	}
}
