package control

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"sluice/config"
	"sluice/drain"
	"sluice/upstream"
)

// seen makes the idle pool of the world's first service visible in each way.
func (w *world) seen(p config.Preview) *world {
	w.cfg.Listen = []config.Listener{{Scheme: "http", Network: "tcp", Address: ":8080"}}
	w.cfg.Services[0].Preview = &p
	return w
}

func everyWay() config.Preview {
	l := config.Listener{Scheme: "http", Network: "tcp", Address: "127.0.0.1:8081"}
	return config.Preview{Hosts: []string{"idle.test"}, Ports: []config.Door{{Listener: l, Name: l.Address}}, Cookie: true}
}

// test sends a request to the preview that stays inside until its lease is released.
func (w *world) test() (upstream.Lease, error) {
	svc := w.proxy.Snapshot().Route([]byte("idle.test"), []byte("/web"))
	if svc == nil || svc.Preview == nil {
		w.t.Fatal("there is no preview")
	}
	return svc.Live.Claim(&upstream.Tried{})
}

func (w *world) mustTest() upstream.Lease {
	w.t.Helper()
	lease, err := w.test()
	if err != nil {
		w.t.Fatal(err)
	}
	return lease
}

// TestPreviewAcrossFlips: who is inside of a preview is neither waited for nor ended by a flip, and goes on when its pool
// becomes live; visitors of what was live are drained all the same, while testers come to it anew.
func TestPreviewAcrossFlips(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "web blue=a:1 green=b:1").seen(everyWay())
		w.servers.up("v1", "a:1")
		w.servers.up("v2", "b:1")
		w.mustStart()
		defer w.c.Close()
		w.untilUp("web", "blue")
		w.untilUp("web", "green")
		visitor, tester := w.mustClaim("web"), w.mustTest()
		if visitor.Backend.Pool != "blue" || tester.Backend.Pool != "green" {
			t.Fatalf("visitors at %s, testers at %s", visitor.Backend.Pool, tester.Backend.Pool)
		}
		op, err := w.c.Flip(context.Background(), "web", "green", FlipWant{}, operator())
		if err != nil {
			t.Fatal(err)
		}
		if tester.Backend.Gate.Closed() || !visitor.Backend.Gate.Closed() {
			t.Fatal("the gate of the testers was closed, or that of the visitors was not")
		}
		late := w.mustTest()
		if late.Backend.Pool != "blue" || late.Backend.Gate == visitor.Backend.Gate {
			t.Fatalf("testers at %s after the flip, by the gate of its visitors: %v", late.Backend.Pool, late.Backend.Gate == visitor.Backend.Gate)
		}
		if next := w.mustClaim("web"); next.Backend.Gate != tester.Backend.Gate {
			t.Error("the pool that was seen has another gate now that it is live")
		} else {
			next.Release()
		}
		if n := status(w, "web").Inside; n != 3 {
			t.Errorf("%d inside", n)
		}
		visitor.Release()
		if r := over(t, op); r.Drain == nil || r.Drain.Found != 1 {
			t.Errorf("the flip drained %+v", r.Drain)
		}
		tester.Release()
		late.Release()
	})
}

// TestPreviewTakesWhoIsReady: up, ready and not out for whatever reason; the drain of a backend that is only seen waits for
// its testers.
func TestPreviewTakesWhoIsReady(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "web blue=a:1 green=b:1,b:2").seen(everyWay())
		w.servers.up("v1", "a:1")
		w.servers.up("v2", "b:1")
		w.mustStart()
		defer w.c.Close()
		w.untilUp("web", "blue")
		w.until("b:1 is up", func() bool { return w.c.State().Backend(Key{"web", "green", "b:1"}).Eligible() })
		tester := w.mustTest()
		for range 3 {
			lease := w.mustTest()
			if lease.Backend.Name != "b:1" {
				t.Errorf("a tester at %s, which is down", lease.Backend.Name)
			}
			lease.Release()
		}
		op, err := w.c.SetAdmin(context.Background(), "web", "b:1", "green", Maint, AdminWant{}, operator())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.test(); err != upstream.ErrNoBackend {
			t.Errorf("a tester in maint: %v", err)
		}
		if r := op.Receipt(); r.Done {
			t.Error("done, with a tester inside")
		}
		if r := w.refused(w.c.Retire(context.Background(), "web", "v2", RetireWant{}, operator())); !strings.Contains(r.What, "inside of green/b:1") {
			t.Errorf("retired with a tester inside: %s", r.What)
		}
		tester.Release()
		if r := over(t, op); r.Drain.Found != 1 || r.Drain.Classes[drain.Request].Finished != 1 {
			t.Errorf("%+v", r.Drain)
		}
	})
}

