package proxy

import (
	"context"
	"errors"
	"io"
	"time"

	"sluice/http1"
	"sluice/judge"
	"sluice/message"
	"sluice/upstream"
)

// Probe is a request that Sluice makes of itself, to see how a release answers while nobody asks.
type Probe struct {
	Method  string // a safe one (RFC 9110 §9.2.1)
	Host    string
	Target  string
	Good    func(status int) bool // whether an answer is as it is to be
	Timeout time.Duration         // for the whole answer
}

// Probed is one pool of a service as probes see it. They take the way of a visitor, by a snapshot of their own in which the
// pool is live: so they find the pool whether visitors do or not, and nothing of them is counted among visitors, pinned, held
// or split. A request that fails is not sent again: nobody waits for it.
type Probed struct {
	snapshot *Snapshot
	figures  *Figures
}

// NewProbed is for one look: it takes the pool as it is now. The gates of its backends are its own. Figures are to outlive it.
func NewProbed(of *Service, pool *upstream.Pool, figures *Figures) (*Probed, error) {
	svc := &Service{
		Name: of.Name, Hosts: of.Hosts, Path: of.Path, Live: pool, Retry: of.Retry, HashBy: of.HashBy,
		Resend: &Resend{Attempts: 1}, Figures: []*Figures{},
	}
	s, err := NewSnapshot(0, []*Service{svc})
	return &Probed{snapshot: s, figures: figures}, err
}

// Probe makes a probe and counts what comes of it. One that did not come to a backend, or that ctx ended, counts nothing.
func (p *Proxy) Probe(ctx context.Context, to *Probed, what *Probe) {
	c := &probeClient{}
	ex := NewExchange(c, &probePeer)
	ex.probed = to
	what.head(&ex.Request)
	ex.Reset(time.Now())
	within, cancel := context.WithTimeout(ctx, what.Timeout)
	defer cancel()
	defer context.AfterFunc(within, ex.ClientGone)()
	p.Serve(ex)
	if ctx.Err() == nil && ex.Backend != nil {
		to.figures.probed(ex, what.answered(ex) && within.Err() == nil)
	}
}

// probePeer is whom a probe says that it comes from.
var probePeer = Peer{Address: "127.0.0.1", Scheme: "http"}

var (
	nameUserAgent  = []byte("User-Agent")
	valueUserAgent = []byte("sluice-probe")
)

func (what *Probe) head(h *message.Head) {
	h.Reset()
	h.Method, h.Target, h.Authority = []byte(what.Method), []byte(what.Target), []byte(what.Host)
	h.Add(message.Lookup(nameUserAgent), nameUserAgent, valueUserAgent)
}

func (what *Probe) answered(ex *Exchange) bool { return ex.Err == nil && what.Good(ex.Status) }

// probed counts a probe. That no place was free at the backend says nothing of the release.
func (f *Figures) probed(ex *Exchange, good bool) {
	switch {
	case good:
		f.status[ex.Status/100%6].Add(1)
		f.took[judge.Bucket(ex.Waited)].Add(1)
	case ex.Err != nil && ex.Err.Fault == ByOperator:
	default:
		f.failed.Add(1)
	}
}

// probeClient takes an answer and keeps nothing of it.
type probeClient struct{ read int }

// mostProbed is how much of an answer is read. A page is less; what is more is cut off as by a client that has seen enough,
// and makes the probe one that failed: it would be a strange thing to ask for twice a second.
const mostProbed = 16 << 20

var errProbedEnough = errors.New("proxy: a probe has read enough")

func (c *probeClient) WholeBody() ([]byte, bool)         { return nil, true }
func (c *probeClient) SkipBody()                         {}
func (c *probeClient) Next() ([]byte, error)             { return nil, io.EOF }
func (c *probeClient) ReadBody([]byte) (int, error)      { return 0, io.EOF }
func (c *probeClient) BodyDone() bool                    { return true }
func (c *probeClient) BodyBuffered() bool                { return false }
func (c *probeClient) Trailers() []message.Field         { return nil }
func (c *probeClient) ArmRead(time.Duration)             {}
func (c *probeClient) ArmWrite(time.Duration)            {}
func (c *probeClient) InterruptReads()                   {}
func (c *probeClient) WriteResponse(*message.Head) error { return nil }
func (c *probeClient) EndBody([]message.Field) error     { return nil }
func (c *probeClient) Flush() error                      { return nil }
func (c *probeClient) Abort()                            {}
func (c *probeClient) Tunnel() *http1.Conn               { return nil }

func (c *probeClient) WriteBody(b []byte) error {
	if c.read += len(b); c.read > mostProbed {
		return errProbedEnough
	}
	return nil
}
