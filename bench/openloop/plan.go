// Package openloop sends HTTP/1.1 requests at a constant rate over kept connections, and measures each from the instant
// it was due, not from the instant it was sent: a server that stalls is charged for every request that waited meanwhile.
// It is one thread over epoll, so that it disturbs what it measures as little as it can. It refuses to know who answers
// and what the figures are for.
package openloop

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"
)

// Plan is what one run sends.
type Plan struct {
	Address     string        `json:"address"` // host:port, IPv4
	Connections int           `json:"connections"`
	Rate        float64       `json:"rate"`     // requests per second, over all connections
	Warm        time.Duration `json:"warm"`     // how long before anything is measured; each connection sends one request at least
	Measured    time.Duration `json:"measured"` // how long requests are due; 0: the run ends with its warm-up
}

// Result is what a run saw.
type Result struct {
	Requests int64         `json:"requests"`
	Took     time.Duration `json:"took_ns"`
	P50      time.Duration `json:"p50_ns"`
	P99      time.Duration `json:"p99_ns"`
	Max      time.Duration `json:"max_ns"`
	Late     int64         `json:"late"`       // requests that found every connection busy when they were due
	Lag      time.Duration `json:"lag_p99_ns"` // how late the others were sent, by the fault of the generator or of its core
}

// check refuses what cannot be run. The bounds only catch slips.
func (p Plan) check() error {
	switch {
	case p.Connections < 1 || p.Connections > 1<<20:
		return fmt.Errorf("openloop: %d connections", p.Connections)
	case !(p.Rate > 0) || p.Rate > 1e6:
		return fmt.Errorf("openloop: %g requests per second", p.Rate)
	case p.Warm < 0 || p.Measured < 0:
		return fmt.Errorf("openloop: a time below nothing")
	}
	return nil
}

// Serve is the whole life of a generator in a process of its own. It reads a plan from in, a line of JSON; writes "warm"
// when it has warmed up; waits for a line; measures; writes its result as a line; and keeps its connections open until in
// ends. So it ends with whoever started it.
func Serve(in io.Reader, out io.Writer) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	lines := readLines(in, cancel)
	var plan Plan
	if err := json.Unmarshal(<-lines, &plan); err != nil {
		return fmt.Errorf("openloop: reading the plan: %w", err)
	}
	g, err := Dial(plan)
	if err != nil {
		return err
	}
	defer g.Close()
	if err := g.Warm(ctx); err != nil {
		return err
	}
	fmt.Fprintln(out, "warm")
	if _, asked := <-lines; !asked {
		return nil
	}
	result, err := g.Measure(ctx)
	if err != nil {
		return err
	}
	if err := json.NewEncoder(out).Encode(result); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}

// readLines calls ended when in has no more.
func readLines(in io.Reader, ended func()) <-chan []byte {
	lines := make(chan []byte, 2) // a plan and a word: nobody need wait
	go func() {
		defer ended()
		defer close(lines)
		for s := bufio.NewScanner(in); s.Scan(); {
			lines <- append([]byte(nil), s.Bytes()...)
		}
	}()
	return lines
}
