package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"
)

// answer is what the API says to a change, or to a report of a rollout.
type answer struct {
	ID, Verb, Token string
	Generation      uint64
	Done, Unchanged bool
	Drain           *json.RawMessage
	History         struct {
		Seq  uint64
		Hash string
	}
}

// belief is what an operator knows by the answers.
type belief struct {
	live, previous string
	paused         bool
	admin, step    map[string]string // by backend
	rollout        string            // its status
	made           map[string]bool   // by key, what must not be made again
}

func (b belief) String() string {
	return fmt.Sprintf("live %s, previous %s, paused %v, admin %v, rollout %s %v", b.live, b.previous, b.paused, b.admin, b.rollout, b.step)
}

// with is what is believed once a call is made.
func (b belief) with(c asked) belief {
	admin, step := map[string]string{}, map[string]string{}
	for k, v := range b.admin {
		admin[k] = v
	}
	for k, v := range b.step {
		step[k] = v
	}
	b.admin, b.step = admin, step
	c.makes(&b)
	return b
}

// asked is one call, and what it makes of the State.
type asked struct {
	path  string
	query url.Values
	key   string // with which it may be asked again
	makes func(*belief)
	again bool // it may be asked again when its answer did not come
}

// hunted is a Sluice that is killed again and again while an operator works with it.
type hunted struct {
	*sluice
	random   *rand.Rand
	throng   *throng
	backends []*watched
	pools    map[string][]string
	known    belief
	plan     []asked // what is to be done next
	token    string  // of the rollout in hand
	rollout  string  // its id

	generation uint64
	answers    []answer
	kills      map[string]int // by what was under way
}

func newHunted(t *testing.T, seed uint64) *hunted {
	h := &hunted{random: rand.New(rand.NewPCG(seed, 1)), pools: map[string][]string{}, kills: map[string]int{}, generation: 1}
	h.known = belief{live: "blue", admin: map[string]string{}, step: map[string]string{}}
	for _, one := range []struct{ pool, release string }{{"blue", "v1"}, {"blue", "v1"}, {"green", "v2"}, {"green", "v2"}} {
		w := startWatched(t, one.release)
		h.backends = append(h.backends, w)
		h.pools[one.pool] = append(h.pools[one.pool], w.address)
		h.known.admin[w.address] = "ready"
	}
	h.sluice = newSluice(t, fmt.Sprintf("services:\n  web:\n    live: blue\n    pools:\n      blue: [%s]\n      green: [%s]\n"+
		"    health: {path: /health, interval: 100ms, fast_interval: 100ms, timeout: 5s, rise: 1}\n%s",
		strings.Join(h.pools["blue"], ", "), strings.Join(h.pools["green"], ", "), quickDrains))
	h.throng = startThrong(t, h.listen)
	return h
}

func (h *hunted) other() string {
	if h.known.live == "blue" {
		return "green"
	}
	return "blue"
}

const webPath = "/v1/services/web/"

func values(pairs ...string) url.Values {
	q := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		q.Set(pairs[i], pairs[i+1])
	}
	return q
}

// next is the next call, of the plan or of a new one.
func (h *hunted) next() asked {
	if len(h.plan) == 0 {
		h.think()
	}
	c := h.plan[0]
	h.plan = h.plan[1:]
	return c
}

func (h *hunted) think() {
	wait := []string{"true", "false"}[h.random.IntN(2)]
	pool := h.other()
	switch h.random.IntN(5) {
	case 0:
		h.plan = []asked{{path: webPath + "flip", query: values("pool", pool, "wait", wait, "note", "a flip"), again: true,
			makes: func(b *belief) {
				if b.live != pool {
					b.live, b.previous = pool, b.live
				}
			}}}
	case 1:
		if h.known.previous == "" {
			return
		}
		key := fmt.Sprintf("rollback-%d", h.random.Uint64())
		h.plan = []asked{{path: webPath + "rollback", query: values("wait", wait), key: key, again: true, makes: func(b *belief) {
			if b.made[key] { // asked again, it must not go forward
				return
			}
			b.live, b.previous, b.made = b.previous, b.live, map[string]bool{key: true}
		}}}
	case 2:
		backend := h.backends[h.random.IntN(len(h.backends))].address
		h.plan = []asked{h.setAdmin(backend, "drain", values("wait", wait)), h.setAdmin(backend, "ready", values("wait", "true"))}
	case 3:
		paused := func(is bool) func(*belief) { return func(b *belief) { b.paused = is } }
		h.plan = []asked{
			{path: webPath + "pause", query: values("for", "1h", "wait", wait), makes: paused(true), again: true},
			{path: webPath + "resume", query: values("wait", wait), makes: paused(false), again: true},
		}
	case 4:
		h.planRollout()
	}
}

func (h *hunted) setAdmin(backend, to string, query url.Values) asked {
	return asked{path: webPath + "backends/" + backend + "/" + to, query: query, again: true, makes: func(b *belief) { b.admin[backend] = to }}
}

