package config

import (
	"cmp"
	"maps"
	"reflect"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"
)

// Section is what a file says of one service: each key with its value, as one line of YAML. It is for those who keep what
// was so and bring it back later, when the file may say something else. Nobody changes one.
type Section map[string]string

// notOptions are the keys that say where servers are, and how deployments are made. All others are options; hosts and path
// are among them.
var (
	notOptions = slices.Concat(places, deployments)
	places     = []string{"backends", "live", "pools"}
	// deployments may speak of the routes that the file has beside them, and are not read with others.
	deployments = []string{"rollback", "preview", "bake"}
)

// Options is the section without the keys that say where the servers are and how deployments are made.
func (s Section) Options() Section {
	if s == nil {
		return nil
	}
	out := maps.Clone(s)
	maps.DeleteFunc(out, func(key, _ string) bool { return slices.Contains(notOptions, key) })
	return out
}

// Taking returns the section with these keys as another has them.
func (s Section) Taking(other Section, keys ...string) Section {
	out := Section{}
	maps.Copy(out, s)
	for _, key := range keys {
		delete(out, key)
		if text, said := other[key]; said {
			out[key] = text
		}
	}
	return out
}

// Difference is a key that two sections do not say the same of; empty: one says nothing.
type Difference struct{ Key, Is, Other string }

// Differences are the keys in which a section differs from another, sorted.
func (s Section) Differences(other Section) (all []Difference) {
	keys := map[string]bool{}
	for _, one := range []Section{s, other} {
		for key := range one {
			keys[key] = true
		}
	}
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		if s[key] != other[key] {
			all = append(all, Difference{key, s[key], other[key]})
		}
	}
	return all
}

// section writes each value of a mapping on one line.
func (v value) section() Section {
	out := Section{}
	for i := 0; i+1 < len(v.node.Content); i += 2 {
		if text, err := yaml.Marshal(oneLine(v.node.Content[i+1])); err == nil {
			out[v.node.Content[i].Value] = strings.TrimSuffix(string(text), "\n")
		}
	}
	return out
}

// oneLine is the node without comments, in the style that needs no second line.
func oneLine(n *yaml.Node) *yaml.Node {
	c := yaml.Node{Kind: n.Kind, Tag: n.Tag, Value: n.Value}
	switch {
	case n.Kind != yaml.ScalarNode:
		c.Style = yaml.FlowStyle
	case n.Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle|yaml.LiteralStyle|yaml.FoldedStyle) != 0:
		c.Style = yaml.DoubleQuotedStyle
	}
	for _, child := range n.Content {
		c.Content = append(c.Content, oneLine(child))
	}
	return &c
}

// Same reports that two services work alike, however their sections are written.
func (s *Service) Same(other *Service) bool {
	a, b := *s, *other
	a.Section, b.Section, a.Line, b.Line, a.file, b.file = nil, nil, 0, 0, "", ""
	return reflect.DeepEqual(a, b)
}

// With returns the service as it is with these options in place of its own. Its pools, which of them starts live, and all
// else that is no option stay as they are. Routes are not held against those of other services. Any error is of type Errors.
func (s *Service) With(options Section) (*Service, error) {
	in := &input{file: s.file, routes: map[Route]string{}}
	v := value{in: in, name: s.Name, key: &yaml.Node{Kind: yaml.ScalarNode, Value: s.Name}, node: in.mapping(options.Options().Taking(s.Section, places...))}
	if len(in.problems) > 0 {
		return nil, in.problems
	}
	next := v.service()
	if len(in.problems) == 0 {
		in.readSecrets()
	}
	if len(in.problems) > 0 {
		return nil, in.problems
	}
	if next.Line = s.Line; next.MaxBody == unsaid {
		next.MaxBody = s.MaxBody
	}
	next.Section = next.Section.Taking(s.Section, deployments...)
	next.Rollback, next.Preview, next.Bake = s.Rollback, s.Preview, s.Bake
	for i := range next.Pools {
		next.Pools[i].Preview = s.Pools[i].Preview // whose ports have their names from the whole file
	}
	return &next, nil
}

// Meets returns a place that two services cannot both have: a route of visitors, or of previews.
func (s *Service) Meets(other *Service) (place string, meet bool) {
	for _, host := range s.Hosts {
		if slices.Contains(other.sights(), host) {
			return host, true
		}
	}
	if s.Path != other.Path {
		return "", false
	}
	for _, at := range slices.Concat(anyHost(s.Hosts), s.sights()) {
		if slices.Contains(slices.Concat(anyHost(other.Hosts), other.sights()), at) {
			return cmp.Or(at, "any host") + s.Path, true
		}
	}
	return "", false
}

func anyHost(hosts []string) []string {
	if len(hosts) == 0 {
		return []string{""}
	}
	return hosts
}

// sights are the hosts and ports of all previews.
func (s *Service) sights() (all []string) {
	for _, p := range s.Previews() {
		all = append(all, p.Hosts...)
		for _, d := range p.Ports {
			all = append(all, d.Name)
		}
	}
	return all
}

// mapping is the node of a section. Problems in it have no place: it stands in no file.
func (in *input) mapping(s Section) *yaml.Node {
	root := &yaml.Node{Kind: yaml.MappingNode}
	for _, key := range slices.Sorted(maps.Keys(s)) {
		node := in.document([]byte(s[key]))
		if node == nil {
			return nil
		}
		root.Content = append(root.Content, &yaml.Node{Kind: yaml.ScalarNode, Value: key}, nowhere(node))
	}
	return root
}

func nowhere(n *yaml.Node) *yaml.Node {
	n.Line, n.Column = 0, 0
	for _, child := range n.Content {
		nowhere(child)
	}
	return n
}
