package main

import (
	"os"
	"strings"
	"testing"
	"time"
)

// statLine is a line of /proc/<pid>/stat; only the fields we read vary.
func statLine(pid, name, parent, group, times string) string {
	return pid + " (" + name + ") S " + parent + " " + group + " 9 0 -1 4194560 1 0 0 0 " + times + " 20 0 1 0 12345 1 2 3\n"
}

func TestParseProcStat(t *testing.T) {
	for _, c := range []struct {
		reason, line string
		want         procStat
	}{
		{"a plain name", statLine("42", "nginx", "1", "42", "3 4 10 20"), procStat{42, 1, 42, 70 * time.Millisecond, 300 * time.Millisecond}},
		{"a name with spaces", statLine("7", "Web Content", "6", "6", "1 0 0 0"), procStat{7, 6, 6, 10 * time.Millisecond, 0}},
		{"a name made to look like fields", statLine("7", "a) S 1 1 (b", "6", "5", "0 2 0 0"), procStat{7, 6, 5, 20 * time.Millisecond, 0}},
		{"no time used yet", statLine("8", "new", "2", "8", "0 0 0 0"), procStat{8, 2, 8, 0, 0}},
		{"no terminal, given as -1", statLine("9", "x", "0", "-1", "0 0 0 0"), procStat{9, 0, -1, 0, 0}},
	} {
		got, err := parseProcStat([]byte(c.line))
		if err != nil || got != c.want {
			t.Errorf("%s: got %+v, %v; want %+v", c.reason, got, err, c.want)
		}
	}
}

func TestParseProcStatRefuses(t *testing.T) {
	for reason, line := range map[string]string{
		"empty":                "",
		"no name":              "42 S 1 42",
		"brackets turned":      "42 )x( S",
		"no process id":        " (x) S 1 1 9 0 -1 4 1 0 0 0 1 2 3 4 20",
		"cut before the times": "42 (x) S 1 42 9 0 -1 4 1 0 0 0 1",
		"a time is a word":     statLine("42", "x", "1", "42", "3 four 10 20"),
	} {
		if got, err := parseProcStat([]byte(line)); err == nil {
			t.Errorf("%s: got %+v, want an error", reason, got)
		}
	}
}

func FuzzParseProcStat(f *testing.F) {
	f.Add([]byte(statLine("42", "nginx", "1", "42", "3 4 10 20")))
	f.Add([]byte("1 () ("))
	f.Fuzz(func(t *testing.T, line []byte) {
		p, err := parseProcStat(line)
		if err == nil && !strings.Contains(string(line), ")") {
			t.Errorf("read %+v from %q, which has no name", p, line)
		}
	})
}

func TestDescendants(t *testing.T) {
	// 10 is a master with workers 11 and 12; 12 has a child; 13's parent ended, so that init took it; 20 is a stranger
	// whose number comes before its child's, 21 has one that comes after.
	all := []procStat{
		{pid: 1}, {pid: 5, parent: 12, group: 5}, {pid: 10, parent: 1, group: 10}, {pid: 11, parent: 10, group: 10},
		{pid: 12, parent: 10, group: 12}, {pid: 13, parent: 1, group: 10}, {pid: 20, parent: 1, group: 20}, {pid: 21, parent: 20, group: 20},
	}
	var got []int
	for _, p := range descendants(all, 10) {
		got = append(got, p.pid)
	}
	want := []int{5, 10, 11, 12, 13}
	if len(got) != len(want) {
		t.Fatalf("got %v, want %v", got, want)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Fatalf("got %v, want %v", got, want)
		}
	}
	if found := descendants(all, 99); len(found) != 0 {
		t.Errorf("a process that is not there has %v below it", found)
	}
}

func TestSumCPUCountsEndedChildren(t *testing.T) {
	tree := []procStat{{own: time.Second, reaped: 5 * time.Second}, {own: 2 * time.Second}}
	if got := sumCPU(tree); got != 8*time.Second {
		t.Errorf("got %v, want 8s: both processes' own time and the ended child's", got)
	}
}

// TestTreeCPUOfAnEndedChild lets a shell wait for a child that works and ends: its time must still be seen.
func TestTreeCPUOfAnEndedChild(t *testing.T) {
	dir := t.TempDir()
	work := `sh -c 'i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done'; echo done; sleep 30`
	p, err := startProcess("worker", dir, "output.log", []string{"sh", "-c", work})
	if err != nil {
		t.Fatal(err)
	}
	defer p.stop()
	for wait := 0; ; wait++ {
		if out, _ := os.ReadFile(p.log); len(out) > 0 {
			break
		}
		if wait > 3000 {
			t.Fatal("the child never ended")
		}
		time.Sleep(10 * time.Millisecond)
	}
	used, err := treeCPU(p.pid)
	if err != nil {
		t.Fatal(err)
	}
	if used < 20*time.Millisecond {
		t.Errorf("%v of CPU, want the ended child's in it", used)
	}
}

func TestTreeCPUOfAnEndedProcess(t *testing.T) {
	p, err := startProcess("short", t.TempDir(), "output.log", []string{"true"})
	if err != nil {
		t.Fatal(err)
	}
	<-p.ended
	if used, err := treeCPU(p.pid); err == nil {
		t.Errorf("got %v, want an error: the proxy died during the round", used)
	}
}