func (w *world) refused(_ *Operation, err error) *Refusal { return refusalOf(w.t, err) }

// TestPreviewOfOnePool stays at that pool, live or not, and visitors' figures do not know of it.
func TestPreviewOfOnePool(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "web blue=a:1 green=b:1 red=c:1", "other blue=a:1").seen(config.Preview{Pool: "green", Hosts: []string{"idle.test"}})
		w.servers.up("v1", "a:1", "c:1")
		w.servers.up("v2", "b:1")
		w.mustStart()
		defer w.c.Close()
		w.untilUp("web", "blue")
		w.untilUp("web", "green")
		for _, live := range []string{"blue", "green", "blue"} {
			if _, err := w.c.Flip(context.Background(), "web", live, FlipWant{}, operator()); err != nil {
				t.Fatal(err)
			}
			lease := w.mustTest()
			if lease.Backend.Pool != "green" || lease.Backend.Watch != nil {
				t.Errorf("with %s live: %s, watched: %v", live, lease.Backend.Pool, lease.Backend.Watch != nil)
			}
			lease.Release()
			look := w.proxy.Snapshot().Route([]byte("idle.test"), []byte("/web"))
			if look.Preview.Live != (live == "green") || look.Counters == w.proxy.Snapshot().Route(nil, []byte("/web")).Counters {
				t.Errorf("with %s live: %+v", live, look.Preview)
			}
		}
		st := status(w, "web")
		if st.Preview == nil || len(st.Pools[0].Preview) > 0 || strings.Join(st.Pools[1].Preview, " ") != "idle.test/web" || status(w, "other").Preview != nil {
			t.Errorf("status: %+v %+v", st.Preview, st.Pools)
		}
	})
}

func status(w *world, service string) ServiceStatus {
	s, _ := w.c.ServiceStatus(service)
	return s
}

// TestPasses: who gets one, where its links lead, and that the history has who asked and not what they got.
func TestPasses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "web blue=a:1 green=b:1", "plain blue=a:1 green=b:1", "one blue=a:1", "three a=a:1 b=b:1 c=c:1").seen(everyWay())
		w.cfg.Services[0].Hosts = []string{"example.com", "*.example.com"}
		w.cfg.Services[3].Preview = &config.Preview{Cookie: true}
		w.servers.up("v2", "b:1")
		w.mustStart()
		defer w.c.Close()
		w.untilUp("web", "green")
		pass, err := w.c.Preview("web", PreviewWant{For: time.Minute}, Cause{By: "ann", Via: "api"})
		if err != nil {
			t.Fatal(err)
		}
		if pass.Pool != "green" || pass.Live || pass.Release != "v2" || !pass.Until.Equal(time.Now().Add(time.Minute).Truncate(time.Second)) ||
			strings.Join(pass.Places, " ") != "idle.test/web http://127.0.0.1:8081/web" ||
			strings.Join(pass.Links, " ") != "http://example.com:8080/.well-known/sluice/preview?token="+pass.Cookie.Value ||
			strings.Join(pass.End, " ") != "http://example.com:8080/.well-known/sluice/preview/end" {
			t.Errorf("%+v until %s", pass, pass.Until)
		}
		entries, err := w.c.History("web", 1)
		if err != nil || entries[0].Verb != "preview" || entries[0].Cause.By != "ann" || strings.Contains(entries[0].Text, pass.Cookie.Value) || !strings.Contains(entries[0].Text, "web/green") {
			t.Errorf("%+v %v", entries, err)
		}
		for _, e := range w.heard() {
			if strings.Contains(e.Text, pass.Cookie.Value) {
				t.Errorf("the log has the pass: %s", e.Text)
			}
		}
		if pass, err := w.c.Preview("web", PreviewWant{Pool: "blue"}, operator()); err != nil || !pass.Live || pass.Pool != "blue" {
			t.Errorf("a pass to what is live: %+v %v", pass, err)
		}
		if pass, err := w.c.Preview("three", PreviewWant{Pool: "c"}, operator()); err != nil || pass.Links[0][:len("http://localhost:8080/.well-known/")] != "http://localhost:8080/.well-known/" {
			t.Errorf("a service of any host: %+v %v", pass, err)
		}
		for service, says := range map[string]string{"plain": "has no preview", "one": "one pool", "three": "more than one pool", "none": "no service"} {
			_, err := w.c.Preview(service, PreviewWant{}, operator())
			if r := refusalOf(t, err); !strings.Contains(r.What, says) {
				t.Errorf("%s: %s", service, r.What)
			}
		}
		if _, err := w.c.Preview("web", PreviewWant{Pool: "red"}, operator()); err == nil {
			t.Error("a pass to a pool that there is not")
		}
	})
}
