package proxy

import (
	"testing"
	"time"

	"sluice/judge"
)

// TestWaitingIsWhatHasNoAnswer, of that pool, from the request's head on.
func TestWaitingIsWhatHasNoAnswer(t *testing.T) {
	w := newWorld(t, 1, generous)
	w.origins[0].Service = "web"
	count := func(service, pool string) uint64 {
		h := w.proxy.Ledger.Waiting(service, pool)
		return h.Count()
	}
	c := w.ask(get)
	b := w.origins[0].conn()
	b.head()
	if count("web", "blue") != 1 || count("web", "green") != 0 || count("api", "blue") != 0 {
		t.Error("it waits", count("web", "blue"))
	}
	for h := w.proxy.Ledger.Waiting("web", "blue"); h.From(judge.Bucket(20*time.Millisecond)) == 0; h = w.proxy.Ledger.Waiting("web", "blue") {
		time.Sleep(time.Millisecond)
	}
	b.send(ok, "Content-Length: 70000\r\n\r\nhe")
	c.has("HTTP/1.1 200")
	if n := count("web", "blue"); n != 0 {
		t.Error("it is answered", n)
	}
	cutAll(w)
	w.over()
	b.Close()

	w = newWorld(t, 1, generous)
	w.origins[0].Service = "web"
	w.ask(post, long, enough)
	b = w.origins[0].conn()
	b.head()
	b.expect(enough)
	if n := count("web", "blue"); n != 0 {
		t.Error("an upload waits for its client", n)
	}
}
