package message

import "testing"

func TestResetKeepsOnlyMemory(t *testing.T) {
	h := Head{Method: []byte("GET"), Status: 200, Close: true, ExpectContinue: true, Upgrade: []byte("x"), Framing: Framing{Kind: Chunked}}
	h.Add(Host, []byte("Host"), []byte("a"))
	room := cap(h.Fields)
	h.Reset()
	if h.Method != nil || h.Status != 0 || h.Close || h.ExpectContinue || h.Upgrade != nil || !h.Framing.Empty() || len(h.Fields) != 0 {
		t.Errorf("something of the last message is left: %+v", h)
	}
	if h.Minor != 1 || cap(h.Fields) != room {
		t.Errorf("Minor %d, room %d: want 1 and %d", h.Minor, cap(h.Fields), room)
	}
}

func TestPath(t *testing.T) {
	for target, want := range map[string]string{"/": "/", "/a?b": "/a", "/a?b?c": "/a", "?x": "", "*": "*", "/a/b": "/a/b", "": ""} {
		h := Head{Target: []byte(target)}
		if got := string(h.Path()); got != want {
			t.Errorf("Path of %q = %q, want %q", target, got, want)
		}
	}
}

func TestMethods(t *testing.T) {
	for method, idempotent := range map[string]bool{
		"GET": true, "HEAD": true, "OPTIONS": true, "TRACE": true, "PUT": true, "DELETE": true,
		"POST": false, "PATCH": false, "get": false, "CONNECT": false, "": false, "QUERY": false,
	} {
		h := Head{Method: []byte(method)}
		if h.Idempotent() != idempotent {
			t.Errorf("%s: Idempotent = %v", method, !idempotent)
		}
		if h.IsHead() != (method == "HEAD") {
			t.Errorf("%s: IsHead = %v", method, h.IsHead())
		}
	}
}

func TestInterim(t *testing.T) {
	for status, want := range map[int]bool{100: true, 101: false, 102: true, 103: true, 199: true, 200: false, 99: false, 500: false} {
		h := Head{Status: status}
		if h.Interim() != want {
			t.Errorf("%d: Interim = %v", status, !want)
		}
	}
}

func TestFraming(t *testing.T) {
	for _, row := range []struct {
		f            Framing
		known, empty bool
	}{
		{Framing{Kind: None}, true, true},
		{Framing{Kind: Length}, true, true},
		{Framing{Kind: Length, Length: 1}, true, false},
		{Framing{Kind: Chunked}, false, false},
		{Framing{Kind: UntilClose}, false, false},
	} {
		if row.f.Known() != row.known || row.f.Empty() != row.empty {
			t.Errorf("%+v: known %v, empty %v", row.f, row.f.Known(), row.f.Empty())
		}
	}
}
