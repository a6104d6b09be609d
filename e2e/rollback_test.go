package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestRollbackIsAtOnce measures rollbacks by the real command under strict load: from the start of its process to the moment of
// the switch, to its first word, and to its end, which is when this busy process has heard of it. With SLUICE_SOAK there are 200
// of each kind, for the figures in the documentation; else a few, held to a bound that a starved machine keeps too.
func TestRollbackIsAtOnce(t *testing.T) {
	n, most := 5, 3*time.Second
	if os.Getenv("SLUICE_SOAK") != "" {
		n, most = 200, 100*time.Millisecond
	}
	blue, green := startApp(t, "v41", "127.0.0.1:0"), startApp(t, "v42", "127.0.0.1:0")
	s := newSluice(t, twoPools(blue.address, green.address)).start()
	s.awaitRelease("v41")
	s.await("green is up", func() bool { return s.backendHealth(green.address) == "up" })
	traffic := s.load()
	var command, said, done, switched []time.Duration
	for range n {
		s.must("flip", "web", "green", "--no-wait")
		began := time.Now()
		out := s.must("rollback", "web", "--no-wait", "--json")
		command = append(command, time.Since(began))
		at, took := switchedAt(t, out)
		done, switched = append(done, at.Sub(began)), append(switched, took)
		s.must("flip", "web", "green", "--no-wait")
		said = append(said, s.saidAfter("rollback", "web"))
	}
	counts := traffic.Stop()
	if lost := s.report(counts, traffic); lost != 0 {
		t.Errorf("%d lost", lost)
	}
	for _, row := range []struct {
		what string
		all  []time.Duration
		most time.Duration
	}{
		{"until every new request goes to v41", done, most}, {"until it says so", said, most},
		{"the whole command, with --no-wait", command, 3 * time.Second}, {"of that in Sluice", switched, most},
	} {
		slices.Sort(row.all)
		p99 := row.all[n*99/100]
		t.Logf("%-36s p50 %s p99 %s longest %s", row.what, row.all[n/2], p99, row.all[n-1])
		if p99 > row.most {
			t.Errorf("%s: %s", row.what, p99)
		}
	}
}

// switchedAt is when the switch of a receipt was made, and how long Sluice had taken for it.
func switchedAt(t *testing.T, receipt string) (time.Time, time.Duration) {
	t.Helper()
	var r struct {
		Began    time.Time
		Switched float64 `json:"switched_ms"`
	}
	if err := json.Unmarshal([]byte(receipt), &r); err != nil || r.Switched <= 0 {
		t.Fatalf("%v: %s", err, receipt)
	}
	took := time.Duration(r.Switched * float64(time.Millisecond))
	return r.Began.Add(took), took
}

