//go:build profile

package main

import (
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/pprof"
	"syscall"
)

// A binary built with this tag writes what it spends its time on, from its start to SIGTERM, into the folder that
// SLUICE_PROFILE names: `make profile` turns that into default.pgo, by which the compiler optimises.
func init() {
	dir := os.Getenv("SLUICE_PROFILE")
	if dir == "" {
		return
	}
	file, err := os.Create(filepath.Join(dir, fmt.Sprintf("%d.pprof", os.Getpid())))
	if err != nil {
		panic(err)
	}
	if err := pprof.StartCPUProfile(file); err != nil {
		panic(err)
	}
	end := make(chan os.Signal, 1)
	signal.Notify(end, syscall.SIGTERM)
	go stopProfile(end, file)
}

// stopProfile is the goroutine that ends the profile before the process ends.
func stopProfile(end <-chan os.Signal, file *os.File) {
	<-end
	pprof.StopCPUProfile()
	file.Close()
}
