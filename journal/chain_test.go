package journal

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

func verify(t *testing.T, j *Journal, noted string) Chain {
	t.Helper()
	chain, err := j.Verify(noted)
	if err != nil {
		t.Fatal(err)
	}
	return chain
}

// wantUnbroken wants so many records in one chain from the first to the last.
func wantUnbroken(t *testing.T, j *Journal, entries int) Chain {
	t.Helper()
	chain := verify(t, j, "")
	if chain.Breaks != 0 || chain.Entries != uint64(entries) || chain.Since.Seq != chain.First.Seq {
		t.Fatalf("%d entries, %d breaks, the first: %+v; want %d and none", chain.Entries, chain.Breaks, chain.Break, entries)
	}
	if seq, sum := j.Head(); seq != chain.Last.Seq || sum != chain.Last.Sum {
		t.Fatalf("the head is %d %s, and the last that was read %d %s", seq, sum, chain.Last.Seq, chain.Last.Sum)
	}
	return chain
}

func TestChainIsUnbroken(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	j, _, _ := open(t, dir)
	if seq, sum := j.Head(); seq != 0 || sum != "" {
		t.Errorf("the head of nothing is %d %q", seq, sum)
	}
	wantUnbroken(t, j, 0)
	save(t, j, 1, 2)
	if err := j.Append(record(3)); err != nil {
		t.Fatal(err)
	}
	_, noted := j.Head()
	first := wantUnbroken(t, j, 3).First
	if first.Seq != 1 || first.Prev != noSum {
		t.Errorf("it begins with %+v", first)
	}
	j.Close()

	j, _, _ = open(t, dir)
	save(t, j, 4)
	wantUnbroken(t, j, 4)
	if chain := verify(t, j, noted); chain.Noted.Seq != 3 {
		t.Errorf("the hash noted at entry 3 is found at %d", chain.Noted.Seq)
	}
	if chain := verify(t, j, strings.Repeat("a", hexSum)); chain.Noted.Seq != 0 {
		t.Errorf("a hash that never was is found at %d", chain.Noted.Seq)
	}
	if all, _ := j.History(2); len(all) != 2 || all[0].Sum != noted || all[1].Prev != noted {
		t.Errorf("the records do not tell their hashes: %+v", all)
	}
}

// TestChainOfWhatWaits: records that wait in the state file have the hashes that they will have.
func TestChainOfWhatWaits(t *testing.T) {
	dir := filled(t, 2)
	j, _, _ := open(t, dir)
	j.Fault(func(_, name string) error {
		if name == "history.jsonl" {
			return os.ErrPermission
		}
		return nil
	})
	save(t, j, 3, 4)
	_, noted := j.Head()
	if chain := wantUnbroken(t, j, 4); chain.Last.Sum != noted {
		t.Errorf("the head is %s, and read as %s", noted, chain.Last.Sum)
	}
	j.Fault(nil)
	save(t, j, 5)
	wantUnbroken(t, j, 5)
	if chain := verify(t, j, noted); chain.Noted.Seq != 4 {
		t.Errorf("once written, the head of before is found at %d", chain.Noted.Seq)
	}
}

// rotating is a journal whose files hold a few records each, with so many saved.
func rotating(t *testing.T, dir string, n int) *Journal {
	t.Helper()
	j, _, _ := open(t, dir)
	j.history.full = 1000
	for ; n > 0; n-- {
		if err := j.Append(record(n)); err != nil {
			t.Fatal(err)
		}
	}
	return j
}

// TestChainOfATrimmedHistory lets old files go, and then takes one that should be there.
func TestChainOfATrimmedHistory(t *testing.T) {
	dir := filled(t, 1)
	j := rotating(t, dir, 60)
	chain := verify(t, j, "")
	if chain.Breaks != 0 || chain.Trimmed == 0 || chain.First.Seq != chain.Trimmed+1 || chain.Last.Seq != 61 {
		t.Fatalf("%+v", chain)
	}
	trimmed, err := j.history.trimmed()
	if err != nil || verify(t, j, trimmed.Sum).Noted.Seq != chain.Trimmed {
		t.Errorf("the last that was let go is not known any more: %+v, %v", trimmed, err)
	}
	j.Close()
	if err := os.Remove(filepath.Join(dir, "history.4.jsonl")); err != nil {
		t.Fatal(err)
	}
	j, _, _ = open(t, dir)
	chain = verify(t, j, "")
	if chain.Breaks != 1 || !strings.HasPrefix(chain.Break.Why, fmt.Sprintf("entries %d to ", trimmed.Seq+1)) || chain.Since.Seq != chain.First.Seq {
		t.Errorf("with a file gone: %+v", chain)
	}
}

