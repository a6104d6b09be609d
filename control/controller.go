// Package control decides what the proxy should be doing and makes it so. What the operator wants and what the checks
// have found is one immutable State; each command and each verdict is a pure step to the next one, which is built, saved
// where something was decided, and swapped in; then the gates of what takes no more traffic are closed and drained.
// It is the only writer. It refuses to know listeners, the wording of any protocol, and how its changes were asked for.
package control

import (
	"context"
	crand "crypto/rand"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"sluice/config"
	"sluice/drain"
	"sluice/healthcheck"
	"sluice/http1"
	"sluice/journal"
	"sluice/names"
	"sluice/proxy"
)

// Journal keeps the State and the history of changes.
type Journal interface {
	Load() ([]byte, journal.Found, error)
	// Save keeps state and record as one. When it fails nothing has changed.
	Save(state, record []byte) error
	Append(record []byte) error
	// History returns the last records, newest last; no more than limit.
	History(limit int) ([]journal.Record, error)
	// Head returns the number and the hash of the last record, at once.
	Head() (seq uint64, hash string)
	// Verify walks along all of the history.
	Verify(noted string) (journal.Chain, error)
}

// Options are what a Controller works with. Config, Proxy and Journal are needed; the others have defaults.
type Options struct {
	Config  *config.Config
	Proxy   *proxy.Proxy
	Journal Journal
	// Event is told what happened, in the goroutine in which it did and after it took effect. It must return soon.
	Event   func(Event)
	Version string
	Now     func() time.Time // default time.Now
	Rand    func() float64   // in [0,1), safe for concurrent use; default math/rand
	Clock   *http1.Clock     // for the connections to backends; nil: they ask for the time
	// Secret signs the cookies of sticky services that name no file with one. Pins are good for as long as it stays the same.
	// nil: one for this process.
	Secret []byte
	// Alone says why it is not sure that no other process with the same state still serves; nil, as its result: it is sure.
	Alone func() error
	// NewProber returns what checks a server; default healthcheck.New.
	NewProber func(healthcheck.Spec) healthcheck.Prober
	// Resolve finds what a name stands for; default: the DNS, as the configuration says.
	Resolve names.Lookup
}

