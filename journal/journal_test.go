package journal

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// open opens and loads the journal in dir, and closes it with the test.
func open(t *testing.T, dir string) (j *Journal, state string, found Found) {
	t.Helper()
	j, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(j.Close)
	data, found, err := j.Load()
	if err != nil {
		t.Fatal(err)
	}
	return j, string(data), found
}

// state and record are the n-th of a test's life.
func state(n int) []byte  { return fmt.Appendf(nil, `{"n": %d, "pad": %q}`, n, strings.Repeat("s", 40)) }
func record(n int) []byte { return fmt.Appendf(nil, `{"n":%d}`, n) }

func save(t *testing.T, j *Journal, numbers ...int) {
	t.Helper()
	for _, n := range numbers {
		if err := j.Save(state(n), record(n)); err != nil {
			t.Fatalf("save %d: %v", n, err)
		}
	}
}

// filled returns a folder that was closed after so many saves.
func filled(t *testing.T, saves int) (dir string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "state")
	j, _, _ := open(t, dir)
	for n := 1; n <= saves; n++ {
		save(t, j, n)
	}
	j.Close()
	return dir
}

// told returns the whole history as text, and fails when a number comes twice or out of order.
func told(t *testing.T, j *Journal) string {
	t.Helper()
	records, err := j.History(0)
	if err != nil {
		t.Fatal(err)
	}
	var text []string
	for i, r := range records {
		if i > 0 && r.Seq <= records[i-1].Seq {
			t.Errorf("record %d after record %d", r.Seq, records[i-1].Seq)
		}
		text = append(text, string(r.Data))
	}
	return strings.Join(text, " ")
}

func records(numbers ...int) string {
	var text []string
	for _, n := range numbers {
		text = append(text, string(record(n)))
	}
	return strings.Join(text, " ")
}

func read(t *testing.T, path ...string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(path...))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func write(t *testing.T, data []byte, path ...string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(path...), data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestFirstStart(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	j, got, found := open(t, dir)
	if got != "" || found != (Found{Fresh: true}) {
		t.Errorf("an empty folder gave %q, %+v", got, found)
	}
	if err := j.Append(record(1)); !errors.Is(err, ErrNoState) {
		t.Errorf("an outcome before any state: %v", err)
	}
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("folder made as %v, %v", info.Mode(), err)
	}
	j.Close()
	if _, _, found := open(t, dir); !found.Fresh {
		t.Errorf("nothing was saved, but the second start found %+v", found)
	}
}

func TestSaveAndLoad(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	j, _, _ := open(t, dir)
	save(t, j, 1, 2)
	if err := j.Append([]byte("{\n \"outcome\": 2}")); err != nil {
		t.Fatal(err)
	}
	if err := j.Save(state(3), nil); err != nil {
		t.Fatal(err)
	}
	save(t, j, 4)
	j.Close()
	j, got, found := open(t, dir)
	if got != string(state(4)) || found != (Found{From: "state"}) {
		t.Errorf("loaded %q, %+v", got, found)
	}
	want := records(1, 2) + ` {"outcome":2} ` + records(4)
	if got := told(t, j); got != want {
		t.Errorf("history %s, want %s", got, want)
	}
	if last, _ := j.History(2); len(last) != 2 || last[1].Seq != 4 || string(last[1].Data) != string(record(4)) {
		t.Errorf("the last two are %+v", last)
	}
	if n, why := j.Behind(); n != 0 || why != nil {
		t.Errorf("%d records behind: %v", n, why)
	}
	for _, name := range []string{"state.json", "state.prev.json", "history.jsonl", "lock"} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", name, info.Mode(), err)
		}
	}
}

// TestSaveWithoutLoad: whoever does not look first must not bury what is there.
func TestSaveWithoutLoad(t *testing.T) {
	dir := filled(t, 3)
	j, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	save(t, j, 4)
	if got := told(t, j); got != records(1, 2, 3, 4) {
		t.Errorf("history %s", got)
	}
}

func TestInvalidInput(t *testing.T) {
	big := `"` + strings.Repeat("x", maxRecord) + `"`
	tests := []struct{ why, state, record string }{
		{"state is not JSON", `{`, `{}`},
		{"state is empty", ``, `{}`},
		{"two states", `{} {}`, `{}`},
		{"record is not JSON", `{}`, `{"a":}`},
		{"record is too long", `{}`, big},
		{"state is too long", `"` + strings.Repeat("x", maxState) + `"`, `{}`},
	}
	dir := filled(t, 2)
	j, _, _ := open(t, dir)
	before := contents(t, dir)
	for _, test := range tests {
		if err := j.Save([]byte(test.state), []byte(test.record)); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v", test.why, err)
		}
	}
	for _, bad := range []string{``, `{`, big} {
		if err := j.Append([]byte(bad)); !errors.Is(err, ErrInvalid) {
			t.Errorf("append %.20q: %v", bad, err)
		}
	}
	if after := contents(t, dir); !slices.Equal(before, after) {
		t.Errorf("the folder changed from %q to %q", before, after)
	}
}

// contents lists the files of a folder with what is in them; the lock and its pid are left out.
func contents(t *testing.T, dir string) (files []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.Name() != "lock" {
			files = append(files, e.Name()+": "+string(read(t, dir, e.Name())))
		}
	}
	return files
}

func TestClosed(t *testing.T) {
	j, _, _ := open(t, t.TempDir())
	j.Close()
	j.Close()
	_, _, loadErr := j.Load()
	_, historyErr := j.History(1)
	for _, err := range []error{loadErr, historyErr, j.Save(state(1), nil), j.Append(record(1))} {
		if !errors.Is(err, ErrClosed) {
			t.Errorf("after Close: %v", err)
		}
	}
}

func TestUnusableFolder(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	write(t, nil, file)
	_, err := Open(filepath.Join(file, "state"))
	if err == nil || !strings.Contains(err.Error(), "set `state:` to another folder") {
		t.Errorf("error %v names no next step", err)
	}
}
