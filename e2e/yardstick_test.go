package e2e

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sluice/demo"
)

// HAProxy is the yardstick of these tests: what a team with an expert has. Both proxies meet the same strict clients and the
// same events, each by the best means it has.

// operated is a proxy that can be told to flip and to drain.
type operated interface {
	address() string
	flip(pool string)
	drain(backend int)
	ready(backend int)
}

// haproxyServer is a running HAProxy with the pools blue and green, which a map chooses from, or one pool.
type haproxyServer struct {
	t      *testing.T
	dir    string
	listen string
}

// haproxyYardstick retries what may be retried, on another server: it is HAProxy as its manual recommends it for this, not
// as it is without being told.
const haproxyYardstick = `global
    stats socket %[1]s/haproxy.sock level admin
    hard-stop-after 30s
defaults
    mode http
    timeout connect 2s
    timeout client 60s
    timeout server 60s
    timeout tunnel 1h
    option redispatch 1
    retries 3
    retry-on conn-failure empty-response
    default-server inter 500ms fastinter 200ms check rise 1 fall 2
frontend web
    bind %[2]s
    use_backend %%[str(live),map(%[1]s/live.map)]
`

func startHAProxy(t *testing.T, pools map[string][]*app) *haproxyServer {
	t.Helper()
	h := &haproxyServer{t: t, dir: t.TempDir(), listen: freePort(t)}
	text := fmt.Sprintf(haproxyYardstick, h.dir, h.listen)
	for name, apps := range pools {
		text += "backend " + name + "\n    balance leastconn\n    option httpchk GET /health\n"
		for i, a := range apps {
			text += fmt.Sprintf("    server s%d %s\n", i, a.address)
		}
	}
	writeFile(t, filepath.Join(h.dir, "live.map"), "live blue\n")
	writeFile(t, filepath.Join(h.dir, "haproxy.cfg"), text)
	cmd := exec.Command("haproxy", "-db", "-f", filepath.Join(h.dir, "haproxy.cfg"))
	out := &lockedBuffer{}
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
		if t.Failed() {
			t.Logf("haproxy said:\n%s", tail(out.String(), 3000))
		}
	})
	awaitListener(t, h.listen)
	return h
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// tell sends a command to HAProxy's socket.
func (h *haproxyServer) tell(command string) string {
	h.t.Helper()
	nc, err := net.Dial("unix", filepath.Join(h.dir, "haproxy.sock"))
	if err != nil {
		h.t.Fatal(err)
	}
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(5 * time.Second))
	io.WriteString(nc, command+"\n")
	answer, err := io.ReadAll(nc)
	if err != nil {
		h.t.Fatal(err)
	}
	return strings.TrimSpace(string(answer))
}

// order is a command that answers nothing when it was obeyed.
func (h *haproxyServer) order(command string) {
	h.t.Helper()
	if answer := h.tell(command); answer != "" {
		h.t.Fatalf("haproxy: %s: %s", command, answer)
	}
}

func (h *haproxyServer) address() string { return h.listen }

func (h *haproxyServer) flip(pool string) {
	h.t.Helper()
	h.order("set map " + filepath.Join(h.dir, "live.map") + " live " + pool)
}

// drain waits until the server has no session, by HAProxy's own count. What would never end there is shut down after the
// time that Sluice gives it.
func (h *haproxyServer) drain(backend int) {
	h.t.Helper()
	server := fmt.Sprintf("blue/s%d", backend)
	h.order("set server " + server + " state drain")
	for began, shut := time.Now(), false; h.sessions(backend) != "0"; time.Sleep(10 * time.Millisecond) {
		if !shut && time.Since(began) > 3*time.Second {
			h.order("shutdown sessions server " + server)
			shut = true
		}
		if time.Since(began) > 30*time.Second {
			h.t.Fatal("haproxy: the server does not become empty")
		}
	}
}

// sessions is what `show stat` says of a server's current sessions.
func (h *haproxyServer) sessions(backend int) string {
	for line := range strings.Lines(h.tell("show stat")) {
		f := strings.Split(line, ",")
		if len(f) > 4 && f[0] == "blue" && f[1] == fmt.Sprintf("s%d", backend) {
			return f[4]
		}
	}
	return ""
}

func (h *haproxyServer) ready(backend int) {
	h.t.Helper()
	h.order(fmt.Sprintf("set server blue/s%d state ready", backend))
	time.Sleep(time.Second) // two checks
}

// operatedSluice is Sluice, told by its commands.
type operatedSluice struct {
	*sluice
	blue []*app
}

func startOperated(t *testing.T, pools map[string][]*app) *operatedSluice {
	list := func(apps []*app) string {
		var all []string
		for _, a := range apps {
			all = append(all, a.address)
		}
		return strings.Join(all, ", ")
	}
	text := twoPools(list(pools["blue"]), list(pools["green"]))
	if len(pools["green"]) == 0 {
		text = onePool(pools["blue"]...)
	}
	s := newSluice(t, text).start()
	s.awaitRelease("v1")
	return &operatedSluice{s, pools["blue"]}
}

