// Command bench measures Sluice beside nginx and HAProxy on the same work, on the same machine, in the same run.
//
// Its first figure is microseconds of CPU per request, of the proxy's whole process tree; beside it are memory, latency
// and the time to start. It takes from the machine only what the kernel counts and from the load only what that says. It
// knows nothing of Sluice's insides: Sluice
// is a binary and a configuration file here, as the other two are.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	if len(os.Args) == 2 && os.Args[1] == generatorWord {
		os.Exit(generateHere(os.Stdin, os.Stdout, os.Stderr))
	}
	code := command(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// options is what the command line asks for.
type options struct {
	rounds   int
	seconds  int // of each measurement, without its warm-up
	retries  int // of a disturbed measurement; 0 keeps each as it falls
	works    []work
	peers    []string
	json     string  // "" writes no file
	sluice   string  // a built binary; "" builds one
	traefik  string  // a binary; "" looks for it on the PATH
	kamal    string  // the same
	strace   bool    // count system calls after the rounds
	configs  bool    // print the configurations
	maxRatio float64 // 0 judges nothing
}

// command runs the benchmark and returns its exit code: 0 done, 1 failed or over --max-ratio, 2 usage.
func command(ctx context.Context, args []string, out, errs io.Writer) int {
	o, err := parseOptions(args, errs)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err != nil {
		fmt.Fprintln(errs, "bench:", err)
		return 2
	}
	err = bench(ctx, o, out)
	if ctx.Err() != nil {
		fmt.Fprintln(errs, "bench: interrupted; everything it started has been stopped")
		return 1
	}
	if err != nil {
		fmt.Fprintln(errs, "bench:", err)
		return 1
	}
	return 0
}

func parseOptions(args []string, errs io.Writer) (options, error) {
	var o options
	var works, peers string
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.SetOutput(errs)
	f.IntVar(&o.rounds, "rounds", 5, "how many times each peer is measured")
	f.IntVar(&o.seconds, "seconds", 4, "length of each measurement, in seconds, after a warm-up of one second")
	f.IntVar(&o.retries, "retries", 2, "measure a disturbed round again, at most this many times")
	f.StringVar(&works, "work", "small", "what to measure, by commas: goals, scale, all, "+workNames())
	f.StringVar(&peers, "peers", usual, "whom to measure, by commas; caddy, traefik and kamal-proxy too, or all that can be found")
	f.StringVar(&o.json, "json", "", "write every round's numbers to this `file` as well")
	f.StringVar(&o.sluice, "sluice", "", "measure this built `binary`; by default ./cmd/proxy is built")
	f.StringVar(&o.traefik, "traefik", "", "this `binary` is traefik")
	f.StringVar(&o.kamal, "kamal-proxy", "", "this `binary` is kamal-proxy")
	f.BoolVar(&o.strace, "strace", false, "count each peer's system calls per request as well")
	f.BoolVar(&o.configs, "configs", false, "print every configuration; --json has them always")
	f.Float64Var(&o.maxRatio, "max-ratio", 0, "fail when sluice needs more than this many times the CPU of the better peer")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if f.NArg() > 0 {
		return o, fmt.Errorf("%q is not expected; everything is given by flags, see --help", f.Arg(0))
	}
	o.peers = peerNames(peers, o)
	var err error
	if o.works, err = findWorks(works); err != nil {
		return o, err
	}
	return o, o.check()
}

// check refuses what could not be measured or judged. The upper bounds only catch slips of the keyboard.
func (o options) check() error {
	if o.rounds < 1 || o.rounds > 1000 {
		return fmt.Errorf("--rounds %d: give a number from 1 to 1000", o.rounds)
	}
	if o.seconds < 1 || o.seconds > 600 {
		return fmt.Errorf("--seconds %d: give a number from 1 to 600", o.seconds)
	}
	if o.retries < 0 || o.retries > 100 {
		return fmt.Errorf("--retries %d: give a number from 0 to 100", o.retries)
	}
	return o.checkPeers()
}

func (o options) checkPeers() error {
	seen := map[string]bool{}
	for _, name := range o.peers {
		if _, known := findPeer(nil, name); !known || seen[name] {
			return fmt.Errorf("--peers: %q is unknown or given twice; choose from %s,caddy,traefik,kamal-proxy, or all", name, usual)
		}
		seen[name] = true
	}
	if !(o.maxRatio >= 0) {
		return fmt.Errorf("--max-ratio %g: give a number above 0, such as 1.1", o.maxRatio)
	}
	if o.maxRatio > 0 && !(seen["sluice"] && (seen["nginx"] || seen["haproxy"])) {
		return errors.New("--max-ratio compares sluice with nginx or haproxy; name sluice and one of them in --peers")
	}
	return nil
}
