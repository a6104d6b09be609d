package healthcheck

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// maxRelease is the length of a release name in characters: a full commit hash with a word before it fits.
const maxRelease = 64

// maxShown is how much of an unexpected JSON value a reason repeats.
const maxShown = 40

var (
	errNotJSON = errors.New("body is not JSON")
	errTooLong = fmt.Errorf("body is longer than %d KiB, too long to be checked", maxBody>>10)
)

func parseJSON(body []byte) (any, error) {
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber()
	var doc any
	if err := decoder.Decode(&doc); err != nil {
		return nil, errNotJSON
	}
	if _, err := decoder.Token(); err != io.EOF {
		return nil, errNotJSON
	}
	return doc, nil
}

// lookup finds the value at path: a key of that very name first, else one step per dot.
func lookup(doc any, path string) (value any, found bool) {
	object, ok := doc.(map[string]any)
	if !ok {
		return nil, false
	}
	if value, found = object[path]; found {
		return value, true
	}
	first, rest, dotted := strings.Cut(path, ".")
	if !dotted {
		return nil, false
	}
	return lookup(object[first], rest)
}

// releaseOf reads the release at path. Only a string or a number can name one.
func releaseOf(doc any, path string) string {
	value, _ := lookup(doc, path)
	switch value := value.(type) {
	case string:
		return printable(value, maxRelease)
	case json.Number:
		return printable(value.String(), maxRelease)
	default:
		return ""
	}
}

// matchObject returns nil when got holds every field of want; else an error that names the first that differs, in
// the order of the keys so that the words stay the same from check to check.
func matchObject(at string, want map[string]any, got any) error {
	if _, ok := got.(map[string]any); !ok {
		return mismatch(at, got, "an object")
	}
	for _, key := range slices.Sorted(maps.Keys(want)) {
		path := strings.TrimPrefix(at+"."+key, ".")
		value, found := lookup(got, key)
		if !found {
			return fmt.Errorf("json %s is missing, want %s", path, show(want[key]))
		}
		if err := match(path, want[key], value); err != nil {
			return err
		}
	}
	return nil
}

// match compares one value. Objects may hold more than is wanted, lists may not, and numbers compare as numbers
// whatever Go type they came in.
func match(at string, want, got any) error {
	switch want := want.(type) {
	case map[string]any:
		return matchObject(at, want, got)
	case []any:
		return matchList(at, want, got)
	}
	if wantNumber, ok := number(want); ok {
		if gotNumber, ok := number(got); ok && gotNumber.equal(wantNumber) {
			return nil
		}
		return mismatch(at, got, show(want))
	}
	switch want.(type) {
	case string, bool, nil:
		if want == got {
			return nil
		}
	}
	return mismatch(at, got, show(want))
}

func matchList(at string, want []any, got any) error {
	list, ok := got.([]any)
	if !ok || len(list) != len(want) {
		return mismatch(at, got, show(want))
	}
	for i := range want {
		if err := match(at+"."+strconv.Itoa(i), want[i], list[i]); err != nil {
			return err
		}
	}
	return nil
}

func mismatch(at string, got any, want string) error {
	if at == "" {
		return fmt.Errorf("json body is %s, want %s", show(got), want)
	}
	return fmt.Errorf("json %s is %s, want %s", at, show(got), want)
}

func show(value any) string {
	text, err := json.Marshal(value)
	if err != nil {
		return "a value that JSON cannot hold"
	}
	if shown := printable(string(text), maxShown); len(shown) == len(text) {
		return shown
	}
	return printable(string(text), maxShown) + "…"
}

// jsonNumber is a number in the best form there is: whole numbers stay exact beyond 2^53.
type jsonNumber struct {
	whole   int64
	isWhole bool
	float   float64
}

func (n jsonNumber) equal(m jsonNumber) bool {
	if n.isWhole && m.isWhole {
		return n.whole == m.whole
	}
	return n.float == m.float
}

// number reads the decimal form of any Go number, and of a json.Number.
func number(value any) (n jsonNumber, ok bool) {
	switch value.(type) {
	case json.Number, int, int8, int16, int32, int64, uint, uint8, uint16, uint32, uint64, float32, float64:
	default:
		return n, false
	}
	text := fmt.Sprint(value)
	whole, err := strconv.ParseInt(text, 10, 64)
	n.whole, n.isWhole = whole, err == nil
	n.float, err = strconv.ParseFloat(text, 64)
	return n, err == nil
}
