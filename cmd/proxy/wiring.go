package main

import (
	"context"
	"crypto/tls"
	goversion "go/version"
	"net"
	"runtime"
	"slices"
	"syscall"
	"time"

	"sluice/admin"
	"sluice/certs"
	"sluice/config"
	"sluice/control"
	"sluice/deploy"
	"sluice/front"
	"sluice/healthcheck"
	"sluice/http1"
	"sluice/journal"
	"sluice/proxy"
	"sluice/telemetry"
)

// settings are what a running Sluice is made of.
type settings struct {
	config  *config.Config
	events  *telemetry.Events
	version string

	inherited *front.Inherited // listeners that came with the process; nil: none
	manager   *manager         // nil: nobody wants to be told
}

// process is a running Sluice: the parts and the order in which they begin and end.
type process struct {
	settings
	journal *journal.Journal
	access  *telemetry.AccessLog
	proxy   *proxy.Proxy
	control *control.Controller
	certs   *certs.Store // nil: no https
	front   *front.Server
	socket  net.Listener // of admin
	admin   *admin.Server
	exit    *exit
	clock   http1.Clock // ticked by the front

	addresses []net.Addr // as listeners has them
	undo      []func()   // ends what has begun; the last first
}

// start brings everything up, or nothing: when a step fails, those before it are undone. What can fail for a reason that
// an operator mends comes first, so that a second Sluice started by mistake is told so before it has touched anything.
func start(s settings) (*process, error) {
	p := &process{settings: s, exit: newExit()}
	p.clock.Tick()
	steps := []func() error{
		p.openJournal, p.tryListeners, p.openAdmin, p.openAccessLog, p.openCerts, p.startControl, p.startWatches, p.watchMemory, p.startFront, p.startAdmin, p.startTelling,
	}
	for _, step := range steps {
		if err := step(); err != nil {
			p.close()
			return nil, err
		}
	}
	if compiler := runtime.Version(); unsafeCompiler(compiler) {
		p.events.Warn("built with "+compiler+", whose HTTP/2 server can be crashed from outside (CVE-2026-97032); build with `make build`, which uses a mended one", nil)
	}
	p.events.Say("ready", append(p.said(), "admin", adminURL(s.config.Admin), "state", s.config.State, "version", s.version)...)
	return p, nil
}

// unsafeCompiler reports a Go whose standard library must not face the internet. Versions that are not releases are not
// judged.
func unsafeCompiler(v string) bool {
	return goversion.IsValid(v) && goversion.Compare(v, "go1.26.9") < 0
}

// close ends everything at once, and in the reverse order of its beginning.
func (p *process) close() {
	for i := len(p.undo) - 1; i >= 0; i-- {
		p.undo[i]()
	}
	p.undo = nil
}

func (p *process) onClose(f func()) { p.undo = append(p.undo, f) }

func (p *process) openJournal() (err error) {
	if p.journal, err = journal.Open(p.config.State); err == nil {
		p.onClose(p.journal.Close)
	}
	return err
}

// tryListeners finds out that a port is taken before anything is written. That it is free now is no promise; the listener
// itself comes last, when there is something to answer with.
func (p *process) tryListeners() error {
	var addresses []string
	for _, on := range p.listeners() {
		addresses = append(addresses, on.Address)
	}
	if err := p.inherited.Left(addresses); err != nil {
		return err
	}
	for _, on := range p.listeners() {
		if p.inherited.Has(on.Address) {
			continue
		}
		l, err := net.Listen(on.Network, on.Address)
		if err != nil {
			return &front.ListenError{Address: on.Address, Door: on.Name, Err: err}
		}
		l.Close()
	}
	return nil
}

// openAdmin binds the API, so that a Sluice that answers there already is found in time. It is served when there is
// something to tell.
func (p *process) openAdmin() (err error) {
	a := p.config.Admin
	if p.socket, err = admin.Listen(a.Network, a.Address, a.Token); err == nil {
		p.onClose(func() { p.socket.Close() })
	}
	return err
}

func (p *process) openAccessLog() (err error) {
	p.access, err = telemetry.OpenAccessLog(p.config.AccessLog, func(err error) {
		p.events.Warn("the access log cannot be written; its lines are lost until it can", err)
	})
	if err == nil {
		p.onClose(func() { p.access.Close() })
	}
	return err
}

func (p *process) openCerts() (err error) {
	var files []certs.Files
	for _, c := range p.config.TLS.Certificates {
		files = append(files, certs.Files{Cert: c.Cert, Key: c.Key})
	}
	if len(files) == 0 {
		return nil
	}
	if p.certs, err = certs.New(context.Background(), files); err != nil {
		return err
	}
	p.onClose(p.certs.Close)
	for _, w := range p.certs.Warnings() {
		p.events.Warn(w, nil)
	}
	for _, host := range p.uncertified() {
		p.events.Warn("no certificate is for "+host+", where a preview is; add one that names it under `tls: certificates`", nil)
	}
	return nil
}