// planRollout is a rolling update of the live pool, step by step as whoever carries it out does it.
func (h *hunted) planRollout() {
	members := h.pools[h.known.live]
	h.plan = []asked{{path: webPath + "rollout", query: values("who", "the hunted", "note", "a rollout"), makes: func(b *belief) {
		b.rollout, b.step = "running", map[string]string{}
		for _, m := range members {
			b.step[m] = "waiting"
		}
	}}}
	for i, m := range members {
		last := i == len(members)-1
		h.plan = append(h.plan,
			h.report(m, "drain", false), h.setAdmin(m, "drain", values("wait", "true", "min_available", "1")), h.report(m, "exec", false),
			h.report(m, "ready", false), h.setAdmin(m, "ready", values("wait", "true")), h.report(m, "done", last))
	}
}

func (h *hunted) report(backend, to string, last bool) asked {
	return asked{path: "step", query: values("backend", backend, "to", to), again: true, makes: func(b *belief) {
		if b.step[backend] = to; last {
			b.rollout = "done"
		}
	}}
}

var errNoAnswer = errors.New("no answer")

// ask makes a call. Only a whole answer is one.
func (h *hunted) ask(c asked) (a answer, err error) {
	h.t.Helper()
	path, query := c.path, c.query
	if path == "step" {
		path, query = webPath+"rollout/"+h.rollout+"/step", values("token", h.token, "backend", query.Get("backend"), "to", query.Get("to"))
	}
	req, err := http.NewRequest("POST", "http://sluice"+path+"?"+query.Encode(), nil)
	if err != nil {
		h.t.Fatal(err)
	}
	if c.key != "" {
		req.Header.Set("Idempotency-Key", c.key)
	}
	res, err := h.admin.Do(req)
	if err != nil {
		return a, errNoAnswer
	}
	defer res.Body.Close()
	if res.StatusCode/100 != 2 {
		var problem map[string]any
		if json.NewDecoder(res.Body).Decode(&problem) == nil && problem["detail"] != nil {
			return a, fmt.Errorf("%s: %d %v", path, res.StatusCode, problem["detail"])
		}
		return a, errNoAnswer
	}
	if json.NewDecoder(res.Body).Decode(&a) != nil {
		return a, errNoAnswer
	}
	return a, nil
}

// work makes calls until one is not answered, which it returns.
func (h *hunted) work() (under asked) {
	h.t.Helper()
	for {
		if len(h.plan) == 0 {
			h.think()
			continue
		}
		c := h.next()
		a, err := h.ask(c)
		if err == errNoAnswer {
			return c
		}
		if err != nil {
			h.t.Fatal(err)
		}
		h.known = h.known.with(c)
		switch {
		case c.path == webPath+"rollout":
			h.rollout, h.token = a.ID, a.Token
		case c.path != "step":
			h.generation = a.Generation
			h.answers = append(h.answers, a)
		}
	}
}

// seen is what Sluice says of itself.
func (h *hunted) seen() (b belief, generation uint64) {
	h.t.Helper()
	b = belief{admin: map[string]string{}, step: map[string]string{}}
	_, status := h.get("/v1/status")
	if status["damage"] != nil {
		h.t.Errorf("the state was damaged: %v", status["damage"])
	}
	web := status["services"].([]any)[0].(map[string]any)
	b.live, _ = web["live"].(string)
	b.previous, _ = web["previous"].(string)
	b.paused = web["hold"].(map[string]any)["paused"] != nil
	for _, p := range web["pools"].([]any) {
		for _, one := range p.(map[string]any)["backends"].([]any) {
			backend := one.(map[string]any)
			b.admin[backend["address"].(string)] = backend["admin"].(string)
		}
	}
	if code, doc := h.get(webPath + "rollout"); code == 200 {
		b.rollout = doc["status"].(string)
		for _, one := range doc["backends"].([]any) {
			backend := one.(map[string]any)
			b.step[backend["address"].(string)] = backend["step"].(string)
		}
		if doc["id"] != h.rollout { // its begin was not answered, and so nobody has its token
			h.rollout, h.token = doc["id"].(string), ""
		}
	}
	return b, uint64(status["generation"].(float64))
}

// hunt kills Sluice at an instant of its work, and looks at the next one.
func (h *hunted) hunt(instant int) {
	h.t.Helper()
	h.throng.window.Add(1)
	delay := time.Duration(h.random.Int64N(int64(150 * time.Millisecond)))
	process := h.cmd.Process
	time.AfterFunc(delay, func() {
		h.throng.window.Add(1)
		process.Kill()
	})
	under := h.work()
	<-h.exited
	h.admin.CloseIdleConnections()
	for _, w := range h.backends {
		w.forget()
	}
	h.kills[under.path[strings.LastIndex(under.path, "/")+1:]]++
	h.start()
	h.check(fmt.Sprintf("instant %d, killed after %s in %s %s", instant, delay, under.path, under.query.Encode()), under)
}

