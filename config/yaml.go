package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"gopkg.in/yaml.v3"
)

// example is the smallest file that is of use.
const example = `listen: http://:8080
services:
  web:
    backends: [127.0.0.1:3000]`

// maxDepth is how deep values may stand in each other; the deepest that has a meaning is under ten, but for what a JSON
// body is compared with.
const maxDepth = 32

var errPanic = errors.New("yaml: this is not YAML")

// document reads the bytes as one YAML document without anchors, aliases and tags, and returns its root; nil: it was
// refused.
func (in *input) document(data []byte) *yaml.Node {
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	if !in.checkBytes(data) {
		return nil
	}
	first, second, err := decode(data)
	switch {
	case err != nil:
		in.problems.add(in.syntax(data, err))
	case second != nil:
		in.refuse(second, "keep one document and remove the line ---", "a second YAML document begins here")
	case first == nil:
		in.refuse(&yaml.Node{Line: 1, Column: 1}, "write at least:\n"+example, "the file is empty")
	case in.plain(first, 0):
		return first
	}
	return nil
}

func (in *input) refuse(n *yaml.Node, fix, problem string) {
	value{in: in, node: n}.refuse(fix, "%s", problem)
}

// decode returns the roots of the first document and of the second, nil where there is none.
func decode(data []byte) (first, second *yaml.Node, err error) {
	// The file is not ours and the parser is not ours: a flaw where they meet must not end a running proxy.
	defer func() {
		if recover() != nil {
			err = errPanic
		}
	}()
	d := yaml.NewDecoder(bytes.NewReader(data))
	if first, err = root(d); first == nil || err != nil {
		return nil, nil, err
	}
	second, err = root(d)
	if first.Kind == yaml.ScalarNode && first.ShortTag() == "!!null" {
		first = nil
	}
	return first, second, err
}

func root(d *yaml.Decoder) (*yaml.Node, error) {
	var doc yaml.Node
	if err := d.Decode(&doc); err == io.EOF {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	return doc.Content[0], nil
}

// plain refuses what makes a file mean something else than it looks like: an alias repeats another place, and can
// repeat it a billion times; a tag changes what a value is.
func (in *input) plain(n *yaml.Node, depth int) bool {
	switch {
	case depth > maxDepth:
		in.refuse(n, "indent it less", fmt.Sprintf("this stands more than %d levels deep", maxDepth))
	case n.Kind == yaml.AliasNode:
		in.refuse(n, "write the value out here; to begin a name with * put it in quotes, as in \"*.example.com\"", "aliases are not used here")
	case n.Anchor != "":
		in.refuse(n, "remove &"+show(n.Anchor)+"; to begin a value with & put it in quotes", "anchors are not used here")
	case n.Style&yaml.TaggedStyle != 0:
		in.refuse(n, "remove it; to begin a value with ! put it in quotes", "tags are not used here: "+show(n.Tag))
	default:
		ok := true
		for _, child := range n.Content {
			ok = in.plain(child, depth+1) && ok
		}
		return ok
	}
	return false
}

// checkBytes refuses what is no text, at its place.
func (in *input) checkBytes(data []byte) bool {
	for i := 0; i < len(data); {
		r, size := utf8.DecodeRune(data[i:])
		if r == utf8.RuneError && size == 1 || r < ' ' && r != '\n' && r != '\r' && r != '\t' || r == 0x7f {
			line := 1 + bytes.Count(data[:i], []byte("\n"))
			column := i - bytes.LastIndexByte(data[:i], '\n')
			in.refuse(&yaml.Node{Line: line, Column: column}, "save the file as plain text in UTF-8", fmt.Sprintf("byte 0x%02x is not text", data[i]))
			return false
		}
		i += size
	}
	return true
}

var (
	yamlLine   = regexp.MustCompile(`^line (\d+): `)
	yamlAnchor = regexp.MustCompile(`^unknown anchor '(.*)' referenced$`)
)

// syntaxFixes tells people in their words what the parser says in its own. The first whose words occur is taken.
var syntaxFixes = []struct{ said, fix string }{
	{"cannot start any token", "indent with spaces, not with tabs, and put values that begin with a sign such as @, ` or % in quotes"},
	{"alphabetic or numeric character", "put a name that begins with * or & in quotes, as in \"*.example.com\""},
	{"unknown anchor", "put a name that begins with * in quotes, as in \"*.example.com\""},
	{"mapping values are not allowed", "end each key with a colon, indent the keys of one mapping alike, and put a value that contains \": \" in quotes"},
	{"',' or ']'", "close the list with ] and put a comma between its values"},
	{"',' or '}'", "close the mapping with } and put a comma between its pairs"},
	{"expected key", "indent the keys of one mapping alike, here and below"},
	{"'-' indicator", "indent the lines of one list alike, here and below"},
	{"could not find expected ':'", "write the key, a colon, a space and its value"},
	{"unexpected end of stream", "close the quotes"},
	{"expected node content", "inside of [ ] and { } put an address that begins with a colon in quotes, as \":8080\", and look for a comma too many"},
	{"", "compare the indentation, colons and brackets of this line with those around it"},
}

// syntax turns the parser's error into ours. The parser gives no column, and counts lines from zero in some errors and
// from one in others; the column is where that line's text begins.
func (in *input) syntax(data []byte, err error) *Error {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	line := 1
	if m := yamlLine.FindStringSubmatch(text); m != nil {
		line, _ = strconv.Atoi(m[1])
		text = text[len(m[0]):]
		if fromParser(text) {
			line++
		}
	} else if m := yamlAnchor.FindStringSubmatch(text); m != nil {
		before, _, _ := bytes.Cut(data, []byte("*"+m[1]))
		line += bytes.Count(before, []byte("\n"))
	}
	line = min(line, 1+bytes.Count(bytes.TrimRight(data, "\n"), []byte("\n")))
	e := &Error{File: in.file, Line: line, Column: textColumn(data, line), Problem: "not YAML: " + text, cause: err}
	for _, known := range syntaxFixes {
		if strings.Contains(text, known.said) {
			e.Fix = known.fix
			return e
		}
	}
	return e
}

func fromParser(text string) bool {
	for _, said := range []string{"did not find expected <", "expected key", "'-' indicator", "',' or '", "expected node content"} {
		if strings.Contains(text, said) {
			return true
		}
	}
	return false
}

func textColumn(data []byte, line int) int {
	for ; line > 1; line-- {
		_, data, _ = bytes.Cut(data, []byte("\n"))
	}
	text, _, _ := bytes.Cut(data, []byte("\n"))
	return 1 + len(text) - len(bytes.TrimLeft(text, " \t"))
}
