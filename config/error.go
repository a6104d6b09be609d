package config

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Error is one problem of a configuration and what to do about it.
type Error struct {
	File         string // the file, or the flag that was given
	Line, Column int    // both from 1; 0: the problem has no place
	Problem      string // what is wrong
	Fix          string // what to write instead; may have several lines

	cause error
}

// Error returns "file:line:column: problem", and the fix on lines of its own.
func (e *Error) Error() string {
	at := e.File
	if e.Line > 0 {
		at += fmt.Sprintf(":%d:%d", e.Line, e.Column)
	}
	if at != "" {
		at += ": "
	}
	return at + e.Problem + "\n  fix: " + strings.ReplaceAll(e.Fix, "\n", "\n  ")
}

// Unwrap returns what the system said, or nil: errors.Is finds fs.ErrNotExist in a file that is missing.
func (e *Error) Unwrap() error { return e.cause }

// maxErrors is how many problems are told at once. Nobody reads more, and a file of nonsense has no end of them.
const maxErrors = 20

// Errors are the problems of a configuration in the order of the file, the first twenty of them. It is never empty.
type Errors []*Error

// Error returns the problems one after the other, each on lines of its own.
func (e Errors) Error() string {
	all := make([]string, len(e))
	for i, one := range e {
		all[i] = one.Error()
	}
	return strings.Join(all, "\n")
}

// Unwrap returns each problem.
func (e Errors) Unwrap() []error {
	all := make([]error, len(e))
	for i, one := range e {
		all[i] = one
	}
	return all
}

// add keeps the problems sorted by place, and drops what is beyond the last that will be told.
func (e *Errors) add(one *Error) {
	i, _ := slices.BinarySearchFunc(*e, one, func(a, b *Error) int {
		// One place, two problems: they stay as they were found.
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column), -1)
	})
	*e = slices.Insert(*e, i, one)
	if len(*e) > maxErrors {
		*e = (*e)[:maxErrors]
	}
}

// maxShown is how many bytes of a value a problem repeats: enough to find it, too few to fill a screen.
const maxShown = 60

// show repeats a text from the file so that it cannot play tricks on a terminal.
func show(s string) string {
	end := ""
	if len(s) > maxShown {
		s, end = s[:maxShown], "…"
		for len(s) > 0 && !utf8.ValidString(s) {
			s = s[:len(s)-1]
		}
	}
	if quoted := strconv.Quote(s); s == "" || quoted != `"`+s+`"` {
		return quoted + end
	}
	return "`" + s + end + "`"
}
