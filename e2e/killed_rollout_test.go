package e2e

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"
)

// rolloutSteps are in the order in which a backend goes through them.
var rolloutSteps = []string{"waiting", "drain", "exec", "ready", "done"}

func rank(step string) int {
	for i, s := range rolloutSteps {
		if s == step {
			return i
		}
	}
	return -1
}

// mayBe are the administrations that a backend can be in while a step of it is under way: a step is on disk before it begins.
var mayBe = map[string]string{"waiting": "ready", "drain": "ready drain", "exec": "drain", "ready": "drain ready", "done": "ready"}

// TestRolloutCommandUnderKills kills Sluice at random instants below `sluice rollout`, which waits for the next one each time and goes
// on. What the command was told is in the record, no step has begun that is not, and in the end each backend is updated.
func TestRolloutCommandUnderKills(t *testing.T) {
	t.Parallel()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	h := newHunted(t, seed)
	h.start()
	h.awaitServing("v1")
	rollouts, kills, want := 0, 0, instants()/3
	for kills < want {
		cli := h.startCLI("rollout", "web", "--exec", "true", "--min-available", "1", "--json", "--note", "weekly")
		rollouts++
		for h.killBelow(cli) {
			kills++
			h.checkRollout(fmt.Sprintf("kill %d", kills), cli)
		}
		h.finish(cli)
	}
	h.throng.stop()
	if n := len(h.throng.lost); n > 0 {
		t.Errorf("%d lost while Sluice was there, of which: %s", n, h.throng.lost[0])
	}
	for _, w := range h.backends {
		if w.unchecked > 0 {
			t.Errorf("%s got %d requests of a Sluice that had not checked it", w.address, w.unchecked)
		}
	}
	t.Logf("%d kills below %d rollouts, %d entries, %d requests, %d lost", kills, rollouts, len(readChain(t, h.stateDir())), h.throng.done.Load(), len(h.throng.lost))
}

// killBelow kills Sluice after a while and starts the next one, unless the command has ended before.
func (h *hunted) killBelow(cli *background) bool {
	h.t.Helper()
	h.throng.window.Add(1)
	select {
	case <-cli.ended:
		h.throng.window.Add(1)
		return false
	case <-time.After(time.Duration(h.random.Int64N(int64(300 * time.Millisecond)))):
	}
	h.throng.window.Add(1)
	h.kill()
	h.admin.CloseIdleConnections()
	for _, w := range h.backends {
		w.forget()
	}
	h.start()
	return true
}

// told are the steps that the command was told of, as it says itself.
func told(cli *background) (id string, steps map[string]string) {
	steps = map[string]string{}
	for _, text := range strings.Split(cli.out.String(), "\n") {
		var line struct{ ID, Backend, Step string }
		if json.Unmarshal([]byte(text), &line) != nil || line.ID == "" {
			continue
		}
		if id = line.ID; line.Backend != "" {
			steps[line.Backend] = line.Step
		}
	}
	return id, steps
}

func (h *hunted) checkRollout(at string, cli *background) {
	h.t.Helper()
	id, steps := told(cli) // before the look at the record: the command goes on meanwhile
	now, generation := h.seen()
	if generation < h.generation || now.live != "blue" {
		h.t.Errorf("%s: generation %d after %d, %s is live", at, generation, h.generation, now.live)
	}
	h.generation = generation
	readChain(h.t, h.stateDir())
	if id != "" && id != h.rollout {
		h.t.Errorf("%s: the command was told of rollout %s, and there is %s", at, id, h.rollout)
	}
	for backend, step := range steps {
		if rank(now.step[backend]) < rank(step) {
			h.t.Errorf("%s: the command was told of %s %s, and the record has %s", at, backend, step, now.step[backend])
		}
	}
	after, _ := h.seen()
	for backend, step := range now.step {
		if after.step[backend] == step && !strings.Contains(mayBe[step], now.admin[backend]) {
			h.t.Errorf("%s: %s is in %s while the record has it at %s", at, backend, now.admin[backend], step)
		}
	}
	h.awaitServing("v1")
}

// finish wants the command to have come to its end. Only where its very first call found nobody, or its answer was lost, it does not
// know of any rollout.
func (h *hunted) finish(cli *background) {
	h.t.Helper()
	code := cli.exit()
	now, _ := h.seen()
	if id, _ := told(cli); id == "" && code != 0 {
		if now.rollout == "running" {
			h.abort()
		}
		return
	}
	if code != 0 || now.rollout != "done" {
		h.t.Fatalf("exit %d, the rollout is %s: %s", code, now, cli.out)
	}
	for backend, admin := range now.admin {
		if admin != "ready" || now.step[backend] != "done" && now.step[backend] != "" {
			h.t.Errorf("in the end %s is in %s, at %s", backend, admin, now.step[backend])
		}
	}
}
