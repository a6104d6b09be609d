package healthcheck

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestMatchObject(t *testing.T) {
	tests := []struct {
		why  string
		want map[string]any
		body string
		err  string // empty: matches
	}{
		{"more than is wanted", map[string]any{"a": "x"}, `{"a":"x","b":"y"}`, ""},
		{"missing", map[string]any{"a": "x"}, `{"b":"y"}`, `json a is missing, want "x"`},
		{"int against int", map[string]any{"a": 1}, `{"a":1}`, ""},
		{"int against float", map[string]any{"a": 1}, `{"a":1.0}`, ""},
		{"float against exponent", map[string]any{"a": 150.0}, `{"a":1.5e2}`, ""},
		{"uint8", map[string]any{"a": uint8(7)}, `{"a":7}`, ""},
		{"whole numbers stay exact", map[string]any{"a": int64(9007199254740993)}, `{"a":9007199254740992}`, "json a is 9007199254740992, want 9007199254740993"},
		{"beyond any float", map[string]any{"a": 1}, `{"a":1e99999}`, "json a is 1e99999, want 1"},
		{"number against string", map[string]any{"a": 1}, `{"a":"1"}`, `json a is "1", want 1`},
		{"string against number", map[string]any{"a": "1"}, `{"a":1}`, `json a is 1, want "1"`},
		{"bool", map[string]any{"a": true}, `{"a":false}`, "json a is false, want true"},
		{"null is a value", map[string]any{"a": nil}, `{"a":null}`, ""},
		{"null is not missing", map[string]any{"a": nil}, `{}`, "json a is missing, want null"},
		{"nested", map[string]any{"db": map[string]any{"up": true}}, `{"db":{"up":true,"ms":3}}`, ""},
		{"nested, other", map[string]any{"db": map[string]any{"up": true}}, `{"db":{"up":false}}`, "json db.up is false, want true"},
		{"nested in no object", map[string]any{"db": map[string]any{"up": true}}, `{"db":"up"}`, `json db is "up", want an object`},
		{"dotted path", map[string]any{"checks.db.up": true}, `{"checks":{"db":{"up":true}}}`, ""},
		{"a key with a dot comes first", map[string]any{"a.b": 1}, `{"a.b":1,"a":{"b":2}}`, ""},
		{"dotted path through a list", map[string]any{"a.b": 1}, `{"a":[1]}`, "json a.b is missing, want 1"},
		{"list", map[string]any{"a": []any{1, "x"}}, `{"a":[1,"x"]}`, ""},
		{"longer list", map[string]any{"a": []any{1}}, `{"a":[1,2]}`, "json a is [1,2], want [1]"},
		{"other element", map[string]any{"a": []any{1, 2}}, `{"a":[1,3]}`, "json a.1 is 3, want 2"},
		{"no object at all", map[string]any{"a": 1}, `[1]`, "json body is [1], want an object"},
		{"first key in order is named", map[string]any{"b": 1, "a": 1, "c": 1}, `{}`, "json a is missing, want 1"},
		{"a long value is cut", map[string]any{"a": 1}, `{"a":"` + strings.Repeat("x", 100) + `"}`, `json a is "` + strings.Repeat("x", 39) + "…, want 1"},
	}
	for _, test := range tests {
		doc, err := parseJSON([]byte(test.body))
		if err != nil {
			t.Fatalf("%s: %v", test.why, err)
		}
		got := ""
		if err := matchObject("", test.want, doc); err != nil {
			got = err.Error()
		}
		if got != test.err {
			t.Errorf("%s: %q, want %q", test.why, got, test.err)
		}
	}
}

// FuzzJudge checks that no answer body makes the judge panic, that every object matches itself, and that what is said
// of a body is fit to be printed.
func FuzzJudge(f *testing.F) {
	for _, seed := range []string{`{"status":"ok","version":"v1"}`, `{"a":{"b":[1,2.5e3,null,true]}}`, `[[[[`, "\xff", `{"version":"\ud800"}`, `{"a.b":{"a":1e999}}`} {
		f.Add([]byte(seed), "version")
	}
	f.Fuzz(func(t *testing.T, body []byte, path string) {
		h := &HTTP{spec: Spec{Release: path, AskedDrain: true, JSON: map[string]any{"status": "ok", "a.b": 1}}.normal()}
		said, err := h.judge(200, false, body, false)
		if utf8.RuneCountInString(said.release) > maxRelease || !utf8.ValidString(said.release) {
			t.Errorf("release %q", said.release)
		}
		if err != nil && (len(err.Error()) > 500 || strings.ContainsAny(err.Error(), "\x1b\n\r")) {
			t.Errorf("reason %q", err)
		}
		doc, err := parseJSON(body)
		if object, ok := doc.(map[string]any); ok && err == nil && finite(doc) {
			if err := matchObject("", object, doc); err != nil {
				t.Errorf("an object does not match itself: %v", err)
			}
		}
	})
}

// finite says whether every number fits a float64; a number that does not is equal to none, itself included.
func finite(doc any) bool {
	switch doc := doc.(type) {
	case map[string]any:
		for _, value := range doc {
			if !finite(value) {
				return false
			}
		}
	case []any:
		for _, value := range doc {
			if !finite(value) {
				return false
			}
		}
	case json.Number:
		_, ok := number(doc)
		return ok
	}
	return true
}
