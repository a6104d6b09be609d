// Package e2e starts the real binary before real servers, under clients that never retry and check every byte, and ends
// things abruptly. It knows Sluice only from outside: its files, its commands, its API.
package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"sluice/demo"
)

// asApp makes this test binary the demo app, so that apps are processes that can be killed.
const asApp = "SLUICE_E2E_APP"

// binaries built for the tests.
var binary, gateFirst string

func TestMain(m *testing.M) {
	if os.Getenv(asApp) != "" {
		if err := demo.RunApp(os.Args[1:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(buildAndRun(m))
}

func buildAndRun(m *testing.M) int {
	dir, err := os.MkdirTemp("", "sluice-e2e")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	binary, gateFirst = filepath.Join(dir, "sluice"), filepath.Join(dir, "sluice-gatefirst")
	args := []string{"build"}
	if os.Getenv("SLUICE_E2E_RACE") != "" {
		args = append(args, "-race")
	}
	for _, build := range [][]string{{"-o", binary}, {"-tags", "gatefirst", "-o", gateFirst}} {
		cmd := exec.Command("go", append(append(args[:len(args):len(args)], build...), "sluice/cmd/proxy")...)
		if out, err := cmd.CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "%v\n%s", err, out)
			return 1
		}
	}
	return m.Run()
}
