package proxy

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sluice/upstream"
)

// narrow is a proxy with a service whose backends have room for few; nothing is sent anywhere.
func narrow(t *testing.T, backends, most int, q Queueing) (*Proxy, *Service) {
	p := New(Timeouts{}, nil)
	svc := &Service{Name: "web", Path: "/", Queue: q, Line: p.Queues.NewQueue(), Live: narrowPool(p, backends, most)}
	swapIn(t, p, 1, svc)
	return p, svc
}

func narrowPool(p *Proxy, backends, most int) *upstream.Pool {
	var list []*upstream.Backend
	for i := range backends {
		e := upstream.NewEndpoint("tcp", fmt.Sprintf("127.0.0.1:%d", i+1), upstream.Options{Queues: &p.Queues})
		list = append(list, &upstream.Backend{Endpoint: e, Weight: 1, Max: most, Gate: newGate()})
	}
	return upstream.NewPool("blue", upstream.LeastRequests, list)
}

func swapIn(t *testing.T, p *Proxy, generation uint64, services ...*Service) {
	t.Helper()
	s, err := NewSnapshot(generation, services)
	if err != nil {
		t.Fatal(err)
	}
	p.Swap(s)
}

// claimed is what came of a claim.
type claimed struct {
	lease upstream.Lease
	err   *Error
}

// claimLater claims in a goroutine of its own, and returns when the request waits, as the nth.
func claimLater(t *testing.T, p *Proxy, svc *Service, nth int) (*Exchange, chan claimed) {
	t.Helper()
	ex, got := incoming(false), make(chan claimed, 1)
	go func() {
		lease, err := p.claim(ex)
		got <- claimed{lease, err}
	}()
	waitFor(t, "it waits", func() bool { return svc.Line.Waiting() == nth })
	return ex, got
}

func result(t *testing.T, got chan claimed) claimed {
	t.Helper()
	select {
	case c := <-got:
		return c
	case <-time.After(8 * time.Second):
		t.Fatal("it waits for ever")
		return claimed{}
	}
}

// TestNoWakeUpIsLost: many claim and release at random, and each gets its turn: one that is forgotten would wait for as
// long as a request may, and be refused.
func TestNoWakeUpIsLost(t *testing.T) {
	const backends, most, clients, each = 2, 2, 32, 200
	p, svc := narrow(t, backends, most, Queueing{Requests: clients, Wait: 20 * time.Second})
	var inside, over atomic.Int64
	var all sync.WaitGroup
	for range clients {
		all.Go(func() {
			ex := incoming(false)
			for range each {
				ex.Reset(time.Now())
				lease, err := p.claim(ex)
				if err != nil {
					t.Errorf("refused: %v", err)
					return
				}
				if inside.Add(1) > backends*most {
					over.Add(1)
				}
				for range rand.N(5) {
					runtime.Gosched() // others come meanwhile
				}
				inside.Add(-1)
				lease.Release()
			}
		})
	}
	all.Wait()
	if over.Load() > 0 {
		t.Errorf("%d times more were inside than may be", over.Load())
	}
	if svc.Queued.Load() == 0 {
		t.Error("none waited: nothing was tested")
	}
	if svc.Line.Waiting() != 0 {
		t.Errorf("%d wait still", svc.Line.Waiting())
	}
	t.Logf("%d of %d waited", svc.Queued.Load(), clients*each)
}

func TestQueueIsServedInOrder(t *testing.T) {
	p, svc := narrow(t, 1, 1, Queueing{Requests: 10, Wait: 8 * time.Second})
	held, _ := p.claim(incoming(false))
	var got []chan claimed
	for i := range 5 {
		_, c := claimLater(t, p, svc, i+1)
		got = append(got, c)
	}
	for i, c := range got {
		held.Release()
		now := result(t, c)
		if now.err != nil {
			t.Fatal(now.err)
		}
		for j, later := range got[i+1:] {
			if len(later) > 0 {
				t.Fatalf("number %d came before number %d", i+1+j, i)
			}
		}
		held = now.lease
	}
	held.Release()
}

// TestNobodyPassesTheQueue: who comes while others wait waits behind them, even if there is a place at that moment.
func TestNobodyPassesTheQueue(t *testing.T) {
	p, svc := narrow(t, 1, 1, Queueing{Requests: 10, Wait: 8 * time.Second})
	place, _ := svc.Line.Join(10)
	_, got := claimLater(t, p, svc, 2)
	if len(got) > 0 {
		t.Error("it passed the one before it")
	}
	place.Leave()
	now := result(t, got)
	if now.err != nil {
		t.Fatal(now.err)
	}
	now.lease.Release()
}

