package admin

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"sluice/control"
	"sluice/drain"
)

// fakeOperation is an operation that ends when the test says so.
type fakeOperation struct {
	done chan struct{}

	mu      sync.Mutex
	receipt control.Receipt
}

func newFakeOperation(r control.Receipt) *fakeOperation {
	return &fakeOperation{done: make(chan struct{}), receipt: r}
}

func (o *fakeOperation) Done() <-chan struct{} { return o.done }

func (o *fakeOperation) Receipt() control.Receipt {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.receipt
}

func (o *fakeOperation) Inside(limit int) drain.Listing {
	o.mu.Lock()
	defer o.mu.Unlock()
	all := o.receipt.Inside
	l := drain.Listing{Items: all[:min(limit, len(all))], More: max(0, len(all)-limit)}
	for _, it := range all {
		l.Count(it.Class, 1)
	}
	return l
}

// endWith ends it with so much cut.
func (o *fakeOperation) endWith(cut int) {
	o.mu.Lock()
	o.receipt.Done, o.receipt.Inside = true, nil
	o.receipt.Drain = &drain.Report{Count: drain.Count{Found: 7, Cut: cut, Finished: 7 - cut}}
	for range cut {
		o.receipt.Drain.CutList = append(o.receipt.Drain.CutList, drain.Item{ID: "a-1", Class: drain.WebSocket})
	}
	o.mu.Unlock()
	close(o.done)
}

func (o *fakeOperation) end() {
	o.mu.Lock()
	o.receipt.Done, o.receipt.Inside = true, nil
	o.receipt.Drain = &drain.Report{Count: drain.Count{Found: 2, Finished: 2}, Took: time.Second}
	o.mu.Unlock()
	close(o.done)
}

// fake is a controller that writes down what it was asked, and refuses with err when that is set.
type fake struct {
	mu         sync.Mutex
	asked      []string
	cause      control.Cause
	want       control.FlipWant
	adminWant  control.AdminWant
	err        error
	generation uint64
	instant    bool // operations are over at once
	ops        []*fakeOperation
	hold       chan struct{} // a flip waits for it; nil: it does not
}

func (f *fake) do(ctx context.Context, asked, id string, cause control.Cause) (Operation, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked = append(f.asked, asked)
	f.cause = cause
	if f.hold != nil {
		hold := f.hold
		f.mu.Unlock()
		select {
		case <-hold:
		case <-ctx.Done():
			f.mu.Lock()
			return nil, ctx.Err()
		}
		f.mu.Lock()
	}
	if f.err != nil {
		return nil, f.err
	}
	f.generation++
	op := newFakeOperation(control.Receipt{
		ID: id, Generation: f.generation, Verb: cause.Verb, Service: "web", From: "blue", To: "green", Release: "v2", Cause: cause,
		Inside: []drain.Item{{ID: "a-1", Class: drain.Stream, Method: "GET", Path: "/events"}, {ID: "b-1", Class: drain.Request}},
	})
	f.ops = append(f.ops, op)
	if f.instant {
		op.end()
	}
	return op, nil
}

func (f *fake) Bake(service string) (Operation, error) {
	return f.do(context.Background(), "bake "+service, "7", control.Cause{Verb: "flip"})
}

func (f *fake) Flip(ctx context.Context, service, pool string, want control.FlipWant, cause control.Cause) (Operation, error) {
	f.want = want
	return f.do(ctx, "flip "+service+" "+pool+" "+want.Release, "7", cause)
}

func (f *fake) Rollback(ctx context.Context, service string, want control.FlipWant, cause control.Cause) (Operation, error) {
	return f.do(ctx, "rollback "+service, "8", cause)
}

func (f *fake) Split(ctx context.Context, service string, want control.SplitWant, cause control.Cause) (Operation, error) {
	f.adminWant = control.AdminWant{IfMatch: want.IfMatch}
	return f.do(ctx, fmt.Sprintf("split %s %v %s %v %v", service, want.Shares, want.Release, want.Only, want.Rules), "12", cause)
}

func (f *fake) Pause(ctx context.Context, service string, want control.PauseWant, cause control.Cause) (Operation, error) {
	f.adminWant = control.AdminWant{IfMatch: want.IfMatch}
	return f.do(ctx, "pause "+service+" "+want.For.String(), "10", cause)
}

func (f *fake) Resume(ctx context.Context, service string, ifMatch *uint64, cause control.Cause) (Operation, error) {
	f.adminWant = control.AdminWant{IfMatch: ifMatch}
	return f.do(ctx, "resume "+service, "11", cause)
}

func (f *fake) SetAdmin(ctx context.Context, service, backend, pool string, admin control.Admin, want control.AdminWant, cause control.Cause) (Operation, error) {
	f.adminWant = want
	return f.do(ctx, string(admin)+" "+service+" "+pool+" "+backend, "9", cause)
}

func (f *fake) Retire(ctx context.Context, service, release string, want control.RetireWant, cause control.Cause) (Operation, error) {
	f.adminWant = control.AdminWant{IfMatch: want.IfMatch}
	return f.do(ctx, "retire "+service+" "+release+" "+want.Wait.String(), "12", cause)
}

