package journal

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// childEnv makes the test binary play another process: its value is "hold" or "save", a space, and a folder.
const childEnv = "SLUICE_JOURNAL_TEST_CHILD"

func TestMain(m *testing.M) {
	if what, dir, ok := strings.Cut(os.Getenv(childEnv), " "); ok {
		os.Exit(child(what, dir))
	}
	os.Exit(m.Run())
}

// child opens the folder and says so. To hold it, it waits for the end of its input; else it saves one state after
// the other for as long as it lives, and names each when it is acknowledged.
func child(what, dir string) int {
	j, err := Open(dir)
	if err != nil {
		fmt.Println("error", err)
		return 1
	}
	defer j.Close()
	var doc struct{ N int }
	data, found, err := j.Load()
	if err == nil && !found.Fresh {
		err = json.Unmarshal(data, &doc)
	}
	if err != nil {
		fmt.Println("error", err)
		return 1
	}
	fmt.Println("open", doc.N)
	if what == "hold" {
		io.Copy(io.Discard, os.Stdin)
		return 0
	}
	for n := doc.N + 1; ; n++ {
		if err := j.Save(state(n), record(n)); err != nil {
			fmt.Println("error", err)
			return 1
		}
		fmt.Println("saved", n)
	}
}

// spawn starts a child. Its input stays open until the test closes stdin or kills it.
func spawn(t *testing.T, what, dir string) (cmd *exec.Cmd, stdin io.WriteCloser, lines *bufio.Scanner) {
	t.Helper()
	cmd = exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+what+" "+dir)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines = bufio.NewScanner(stdout)
	if !lines.Scan() || !strings.HasPrefix(lines.Text(), "open ") {
		t.Fatalf("the child said %q", lines.Text())
	}
	return cmd, stdin, lines
}

func TestLockedByAnotherProcess(t *testing.T) {
	dir := filled(t, 1)
	cmd, stdin, _ := spawn(t, "hold", dir)
	before := contents(t, dir)
	_, err := Open(dir)
	var locked *LockedError
	if !errors.As(err, &locked) || locked.PID != cmd.Process.Pid {
		t.Fatalf("Open beside process %d: %v", cmd.Process.Pid, err)
	}
	want := fmt.Sprintf("another sluice (pid %d) uses the state in %s; stop it first and wait for its last request, or give this one a folder of its own", locked.PID, dir)
	if !strings.HasPrefix(err.Error(), want) {
		t.Errorf("error %q", err)
	}
	if after := contents(t, dir); fmt.Sprint(before) != fmt.Sprint(after) {
		t.Errorf("Open changed a folder that another process uses: %q", after)
	}
	stdin.Close()
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	open(t, dir) // the lock went with the process
}

// TestLockedThoughItsFileIsGone: whoever removes the lock of a process that is still at work does not open the folder to
// another one, which would know nothing of what the first still serves.
func TestLockedThoughItsFileIsGone(t *testing.T) {
	dir := filled(t, 1)
	cmd, stdin, _ := spawn(t, "hold", dir)
	for range 2 {
		if err := os.Remove(filepath.Join(dir, "lock")); err != nil {
			t.Fatal(err)
		}
		_, err := Open(dir)
		if locked := (*LockedError)(nil); !errors.As(err, &locked) {
			t.Fatalf("Open beside process %d, without its lock file: %v", cmd.Process.Pid, err)
		}
	}
	cmd.Process.Kill()
	cmd.Wait()
	stdin.Close()
	j, _, _ := open(t, dir)
	if err := j.Alone(); err != nil {
		t.Error(err)
	}
}

// TestFolderThatCannotBeLocked: where the file system locks files alone, Sluice starts, and says that it is not sure.
func TestFolderThatCannotBeLocked(t *testing.T) {
	l, err := takeLocks(t.TempDir(), func(f *os.File) error {
		if info, err := f.Stat(); err != nil || info.IsDir() {
			return syscall.EBADF
		}
		return flock(f)
	})
	if err != nil {
		t.Fatal(err)
	}
	j := &Journal{dir: "/state", lock: l}
	if err := j.Alone(); err == nil || err.Error() != "the file system of /state cannot lock a folder (bad file descriptor)" {
		t.Errorf("%v", err)
	}
	l.close()
	_, err = takeLocks(t.TempDir(), func(*os.File) error { return syscall.ENOLCK })
	if err == nil || !strings.Contains(err.Error(), "set `state:` to a folder on a local disk") {
		t.Errorf("no locks at all: %v", err)
	}
}

// TestKilledTwentyTimes kills a process that saves without pause, at instants that differ, and looks each time.
func TestKilledTwentyTimes(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	for round := range 20 {
		cmd, _, lines := spawn(t, "save", dir)
		killer := time.AfterFunc(time.Duration(3+7*round%40)*time.Millisecond, func() { cmd.Process.Kill() })
		acknowledged := 0
		for lines.Scan() {
			if _, err := fmt.Sscanf(lines.Text(), "saved %d", &acknowledged); err != nil {
				t.Fatalf("round %d: the child said %q", round, lines.Text())
			}
		}
		cmd.Wait()
		killer.Stop()
		checkKilled(t, dir, round, acknowledged)
	}
}

func checkKilled(t *testing.T, dir string, round, acknowledged int) {
	t.Helper()
	j, got, found := open(t, dir)
	defer j.Close()
	if found.Fresh {
		if acknowledged > 0 {
			t.Fatalf("round %d: fresh, though %d was acknowledged", round, acknowledged)
		}
		return
	}
	var doc struct{ N int }
	if err := json.Unmarshal([]byte(got), &doc); err != nil {
		t.Fatalf("round %d: %v", round, err)
	}
	if acknowledged > 0 && doc.N != acknowledged && doc.N != acknowledged+1 || found.From != "state" {
		t.Fatalf("round %d: state %d from %q after %d was acknowledged", round, doc.N, found.From, acknowledged)
	}
	wantUnbroken(t, j, doc.N)
	all, err := j.History(0)
	if err != nil || len(all) != doc.N {
		t.Fatalf("round %d: %d records for %d states (%v)", round, len(all), doc.N, err)
	}
	for i, r := range all {
		if r.Seq != uint64(i+1) || string(r.Data) != string(record(i+1)) {
			t.Fatalf("round %d: record %d is number %d, %s", round, i+1, r.Seq, r.Data)
		}
	}
}

// TestFullDisk fills a real small file system, where this user may mount one; the injected errors above cover every
// step on any machine.
func TestFullDisk(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=128k"); err != nil {
		t.Logf("no file system to fill (%v)", err)
		return
	}
	defer syscall.Unmount(dir, 0)
	j, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	n, err := 0, error(nil)
	for ; err == nil && n < 1000; n++ {
		err = j.Save(append(append([]byte(`"`), strings.Repeat("s", n*2000)...), '"'), record(n+1))
	}
	if !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), "no space left on device; nothing was changed; free space in "+dir) {
		t.Fatalf("after %d saves: %v", n, err)
	}
	last := n - 2
	data, found, err := j.Load()
	if err != nil || found.Damage != "" || len(data) != last*2000+2 {
		t.Errorf("loaded %d bytes, %+v, %v; want the state before the failed one", len(data), found, err)
	}
	all, err := j.History(0)
	if err != nil || len(all) != last+1 {
		t.Errorf("%d records, %v, want %d", len(all), err, last+1)
	}
	save(t, j, 1) // smaller, so that there is room again
}
