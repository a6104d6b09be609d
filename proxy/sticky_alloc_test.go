//go:build !race

package proxy

import (
	"testing"
	"time"
)

func TestPinsAllocateNothing(t *testing.T) {
	s := NewSticky("web", "/", "pin", time.Hour, secret)
	token := s.signer.write(nil, pin{id: 1, client: 2, expires: 1 << 31})
	list := []byte("a=b; pin=" + string(token) + "; c=d")
	room := make([]byte, len(list))
	ex := &Exchange{Peer: &Peer{}, scratch: make([]byte, 0, 1024)}
	if n := testing.AllocsPerRun(500, func() {
		var h hold
		copy(room, list)
		if h.take(s, room, time.Unix(1, 0)); h.found != goodPin {
			t.Fatal("no good pin")
		}
		ex.scratch = ex.scratch[:0]
		ex.cookie(s, h.pin)
	}); n > 0.1 { // a collection may empty the pool in between
		t.Errorf("%v allocations", n)
	}
}
