package control

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"

	"sluice/proxy"
	"sluice/upstream"
)

func (w *world) before() *proxy.Before { return w.proxy.Snapshot().Route(nil, []byte("/web")).Before }

// TestAppBefore: after a flip the servers of the pool before are asked for assets, by gates of their own, for as long as a
// rollback could bring them back; and with a rollback those gates go on.
func TestAppBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "web blue=a:1,a:2 green=b:1")
		w.cfg.Services[0].Assets = []string{"/assets/*"}
		w.servers.up("v1", "a:1", "a:2")
		w.servers.up("v2", "b:1")
		w.mustStart()
		defer w.c.Close()
		w.untilUp("web", "blue")
		w.untilUp("web", "green")
		if w.before() != nil {
			t.Error("before any flip there is nobody to ask")
		}
		visitor := w.mustClaim("web")
		flip, err := w.c.Flip(context.Background(), "web", "green", FlipWant{}, operator())
		if err != nil {
			t.Fatal(err)
		}
		b := w.before()
		if b == nil || !b.Asset("/web/assets/a.js") || b.Asset("/web/page") || len(b.Pool.Backends()) != 2 {
			t.Fatalf("after the flip: %+v", b)
		}
		asset, err := b.Pool.Claim(&upstream.Tried{})
		if err != nil || asset.Backend.Watch != nil || asset.Backend.ID != 0 || asset.Backend.Gate == visitor.Backend.Gate {
			t.Fatalf("%+v %v", asset.Backend, err)
		}
		visitor.Release()
		if r := over(t, flip); r.Drain.Found != 1 {
			t.Errorf("the flip waited for %d", r.Drain.Found)
		}
		w.servers.down("refused", "a:1", "a:2")
		w.until("both are down", func() bool { return w.before() == nil })
		if r := w.refused(w.c.Retire(context.Background(), "web", "v1", RetireWant{}, operator())); !strings.Contains(r.What, "1 request inside of blue/"+asset.Backend.Name) {
			t.Errorf("retired while it is asked for an asset: %s", r.What)
		}
		asset.Release()
		if _, err := w.c.Retire(context.Background(), "web", "v1", RetireWant{}, operator()); err != nil {
			t.Fatal(err)
		}
		w.servers.up("v1", "a:1")
		w.servers.up("v0", "a:2")
		w.until("another release is up", func() bool { return w.before() != nil })
		if all := w.before().Pool.Backends(); len(all) != 1 || all[0].Name != "a:2" {
			t.Errorf("a retired release is asked: %v", all[0].Name)
		}
		asset, err = w.before().Pool.Claim(&upstream.Tried{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.c.Rollback(context.Background(), "web", FlipWant{}, operator()); err != nil {
			t.Fatal(err)
		}
		if next := w.mustClaim("web"); next.Backend.Gate != asset.Backend.Gate || asset.Backend.Gate.Closed() {
			t.Error("what was asked for ended with the rollback")
		} else {
			next.Release()
		}
		asset.Release()
	})
}