func (h *hunted) check(at string, under asked) {
	h.t.Helper()
	now, generation := h.seen()
	old, made := h.known, h.known.with(under)
	switch now.String() {
	case old.String():
		if under.again {
			h.plan = append([]asked{under}, h.plan...)
		}
	case made.String():
		if under.again && under.path != "step" {
			h.plan = append([]asked{under}, h.plan...) // it is answered as having been made
		}
	default:
		h.t.Fatalf("%s:\nthere is %s\nit was  %s\nor      %s", at, now, old, made)
	}
	if generation < h.generation || generation > h.generation+1 {
		h.t.Errorf("%s: generation %d after %d was answered", at, generation, h.generation)
	}
	now.made = old.made
	if now.String() == made.String() {
		now.made = made.made
	}
	h.known, h.generation = now, generation
	if under.path == webPath+"rollout" {
		h.plan = nil
		if now.rollout == "running" {
			h.abort()
		}
	}
	h.checkHistory(at)
	if !now.paused {
		h.await("the live pool serves", func() bool {
			status, _, header := h.fetch("/fast")
			return status == 200 && header.Get("X-Release") == map[string]string{"blue": "v1", "green": "v2"}[now.live]
		})
	}
}

// abort gives up a rollout that was begun, and whose begin was not answered.
func (h *hunted) abort() {
	h.t.Helper()
	if code, doc := h.post(webPath + "rollout/" + h.rollout + "/abort"); code != 200 {
		h.t.Fatalf("abort: %v", doc)
	}
	h.known.rollout = "aborted"
}

// checkHistory: whatever was answered is in the history, under the hash that was answered.
func (h *hunted) checkHistory(at string) {
	h.t.Helper()
	lines := readChain(h.t, h.stateDir())
	changes, outcomes := map[string]chainLine{}, map[uint64]bool{}
	for _, l := range lines {
		switch l.Data.Kind {
		case "change":
			changes[l.Data.ID] = l
		case "outcome":
			outcomes[l.Data.Generation] = true
		}
	}
	for _, a := range h.answers {
		if a.Unchanged {
			continue
		}
		l, there := changes[a.ID]
		switch {
		case !there || l.Data.Verb != a.Verb || l.Data.Generation != a.Generation:
			h.t.Errorf("%s: %s %s was answered, and the history has %+v", at, a.Verb, a.ID, l)
		case a.History.Seq == 0 || uint64(len(lines)) < a.History.Seq || lines[a.History.Seq-1].Sum != a.History.Hash:
			h.t.Errorf("%s: %s %s was answered with the hash %+v, which is not in the history", at, a.Verb, a.ID, a.History)
		case a.Done && !outcomes[a.Generation]:
			h.t.Errorf("%s: %s %s was answered as done, and its outcome is not in the history", at, a.Verb, a.ID)
		}
	}
	if _, doc := h.get("/v1/history?limit=1&verify=true"); doc["chain"].(map[string]any)["unbroken"] != true {
		h.t.Errorf("%s: %v", at, doc["chain"])
	}
}

// instants are how often it is killed.
func instants() int {
	switch {
	case os.Getenv("SLUICE_SOAK") != "":
		return 200
	case testing.Short():
		return 6
	}
	return 14
}

// TestKilledAtRandomInstants kills Sluice in the middle of flips, rollbacks, drains, pauses and rollouts, under load. Each time the
// next one has exactly what was answered, or that and the call that was under way; its live pool serves only what it has checked; no
// answered entry is missing from the history, whose chain holds; the generation never goes back; and while it lives nothing is lost.
func TestKilledAtRandomInstants(t *testing.T) {
	t.Parallel()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	h := newHunted(t, seed)
	h.start()
	h.awaitServing("v1")
	for i := range instants() {
		h.hunt(i)
	}
	h.throng.stop()
	for _, w := range h.backends {
		if w.unchecked > 0 {
			t.Errorf("%s got %d requests of a Sluice that had not checked it", w.address, w.unchecked)
		}
	}
	if n := len(h.throng.lost); n > 0 {
		t.Errorf("%d lost while Sluice was there, of which: %s", n, h.throng.lost[0])
	}
	if h.throng.done.Load() == 0 || len(h.answers) < instants() {
		t.Errorf("%d requests and %d answers: this run proves nothing", h.throng.done.Load(), len(h.answers))
	}
	if out, code := h.cli("history", "--verify", h.answers[0].History.Hash); code != 0 {
		t.Errorf("exit %d: %s", code, out)
	}
	t.Logf("%d instants, by what was under way: %v; %d answers, %d entries, %d requests, %d lost", instants(), h.kills, len(h.answers),
		len(readChain(t, h.stateDir())), h.throng.done.Load(), len(h.throng.lost))
}

func (h *hunted) awaitServing(release string) {
	h.t.Helper()
	h.await("it serves", func() bool {
		status, _, header := h.fetch("/fast")
		return status == 200 && header.Get("X-Release") == release
	})
}
