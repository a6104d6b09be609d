//go:build !race

package message

import "testing"

// TestFieldsAllocateNothing does to a head what each request needs done.
func TestFieldsAllocateNothing(t *testing.T) {
	h := new(Head)
	value, target, authority := []byte("a value"), []byte("/path?query"), []byte("www.example.com:8080")
	once := func() {
		h.Reset()
		for _, name := range usual {
			h.Add(Lookup(name), name, value)
		}
		h.Target = target
		if h.Get(XForwardedFor) == nil || !HasToken(list, "upgrade") || !IsValue(agent) || !IsAuthority(authority) || len(h.Path()) != 5 {
			t.Fatal("not as it was written")
		}
		SplitPort(authority)
	}
	once()
	if n := testing.AllocsPerRun(500, once); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
