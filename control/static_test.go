package control

import (
	"context"
	"testing"
	"testing/synctest"

	"sluice/config"
	"sluice/static"
)

// withRoots makes each pool of the first service a folder that is named as its one backend was.
func (w *world) withRoots() *world {
	svc := &w.cfg.Services[0]
	for i := range svc.Pools {
		p := &svc.Pools[i]
		p.Root = "/www/" + p.Name
		p.Backends = []config.Backend{{Address: p.Root, Network: config.NetworkRoot, Dial: p.Root, Weight: 1}}
	}
	return w
}

// TestMovedLinkIsNoStranger: the release of a live folder changes, and it goes on serving, even where servers would be
// taken out for it.
func TestMovedLinkIsNoStranger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "web blue=x", "api blue=a:1").withRoots().withHealth(onChange(quarantine))
		w.cfg.Services[1].Health.OnChange = quarantine
		w.servers.up("v1", "/www/blue", "a:1")
		w.mustStart()
		defer w.c.Close()
		w.untilUp("web", "blue")
		w.untilUp("api", "blue")
		w.servers.up("v2", "/www/blue", "a:1")
		w.until("the folder's new release is seen", func() bool {
			return w.c.State().Backend(Key{"web", "blue", "/www/blue"}).Health.Release == "v2"
		})
		if got := w.condition(Key{"web", "blue", "/www/blue"}); got != "up" || w.choice("web") != "/www/blue" {
			t.Errorf("%s, served by %q", got, w.choice("web"))
		}
		w.until("the server is a stranger", func() bool { return w.c.State().Backend(Key{"api", "blue", "a:1"}).Identity.Stranger })
	})
}

// TestFolderAfterFlip: a flip that asks for a release is held to it when it is made. The folder may have another one later.
func TestFolderAfterFlip(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "web blue=x green=y").withRoots()
		w.servers.up("v1", "/www/blue", "/www/green")
		w.mustStart()
		defer w.c.Close()
		w.untilUp("web", "blue")
		if _, err := w.c.Flip(t.Context(), "web", "green", FlipWant{Release: "v2"}, operator()); err == nil {
			t.Error("a flip to a release that is not there")
		}
		if _, err := w.c.Flip(t.Context(), "web", "green", FlipWant{Release: "v1"}, operator()); err != nil {
			t.Fatal(err)
		}
		w.servers.up("v2", "/www/green")
		w.until("the folder's new release is seen", func() bool {
			return w.c.State().Backend(Key{"web", "green", "/www/green"}).Health.Release == "v2"
		})
		if got := w.choice("web"); got != "/www/green" {
			t.Errorf("served by %q", got)
		}
	})
}

// TestFolderIsCheckedWithoutHealth: `health: off` is for servers.
func TestFolderIsCheckedWithoutHealth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "web unchecked=yes blue=x green=y").withRoots()
		w.servers.up("v1", "/www/blue")
		w.servers.down("there is no such folder", "/www/green")
		w.mustStart()
		defer w.c.Close()
		w.untilUp("web", "blue")
		if _, err := w.c.Flip(context.Background(), "web", "green", FlipWant{}, operator()); err == nil {
			t.Error("a flip to a folder that is not there")
		}
		w.servers.up("v2", "/www/green")
		if _, err := w.c.Flip(context.Background(), "web", "green", FlipWant{Release: "v2"}, operator()); err != nil {
			t.Error(err)
		}
	})
}

// TestReleaseBefore: it is asked for assets after a flip, until an operator takes it out, and only if there are assets.
func TestReleaseBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "web blue=x green=y", "plain blue=a:1").withRoots()
		w.cfg.Services[0].Assets = []string{"/assets/*"}
		w.servers.up("v1", "/www/blue", "/www/green", "a:1")
		w.mustStart()
		defer w.c.Close()
		w.untilUp("web", "blue")
		w.untilUp("plain", "blue")
		before := func() string {
			f := w.proxy.Snapshot().Route(nil, []byte("/web")).Before
			if f == nil {
				return ""
			}
			return f.Pool.Backends()[0].Files.Path()
		}
		folder := func() *static.Folder { return w.proxy.Snapshot().Route(nil, []byte("/web")).Live.Backends()[0].Files }
		if got := before(); got != "" {
			t.Errorf("before any flip: %s", got)
		}
		if _, err := w.c.Flip(context.Background(), "web", "green", FlipWant{}, operator()); err != nil {
			t.Fatal(err)
		}
		if got := before(); got != "/www/blue" {
			t.Errorf("after the flip: %q", got)
		}
		was := folder()
		if _, err := w.c.SetAdmin(context.Background(), "web", "/www/blue", "", Maint, AdminWant{}, operator()); err != nil {
			t.Fatal(err)
		}
		if got := before(); got != "" {
			t.Errorf("in maint: %s", got)
		}
		if folder() != was || was.Path() != "/www/green" {
			t.Error("the folder did not go on")
		}
		if w.proxy.Snapshot().Route(nil, []byte("/plain")).Live.Backends()[0].Files != nil {
			t.Error("a server with a folder")
		}
	})
}
