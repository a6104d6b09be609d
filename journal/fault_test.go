package journal

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

var errDied = errors.New("died here")

// failAt makes step k of what follows fail with err, and every later one too when forever. It returns how many steps
// there were so far.
func failAt(j *Journal, k int, err error, forever bool) (steps *int) {
	steps = new(int)
	j.disk.fault = func(string, string) error {
		*steps++
		if *steps == k+1 || forever && *steps > k {
			return err
		}
		return nil
	}
	return steps
}

// changes are what is interrupted: each starts from a folder with states 1 and 2 saved and returns the state and the
// record that count if it is done.
var changes = []struct {
	name   string
	before func(t *testing.T, dir string)
	do     func(j *Journal) error
	state  int
	told   []int
}{
	{"save", nil, func(j *Journal) error { return j.Save(state(3), record(3)) }, 3, []int{1, 2, 3}},
	{"append", nil, func(j *Journal) error { return j.Append(record(3)) }, 2, []int{1, 2, 3}},
	{"save where state.json had been damaged", func(t *testing.T, dir string) {
		write(t, []byte("garbage"), dir, currentName)
		j, _, _ := open(t, dir)
		j.Close()
	}, func(j *Journal) error { return j.Save(state(3), record(3)) }, 3, []int{1, 2, 3}},
	{"save where hard links are unknown", nil, func(j *Journal) error {
		fault := j.disk.fault
		j.disk.fault = func(step, name string) error {
			if step == "link" {
				return syscall.EPERM
			}
			return fault(step, name)
		}
		return j.Save(state(3), record(3))
	}, 3, []int{1, 2, 3}},
}

// TestDieAtEveryStep stops the process, as far as the disk can tell, before each step of each change.
func TestDieAtEveryStep(t *testing.T) {
	for _, change := range changes {
		t.Run(change.name, func(t *testing.T) {
			for k := 0; ; k++ {
				dir := filled(t, 2)
				if change.before != nil {
					change.before(t, dir)
				}
				j, old, _ := open(t, dir)
				steps := failAt(j, k, errDied, true)
				err := change.do(j)
				j.Close()
				if *steps <= k {
					break
				}
				checkAfterDeath(t, dir, fmt.Sprintf("step %d", k), old, string(state(change.state)), err)
			}
		})
	}
}

func checkAfterDeath(t *testing.T, dir, at, old, new string, err error) {
	t.Helper()
	j, got, _ := open(t, dir)
	if got != old && got != new {
		t.Fatalf("%s: loaded %q, neither old nor new", at, got)
	}
	if err == nil && got != new {
		t.Fatalf("%s: acknowledged, then lost", at)
	}
	want := records(1, 2)
	if got == new && got != old || err == nil {
		want = records(1, 2, 3)
	}
	h := told(t, j)
	if h != want && !(old == new && h == records(1, 2, 3)) { // an outcome alone may be there though its call had died
		t.Fatalf("%s: history %s, want %s", at, h, want)
	}
	wantUnbroken(t, j, strings.Count(h, " ")+1)
	save(t, j, 4)
	j.Close()
	j, got, found := open(t, dir)
	if again := told(t, j); got != string(state(4)) || found.Damage != "" || again != h+" "+records(4) {
		t.Fatalf("%s: then the next save gave %q, %+v, history %s", at, got, found, again)
	}
	j.Close()
}

// TestErrorAtEveryStep lets each step of each change fail once, in a process that lives on. An error means that
// nothing changed, success that all of it did, and either way the next change goes through.
func TestErrorAtEveryStep(t *testing.T) {
	for _, change := range changes {
		t.Run(change.name, func(t *testing.T) {
			for k := 0; ; k++ {
				dir := filled(t, 2)
				if change.before != nil {
					change.before(t, dir)
				}
				j, old, _ := open(t, dir)
				steps := failAt(j, k, syscall.ENOSPC, false)
				err := change.do(j)
				j.disk.fault = nil
				if *steps <= k {
					break
				}
				checkAfterError(t, j, fmt.Sprintf("step %d", k), old, change.state, err)
			}
		})
	}
}