// TestChainOutlivesACrashInTheRotation dies at each step of a save that lets an old file go.
func TestChainOutlivesACrashInTheRotation(t *testing.T) {
	full := filled(t, 1)
	j := rotating(t, full, 60)
	for j.history.size+500 < j.history.full {
		if err := j.Append(record(0)); err != nil {
			t.Fatal(err)
		}
	}
	seq, noted := j.Head()
	j.Close()
	for k := 0; ; k++ {
		dir := filepath.Join(t.TempDir(), "state")
		if err := os.CopyFS(dir, os.DirFS(full)); err != nil {
			t.Fatal(err)
		}
		j := rotating(t, dir, 0)
		steps := failAt(j, k, errDied, true)
		err := j.Append([]byte(`"` + strings.Repeat("x", 500) + `"`))
		j.Close()
		if *steps <= k {
			if k < 10 || err != nil {
				t.Fatalf("%d steps (%v): this was no rotation", k, err)
			}
			return
		}
		j, _, _ = open(t, dir)
		chain := verify(t, j, noted)
		if chain.Breaks != 0 || chain.Noted.Seq != seq || chain.Trimmed != chain.First.Seq-1 {
			t.Fatalf("died at step %d: %+v", k, chain)
		}
		save(t, j, 2)
		if chain := verify(t, j, noted); chain.Breaks != 0 || chain.Noted.Seq != seq {
			t.Fatalf("died at step %d, then saved: %+v", k, chain)
		}
		j.Close()
	}
}

// TestDamagedNoteOfWhatWasTrimmed is a break too: nobody can say whether the beginning is all there.
func TestDamagedNoteOfWhatWasTrimmed(t *testing.T) {
	dir := filled(t, 1)
	j := rotating(t, dir, 60)
	whole := read(t, dir, trimmedName)
	write(t, whole[:len(whole)/2], dir, trimmedName)
	if chain := verify(t, j, ""); chain.Breaks == 0 || chain.Break.File != trimmedName {
		t.Errorf("%+v", chain)
	}
	os.Remove(filepath.Join(dir, trimmedName))
	if chain := verify(t, j, ""); chain.Breaks != 1 || !strings.Contains(chain.Break.Why, "entries 1 to ") {
		t.Errorf("without the note: %+v", chain)
	}
}

// rewritten is a chain of other records, sound in itself.
func rewritten(lines []string, from int) []string {
	sum := noSum
	for i, text := range lines {
		r, _ := parseLine([]byte(strings.TrimSuffix(text, "\n")))
		if i == from {
			r.Data = []byte(`{"n":0}`)
		}
		var line []byte
		line, sum = appendLine(nil, r, sum)
		lines[i] = string(line)
	}
	return lines
}

