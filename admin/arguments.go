package admin

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// arguments are what a call was given, by query, by JSON body, or both. Each is known to the call and given once.
type arguments struct {
	values map[string]string
	path   []string // what the route's placeholders stand for
	open   bool     // there may be others than are known, which name pools; and lists
}

// readArguments takes the arguments of a request. An unknown or contradictory one refuses the call: a misspelt
// `relaese=v2` that was ignored would flip to anything.
func readArguments(r *http.Request, t route, path []string) (arguments, error) {
	a := arguments{values: map[string]string{}, path: path, open: t.open}
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return a, badArgument("the query is malformed: "+err.Error(), "write it as name=value&name=value")
	}
	for name, values := range query {
		if len(values) > 1 {
			return a, badArgument(fmt.Sprintf("%s is given %d times", name, len(values)), "give it once")
		}
		a.values[name] = values[0]
	}
	if err := a.readBody(r); err != nil {
		return a, err
	}
	for name := range a.values {
		if !t.open && !slices.Contains(t.known, name) {
			return a, badArgument(fmt.Sprintf("there is no argument %q here", name), knownHint(t.known))
		}
	}
	return a, nil
}

func knownHint(known []string) string {
	if len(known) == 0 {
		return "this call takes none"
	}
	return "the arguments are: " + strings.Join(known, ", ")
}

func (a *arguments) readBody(r *http.Request) error {
	body, err := io.ReadAll(http.MaxBytesReader(nil, r.Body, bodyBytes))
	if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
		return problem(http.StatusRequestEntityTooLarge, "large", fmt.Sprintf("the body has more than %d bytes", bodyBytes), "send only the arguments")
	}
	if err != nil {
		return badArgument("the body did not come to its end: "+err.Error(), "send it again")
	}
	if len(strings.TrimSpace(string(body))) == 0 {
		return nil
	}
	// A form can be sent by any web page without asking; JSON cannot.
	if media, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); media != "application/json" {
		return problem(http.StatusUnsupportedMediaType, "media", "the body is not marked as JSON", "send `Content-Type: application/json`, or put the arguments into the query")
	}
	var doc map[string]any
	dec := json.NewDecoder(strings.NewReader(string(body)))
	dec.UseNumber()
	if err := dec.Decode(&doc); err != nil {
		return badArgument("the body is not a JSON object: "+err.Error(), `write it as {"pool": "green"}`)
	}
	if _, err := dec.Token(); err != io.EOF {
		return badArgument("there is something after the JSON object", "send one object")
	}
	return a.merge(doc)
}

func (a *arguments) merge(doc map[string]any) error {
	for name, value := range doc {
		if shares, ok := value.(map[string]any); ok && a.open && name == "pools" {
			if err := a.mergePools(shares); err != nil {
				return err
			}
			continue
		}
		text, ok := a.textOf(value)
		if !ok {
			return badArgument(fmt.Sprintf("%s must be a string, a number or a boolean", name), `as in {"pool": "green", "wait": true}`)
		}
		if was, both := a.values[name]; both && was != text {
			return badArgument(fmt.Sprintf("%s is %q in the query and %q in the body", name, was, text), "give it once")
		}
		a.values[name] = text
	}
	return nil
}

// textOf is a value as it would stand in a query. The members of a list are lines.
func (a *arguments) textOf(value any) (text string, ok bool) {
	switch v := value.(type) {
	case string:
		return v, true
	case bool:
		return strconv.FormatBool(v), true
	case json.Number:
		return v.String(), true
	case []any:
		lines := make([]string, len(v))
		for i := range v {
			line, isText := v[i].(string)
			if !isText || !a.open {
				return "", false
			}
			lines[i] = line
		}
		return strings.Join(lines, "\n"), a.open
	}
	return "", false
}

// Bounds of free text: it stands in the history and in every log line of the change.
const (
	longestName = 255
	longestNote = 500
)

// text returns an argument that is to be printed: short, and without anything that could forge a line of a log.
func (a arguments) text(name string, longest int) (string, error) {
	v := a.values[name]
	if len(v) > longest {
		return "", badArgument(fmt.Sprintf("%s has %d bytes", name, len(v)), fmt.Sprintf("%d are possible", longest))
	}
	if strings.ContainsFunc(v, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return "", badArgument(name+" holds characters that cannot be printed", "leave them out")
	}
	return v, nil
}

// required is text that must be there.
func (a arguments) required(name, hint string) (string, error) {
	v, err := a.text(name, longestName)
	if err == nil && v == "" {
		err = badArgument(name+" is missing", hint)
	}
	return v, err
}

// flag is true for true, 1 and the bare name; false when it is left out.
func (a arguments) flag(name string) (bool, error) {
	v, given := a.values[name]
	switch {
	case !given, v == "false", v == "0":
		return false, nil
	case v == "", v == "true", v == "1":
		return true, nil
	}
	return false, badArgument(fmt.Sprintf("%s is %q", name, v), "write true or false")
}

// duration is zero when it is left out.
func (a arguments) duration(name string) (time.Duration, error) {
	v, given := a.values[name]
	if !given {
		return 0, nil
	}
	d, err := time.ParseDuration(v)
	if err != nil || d <= 0 {
		return 0, badArgument(fmt.Sprintf("%s is %q", name, v), "write a duration such as 30s or 15m")
	}
	return d, nil
}

// number is a whole number from 0; nil when it is left out.
func (a arguments) number(name string) (*int, error) {
	v, given := a.values[name]
	if !given {
		return nil, nil
	}
	n, err := strconv.Atoi(v)
	if err != nil || n < 0 {
		return nil, badArgument(fmt.Sprintf("%s is %q", name, v), "write a number from 0")
	}
	return &n, nil
}

// count is a whole number from 1 to most; def when it is left out.
func (a arguments) count(name string, def, most int) (int, error) {
	v, given := a.values[name]
	if !given {
		return def, nil
	}
	n, err := strconv.Atoi(v)
	if err != nil || n < 1 || n > most {
		return 0, badArgument(fmt.Sprintf("%s is %q", name, v), fmt.Sprintf("write a number from 1 to %d", most))
	}
	return n, nil
}
