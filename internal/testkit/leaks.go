// Package testkit is what the tests of several packages share. It knows no package of Sluice, and nothing but tests
// imports it.
package testkit

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"testing"
	"time"
)

// Main runs the tests of a package and fails it when one of them left a goroutine of this module behind. A package that
// starts goroutines calls it from its TestMain.
func Main(m *testing.M) {
	code := m.Run()
	if left := leaked(); code == 0 && left != nil {
		fmt.Fprintf(os.Stderr, "goroutines left behind:\n%s\n", bytes.Join(left, []byte("\n\n")))
		code = 1
	}
	os.Exit(code)
}

// leaked lists the goroutines that do not end within two seconds, which is what a linger takes.
func leaked() (left [][]byte) {
	for range 150 {
		if left = Goroutines(); left == nil {
			return nil
		}
		time.Sleep(20 * time.Millisecond)
	}
	return left
}

// Goroutines lists the stacks that run through this module, without the one that asks.
func Goroutines() (list [][]byte) {
	buf := make([]byte, 1<<20)
	for _, stack := range bytes.Split(buf[:runtime.Stack(buf, true)], []byte("\n\n"))[1:] {
		if bytes.Contains(stack, []byte("sluice/")) && !bytes.Contains(stack, []byte(".TestMain(")) {
			list = append(list, stack)
		}
	}
	return list
}
