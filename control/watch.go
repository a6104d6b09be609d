package control

import (
	"context"
	"sync"

	"sluice/names"
)

// watch is the watching of one name, for as long as the State has it.
type watch struct {
	*names.Watch
	stop context.CancelFunc
}

// rewatch returns the watches that the State asks for. Those that go on are kept; the others are ended.
func (c *Controller) rewatch(s State, old map[names.Name]*watch) map[names.Name]*watch {
	next := make(map[names.Name]*watch, len(old))
	for _, svc := range s.Services {
		for _, p := range svc.Pools {
			for _, n := range p.Named {
				name := nameOf(n.File)
				if next[name] != nil {
					continue
				}
				if next[name] = old[name]; next[name] == nil {
					next[name] = c.startWatch(name)
				}
			}
		}
	}
	for name, w := range old {
		if next[name] != w {
			w.stop()
		}
	}
	return next
}

func (c *Controller) startWatch(name names.Name) *watch {
	d := c.opts.Config.DNS
	ctx, stop := context.WithCancel(c.ctx)
	w := &watch{Watch: names.NewWatch(name, c.opts.Resolve, d.Least, d.Most, c.opts.Now, c.opts.Rand), stop: stop}
	c.running.Add(1)
	go c.runWatch(ctx, w)
	return w
}

func (c *Controller) runWatch(ctx context.Context, w *watch) {
	defer c.running.Done()
	defer w.stop()
	w.Run(ctx, func(_ names.Finding, changed bool) {
		if changed {
			c.renamed.add(w)
			c.takeNames()
		}
		c.checked.tell()
	})
}

// renamed collects the watches that have news, as findings do with verdicts.
type renamed struct {
	mu  sync.Mutex
	all []*watch
}

func (r *renamed) add(w *watch) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all = append(r.all, w)
}

func (r *renamed) take() []*watch {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := r.all
	r.all = nil
	return all
}

// doubt looks names up again: a server that has just failed a check may have been replaced.
func (c *Controller) doubt(k Key) {
	n := c.now.Load()
	if b := n.state.Backend(k); b != nil && b.Name != "" {
		c.hurryNames(n, k.Service, k.Pool)
	}
}

// hurryNames asks for a lookup of each name in a pool, and returns how many lookups each watch has made when it is done.
func (c *Controller) hurryNames(n *now, service, pool string) map[*watch]uint64 {
	svc := n.state.Services[service]
	if svc == nil || svc.Pool(pool) == nil {
		return nil
	}
	fresh := map[*watch]uint64{}
	for _, named := range svc.Pool(pool).Named {
		if w := n.watches[nameOf(named.File)]; w != nil {
			fresh[w] = w.Hurry()
		}
	}
	return fresh
}

// resolveAfresh looks the names of a pool up, so that who has just started servers behind a name need not wait for its
// lifetime. It returns when they have been looked up, or ctx ends.
func (c *Controller) resolveAfresh(ctx context.Context, service, pool string) {
	for w, lookups := range c.hurryNames(c.now.Load(), service, pool) {
		for {
			looked := c.checked.wait()
			if w.Latest().Lookups >= lookups {
				break
			}
			select {
			case <-looked:
			case <-ctx.Done():
				return
			case <-c.ctx.Done():
				return
			}
		}
	}
}
