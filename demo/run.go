package demo

import (
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"time"
)

// RunApp serves one App in this process until the process is ended; nothing is done about signals, so any of them ends
// it abruptly. Its flags are -listen (host:port, or unix:PATH; default 127.0.0.1:0), -release (default dev), -delay and
// -healthy-after. It prints "listening ADDRESS" on standard output as soon as connections are accepted.
func RunApp(args []string) error { return runApp(args, os.Stdout, os.Stderr) }

func runApp(args []string, out, usage io.Writer) error {
	flags := flag.NewFlagSet("app", flag.ContinueOnError)
	flags.SetOutput(usage)
	listen := flags.String("listen", "127.0.0.1:0", "`address` to listen on: host:port, or unix:PATH")
	release := flags.String("release", "dev", "`name` of the release")
	delay := flags.Duration("delay", 0, "how long each request waits before it is looked at")
	healthyAfter := flags.Duration("healthy-after", 0, "how long /health answers 503 at first")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q; the app takes only flags, -h lists them", flags.Arg(0))
	}
	l, err := listenAt(*listen)
	if err != nil {
		return fmt.Errorf("cannot listen: %w; choose another -listen", err)
	}
	app := NewApp(*release)
	app.SetDelay(*delay)
	if *healthyAfter > 0 {
		app.SetHealthy(false)
		time.AfterFunc(*healthyAfter, func() { app.SetHealthy(true) })
	}
	fmt.Fprintf(out, "listening %s\n", l.Addr())
	return app.Serve(l)
}

func listenAt(address string) (net.Listener, error) {
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		return net.Listen("unix", path)
	}
	return net.Listen("tcp", address)
}