func (f *fake) HoldRelease(service, release string, window time.Duration) (control.ReleaseHold, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked = append(f.asked, "hold "+service+" "+release+" "+window.String())
	return control.ReleaseHold{Service: service, Release: release, Hold: true, Why: "it is live"}, f.err
}

func (f *fake) PutLease(l control.Lease, ttl time.Duration) (control.Lease, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked = append(f.asked, "lease "+l.Name+" "+l.Service+" "+l.Release+" "+ttl.String())
	return l, f.err
}

func (f *fake) DropLease(name string) (control.Lease, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked = append(f.asked, "drop "+name)
	return control.Lease{Name: name}, f.err
}

func (f *fake) Leases() []control.Lease { return []control.Lease{{Name: "worker", Release: "v41"}} }

func (f *fake) Operation(id string) (Operation, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, op := range f.ops {
		if op.receipt.ID == id {
			return op, true
		}
	}
	return nil, false
}

func (f *fake) Status() control.Status {
	return control.Status{Generation: f.Generation(), Version: "test", Services: []control.ServiceStatus{{Name: "web", Live: "blue", Path: "/"}}}
}

func (f *fake) Inside(want control.InsideWant) (drain.Listing, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked = append(f.asked, fmt.Sprintf("inside %q %q %q %v %d", want.Service, want.Pool, want.Backend, want.Draining, want.Limit))
	l := drain.Listing{Items: []drain.Item{{ID: "a-1", Class: drain.Stream, Path: "/\x1b[2J"}, {ID: "b-1", Class: drain.Request}}, More: 3}
	l.Count(drain.Request, 4)
	l.Count(drain.Stream, 1)
	return l, f.err
}

func (f *fake) History(service string, max int) ([]control.Entry, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked = append(f.asked, "history "+service)
	if f.err != nil {
		return nil, f.err
	}
	return make([]control.Entry, min(max, 3)), nil
}

func (f *fake) Verify(noted string) (control.Chain, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked = append(f.asked, "verify "+noted)
	if f.err != nil {
		return control.Chain{}, f.err
	}
	return control.Chain{Unbroken: true, Entries: 3}, nil
}

func (f *fake) Generation() uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.generation
}

func (f *fake) calls() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]string(nil), f.asked...)
}

func (f *fake) last() string {
	if all := f.calls(); len(all) > 0 {
		return all[len(all)-1]
	}
	return ""
}

// window is a server on a real socket and a client that speaks plain HTTP to it.
type window struct {
	t      *testing.T
	fake   *fake
	server *Server
	socket string
	base   string
	http   *http.Client
}

func newWindow(t *testing.T, change ...func(*Options)) *window {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "run", "admin.sock")
	return serve(t, "unix", socket, "", change...)
}

func serve(t *testing.T, network, address, token string, change ...func(*Options)) *window {
	t.Helper()
	l, err := Listen(network, address, token)
	if err != nil {
		t.Fatal(err)
	}
	f := &fake{generation: 5}
	opts := Options{Controller: f, Token: token, Metrics: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "sluice_up 1\n") })}
	for _, c := range change {
		c(&opts)
	}
	w := &window{t: t, fake: f, server: New(opts), socket: address, base: "http://sluice"}
	if network == "tcp" {
		w.socket, w.base = l.Addr().String(), "http://"+l.Addr().String()
	}
	done := make(chan error, 1)
	go func() { done <- w.server.Serve(l) }()
	w.http = &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, w.socket)
	}}}
	t.Cleanup(func() {
		w.http.CloseIdleConnections()
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		w.server.Shutdown(ctx)
		if err := <-done; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return w
}

// reply is an answer, read whole.
type reply struct {
	status int
	header http.Header
	body   string
}

func (r reply) problem(t *testing.T) *Problem {
	t.Helper()
	p := &Problem{}
	if err := json.Unmarshal([]byte(r.body), p); err != nil {
		t.Fatalf("%v: %s", err, r.body)
	}
	return p
}

func (r reply) receipt(t *testing.T) control.Receipt {
	t.Helper()
	var c control.Receipt
	if err := json.Unmarshal([]byte(r.body), &c); err != nil {
		t.Fatalf("%v: %s", err, r.body)
	}
	return c
}

// ask sends a request; fields are pairs of a name and a value.
func (w *window) ask(method, path, body string, fields ...string) reply {
	w.t.Helper()
	req, err := http.NewRequest(method, w.base+path, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	for i := 0; i < len(fields); i += 2 {
		req.Header.Set(fields[i], fields[i+1])
		if fields[i] == "Host" {
			req.Host = fields[i+1]
		}
	}
	res, err := w.http.Do(req)
	if err != nil {
		w.t.Fatalf("%s %s: %v", method, path, err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		w.t.Fatalf("%s %s: %v", method, path, err)
	}
	return reply{res.StatusCode, res.Header, string(text)}
}

func (f *fake) Preview(service string, want control.PreviewWant, cause control.Cause) (control.PreviewPass, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked = append(f.asked, fmt.Sprint("preview ", service, " ", want.Pool, " ", want.For))
	f.cause = cause
	return control.PreviewPass{Service: service, Pool: want.Pool, Cookie: &control.PreviewCookie{Name: "sluice-preview", Value: "x"}}, f.err
}
