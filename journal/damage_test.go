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

// TestStateCutAtEveryByte cuts the newest state at every length: each cut one gives exactly the one before it, is
// kept, and the next save goes on as if nothing had been.
func TestStateCutAtEveryByte(t *testing.T) {
	dir := filled(t, 2)
	whole := read(t, dir, currentName)
	previous := read(t, dir, previousName)
	for length := range len(whole) {
		write(t, whole[:length], dir, currentName)
		j, got, found := open(t, dir)
		if got != string(state(1)) || found.From != "previous" {
			t.Fatalf("cut to %d bytes: loaded %q, %+v", length, got, found)
		}
		if !strings.Contains(found.Damage, "state.json is damaged") || !strings.Contains(found.Damage, "state.damaged-1") {
			t.Fatalf("cut to %d bytes: damage %q", length, found.Damage)
		}
		if kept := read(t, dir, "state.damaged-1"); string(kept) != string(whole[:length]) {
			t.Fatalf("cut to %d bytes: %q was put aside", length, kept)
		}
		if h := told(t, j); h != records(1, 2) {
			t.Fatalf("cut to %d bytes: history %s", length, h)
		}
		j.Close()
		os.Remove(filepath.Join(dir, "state.damaged-1"))
		write(t, previous, dir, previousName)
	}
}

// TestEveryBitCounts flips one bit in every byte of the newest state.
func TestEveryBitCounts(t *testing.T) {
	whole := read(t, filled(t, 2), currentName)
	for i := range whole {
		for bit := range 8 {
			broken := slices.Clone(whole)
			broken[i] ^= 1 << bit
			if e, err := decode(broken); err == nil || errors.Is(err, errNewer) {
				t.Fatalf("bit %d of byte %d: read as %+v, %v", bit, i, e, err)
			}
		}
	}
	if _, err := decode(append(slices.Clone(whole), 0)); err == nil {
		t.Error("a byte more was not noticed")
	}
}

func TestDamagedStates(t *testing.T) {
	garbage := []byte("garbage")
	tests := []struct {
		why      string
		damage   func(dir string)
		state    int    // the one loaded; zero: DamagedError
		contains string // of the damage or the error
	}{
		{"state.json gone", func(dir string) { os.Remove(dir + "/state.json") }, 1, "state.json is missing"},
		{"state.json empty", func(dir string) { os.WriteFile(dir+"/state.json", nil, 0o600) }, 1, "damaged (empty)"},
		{"state.json is a folder", func(dir string) { os.Remove(dir + "/state.json"); os.Mkdir(dir+"/state.json", 0o700) }, 1, "is a directory"},
		{"state.json is huge", func(dir string) { os.Truncate(dir+"/state.json", 1<<40) }, 1, "larger than sluice writes"},
		{"only the previous is damaged", func(dir string) { os.WriteFile(dir+"/state.prev.json", garbage, 0o600) }, 2, ""},
		{"both damaged", func(dir string) {
			os.WriteFile(dir+"/state.json", garbage, 0o600)
			os.WriteFile(dir+"/state.prev.json", garbage, 0o600)
		}, 0, "state.json is damaged (no valid header), state.prev.json is damaged"},
		{"damaged without a previous", func(dir string) {
			os.WriteFile(dir+"/state.json", garbage, 0o600)
			os.Remove(dir + "/state.prev.json")
		}, 0, "state.prev.json is missing"},
		{"both gone, the history is there", func(dir string) {
			os.Remove(dir + "/state.json")
			os.Remove(dir + "/state.prev.json")
		}, 0, "state.json is missing, state.prev.json is missing"},
		{"all gone but an old history", func(dir string) {
			os.Remove(dir + "/state.json")
			os.Remove(dir + "/state.prev.json")
			os.Rename(dir+"/history.jsonl", dir+"/history.3.jsonl")
		}, 0, "restore the folder from a backup, or move it away"},
	}
	for _, test := range tests {
		t.Run(test.why, func(t *testing.T) {
			dir := filled(t, 2)
			test.damage(dir)
			if test.state == 0 {
				wantDamaged(t, dir, test.contains)
				return
			}
			j, got, found := open(t, dir)
			if got != string(state(test.state)) || !strings.Contains(found.Damage, test.contains) {
				t.Errorf("loaded %q, %+v", got, found)
			}
			save(t, j, 3)
			j.Close()
			j, got, found = open(t, dir)
			if got != string(state(3)) || found.Damage != "" || told(t, j) != records(1, 2, 3) {
				t.Errorf("after the next save: %q, %+v, history %s", got, found, told(t, j))
			}
		})
	}
}