func TestBrokenChains(t *testing.T) {
	tests := []struct {
		why    string
		change func(lines []string) []string
		says   string // while the process runs that wrote it; empty: nothing is noticed
		later  string // after a restart; the state itself gives the last record back
		breaks uint64 // the record that the break is at
	}{
		{"a changed record", func(l []string) []string { l[2] = strings.Replace(l[2], `{"n":3}`, `{"n":7}`, 1); return l },
			"what follows entry 2 was changed", "what follows entry 2 was changed", 2},
		{"a record changed with its hash", func(l []string) []string {
			l[2] = rewritten(slices.Clone(l), 2)[2]
			return l
		}, "entry 4 does not carry on from what stands before it", "entry 4 does not carry on", 4},
		{"a line taken out", func(l []string) []string { return slices.Delete(l, 1, 2) }, "entry 2 is missing", "entry 2 is missing", 3},
		{"lines taken out", func(l []string) []string { return slices.Delete(l, 1, 3) }, "entries 2 to 3 are missing", "entries 2 to 3", 4},
		{"the beginning taken off", func(l []string) []string { return l[2:] }, "entries 1 to 2 are missing", "entries 1 to 2", 3},
		{"two lines exchanged", func(l []string) []string { l[1], l[2] = l[2], l[1]; return l }, "entry 2 is missing", "entry 2 is missing", 3},
		{"a line twice", func(l []string) []string { return slices.Insert(l, 1, l[1]) }, "entry 2 comes after entry 2", "entry 2 comes after", 2},
		{"the end taken off", func(l []string) []string { return l[:3] }, "entries 4 to 5 are missing at the end", "entry 4 is missing", 3},
		{"the whole chain anew", func(l []string) []string { return rewritten(l, 1) }, "entry 5 is not the one that was written", "", 5},
	}
	for _, test := range tests {
		t.Run(test.why, func(t *testing.T) {
			dir := filled(t, 5)
			j, _, _ := open(t, dir)
			_, noted := j.Head()
			lines := test.change(strings.SplitAfter(string(read(t, dir, "history.jsonl")), "\n")[:5])
			write(t, []byte(strings.Join(lines, "")), dir, "history.jsonl")
			chain := verify(t, j, noted)
			if chain.Breaks == 0 || !strings.Contains(chain.Break.Why, test.says) || chain.Break.Seq != test.breaks {
				t.Errorf("while it runs: %+v", chain)
			}
			j.Close()
			j, _, _ = open(t, dir)
			chain = verify(t, j, noted)
			if (chain.Breaks > 0) != (test.later != "") || !strings.Contains(chain.Break.Why, test.later) {
				t.Errorf("after a restart: %+v", chain)
			}
			if test.later == "" && chain.Noted.Seq != 0 {
				t.Error("a head noted before is found in a chain that was written anew")
			}
			save(t, j, 6)
			if chain := verify(t, j, ""); chain.Last.Seq != 6 || chain.Since.Seq == 0 {
				t.Errorf("after the next save: %+v", chain)
			}
		})
	}
}

// TestChainIsReadWhileItGrows: a reader sees a chain that is whole, whatever is saved and moved on meanwhile.
func TestChainIsReadWhileItGrows(t *testing.T) {
	dir := filled(t, 1)
	j := rotating(t, dir, 0)
	var writer sync.WaitGroup
	writer.Go(func() {
		for n := range 120 {
			if err := j.Append(record(n)); err != nil {
				t.Error(err)
			}
		}
	})
	done := make(chan struct{})
	go func() { writer.Wait(); close(done) }()
	looks, grown := 0, map[uint64]bool{}
	for over := false; !over; looks++ {
		select {
		case <-done:
			over = true
		default:
		}
		chain := verify(t, j, "")
		if grown[chain.Last.Seq] = true; chain.Breaks != 0 {
			t.Fatalf("%+v", chain)
		}
	}
	if len(grown) < 3 || verify(t, j, "").Trimmed == 0 {
		t.Errorf("%d looks saw %d lengths: nothing grew beside them", looks, len(grown))
	}
}

// FuzzVerify: no file makes the walk along the chain panic or loop, and what it calls unbroken is read as such again.
func FuzzVerify(f *testing.F) {
	lines, sum := appendLine(nil, Record{Seq: 1, Data: []byte(`{"a":1}`)}, noSum)
	lines, _ = appendLine(lines, Record{Seq: 2, Data: []byte(`2`)}, sum)
	f.Add(lines)
	f.Add(bytes.Replace(lines, []byte("2"), []byte("3"), 1))
	f.Add([]byte("\n\n\x00"))
	f.Fuzz(func(t *testing.T, data []byte) {
		w := walk{}
		w.begin(&view{})
		w.file("history.jsonl", data)
		found := scan(data)
		if w.chain.Entries != uint64(len(found.records)) && bytes.HasSuffix(data, []byte("\n")) {
			t.Errorf("%d records verified, %d read", w.chain.Entries, len(found.records))
		}
		if w.chain.Breaks == 0 && len(found.notes) > 0 {
			t.Errorf("unbroken, and yet: %q", found.notes)
		}
	})
}
