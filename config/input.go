package config

import (
	"fmt"
	"strings"

	"gopkg.in/yaml.v3"
)

// input is one configuration while it is read: where it came from, what was found wrong, and the places that are looked
// at again when all is known.
type input struct {
	file     string
	problems Errors

	secure       *value // the first https listener
	certificates bool   // there is a certificate or acme
	admin        *value // nil: the default one
	tokenFile    *value
	tokenKey     string // the one of the two keys that came first
	secrets      []secret
	routes       map[Route]string // the service that has it
	sights       []sight
}

// result is the end of reading: the configuration, or else the problems.
func (in *input) result(c *Config) (*Config, error) {
	if len(in.problems) > 0 {
		return nil, in.problems
	}
	return c, nil
}

// value is one value of the file and how it is called.
type value struct {
	in   *input
	name string
	key  *yaml.Node // nil where there is none, as in a list
	node *yaml.Node
}

// value returns an argument as if a file had it.
func (in *input) value(flag, text string) value {
	return value{in, flag, nil, &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: text}}
}

// refuse notes that the value is wrong. The fix comes first, so that it is not forgotten.
func (v value) refuse(fix, problem string, args ...any) *Error {
	return v.refuseAt(v.node, fix, problem, args...)
}

// refuseKey is refuse, for what is wrong with the key and not with its value.
func (v value) refuseKey(fix, problem string, args ...any) *Error {
	if v.key == nil {
		return v.refuse(fix, problem, args...)
	}
	return v.refuseAt(v.key, fix, problem, args...)
}

func (v value) refuseAt(n *yaml.Node, fix, problem string, args ...any) *Error {
	e := &Error{File: v.in.file, Line: n.Line, Column: n.Column, Problem: fmt.Sprintf(problem, args...), Fix: fix}
	if n.Line == 0 {
		e.File = v.name
	}
	v.in.problems.add(e)
	return e
}

// wholeFile is the name of the root.
const wholeFile = "the file"

// title is the name as problems show it.
func (v value) title() string {
	if v.node.Line == 0 || v.name == wholeFile {
		return v.name
	}
	return show(v.name)
}

func (v value) isNull() bool { return v.node.Kind == yaml.ScalarNode && v.node.ShortTag() == "!!null" }

// present refuses a key without a value.
func (v value) present() bool {
	if !v.isNull() {
		return true
	}
	v.refuse("write a value for it, or remove the line", "%s has no value", v.title())
	return false
}

// text returns a plain value as it stands in the file: what `1.10` looks like to YAML is not asked.
func (v value) text() (string, bool) {
	if !v.present() {
		return "", false
	}
	if v.node.Kind != yaml.ScalarNode {
		v.refuse("write one value: "+v.name+": …", "%s is %s where one value is due", v.title(), kindName(v.node))
		return "", false
	}
	return v.node.Value, true
}

func kindName(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	default:
		return "one value"
	}
}

// list returns the values of a list; one value alone is a list of one. It refuses an empty list.
func (v value) list(fix string) []value {
	if !v.present() {
		return nil
	}
	if v.node.Kind != yaml.SequenceNode {
		return []value{v}
	}
	if len(v.node.Content) == 0 {
		v.refuse(fix, "%s is an empty list", v.title())
	}
	all := make([]value, 0, len(v.node.Content))
	for _, n := range v.node.Content {
		all = append(all, value{v.in, v.name, nil, n})
	}
	return all
}

// fields are the keys of a mapping and what reads each.
type fields map[string]func(value)

// object hands each key of a mapping to its reader, in the order of the file. The fix shows how one is written.
func (v value) object(fix string, known fields) bool {
	return v.mapping(fix, func(key string, field value) {
		if read := known[key]; read != nil {
			read(field)
			return
		}
		field.refuseUnknown(key, known)
	})
}

// mapping hands each pair to read, and refuses what is no mapping, is empty, or has a key twice.
func (v value) mapping(fix string, read func(key string, field value)) bool {
	if !v.present() {
		return false
	}
	if v.node.Kind != yaml.MappingNode {
		v.refuse(fix, "%s is %s where keys and values are due", v.title(), kindName(v.node))
		return false
	}
	if len(v.node.Content) == 0 {
		v.refuse(fix, "%s is empty", v.title())
		return false
	}
	seen := make(map[string]int, len(v.node.Content)/2)
	for i := 0; i+1 < len(v.node.Content); i += 2 {
		key, field := v.node.Content[i], v.node.Content[i+1]
		one := value{v.in, key.Value, key, field}
		line, twice := seen[key.Value]
		switch {
		case key.Kind != yaml.ScalarNode:
			one.refuseKey("write a word before the colon", "a key is %s where a word is due", kindName(key))
		case twice:
			one.refuseKey("keep one of the two", "%s is given twice, first on line %d", show(key.Value), line)
		default:
			seen[key.Value] = key.Line
			read(key.Value, one)
		}
	}
	return true
}

func (v value) refuseUnknown(key string, known fields) {
	fix := "use one of: " + strings.Join(sortedKeys(known), ", ")
	if near := nearest(key, known); near != "" {
		fix = "did you mean `" + near + "`? " + fix
	}
	v.refuseKey(fix, "unknown key %s", show(key))
}
