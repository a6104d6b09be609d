package message

import (
	"strings"
	"testing"
)

func TestLookupKnowsEachNameInAnyCase(t *testing.T) {
	for id := Other + 1; int(id) < len(names); id++ {
		name := id.String()
		if name == "" || name != strings.ToLower(name) {
			t.Errorf("ID %d has the name %q, which must be in lower case", id, name)
		}
		for _, written := range []string{name, strings.ToUpper(name), strings.ToUpper(name[:1]) + name[1:]} {
			if got := Lookup([]byte(written)); got != id {
				t.Errorf("Lookup(%q) = %d, want %d", written, got, id)
			}
		}
	}
}

func TestLookupRefusesNeighbours(t *testing.T) {
	for _, name := range []string{"", "h", "hos", "hostt", "hos\x14", "content_length", "content-lengt\xc8", "transfer-encoding ", "x", strings.Repeat("a", 19), strings.Repeat("a", 20), strings.Repeat("a", 300)} {
		if id := Lookup([]byte(name)); id != Other {
			t.Errorf("Lookup(%q) = %v, want Other", name, id)
		}
	}
	if Other.String() != "" {
		t.Error("Other must have no name")
	}
}

// Folding by a bit would make "@" of a back-quote and "[" of a brace: only letters have a case.
func TestEqualFoldFoldsLettersOnly(t *testing.T) {
	for a := range 256 {
		for b := range 128 {
			lower := string(rune(b))
			if lower != strings.ToLower(lower) {
				continue
			}
			want := a < 128 && strings.ToLower(string(rune(a))) == lower
			if got := EqualFold([]byte{byte(a)}, lower); got != want {
				t.Fatalf("EqualFold(%q, %q) = %v", byte(a), lower, got)
			}
		}
	}
	if EqualFold([]byte("ab"), "a") || EqualFold([]byte("a"), "ab") || !EqualFold(nil, "") {
		t.Error("length decides first")
	}
}

func TestGetFindsTheFirst(t *testing.T) {
	var h Head
	h.Reset()
	if h.Get(Host) != nil {
		t.Error("an empty head has no Host")
	}
	h.Add(Other, []byte("X"), []byte("0"))
	h.Add(Via, []byte("Via"), []byte("1"))
	h.Add(Via, []byte("VIA"), []byte("2"))
	if got := string(h.Get(Via)); got != "1" {
		t.Errorf("Get = %q, want the first", got)
	}
	if h.Get(Host) != nil {
		t.Error("a field that is not there is nil")
	}
	h.Add(Expect, []byte("Expect"), []byte{})
	if h.Get(Expect) == nil {
		t.Error("an empty value is not an absent one")
	}
}

func TestListMembers(t *testing.T) {
	for list, want := range map[string][]string{
		"":                  nil,
		"a":                 {"a"},
		"a,b":               {"a", "b"},
		" a ,\tb\t":         {"a", "b"},
		"a,,b":              {"a", "", "b"},
		",a":                {"", "a"},
		"a,":                {"a"},
		"close, Upgrade":    {"close", "Upgrade"},
		"a b, c":            {"a b", "c"},
		"\"q,uoted\", next": {"\"q", "uoted\"", "next"}, // no member that we know is ever quoted
	} {
		var got []string
		for rest := []byte(list); len(rest) > 0; {
			var member []byte
			member, rest = NextToken(rest)
			got = append(got, string(member))
		}
		if strings.Join(got, "|") != strings.Join(want, "|") || len(got) != len(want) {
			t.Errorf("%q has the members %q, want %q", list, got, want)
		}
	}
}

func TestHasToken(t *testing.T) {
	for _, row := range []struct {
		list, token string
		want        bool
	}{
		{"close", "close", true},
		{"Keep-Alive, CLOSE", "close", true},
		{"x,close,y", "close", true},
		{"closed", "close", false},
		{"x-close", "close", false},
		{"clo se", "close", false},
		{"close;q=1", "close", false},
		{"", "close", false},
		{",,,", "close", false},
	} {
		if got := HasToken([]byte(row.list), row.token); got != row.want {
			t.Errorf("HasToken(%q, %q) = %v", row.list, row.token, got)
		}
	}
}

func TestTrim(t *testing.T) {
	for in, want := range map[string]string{
		"": "", " ": "", "\t \t": "", "a": "a", " a": "a", "a\t": "a", "\ta b ": "a b", "\va": "\va", "a\u00a0": "a\u00a0",
	} {
		if got := string(Trim([]byte(in))); got != want {
			t.Errorf("Trim(%q) = %q, want %q", in, got, want)
		}
	}
}
