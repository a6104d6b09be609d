package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"

	"sluice/bench/openloop"
)

// generatorWord makes this program the load: it is then a process of its own, on the load's cores.
const generatorWord = "generate"

// generator is this program once more, sending at a constant rate. It ends when its input does, so also when we end
// without a word.
type generator struct {
	cmd  *exec.Cmd
	in   io.WriteCloser
	out  *bufio.Reader
	errs bytes.Buffer
}

// startGenerator returns when the generator has warmed up. Whoever called it stops it.
func startGenerator(ctx context.Context, cpus cpuList, plan openloop.Plan) (*generator, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	args := cpus.pin([]string{self, generatorWord})
	g := &generator{cmd: exec.CommandContext(ctx, args[0], args[1:]...)}
	g.cmd.Env, g.cmd.Stderr = plainEnv(os.Environ()), &g.errs
	out, err1 := g.cmd.StdoutPipe()
	in, err2 := g.cmd.StdinPipe()
	if err := errors.Join(err1, err2); err != nil {
		return nil, err
	}
	g.in, g.out = in, bufio.NewReader(out)
	if err := g.cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting the load: %w", err)
	}
	if err := g.warm(plan); err != nil {
		g.stop()
		return nil, g.explain(ctx, err)
	}
	return g, nil
}

func (g *generator) warm(plan openloop.Plan) error {
	if err := json.NewEncoder(g.in).Encode(plan); err != nil {
		return err
	}
	word, err := g.out.ReadString('\n')
	if err == nil && word != "warm\n" {
		err = fmt.Errorf("the load says %q", word)
	}
	return err
}

// measure has the generator do what it was planned for.
func (g *generator) measure() (load, error) {
	if _, err := io.WriteString(g.in, "go\n"); err != nil {
		return load{}, err
	}
	line, err := g.out.ReadBytes('\n')
	if err != nil {
		g.stop()
		return load{}, g.explain(context.Background(), err)
	}
	var r openloop.Result
	err = json.Unmarshal(line, &r)
	return load{Requests: r.Requests, Took: r.Took, P50: r.P50, P99: r.P99, Max: r.Max, Lag: r.Lag}, err
}

// explain puts what the generator said before it ended in place of what its pipe says.
func (g *generator) explain(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if said := strings.TrimSpace(g.errs.String()); said != "" {
		return fmt.Errorf("%w: %s", errLoad, said)
	}
	return fmt.Errorf("the load: %w", err)
}

// stop ends the generator and its connections. It may be called again.
func (g *generator) stop() {
	g.in.Close()
	_ = g.cmd.Wait() // how it ended was told on its output, or will be asked for
}

// generateHere is the other side: the process that is the load.
func generateHere(in io.Reader, out, errs io.Writer) int {
	if err := openloop.Serve(in, out); err != nil && !errors.Is(err, context.Canceled) {
		fmt.Fprintln(errs, err)
		return 1
	}
	return 0
}
