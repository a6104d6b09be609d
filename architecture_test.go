// Package sluice_test holds the house in order: floors, package comments, sizes. It knows the shape of the code and
// nothing of what it does.
package sluice_test

import (
	"bytes"
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// floors is the table of ARCHITECTURE.md: a package imports only from lower floors.
var floors = map[string]int{
	"message": 0, "drain": 0, "healthcheck": 0, "config": 0, "certs": 0, "journal": 0, "names": 0, "demo": 0, "static": 0, "judge": 0,
	"http1":     1,
	"upstream":  2,
	"proxy":     3,
	"front":     4,
	"control":   4,
	"telemetry": 5,
	"deploy":    5,
	"admin":     6,
	"cmd/proxy": 7,
}

// sameFloor are the imports within a floor that are allowed, each for a reason.
var sameFloor = map[string]string{}

// beside are folders that stand on no floor: programs and tests of their own.
var beside = []string{"bench", "examples", "internal/testkit", "internal/attacks", "internal/strictread", "e2e"}

// logs are the packages that may log; all others return errors and call an Observer.
var logs = []string{"telemetry", "cmd/proxy", "admin", "certs"}

type goPackage struct {
	ImportPath, Dir, Doc          string
	Imports, GoFiles, TestGoFiles []string
}

func packages(t *testing.T) (list []goPackage) {
	// With a profile, packages are listed as variants of what is built with it, under other names.
	out, err := exec.Command("go", "list", "-pgo=off", "-json", "./...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	dec := json.NewDecoder(bytes.NewReader(out))
	for {
		var p goPackage
		if err := dec.Decode(&p); err == io.EOF {
			return list
		} else if err != nil {
			t.Fatal(err)
		}
		if len(p.GoFiles) > 0 {
			list = append(list, p)
		}
	}
}

func name(path string) string { return strings.TrimPrefix(path, "sluice/") }

func isBeside(pkg string) bool {
	return slices.ContainsFunc(beside, func(b string) bool { return pkg == b || strings.HasPrefix(pkg, b+"/") })
}

func TestImportsGoDownward(t *testing.T) {
	for _, p := range packages(t) {
		pkg := name(p.ImportPath)
		floor, known := floors[pkg]
		if !known {
			if !isBeside(pkg) {
				t.Errorf("%s is on no floor: give it a row in ARCHITECTURE.md and here", pkg)
			}
			continue
		}
		for _, imported := range p.Imports {
			if !strings.HasPrefix(imported, "sluice/") {
				continue
			}
			below, ok := floors[name(imported)]
			if pair := pkg + " -> " + name(imported); (!ok || below >= floor) && sameFloor[pair] == "" {
				t.Errorf("%s (floor %d) imports %s (floor %d)", pkg, floor, name(imported), below)
			}
		}
	}
}

func TestOnlyTheTopLogs(t *testing.T) {
	for _, p := range packages(t) {
		pkg := name(p.ImportPath)
		if isBeside(pkg) || slices.Contains(logs, pkg) {
			continue
		}
		for _, imported := range p.Imports {
			if imported == "github.com/rs/zerolog" || imported == "log/slog" {
				t.Errorf("%s imports %s: it should return an error or call an Observer", pkg, imported)
			}
		}
	}
}

func TestOnlyCertsKnowsCertmagic(t *testing.T) {
	for _, p := range packages(t) {
		if name(p.ImportPath) != "certs" && slices.ContainsFunc(p.Imports, func(i string) bool {
			return strings.HasPrefix(i, "github.com/caddyserver/certmagic")
		}) {
			t.Errorf("%s imports certmagic", p.ImportPath)
		}
	}
}

func TestEachPackageSaysWhatItIsFor(t *testing.T) {
	for _, p := range packages(t) {
		if len(p.Doc) < 40 {
			t.Errorf("%s has no package comment that says what it is for and what it refuses to know", p.ImportPath)
		}
	}
}

// longest is the ratchet: the most lines a function may have. The few that are longer are named with their reason; their
// number only falls.
const (
	longestFile     = 500
	longestFunction = 60
	longestOnPath   = 40 // in the packages that a request runs through
)

var onPath = []string{"message", "http1", "static", "upstream", "proxy", "front"}

func TestFilesAndFunctionsStaySmall(t *testing.T) {
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() && (strings.HasPrefix(d.Name(), ".") && path != "." || d.Name() == "node_modules" || strings.HasPrefix(d.Name(), "_")) {
			if d != nil && d.IsDir() {
				return fs.SkipDir
			}
			return err
		}
		if strings.HasSuffix(path, ".go") {
			checkSizes(t, path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func checkSizes(t *testing.T, path string) {
	fset := token.NewFileSet()
	src, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	f, err := parser.ParseFile(fset, path, src, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	if n := bytes.Count(src, []byte("\n")); n > longestFile {
		t.Errorf("%s has %d lines, more than %d: split it by subject", path, n, longestFile)
	}
	if strings.HasSuffix(path, "_test.go") {
		return
	}
	most := longestFunction
	if slices.Contains(onPath, filepath.Dir(path)) {
		most = longestOnPath
	}
	for _, decl := range f.Decls {
		fd, ok := decl.(*ast.FuncDecl)
		if !ok {
			continue
		}
		if n := fset.Position(fd.End()).Line - fset.Position(fd.Pos()).Line + 1; n > most {
			t.Errorf("%s: %s has %d lines, more than %d", fset.Position(fd.Pos()), fd.Name.Name, n, most)
		}
	}
}

// TestNamesSayWhatIsInside keeps drawers for anything out of the house.
func TestNamesSayWhatIsInside(t *testing.T) {
	for _, p := range packages(t) {
		for _, file := range slices.Concat(p.GoFiles, []string{filepath.Base(p.Dir) + "/"}) {
			for _, bad := range []string{"util", "helper", "misc", "common"} {
				if strings.Contains(file, bad) {
					t.Errorf("%s/%s: the name says nothing", p.ImportPath, file)
				}
			}
		}
	}
}
