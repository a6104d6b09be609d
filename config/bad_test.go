package config

import (
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var rewrite = flag.Bool("rewrite", false, "write what is said now into testdata/bad.txt")

// TestBadFiles reads testdata/bad.txt: a line that begins with ## says why a file is bad, the file follows, and after a
// line of dots all that is said about it. A case that begins with "## web:" is the inside of a service.
func TestBadFiles(t *testing.T) {
	isolate(t)
	const path = "testdata/bad.txt"
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	cases := strings.Split(string(data), "\n## ")[1:]
	if len(cases) < 60 {
		t.Errorf("only %d bad files", len(cases))
	}
	now := "Files that are refused, and what is said. Run the test with -rewrite after a change of words, and read the diff.\n"
	for _, c := range cases {
		reason, rest, _ := strings.Cut(c, "\n")
		text, want, _ := strings.Cut(rest, "\n....\n")
		got := refusal(reason, text)
		if got != strings.TrimRight(want, "\n") && !*rewrite {
			t.Errorf("%s\n%s\n got: %s\nwant: %s", reason, text, got, want)
		}
		now += fmt.Sprintf("\n## %s\n%s\n....\n%s\n", reason, text, got)
	}
	if *rewrite {
		write(t, path, now)
	}
}

func refusal(reason, text string) string {
	if strings.HasPrefix(reason, "web:") {
		text = "services:\n  web:\n    " + strings.ReplaceAll(text, "\n", "\n    ")
	}
	c, err := Parse("f", []byte(text))
	if err == nil {
		return "ACCEPTED"
	}
	if c != nil {
		return "REFUSED, and yet there is a Config"
	}
	return err.Error()
}

// TestRefusedBytes has what a text file cannot show.
func TestRefusedBytes(t *testing.T) {
	isolate(t)
	for _, test := range []struct{ reason, text, want string }{
		{"not UTF-8", "listen: :80\n  \xff", "f:2:3: byte 0xff is not text"},
		{"a control character", "a: \x1b[31m", "f:1:4: byte 0x1b is not text"},
		{"UTF-16", "\xff\xfea\x00", "f:1:1: byte 0xff is not text"},
		{"a tab as indentation", "services:\n\tweb: {}", "f:2:2: not YAML: found character that cannot start any token"},
		{"deep nesting", "a: " + strings.Repeat("[", 40) + strings.Repeat("]", 40), "f:1:36: this stands more than 32 levels deep"},
		{"very deep nesting", strings.Repeat("[", 20000), "f:1:1: not YAML: exceeded max depth of 10000"},
		{"too long", strings.Repeat("#", maxFile+1), "f: cannot read the file: it is longer than the limit"},
		{"a long value is cut", "listen: http://" + strings.Repeat("x", 90) + ":1\nservices: {web: {backends: x:1}}",
			"f:1:9: `http://" + strings.Repeat("x", 53) + "…` is no address to listen on: a part of the name is longer than 63 characters"},
		{"nothing plays tricks on a terminal", "\"\\e[31m\": 1\nservices: {web: {backends: x:1}}", `f:1:1: unknown key "\x1b[31m"`},
	} {
		got, _, _ := strings.Cut(refusal("", test.text), "\n")
		equal(t, test.reason, got, test.want)
	}
}

// TestManyProblems holds that the first twenty are told, in the order of the file.
func TestManyProblems(t *testing.T) {
	isolate(t)
	var text strings.Builder
	for i := range 5000 {
		fmt.Fprintf(&text, "unknown%d: 1\n", i)
	}
	_, err := Parse("f", []byte(text.String()))
	all, ok := err.(Errors)
	if !ok || len(all) != 20 || all[0].Line != 1 && all[1].Line != 1 || all[19].Line > 20 {
		t.Errorf("got %v", err)
	}
}

// TestProblemsAreSorted has a problem that is only found at the end, and stands before one that is found early.
func TestProblemsAreSorted(t *testing.T) {
	isolate(t)
	_, err := Parse("f", []byte("listen: https://:443\nlimits: {fields: x}\nservices: {web: {live: a, backends: x:0}, web2: {live: b, pools: {c: [y:1]}}}"))
	var lines []int
	for _, e := range err.(Errors) {
		lines = append(lines, e.Line)
	}
	equal(t, "lines", lines, []int{1, 2, 3, 3, 3, 3})
}

func TestTokenIsNeverRepeated(t *testing.T) {
	isolate(t)
	for _, secret := range []string{"hunter2", "a secret with spaces in it"} {
		if got := refusal("", "admin_token: "+secret+"\n"+example); strings.Contains(got, secret) || got == "ACCEPTED" {
			t.Errorf("%s", got)
		}
		t.Setenv(tokenVariable, secret)
		if got := refusal("", example); strings.Contains(got, secret) || !strings.HasPrefix(got, tokenVariable+": the admin token") {
			t.Errorf("%s", got)
		}
		t.Setenv(tokenVariable, "")
	}
}

func TestRefusedTo(t *testing.T) {
	isolate(t)
	for _, test := range []struct{ backend, listen, want string }{
		{"3000", "", "--to: `3000` is no address of a backend: the port is missing\n  fix: write 127.0.0.1:3000"},
		{":3000", "", "--to: `:3000` is no address of a backend: the host is missing\n  fix: write 127.0.0.1:3000"},
		{"", "", "--to: \"\" is no address of a backend: the port is missing\n  fix: write 10.0.0.1:3000, app:3000, [::1]:3000 or unix:///run/app.sock"},
		{"x:1", "80", "--listen: `80` is no address to listen on: the port is missing\n  fix: " + listenFix},
		{"x:1", "https://:443", "--listen: an https listener needs certificates, which --listen cannot name\n  fix: use --config with a file that has `tls:`"},
	} {
		c, err := To(test.backend, test.listen)
		if c != nil || err == nil || err.Error() != test.want {
			t.Errorf("%q %q: %v", test.backend, test.listen, err)
		}
	}
}

func TestLoad(t *testing.T) {
	isolate(t)
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	write(t, at("good.yaml"), example)
	write(t, at("long.yaml"), strings.Repeat("# long\n", maxFile/7+1))
	write(t, at("token.yaml"), "admin_token_file: none\n"+example)
	write(t, at("short.yaml"), "admin_token_file: short\n"+example)
	write(t, at("short"), "abc\n")
	write(t, at("blank.yaml"), "admin_token_file: blank\n"+example)
	write(t, at("blank"), "\n")
	c, err := Load(at("good.yaml"))
	if err != nil || c.File != at("good.yaml") || c.Digest != digest([]byte(example)) {
		t.Errorf("%v %v", c, err)
	}
	for _, test := range []struct {
		name, want string
		is         error
	}{
		{"none.yaml", "/none.yaml: cannot read the file: no such file or directory\n  fix: write one with at least:\n  listen: ", fs.ErrNotExist},
		{"long.yaml", "/long.yaml: cannot read the file: it is longer than the limit of 1MiB\n  fix: ", errTooLong},
		{".", ": cannot read the file: it is a folder\n  fix: name a plain file", errFolder},
		{"token.yaml", "/token.yaml:1:19: cannot read the token from `" + at("none") + "`: no such file or directory\n  fix: make one", fs.ErrNotExist},
		{"short.yaml", "/short.yaml:1:19: the admin token is shorter than 16 characters\n  fix: make one", nil},
		{"blank.yaml", "/blank.yaml:1:19: cannot read the token from `" + at("blank") + "`: it holds no token\n  fix: make one", errEmpty},
	} {
		c, err := Load(at(test.name))
		if c != nil || err == nil || !strings.HasPrefix(strings.TrimPrefix(err.Error(), dir), test.want) {
			t.Errorf("%s: %v", test.name, err)
		}
		if test.is != nil && !errors.Is(err, test.is) {
			t.Errorf("%s: errors.Is does not find %v", test.name, test.is)
		}
	}
}

func TestCheckFiles(t *testing.T) {
	isolate(t)
	dir := t.TempDir()
	write(t, filepath.Join(dir, "a.pem"), "x")
	path := filepath.Join(dir, "sluice.yaml")
	write(t, path, "tls:\n  certificates:\n    - {cert: a.pem, key: a.key}\n    - cert: .\n      key: "+dir+"/a.pem\n"+example)
	c, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	problems := c.CheckFiles()
	if len(problems) != 2 {
		t.Fatalf("got %v", problems)
	}
	equal(t, "a missing key", strings.ReplaceAll(problems[0].Error(), dir, "DIR"), "DIR/sluice.yaml:3:26: cannot read the key `DIR/a.key`: no such file or directory\n"+
		"  fix: put the PEM file there, or name the right one; a relative path starts at the folder of this file")
	equal(t, "a folder", strings.ReplaceAll(problems[1].Problem, dir, "DIR"), "cannot read the certificate `DIR`: it is a folder")
	if !errors.Is(problems[0], fs.ErrNotExist) {
		t.Error("errors.Is does not find fs.ErrNotExist")
	}
}

func TestNearest(t *testing.T) {
	known := fields{"health": nil, "hosts": nil, "path": nil, "max_connections": nil}
	for key, want := range map[string]string{
		"helth": "health", "HEALTH": "health", "host": "hosts", "paht": "path", "max-connections": "max_connections",
		"maxconnections": "max_connections", "colour": "", "x": "", "": "", strings.Repeat("health", 9): "",
	} {
		equal(t, key, nearest(key, known), want)
	}
}