// wantDamaged opens the folder, wants a DamagedError from Load and from Save, and no change in the folder.
func wantDamaged(t *testing.T, dir, contains string) {
	t.Helper()
	before := contents(t, dir)
	j, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	_, _, err = j.Load()
	var damaged *DamagedError
	if !errors.As(err, &damaged) || !strings.Contains(err.Error(), contains) {
		t.Errorf("Load: %v, want %q", err, contains)
	}
	if err := j.Save(state(9), record(9)); !errors.As(err, &damaged) {
		t.Errorf("Save over damage: %v", err)
	}
	if after := contents(t, dir); !slices.Equal(after, before) {
		t.Errorf("the folder changed from %q to %q", before, after)
	}
}

// TestNewerFormat: going back to an older sluice must not look like damage, and must not cost the newer state.
func TestNewerFormat(t *testing.T) {
	dir := filled(t, 2)
	payload := []byte(`{"something":"else"}`)
	write(t, fmt.Appendf(nil, "sluice-state 2 sha256=%s length=%d\n%s", checksum(2, payload), len(payload), payload), dir, currentName)
	wantDamaged(t, dir, "written by a newer sluice")
}

func TestDamagedFilesKept(t *testing.T) {
	dir := filled(t, 2)
	for n := 1; n <= maxAside+2; n++ {
		write(t, fmt.Appendf(nil, "damage %d", n), dir, currentName)
		j, _, _ := open(t, dir)
		save(t, j, 2+n)
		j.Close()
	}
	if got := string(read(t, dir, "state.damaged-1")); got != "damage 1" {
		t.Errorf("the first damaged file is now %q", got)
	}
	if got, _ := filepath.Glob(dir + "/state.damaged-*"); len(got) != maxAside {
		t.Errorf("%d damaged files are kept", len(got))
	}
}

// TestHistoryCutAtEveryByte cuts the history at every length. The last record is also in the state file, so that it
// comes back; a cut into older ones loses what it cut, and says so.
func TestHistoryCutAtEveryByte(t *testing.T) {
	dir := filled(t, 3)
	whole := read(t, dir, "history.jsonl")
	lines := strings.SplitAfter(string(whole), "\n")
	ends := []int{0, len(lines[0]), len(lines[0]) + len(lines[1])}
	for length := range len(whole) + 1 {
		write(t, whole[:length], dir, "history.jsonl")
		j, got, found := open(t, dir)
		if got != string(state(3)) {
			t.Fatalf("cut to %d bytes: state %q", length, got)
		}
		want, complete := records(3), length >= ends[2]
		switch {
		case complete:
			want = records(1, 2, 3)
		case length >= ends[1]:
			want = records(1, 3)
		}
		if h := told(t, j); h != want {
			t.Fatalf("cut to %d bytes: history %s, want %s", length, h, want)
		}
		torn := !slices.Contains(ends, length) && length != len(whole)
		if strings.Contains(found.Damage, "cut short") != torn || strings.Contains(found.Damage, "missing") == complete {
			t.Fatalf("cut to %d bytes: damage %q", length, found.Damage)
		}
		j.Close()
		again, _, found := open(t, dir)
		if complete && found.Damage != "" {
			t.Fatalf("cut to %d bytes: the second start still finds %q", length, found.Damage)
		}
		again.Close()
	}
}