func (p *process) startControl() error {
	t := p.config.Timeouts
	var observer proxy.Observer
	if p.access != nil {
		observer = p.access
	}
	p.proxy = proxy.New(proxy.Timeouts{Response: t.Response, Body: t.Body, Write: t.Write, Tunnel: t.Tunnel}, observer)
	p.proxy.Interim, p.proxy.Intake = p.config.Limits.InterimResponses, int64(p.config.Limits.IntakeBytes)
	p.proxy.Ledger.Clock = &p.clock
	p.proxy.Pace = proxy.Pace{Rate: p.config.Limits.BodyRate, Grace: t.BodyGrace}
	secret, err := p.secret()
	if err != nil {
		return err
	}
	p.control = control.New(control.Options{
		Config: p.config, Secret: secret, Proxy: p.proxy, Journal: p.journal, Alone: p.journal.Alone, Event: p.events.Control, Version: p.version, Clock: &p.clock,
	})
	p.proxy.AppDrain = p.control.AppDrain
	p.onClose(p.control.Close)
	if err := p.control.Start(context.Background()); err != nil {
		return err
	}
	p.awaitFirstChecks()
	return nil
}

// startWatches has the releases judged that bake, those of before this start too.
func (p *process) startWatches() error {
	p.onClose(deploy.Watch(p.control, time.Now, deploy.Bakes(p.control, time.Now), deploy.Splits(p.control)).Close)
	return nil
}

// secret is what signs cookies, or nil where no service needs it.
func (p *process) secret() ([]byte, error) {
	for i := range p.config.Services {
		svc := &p.config.Services[i]
		signs := svc.Sticky != nil && svc.Sticky.SecretFile == "" || svc.Preview != nil && svc.Preview.Cookie
		if signs || len(svc.Pools) > 1 { // it may be split
			return p.journal.Secret()
		}
	}
	return nil, nil
}

// firstChecks is how long the listeners wait for the backends' first checks. Those take some milliseconds; a backend that
// answers none within this time is not waited for.
const firstChecks = time.Second

// awaitFirstChecks keeps the first clients from a 503 that a moment later would have been an answer.
func (p *process) awaitFirstChecks() {
	limit := time.NewTimer(firstChecks)
	defer limit.Stop()
	for {
		news := p.control.Watch()
		if checked(p.control.Status()) {
			return
		}
		select {
		case <-news:
		case <-limit.C:
			return
		}
	}
}

// checked reports whether each service has a backend that takes requests, or knows that it has none.
func checked(s control.Status) bool {
	for _, svc := range s.Services {
		for _, pool := range svc.Pools {
			if pool.Live && pool.Eligible == 0 && undecided(pool) {
				return false
			}
		}
	}
	return true
}

// undecided reports whether a check or a lookup is still to come that could bring a backend.
func undecided(pool control.PoolStatus) bool {
	if slices.ContainsFunc(pool.Names, func(n control.NameStatus) bool { return n.Asked.IsZero() }) {
		return true
	}
	return slices.ContainsFunc(pool.Backends, func(b control.BackendStatus) bool {
		return b.Admin == control.Ready && b.Health == healthcheck.Unknown
	})
}

func (p *process) startFront() error {
	l, t := p.config.Limits, p.config.Timeouts
	p.front = front.New(front.Options{
		Proxy:          p.proxy,
		Clock:          &p.clock,
		Limits:         http1.Limits{Head: l.HeadBytes, Fields: l.Fields, Target: l.TargetBytes, Field: l.FieldBytes, Trailers: l.TrailerBytes},
		Timeouts:       front.Timeouts{First: t.First, Idle: t.Idle, Head: t.Head, TLSHandshake: t.TLSHandshake, Age: t.Age},
		Trusted:        p.config.Trusted,
		MaxConnections: mostConnections(l.Connections),
		MaxRequests:    l.Requests,
		Inherited:      p.inherited,
		Event:          func(text string, err error) { p.events.Warn(text, err) },
	})
	p.onClose(p.front.Close)
	for _, on := range p.listeners() {
		var conf *tls.Config
		if on.Scheme == "https" {
			conf = p.certs.TLSConfig()
		}
		address, err := p.front.ListenFor(on.Name, on.Scheme, on.Network, on.Address, conf)
		if err != nil {
			return err
		}
		p.addresses = append(p.addresses, address)
	}
	return nil
}

func (p *process) startAdmin() error {
	p.admin = admin.New(admin.Options{
		Controller: admin.Fix(p.control), Stop: p.stop, Rollouts: deploy.New(p.control, time.Now), Token: p.config.Admin.Token,
		Metrics: telemetry.Metrics(telemetry.Sources{
			Status: p.control.Status, Proxy: p.proxy, Connections: p.front.Connections, Dropped: p.access.Dropped,
		}),
	})
	go p.serveAdmin()
	p.onClose(p.closeAdmin)
	return nil
}

// serveAdmin is the goroutine of the admin API; it ends with closeAdmin.
func (p *process) serveAdmin() {
	if err := p.admin.Serve(p.socket); err != nil {
		p.events.Warn("the admin API has ended; restart Sluice to have it again", err)
	}
}

// lastAnswers is how long callers have to take their last answer, such as the receipt of a stop.
const lastAnswers = 2 * time.Second

func (p *process) closeAdmin() {
	ctx, cancel := context.WithTimeout(context.Background(), lastAnswers)
	defer cancel()
	p.admin.Shutdown(ctx)
}

func adminURL(a config.Admin) string {
	if a.Network == "unix" {
		return "unix://" + a.Address
	}
	return a.Address
}

// mostConnections is what the configuration says, or two fifths of the files that may be open: each client may need one
// connection to a backend, and the pipes of large bodies take the rest. The Go runtime has raised the soft limit to the
// hard one.
func mostConnections(configured int) int {
	var files syscall.Rlimit
	if configured > 0 || syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files) != nil {
		return configured
	}
	const more = 1 << 20 // beyond this the memory of the connections is the limit, not their number
	return int(min(files.Cur, more)) * 2 / 5
}