// saidAfter runs a command that waits, and returns when its first word was there. It lets it run on to its end.
func (s *sluice) saidAfter(args ...string) time.Duration {
	s.t.Helper()
	cmd := exec.Command(binary, append(args, "--admin", "unix://"+s.socket())...)
	r, w, err := os.Pipe()
	if err != nil {
		s.t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = w, w
	began := time.Now()
	err = cmd.Start()
	w.Close()
	defer r.Close()
	if err != nil {
		s.t.Fatal(err)
	}
	first := make([]byte, 4096)
	k, _ := r.Read(first)
	took := time.Since(began)
	rest, _ := io.ReadAll(r)
	if err := cmd.Wait(); err != nil || !strings.Contains(string(first[:k]), "green → blue (release v41) switched in") {
		s.t.Fatalf("%v: %s%s", err, first[:k], rest)
	}
	return took
}

// TestRollbackBringsBackItsOptions: a flip, a new file, a restart, and the way back is what it was: routes, limits and all. It
// stays over a kill -9, and is gone with the next flip.
func TestRollbackBringsBackItsOptions(t *testing.T) {
	t.Parallel()
	blue, green := startApp(t, "v41", "127.0.0.1:0"), startApp(t, "v42", "127.0.0.1:0")
	pools := fmt.Sprintf("    pools: {blue: %s, green: %s}\n    health: {path: /health, interval: 300ms, timeout: 250ms}\n", blue.address, green.address)
	before := "services:\n  web:\n    max_body: 1KiB\n    rollback: 1h\n" + pools
	after := "services:\n  web:\n    max_body: 1MiB\n    rollback: 1h\n    path: /bytes\n" + pools
	s := newSluice(t, before).start()
	s.awaitRelease("v41")
	s.must("flip", "web", "green")
	s.kill()
	s.configure(after)
	s.start()
	post := func(size int) int {
		res, err := http.Post("http://"+s.listen+"/digest", "text/plain", strings.NewReader(strings.Repeat("x", size)))
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		return res.StatusCode
	}
	s.await("blue is up", func() bool { return s.backendHealth(blue.address) == "up" })
	if out := s.must("status"); !strings.Contains(out, "READY → v41 (blue), 1/1 healthy, expires in 59m; with its max_body, path") {
		t.Errorf("before:\n%s", out)
	}
	if status := post(10); status != http.StatusNotFound {
		t.Errorf("the new file has no such path: %d", status)
	}
	const text = "with its options: max_body 1KiB (the file says 1MiB), path nothing (the file says /bytes)"
	if out := s.must("rollback", "web", "--by", "ann"); !strings.Contains(out, text) {
		t.Errorf("the receipt: %s", out)
	}
	for _, when := range []string{"rolled back", "after a kill -9"} {
		s.awaitRelease("v41")
		if status := post(10); status != http.StatusOK {
			t.Errorf("%s: the path is not back: %d", when, status)
		}
		if status := post(2000); status != http.StatusRequestEntityTooLarge {
			t.Errorf("%s: the limit is not back: %d", when, status)
		}
		if out := s.must("status"); !strings.Contains(out, "option max_body: decided 1KiB, the file says 1MiB (of v41, rolled back by ann") {
			t.Errorf("%s: no drift:\n%s", when, out)
		}
		s.kill()
		s.start()
	}
	s.await("green is up", func() bool { return s.backendHealth(green.address) == "up" })
	s.must("flip", "web", "green")
	if status := post(10); status != http.StatusNotFound {
		t.Errorf("after a flip forward: %d", status)
	}
	if out := s.must("status"); strings.Contains(out, "option max_body") {
		t.Errorf("after a flip forward:\n%s", out)
	}
}

// TestOneSluiceAtATime: while a Sluice that is on its way out still has a request of the old release inside, no other starts
// with its state, not even when its lock file was removed, so that nobody retires that release beside it. After a kill -9 the next
// one starts at once.
func TestOneSluiceAtATime(t *testing.T) {
	t.Parallel()
	blue, green := startFronted(t, "v41"), startFronted(t, "v42")
	s := newSluice(t, twoPools(blue.address, green.address)+"shutdown: {grace: 0s, timeout: 20s}\n").start()
	s.awaitRelease("v41")
	tunnel := s.enter("tunnel", "GET /echo HTTP/1.1\nConnection: Upgrade\nUpgrade: echo", "")
	s.await("the tunnel is inside", func() bool { return s.inside("").Total == 1 })
	s.must("flip", "web", "green", "--no-wait")
	s.kill()
	s.start() // the kernel gave the lock back
	s.awaitRelease("v42")
	tunnel.conn.Close()

	slow := s.enter("slow", "GET /slow?ms=4000 HTTP/1.1", "")
	s.await("the request is inside", func() bool { return s.inside("").Total == 1 })
	s.cmd.Process.Signal(syscall.SIGTERM)
	s.await("it is on its way out", func() bool { return strings.Contains(s.out.String(), "stopping") })
	for _, without := range []bool{false, true} {
		if without {
			if err := os.Remove(filepath.Join(s.stateDir(), "lock")); err != nil {
				t.Fatal(err)
			}
		}
		out, code := runCLI(t, "run", "--config", s.configFile())
		if code != 1 || !strings.Contains(out, "uses the state in "+s.stateDir()+"; stop it first and wait for its last request") {
			t.Errorf("beside the first (lock removed: %v): exit %d: %s", without, code, out)
		}
	}
	if body := <-slow.text; !strings.Contains(string(body), "200 OK") {
		t.Errorf("the request of the first: %s", body)
	}
	if code := s.waitExit(20 * time.Second); code != 0 {
		t.Errorf("the first ended with %d", code)
	}
	blue.become("v43")
	s.start()
	s.await("v43 is seen", func() bool { return s.backend(blue.address)["release"] == "v43" })
	s.must("retire", "web", "v41")
}
