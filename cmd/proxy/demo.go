package main

import (
	"context"
	"errors"
	"fmt"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"sluice/demo"
)

// demoFlags are those of `sluice demo`.
type demoFlags struct {
	duration, every time.Duration
	plain           bool
	listen          string
}

// unwatched is how long the demo runs where no person can end it.
const unwatched = 20 * time.Second

func (c *cli) demoCommand() *cobra.Command {
	var f demoFlags
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Two releases of a built-in app, live traffic, flips; nothing lost",
		Long: "Run two releases of a built-in app behind a Sluice of their own, under traffic of every class from clients that\n" +
			"never try again and check each byte, and flip between the releases every few seconds. Everything is on loopback and\n" +
			"in a folder that is removed afterwards. The exit code is 1 when anything was lost.",
		Args: exactly(),
		RunE: func(*cobra.Command, []string) error { return c.demo(f) },
	}
	cmd.Flags().DurationVar(&f.duration, "duration", 0, "how long (default: until q or Ctrl-C; 20s where nobody watches)")
	cmd.Flags().DurationVar(&f.every, "flip-every", 3*time.Second, "how often to flip")
	cmd.Flags().BoolVar(&f.plain, "plain", false, "a plain line each second in place of the live view")
	cmd.Flags().StringVar(&f.listen, "listen", "127.0.0.1:0", "where the demo's Sluice listens; open it in a browser")
	return cmd
}

func (f demoFlags) check() error {
	if f.every < 100*time.Millisecond {
		return usageError{errors.New("--flip-every must be at least 100ms")}
	}
	if f.duration < 0 {
		return usageError{errors.New("--duration must not be negative")}
	}
	return nil
}

func (c *cli) demo(f demoFlags) error {
	if err := f.check(); err != nil {
		return err
	}
	watched := c.outTTY && !f.plain && !c.json
	if f.duration == 0 && !c.outTTY {
		f.duration = unwatched
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if f.duration > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, f.duration)
		defer cancel()
	}
	s, err := raise(f.listen, f.every)
	if err != nil {
		return err
	}
	if watched {
		err = c.watchDemo(ctx, s)
	} else {
		c.tellDemo(ctx, s)
	}
	result := s.lower()
	if err != nil {
		return err
	}
	return c.demoReceipt(result)
}

// demoResult is what came of a demo.
type demoResult struct {
	Elapsed  float64                  `json:"elapsed_s"`
	Flips    int                      `json:"flips"`
	Done     int                      `json:"done"`
	Messages int                      `json:"messages"`
	Lost     int                      `json:"lost"`
	Cut      int                      `json:"cut"`
	Failed   string                   `json:"failed,omitempty"` // a flip that was refused
	Classes  map[demo.Class]demoClass `json:"classes"`
	lost     []demo.Result
}

// demoClass is one class of it.
type demoClass struct {
	Done     int     `json:"done"`
	Lost     int     `json:"lost"`
	Cut      int     `json:"cut"`
	Ended    int     `json:"ended"`
	Messages int     `json:"messages"`
	P50      float64 `json:"p50_ms"`
	P99      float64 `json:"p99_ms"`
}

func newDemoResult(counts demo.Counts, flips int, failed error) demoResult {
	total := counts.Total()
	r := demoResult{
		Elapsed: counts.Elapsed.Round(time.Millisecond).Seconds(), Flips: flips, Done: total.Done, Messages: total.Messages,
		Lost: total.Lost, Cut: total.Cut, Classes: map[demo.Class]demoClass{},
	}
	if failed != nil {
		r.Failed = failed.Error()
	}
	for class, n := range counts.Classes {
		r.Classes[class] = demoClass{n.Done, n.Lost, n.Cut, n.Ended, n.Messages, inMilliseconds(n.P50), inMilliseconds(n.P99)}
	}
	return r
}

func inMilliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// demoReceipt prints the result, and fails when anything was lost.
func (c *cli) demoReceipt(r demoResult) error {
	if c.json {
		c.printJSON(r)
	} else {
		c.printDemoReceipt(r)
	}
	switch {
	case r.Failed != "":
		return fmt.Errorf("a flip failed: %s", r.Failed)
	case r.Lost > 0:
		return exitError{exitFailed, nil}
	}
	return nil
}

func (c *cli) printDemoReceipt(r demoResult) {
	p := c.paintOut()
	t := table{paint: p, indent: "  "}
	t.head("CLASS", "DONE", "LOST", "CUT", "MESSAGES", "P50", "P99")
	for _, class := range demo.Classes() {
		n := r.Classes[class]
		t.row(string(class), fmt.Sprint(n.Done), p.count(n.Lost), fmt.Sprint(n.Cut), fmt.Sprint(n.Messages), fmt.Sprintf("%.1f ms", n.P50), fmt.Sprintf("%.1f ms", n.P99))
	}
	t.print(c.out)
	verdict := p.green("lost 0")
	if r.Lost > 0 {
		verdict = p.red(fmt.Sprintf("lost %d", r.Lost))
	}
	fmt.Fprintf(c.out, "%d flips in %.1f s: %d requests and sessions, %d messages, %s, cut %d\n", r.Flips, r.Elapsed, r.Done, r.Messages, verdict, r.Cut)
	for i, l := range r.lost {
		if i == mostListed {
			break
		}
		fmt.Fprintf(c.out, "  lost: %s %s: %v\n", l.Class, l.RequestID, l.Err)
	}
}

// count is red when it should be zero and is not.
func (p paint) count(n int) string {
	if n == 0 {
		return "0"
	}
	return p.red(fmt.Sprint(n))
}
