package upstream

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"testing"
	"time"
)

// TestMain fails the run when a test left a goroutine behind.
func TestMain(m *testing.M) {
	code := m.Run()
	if left := leaked(); code == 0 && left != nil {
		fmt.Fprintf(os.Stderr, "goroutines left behind:\n%s\n", bytes.Join(left, []byte("\n\n")))
		code = 1
	}
	os.Exit(code)
}

// leaked lists the goroutines of this module that do not end within a while.
func leaked() (left [][]byte) {
	for range 100 {
		if left = ours(); left == nil {
			return nil
		}
		time.Sleep(20 * time.Millisecond)
	}
	return left
}

func ours() (list [][]byte) {
	buf := make([]byte, 1<<20)
	for _, stack := range bytes.Split(buf[:runtime.Stack(buf, true)], []byte("\n\n"))[1:] {
		if bytes.Contains(stack, []byte("sluice/")) {
			list = append(list, stack)
		}
	}
	return list
}