func (s *operatedSluice) address() string  { return s.listen }
func (s *operatedSluice) flip(pool string) { s.must("flip", "web", pool, "--no-wait") }
func (s *operatedSluice) drain(i int)      { s.must("drain", "web", s.blue[i].address, "--wait") }
func (s *operatedSluice) ready(i int)      { s.must("ready", "web", s.blue[i].address, "--wait") }

// yardstick runs one event over both proxies, each with apps of its own, and returns what each lost.
func yardstick(t *testing.T, pools map[string]int, event func(p operated, apps []*app)) (ours, theirs int) {
	t.Helper()
	run := func(name string, start func(map[string][]*app) operated) (lost int) {
		t.Run(name, func(t *testing.T) {
			all := map[string][]*app{}
			for pool, n := range pools {
				for range n {
					all[pool] = append(all[pool], startApp(t, releaseOf(pool), "127.0.0.1:0"))
				}
			}
			lost = underLoad(t, start(all), func(p operated) { event(p, all["blue"]) })
		})
		return lost
	}
	theirs = run("haproxy", func(all map[string][]*app) operated { return startHAProxy(t, all) })
	ours = run("sluice", func(all map[string][]*app) operated { return startOperated(t, all) })
	return ours, theirs
}

func releaseOf(pool string) string {
	if pool == "green" {
		return "v2"
	}
	return "v1"
}

// underLoad runs an event beside strict traffic of the classes that are one exchange, and counts what was lost.
func underLoad(t *testing.T, p operated, event func(operated)) (lost int) {
	t.Helper()
	traffic, err := demo.Start(context.Background(), demo.Config{
		Address: p.address(), Seed: 7, Host: "shop.example",
		Workers: map[demo.Class]int{demo.Get: 6, demo.Post: 6, demo.Close: 3, demo.Slow: 6, demo.Upload: 3},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer traffic.Stop()
	event(p)
	counts := traffic.Stop()
	for _, class := range []demo.Class{demo.Get, demo.Post, demo.Close, demo.Slow, demo.Upload} {
		c := counts.Classes[class]
		t.Logf("%-9s done %6d lost %d", class, c.Done, c.Lost)
		if c.Done == 0 {
			t.Errorf("no %s was ever done", class)
		}
	}
	for i, r := range traffic.Lost() {
		if i < 5 {
			t.Logf("lost: %s %s after %s: %v", r.Class, r.Release, r.Ended.Sub(r.Began), r.Err)
		}
	}
	return counts.Total().Lost
}

func eventTime(t *testing.T) time.Duration { return min(runFor(t)/5, time.Minute) }

func TestFlipsBesideHAProxy(t *testing.T) {
	ours, theirs := yardstick(t, map[string]int{"blue": 1, "green": 1}, func(p operated, _ []*app) {
		for i, end := 0, time.Now().Add(eventTime(t)); time.Now().Before(end); i++ {
			p.flip([2]string{"green", "blue"}[i%2])
			time.Sleep(300 * time.Millisecond)
		}
	})
	t.Logf("lost in flips: Sluice %d, HAProxy %d", ours, theirs)
	if ours != 0 {
		t.Errorf("%d lost", ours)
	}
}

// TestDrainsBesideHAProxy ends a server the moment that the proxy says that nothing is inside.
func TestDrainsBesideHAProxy(t *testing.T) {
	ours, theirs := yardstick(t, map[string]int{"blue": 3}, func(p operated, apps []*app) {
		for i, end := 0, time.Now().Add(eventTime(t)); time.Now().Before(end); i = (i + 1) % len(apps) {
			p.drain(i)
			apps[i].kill()
			apps[i] = startApp(t, "v1", apps[i].address)
			p.ready(i)
		}
	})
	t.Logf("lost in drains: Sluice %d, HAProxy %d", ours, theirs)
	if ours != 0 {
		t.Errorf("%d lost", ours)
	}
}

// TestCrashesBesideHAProxy: what was sent to a server that is killed, and may not be sent twice, is lost to anyone. How much
// that is at each kill is chance, for both, so the numbers are compared with room for it.
func TestCrashesBesideHAProxy(t *testing.T) {
	const kills, chance = 3, 5
	ours, theirs := yardstick(t, map[string]int{"blue": 3}, func(p operated, apps []*app) {
		for range kills {
			time.Sleep(time.Second)
			apps[0].kill()
			time.Sleep(700 * time.Millisecond)
			apps[0] = startApp(t, "v1", apps[0].address)
			time.Sleep(time.Second)
		}
	})
	t.Logf("lost in %d crashes: Sluice %d, HAProxy %d", kills, ours, theirs)
	if ours > theirs+chance {
		t.Errorf("%d lost, HAProxy %d", ours, theirs)
	}
}