func checkAfterError(t *testing.T, j *Journal, at, old string, new int, err error) {
	t.Helper()
	wantState, wantTold := string(state(new)), records(1, 2, 3)
	if err != nil {
		wantState, wantTold = old, records(1, 2)
		var failed *SaveError
		if !errors.As(err, &failed) || failed.Unsure || !errors.Is(err, syscall.ENOSPC) ||
			!strings.Contains(err.Error(), "nothing was changed; free space in "+j.dir) {
			t.Fatalf("%s: error %v", at, err)
		}
	}
	if h := told(t, j); h != wantTold {
		t.Fatalf("%s: error %v, history %s, want %s", at, err, h, wantTold)
	}
	for range 2 { // as this process sees it, and as the next one will
		got, _, loadErr := j.Load()
		if loadErr != nil || string(got) != wantState || told(t, j) != wantTold {
			t.Fatalf("%s: error %v, loaded %q (%v), want %q", at, err, got, loadErr, wantState)
		}
	}
	save(t, j, 4)
	if h := told(t, j); h != wantTold+" "+records(4) {
		t.Fatalf("%s: then the next save gave history %s", at, h)
	}
	wantUnbroken(t, j, strings.Count(wantTold, " ")+2)
	if n, why := j.Behind(); n != 0 {
		t.Fatalf("%s: %d records still behind: %v", at, n, why)
	}
	j.Close()
}

// TestHistoryCannotBeWritten: states go on being saved, their records wait in the state file, also across a restart.
func TestHistoryCannotBeWritten(t *testing.T) {
	dir := filled(t, 1)
	j, _, _ := open(t, dir)
	noHistory := func(step, name string) error {
		if strings.HasPrefix(name, "history") {
			return syscall.EIO
		}
		return nil
	}
	j.disk.fault = noHistory
	save(t, j, 2, 3)
	if n, why := j.Behind(); n != 2 || !errors.Is(why, syscall.EIO) {
		t.Errorf("%d records behind: %v", n, why)
	}
	if h := told(t, j); h != records(1, 2, 3) {
		t.Errorf("history %s", h)
	}
	if last, _ := j.History(1); len(last) != 1 || string(last[0].Data) != string(record(3)) {
		t.Errorf("the last record is %+v", last)
	}
	var failed *SaveError
	if err := j.Append(record(9)); !errors.As(err, &failed) || !strings.Contains(err.Error(), "look at the disk that holds") {
		t.Errorf("append: %v", err)
	}
	for n := 4; n <= maxPending+1; n++ {
		save(t, j, n)
	}
	if err := j.Save(state(0), record(0)); !errors.As(err, &failed) || !errors.Is(err, syscall.EIO) {
		t.Errorf("save with %d records behind: %v", maxPending, err)
	}
	j.Close()
	j, got, found := open(t, dir)
	all, _ := j.History(0)
	if got != string(state(maxPending+1)) || found.Damage != "" || len(all) != maxPending+1 {
		t.Errorf("after the restart: %q, %+v, %d records", got, found, len(all))
	}
	if n, _ := j.Behind(); n != 0 {
		t.Errorf("%d records still behind after the restart", n)
	}
}

// TestUnsure: the disk fails when asked to promise the rename, and again when the rename is to be undone.
func TestUnsure(t *testing.T) {
	dir := filled(t, 2)
	j, _, _ := open(t, dir)
	failing := false
	j.disk.fault = func(step, _ string) error {
		failing = failing || step == "syncdir"
		if failing {
			return syscall.EIO
		}
		return nil
	}
	err := j.Save(state(3), record(3))
	var failed *SaveError
	if !errors.As(err, &failed) || !failed.Unsure || !strings.Contains(err.Error(), "may or may not be there after a restart") {
		t.Errorf("error %v", err)
	}
	j.disk.fault = nil
	save(t, j, 4)
	if h := told(t, j); h != records(1, 2, 3, 4) {
		t.Errorf("history %s: the state that is on disk has its record too", h)
	}
}

// TestFirstSaveTakenBack: there is nothing to go back to but an empty folder.
func TestFirstSaveTakenBack(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	j, _, _ := open(t, dir)
	failAt(j, 4, syscall.ENOSPC, false)
	err := j.Save(state(1), record(1))
	var failed *SaveError
	if !errors.As(err, &failed) || failed.Unsure {
		t.Fatalf("error %v", err)
	}
	if files := contents(t, dir); len(files) != 0 {
		t.Errorf("left behind: %q", files)
	}
	j.disk.fault = nil
	if _, found, err := j.Load(); err != nil || !found.Fresh {
		t.Errorf("loaded %+v, %v", found, err)
	}
}

// TestPreviousIsKept: the generation before survives every save, also one that fails.
func TestPreviousIsKept(t *testing.T) {
	dir := filled(t, 3)
	j, _, _ := open(t, dir)
	before := contents(t, dir)
	for k := range 5 {
		failAt(j, k, syscall.ENOSPC, false)
		if err := j.Save(state(4), record(4)); err == nil {
			break
		}
		if after := contents(t, dir); !slices.Equal(before, after) {
			t.Errorf("a save that failed at step %d left %q, was %q", k, after, before)
		}
	}
	j.disk.fault = nil
	save(t, j, 5)
	e, err := j.read(previousName)
	if err != nil || string(e.State) != string(state(3)) {
		t.Errorf("the generation before is %q, %v", e.State, err)
	}
}
