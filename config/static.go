package config

import (
	"path"
	"path/filepath"
	"strings"

	"gopkg.in/yaml.v3"
)

// NetworkRoot is the Network of a backend that is the folder of a static release.
const NetworkRoot = "root"

// Files say how the folders of static releases are read.
type Files struct {
	Index    []string // what stands for a folder, the first that is there
	Fallback string   // the file for paths that are not there and name no file; empty: none
	Cache    []Cache  // the first whose pattern matches says Cache-Control
}

// Cache is Cache-Control for some paths.
type Cache struct{ Pattern, Control string }

const (
	defaultIndex = "index.html"
	rootFix      = "write root: /var/www/site"
	filesFix     = "write files: {index: index.html, fallback: /index.html, cache: {\"/assets/*\": \"public, max-age=31536000, immutable\"}}"
	patternFix   = "write /assets/* for all below it, \"*.css\" for all that ends so, or one path"
	// longestControl is far above what any cache is told.
	longestControl = 256
)

// root makes a pool of the folder, which may come later and be a link. A path from the file's folder is made whole, for
// the folder is known by it in commands and saved decisions.
func (v value) root(p *Pool) {
	text, ok := v.text()
	if !ok {
		return
	}
	folder := v.in.beside(text)
	if whole, err := filepath.Abs(folder); err == nil {
		folder = whole
	}
	switch {
	case text == "":
		v.refuse(rootFix, "`root` is empty")
	case strings.Contains(text, "://"), strings.ContainsRune(text, 0):
		v.refuse(rootFix, "%s is no path of a folder", show(text))
	case folder == "/":
		v.refuse(rootFix, "`root` is the whole disk, with all that is secret on it")
	default:
		p.Root = folder
		p.Backends = []Backend{{Address: folder, Network: NetworkRoot, Dial: folder, Weight: defaultWeight, MaxConnections: p.MaxConnections}}
	}
}

func (s *reading) readFiles(v value) {
	s.files = &v
	v.object(filesFix, fields{
		"index":    func(v value) { v.indexes(&s.Files.Index) },
		"fallback": func(v value) { v.fallback(&s.Files.Fallback) },
		"cache":    func(v value) { v.cache(&s.Files.Cache) },
	})
}

func (v value) indexes(to *[]string) {
	for _, item := range v.list("write index: [index.html, index.htm]") {
		text, ok := item.text()
		switch {
		case !ok:
		case text == "" || strings.HasPrefix(text, ".") || strings.ContainsAny(text, "/\\\x00"):
			item.refuse("write a name as index.html", "%s cannot be the index of a folder: it is the name of one visible file", show(text))
		default:
			*to = append(*to, text)
		}
	}
}

func (v value) fallback(to *string) {
	text, ok := v.text()
	switch {
	case !ok:
	case !strings.HasPrefix(text, "/") || path.Clean(text) != text || text == "/" || strings.Contains(text, "/.") || strings.ContainsAny(text, "%\\?#\x00"):
		v.refuse("write fallback: /index.html", "%s is no path of a file in the folder", show(text))
	default:
		*to = text
	}
}

func (v value) cache(to *[]Cache) {
	v.mapping("write cache: {\"/assets/*\": \"public, max-age=31536000, immutable\"}", func(pattern string, field value) {
		control, ok := field.text()
		switch {
		case !ok:
		case !isPattern(pattern):
			field.refuseKey(patternFix, "%s is no pattern of paths", show(pattern))
		case control == "" || len(control) > longestControl || strings.IndexFunc(control, func(r rune) bool { return r < ' ' || r > '~' }) >= 0:
			field.refuse("write what Cache-Control is to say, as \"no-cache\" or \"public, max-age=3600\"", "%s cannot be a Cache-Control", show(control))
		default:
			*to = append(*to, Cache{pattern, control})
		}
	})
}

func (v value) patterns(to *[]string) {
	for _, item := range v.list("write assets: /assets/*") {
		text, ok := item.text()
		switch {
		case !ok:
		case item.node.Kind != yaml.ScalarNode || !isPattern(text):
			item.refuse(patternFix, "%s is no pattern of paths", show(text))
		default:
			*to = append(*to, text)
		}
	}
}

// isPattern takes one star at the end of a path, or before the end of a name.
func isPattern(text string) bool {
	if end, ok := strings.CutPrefix(text, "*"); ok {
		return end != "" && !strings.Contains(end, "*")
	}
	start := strings.TrimSuffix(text, "*")
	return strings.HasPrefix(text, "/") && !strings.ContainsAny(start, "*%?#")
}

// checkFiles refuses what is for folders where there is none, and what is for two pools where there is one.
func (s *reading) checkFiles() {
	some := false
	for _, p := range s.Pools {
		some = some || p.Root != ""
	}
	const fix = "remove it, or give a pool a folder: pools: {blue: {root: /var/www/blue}}"
	switch {
	case some && len(s.Files.Index) == 0:
		s.Files.Index = []string{defaultIndex}
	case some || len(s.Pools) == 0:
	default:
		if s.files != nil {
			s.files.refuseKey(fix, "%s is for pools with a `root`, and this service has none", s.files.title())
		}
		if s.assets != nil && len(s.Pools) == 1 {
			s.assets.refuseKey("give the service a second pool: pools: {blue: […], green: […]}", "`assets` of an app are those that the pool before is asked for, and there is only one")
		}
	}
}

// allStatic says that no backend is a server: what folders tell of themselves does not go by `health`.
func (s *reading) allStatic() bool {
	for _, p := range s.Pools {
		if p.Root == "" {
			return false
		}
	}
	return true
}