func TestDamagedHistory(t *testing.T) {
	flip := func(line int) func(lines []string) []string {
		return func(lines []string) []string {
			lines[line] = strings.Replace(lines[line], `{"n":`, `{"m":`, 1)
			return lines
		}
	}
	tests := []struct {
		why      string
		change   func(lines []string) []string
		history  string
		contains string
	}{
		{"a changed line in the middle", flip(1), records(1, 3, 4), "1 damaged history entries are left out"},
		{"a changed last line comes back from the state", flip(3), records(1, 2, 3, 4), "1 damaged history entries"},
		{"a line taken out", func(l []string) []string { return slices.Delete(l, 1, 2) }, records(1, 3, 4), "entry 3 does not follow entry 1"},
		{"garbage put in", func(l []string) []string { return slices.Insert(l, 1, "hello\n", "\x00\x00\n") }, records(1, 2, 3, 4), "2 damaged history entries"},
		{"a forged line with a sound sum", func(l []string) []string {
			forged, _ := appendLine(nil, Record{Seq: 2, Data: record(7)}, noSum)
			l[1] = string(forged)
			return l
		}, records(1, 7, 3, 4), "entry 2 does not follow entry 1"},
		{"a tail of zeros, as some file systems leave it", func(l []string) []string { return append(l, strings.Repeat("\x00", 100)) }, records(1, 2, 3, 4), "cut short"},
		{"all gone", func([]string) []string { return nil }, records(4), "history entries 1 to 3 are missing"},
	}
	for _, test := range tests {
		t.Run(test.why, func(t *testing.T) {
			dir := filled(t, 4)
			lines := test.change(strings.SplitAfter(string(read(t, dir, "history.jsonl")), "\n")[:4])
			write(t, []byte(strings.Join(lines, "")), dir, "history.jsonl")
			j, got, found := open(t, dir)
			if got != string(state(4)) || told(t, j) != test.history || !strings.Contains(found.Damage, test.contains) {
				t.Errorf("state %q, history %s, damage %q", got, told(t, j), found.Damage)
			}
			save(t, j, 5)
			if h := told(t, j); h != test.history+" "+records(5) {
				t.Errorf("after the next save the history is %s", h)
			}
		})
	}
}

// TestHistoryChangedWhileOpen: an editor saves the file under a running sluice.
func TestHistoryChangedWhileOpen(t *testing.T) {
	dir := filled(t, 2)
	j, _, _ := open(t, dir)
	write(t, append(read(t, dir, "history.jsonl"), "note to self\n"...), dir, "history.jsonl")
	save(t, j, 3, 4)
	if h := told(t, j); h != records(1, 2, 3, 4) {
		t.Errorf("history %s", h)
	}
	if err := os.Remove(dir + "/history.jsonl"); err != nil {
		t.Fatal(err)
	}
	save(t, j, 5)
	if h := told(t, j); h != records(5) {
		t.Errorf("history after the file was removed: %s", h)
	}
}

func TestOversizeHistory(t *testing.T) {
	dir := filled(t, 2)
	if err := os.Truncate(dir+"/history.jsonl", 1<<40); err != nil {
		t.Fatal(err)
	}
	j, _, found := open(t, dir)
	if !strings.Contains(found.Damage, "put aside as history.1.jsonl") {
		t.Errorf("damage %q", found.Damage)
	}
	save(t, j, 3)
	if h := told(t, j); h != records(2, 3) {
		t.Errorf("history %s", h)
	}
}

func TestRotation(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	j, _, _ := open(t, dir)
	save(t, j, 1)
	const perFile = 16
	big := []byte(`"` + strings.Repeat("x", 4<<10) + `"`)
	j.history.full = perFile * (4<<10 + lineOverhead)
	for range perFile * (keptHistories + 2) {
		if err := j.Append(big); err != nil {
			t.Fatal(err)
		}
	}
	all, err := j.History(0)
	if err != nil {
		t.Fatal(err)
	}
	last := all[len(all)-1].Seq
	if last != 1+perFile*(keptHistories+2) || last-all[0].Seq+1 != uint64(len(all)) {
		t.Errorf("%d records from %d to %d", len(all), all[0].Seq, last)
	}
	files, _ := filepath.Glob(dir + "/history*.jsonl")
	if len(files) != keptHistories+1 {
		t.Errorf("files %v", files)
	}
	for _, file := range files {
		if info, _ := os.Stat(file); info.Size() > j.history.full {
			t.Errorf("%s has %d bytes", file, info.Size())
		}
	}
	if some, _ := j.History(perFile + 5); len(some) != perFile+5 || some[perFile+4].Seq != last {
		t.Errorf("asked for %d across two files, got %d", perFile+5, len(some))
	}
	j.Close()
	os.Rename(dir+"/history.jsonl", dir+"/history.1.jsonl") // a crash right after the rotation's last rename
	j, _, found := open(t, dir)
	save(t, j, 2)
	if got, _ := j.History(1); got[0].Seq != last+1 || found.Damage != "" {
		t.Errorf("after a crash in the rotation: record %d, damage %q", got[0].Seq, found.Damage)
	}
}
