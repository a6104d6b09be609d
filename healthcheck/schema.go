package healthcheck

import (
	"encoding/json"
	"fmt"
	"strconv"
	"time"
)

// Schema is what a server says of its database: which version it finds there, and from which to which its build works.
type Schema struct {
	Given          bool
	Have, Min, Max int64
	Fault          string    // why what it says is of no use; empty: it is
	Since          time.Time // when Have was first said
}

// Known reports that the server says something of use.
func (s Schema) Known() bool { return s.Given && s.Fault == "" }

// Fits reports that the build works with a version.
func (s Schema) Fits(version int64) bool { return s.Min <= version && version <= s.Max }

// next takes in one more result. A check that fails and says nothing takes nothing back.
func (s Schema) next(r Result) Schema {
	is := r.Schema
	switch {
	case !is.Given && !r.OK:
		return s
	case s.Known() && is.Known() && s.Have == is.Have:
		is.Since = s.Since
	case is.Given:
		is.Since = r.At
	}
	return is
}

const (
	schemaField = "schema"
	// maxSchema is the greatest whole number that every JSON reader has exact (RFC 8259 §6). The time of day as a version
	// fits: 20260102120000.
	maxSchema = 1<<53 - 1
)

// schemaOf reads {"schema": {"have": 812, "min": 808, "max": 830}}.
func schemaOf(doc any) Schema {
	object, _ := doc.(map[string]any)
	value := object[schemaField]
	if value == nil {
		return Schema{}
	}
	s := Schema{Given: true}
	parts, ok := value.(map[string]any)
	if !ok {
		s.Fault = fmt.Sprintf("schema is %s, want {have, min, max}", show(value))
		return s
	}
	for _, part := range []struct {
		name string
		to   *int64
	}{{"have", &s.Have}, {"min", &s.Min}, {"max", &s.Max}} {
		if s.Fault = schemaNumber(parts, part.name, part.to); s.Fault != "" {
			return s
		}
	}
	if s.Min > s.Max {
		s.Fault = fmt.Sprintf("schema.min is %d and schema.max only %d", s.Min, s.Max)
	}
	return s
}

func schemaNumber(parts map[string]any, name string, to *int64) (fault string) {
	value, found := parts[name]
	if !found {
		return "schema." + name + " is missing"
	}
	if text, ok := value.(json.Number); ok {
		if n, err := strconv.ParseInt(text.String(), 10, 64); err == nil && 0 <= n && n <= maxSchema {
			*to = n
			return ""
		}
	}
	return fmt.Sprintf("schema.%s is %s, want a whole number from 0 to %d", name, show(value), maxSchema)
}