func (o Options) withDefaults() Options {
	if o.Event == nil {
		o.Event = func(Event) {}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Rand == nil {
		o.Rand = rand.Float64
	}
	if o.Secret == nil {
		o.Secret = make([]byte, 32)
		crand.Read(o.Secret) // never fails
	}
	if o.NewProber == nil {
		o.NewProber = func(spec healthcheck.Spec) healthcheck.Prober { return healthcheck.New(spec, o.Now) }
	}
	if o.Alone == nil {
		o.Alone = func() error { return nil }
	}
	if o.Resolve == nil {
		d := o.Config.DNS
		o.Resolve = names.New(names.Options{Servers: d.Servers, Timeout: d.Timeout, Family: names.Family(d.Family)}).Resolve
	}
	return o
}

// Event is something that happened and that somebody may want to read.
type Event struct {
	Time       time.Time
	Kind       string // "change", "rollout", "bake", "bake_worse", "health", "eject", "fail_open", "drain", "hold", "damage", "drift", "storage", "names", "unresolved", "rollback_ready", "rollback_not_ready", "rollback_expired", "preview"
	Service    string
	Pool       string
	Backend    string
	Text       string
	Cause      *Cause
	Generation uint64
	Receipt    *Receipt // of "change" and "drain"
}

// now is all that is so at one moment. It never changes; each change puts another in its place.
type now struct {
	state    State
	built    *built
	checks   map[Key]*check
	watches  map[names.Name]*watch
	leaving  []leaver // closed gates that may not be empty yet
	damage   string   // what was wrong with the saved state
	stopping bool
}

// Controller holds the State and carries out the changes to it. All methods may be called concurrently. Make one with
// New, then Start it, and Close it in the end.
type Controller struct {
	opts    Options
	started time.Time
	ctx     context.Context // ends the checks, and the waiting for drains
	cancel  context.CancelFunc
	running sync.WaitGroup // every goroutine of the Controller; added to under mu only

	now        atomic.Pointer[now] // read by anyone, written by the holder of mu
	news       notice              // another now
	checked    notice              // a check ended
	findings   findings
	renamed    renamed
	asks       asks
	pacer      *healthcheck.Pacer
	operations operations
	baselines  baselines
	wishes     chan struct{} // holds at most one wish to look at what requests met; written by anyone, read by the ejector

	mu      sync.Mutex // one change at a time, its save included; whoever reads or serves does without it
	builder *builder
	bakes   bakeWaits
	closed  bool
}

// New returns a Controller that does nothing before Start.
func New(opts Options) *Controller {
	c := &Controller{opts: opts.withDefaults(), wishes: make(chan struct{}, 1), bakes: bakeWaits{}}
	c.builder = newBuilder(c.opts, c.wishToLook)
	c.started, c.pacer = c.opts.Now(), pacer(opts.Config, c.opts.Now)
	c.asks.news = make(chan struct{}, 1)
	c.ctx, c.cancel = context.WithCancel(context.Background())
	c.now.Store(&now{state: State{Services: map[string]*Service{}}, built: &built{}})
	return c
}

// Start loads what was saved, joins it with the file, swaps the result in and starts the checks. Nothing gets traffic
// before its first pass. ctx bounds the start and not what it starts: Close ends that. After an error Close is still due.
func (c *Controller) Start(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	data, found, err := c.opts.Journal.Load()
	if err != nil {
		return err
	}
	begin, err := c.begin(data)
	if err != nil {
		return err
	}
	first, err := c.enter(begin, found.Damage)
	if err != nil {
		return err
	}
	c.tellStart(begin, first)
	return nil
}

// beginning is the State a process begins with, and how it came about.
type beginning struct {
	state   State
	cause   Cause
	ends    []resolution
	decided bool // the State is another than the saved one
}

func (c *Controller) begin(data []byte) (beginning, error) {
	b := beginning{cause: Cause{By: "file", Via: "start", Verb: "start"}}
	b.state = fromFile(c.opts.Config, c.started, b.cause)
	var old saved
	if len(data) > 0 {
		var err error
		if old, err = decode(data); err != nil {
			return b, err
		}
	}
	b.state, b.ends = join(b.state, old, c.started, b.cause)
	b.decided = old.Generation == 0 || old.File != b.state.Digest || len(b.ends) > 0
	if b.decided {
		b.state.Generation++
	}
	return b, nil
}

// enter saves the first State, swaps it in and starts what runs beside it.
func (c *Controller) enter(b beginning, damage string) (*now, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	was := c.now.Load()
	if err := c.refuses(was); err != nil {
		return nil, err
	}
	next := &now{state: b.state, damage: damage}
	var err error
	if next.built, err = c.builder.build(b.state, was.built); err != nil {
		return nil, &Refusal{Kind: "conflict", What: err.Error(), Hint: "mend the file, then start again"}
	}
	if err := c.saveStart(b); err != nil {
		return nil, err
	}
	next.checks, next.watches = c.reconcile(b.state, nil), c.rewatch(b.state, nil)
	c.expectVerdicts(next.state)
	c.install(was, next)
	c.running.Add(7)
	go c.sweep()
	go c.runEjector()
	go c.heed()
	go c.keepBaselines()
	go c.whenDue(c.endDue)
	go c.whenDue(c.endDueKeeps)
	go c.whenDue(c.tellWindows())
	return next, nil
}

// saveStart writes the start into the history, and the State when it is a new one.
func (c *Controller) saveStart(b beginning) error {
	first := c.entry("start", b.state.Generation, "", b.cause, "started with "+sourceName(c.opts.Config.File))
	if b.decided {
		if err := c.save(b.state, first); err != nil {
			return err
		}
	} else {
		c.append(first)
	}
	for _, r := range b.ends {
		c.append(c.entry("file", b.state.Generation, r.service, b.cause, r.text))
	}
	return nil
}

func sourceName(file string) string {
	if file == "" {
		return "no file"
	}
	return file
}

func (c *Controller) tellStart(b beginning, first *now) {
	at := c.opts.Now()
	if damage := first.damage; damage != "" {
		c.tell(Event{Time: at, Kind: "damage", Text: damage, Generation: b.state.Generation})
	}
	for _, e := range c.gaps(&now{built: &built{}}, first) {
		c.tell(e)
	}
	for _, r := range b.ends {
		c.tell(Event{Time: at, Kind: "drift", Service: r.service, Text: r.text, Cause: &b.cause, Generation: b.state.Generation})
	}
}

// sweepEvery is how often idle connections are looked through. They live for a minute or so; this need not be exact.
const sweepEvery = 5 * time.Second

// sweep closes connections to backends that have been idle for too long.
func (c *Controller) sweep() {
	defer c.running.Done()
	ticker := time.NewTicker(sweepEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-c.ctx.Done():
			return
		}
		for _, e := range c.now.Load().built.endpoints {
			e.Sweep(time.Now())
		}
	}
}

// Close ends the checks and the waiting for drains, and returns when all goroutines have ended. Gates stay as they are
// and the proxy goes on with its last snapshot. A second call does nothing.
func (c *Controller) Close() {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.cancel()
	c.running.Wait()
}

// Stopping says that Sluice itself is on its way out: from now on each change is refused. Checks go on, for requests
// still come on connections that are kept.
func (c *Controller) Stopping(cause Cause) {
	c.mu.Lock()
	was := c.now.Load()
	next := *was
	next.stopping = true
	c.now.Store(&next)
	c.mu.Unlock()
	if was.stopping {
		return
	}
	c.news.tell()
	c.append(c.entry("stop", next.state.Generation, "", cause, "stopping"))
	c.tell(Event{Time: c.opts.Now(), Kind: "change", Text: "stopping", Cause: &cause, Generation: next.state.Generation})
}

func (c *Controller) tell(e Event) { c.opts.Event(e) }

// State returns the State of the moment.
func (c *Controller) State() State { return c.now.Load().state }

// Generation returns the generation of the State.
func (c *Controller) Generation() uint64 { return c.State().Generation }

// Watch returns a channel that is closed when anything changes next, health included. Look after calling it, not before.
func (c *Controller) Watch() <-chan struct{} { return c.news.wait() }

// DrainPolicy returns how long the work of a service may take when it is drained. For "" it is the longest there is of
// each class, as the exit of the whole process needs it.
func (c *Controller) DrainPolicy(service string) drain.Policy {
	var longest drain.Policy
	for name, svc := range c.State().Services {
		if service != "" && name != service {
			continue
		}
		p := policy(svc.File)
		longest.Timeout = max(longest.Timeout, p.Timeout)
		longest.Stream = max(longest.Stream, p.Stream)
		longest.WebSocket = max(longest.WebSocket, p.WebSocket)
	}
	return longest
}