func TestQueueIsBounded(t *testing.T) {
	p, svc := narrow(t, 1, 1, Queueing{Requests: 2, Wait: 60 * time.Millisecond})
	held, _ := p.claim(incoming(false))
	defer held.Release()
	_, first := claimLater(t, p, svc, 1)
	_, second := claimLater(t, p, svc, 2)
	if _, err := p.claim(incoming(false)); err != errQueueFull {
		t.Errorf("a third: %v", err)
	}
	for _, got := range []chan claimed{first, second} {
		if now := result(t, got); now.err != errQueueLong {
			t.Errorf("after the longest wait: %v", now.err)
		}
	}
	if svc.Queued.Load() != 2 || svc.QueueFull.Load() != 1 || svc.QueueLong.Load() != 2 || svc.Line.Waiting() != 0 {
		t.Errorf("queued %d, full %d, long %d", svc.Queued.Load(), svc.QueueFull.Load(), svc.QueueLong.Load())
	}
}

// TestWhoLeavesTheQueueIsForgotten, and takes nobody's turn with it.
func TestWhoLeavesTheQueueIsForgotten(t *testing.T) {
	p, svc := narrow(t, 1, 1, Queueing{Requests: 10, Wait: 8 * time.Second})
	held, _ := p.claim(incoming(false))
	gone, first := claimLater(t, p, svc, 1)
	_, second := claimLater(t, p, svc, 2)
	gone.ClientGone()
	if now := result(t, first); now.err != errGone {
		t.Errorf("the first: %v", now.err)
	}
	held.Release()
	now := result(t, second)
	if now.err != nil {
		t.Fatalf("the second: %v", now.err)
	}
	now.lease.Release()
}

// TestQueueFollowsTheSnapshot: a flip brings a pool with room, or takes the service away.
func TestQueueFollowsTheSnapshot(t *testing.T) {
	p, svc := narrow(t, 1, 1, Queueing{Requests: 10, Wait: 8 * time.Second})
	held, _ := p.claim(incoming(false))
	defer held.Release()
	_, first := claimLater(t, p, svc, 1)
	_, second := claimLater(t, p, svc, 2)
	flipped := *svc
	flipped.Live = narrowPool(p, 1, 1)
	swapIn(t, p, 2, &flipped)
	now := result(t, first)
	if now.err != nil || now.lease.Backend != flipped.Live.Backends()[0] {
		t.Fatalf("the first: %+v", now)
	}
	defer now.lease.Release()
	swapIn(t, p, 3)
	if now := result(t, second); now.err != errNoRoute {
		t.Errorf("the second: %v", now.err)
	}
}

// TestPlaceOfAnotherService: two services share an address, and one waits for what the other has.
func TestPlaceOfAnotherService(t *testing.T) {
	p, svc := narrow(t, 1, 1, Queueing{Requests: 10, Wait: 8 * time.Second})
	other := *svc.Live.Backends()[0]
	other.Service, other.Gate = "other", newGate()
	held, err := upstream.NewPool("x", upstream.RoundRobin, []*upstream.Backend{&other}).Claim(&upstream.Tried{})
	if err != nil {
		t.Fatal(err)
	}
	_, got := claimLater(t, p, svc, 1)
	held.Release()
	now := result(t, got)
	if now.err != nil {
		t.Fatal(now.err)
	}
	now.lease.Release()
}

// TestQueuedRequestIsAnswered over real connections: the second waits until the first is over, and is listed as held; a
// third is refused, and told when to come again.
func TestQueuedRequestIsAnswered(t *testing.T) {
	w := newWorld(t, 1, generous)
	w.origins[0].Max = 1
	w.origins[0].Endpoint = upstream.NewEndpoint("tcp", w.origins[0].Name, upstream.Options{Queues: &w.proxy.Queues})
	w.queue = Queueing{Requests: 1, Wait: 5 * time.Second}
	w.route(2)
	first := w.ask(get)
	b := w.origins[0].conn()
	b.head()
	second := w.ask(get)
	w.inside(2)
	third := w.ask(get)
	head := third.has("HTTP/1.1 503", "Retry-After: 1", `Proxy-Status: sluice; error=connection_limit_reached; details="sent=none"`)
	if strings.Contains(head, "Connection: close") {
		t.Error("the client's connection need not end")
	}
	second.silent(20 * time.Millisecond)
	b.send(ok0)
	first.has("HTTP/1.1 200")
	b.head()
	b.send(ok0)
	second.has("HTTP/1.1 200")
}
