package healthcheck

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"testing"
	"time"
)

// TestMain fails the package when a test leaves a goroutine of this package behind.
func TestMain(m *testing.M) {
	code := m.Run()
	if code == 0 {
		if leaked := leakedGoroutines(); leaked != "" {
			fmt.Fprintf(os.Stderr, "goroutines left behind:\n%s\n", leaked)
			code = 1
		}
	}
	os.Exit(code)
}

// leakedGoroutines returns the stacks that mention this package, once they had a second to end.
func leakedGoroutines() string {
	for range 100 {
		if ours() == "" {
			return ""
		}
		time.Sleep(10 * time.Millisecond)
	}
	return ours()
}

func ours() string {
	buf := make([]byte, 1<<20)
	var found []byte
	for _, stack := range bytes.Split(buf[:runtime.Stack(buf, true)], []byte("\n\n")) {
		if bytes.Contains(stack, []byte("sluice/healthcheck")) && !bytes.Contains(stack, []byte("TestMain")) {
			found = append(append(found, stack...), '\n', '\n')
		}
	}
	return string(found)
}
