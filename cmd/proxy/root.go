package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/charmbracelet/x/term"
	"github.com/spf13/cobra"

	"sluice/admin"
)

// Exit codes. Scripts rely on them.
const (
	exitDone    = 0
	exitFailed  = 1 // refused or failed; nothing was changed, unless the text says so
	exitUsage   = 2 // the command itself was wrong
	exitUnknown = 3 // the change was made and its end was not seen by the deadline
)

// cli is what every command works with.
type cli struct {
	in       io.Reader
	out, err io.Writer
	outTTY   bool // a person looks at out
	errTTY   bool
	apart    bool                       // out and err are not the same file
	sizeOf   func() (width, height int) // of the terminal that err is; nil: nobody knows
	outWidth func() int                 // of the terminal that out is; nil: it is none
	getenv   func(string) string

	admin string // --admin
	json  bool   // --json
}

func fromProcess() *cli {
	return &cli{
		in: os.Stdin, out: os.Stdout, err: os.Stderr,
		outTTY: term.IsTerminal(os.Stdout.Fd()), errTTY: term.IsTerminal(os.Stderr.Fd()) && os.Getenv("TERM") != "dumb",
		apart:    !sameFile(os.Stdout, os.Stderr),
		sizeOf:   func() (int, int) { return terminalSize(os.Stderr.Fd()) },
		outWidth: func() int { w, _ := terminalSize(os.Stdout.Fd()); return w },
		getenv:   os.Getenv,
	}
}

// sameFile reports that two outputs go to one place, where what one says must not break what the other does.
func sameFile(a, b *os.File) bool {
	x, errX := a.Stat()
	y, errY := b.Stat()
	return errX != nil || errY != nil || os.SameFile(x, y)
}

// usageError is a command that was written wrongly.
type usageError struct{ err error }

func (e usageError) Error() string { return e.err.Error() }
func (e usageError) Unwrap() error { return e.err }

// exitError ends the program with a code. A nil err says nothing more.
type exitError struct {
	code int
	err  error
}

func (e exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit code %d", e.code)
	}
	return e.err.Error()
}

func (e exitError) Unwrap() error { return e.err }

// execute runs one command and returns the exit code.
func execute(args []string, c *cli) int {
	root := c.root()
	root.SetArgs(args)
	root.SetIn(c.in)
	root.SetOut(c.out)
	root.SetErr(c.err)
	cmd, err := root.ExecuteContextC(context.Background())
	if err == nil {
		return exitDone
	}
	return c.finish(cmd, err)
}

func (c *cli) root() *cobra.Command {
	root := &cobra.Command{
		Use:           "sluice",
		Short:         "A reverse proxy that owns the servers behind it, so that a deployment loses nothing",
		Version:       versionText(),
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          noCommand,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SuggestionsMinimumDistance = 2
	root.SetVersionTemplate("sluice {{.Version}}\n")
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	root.PersistentFlags().StringVar(&c.admin, "admin", "", "where Sluice's API is: `unix:///path` or host:port (default $SLUICE_ADMIN, or the user's own socket)")
	root.PersistentFlags().BoolVar(&c.json, "json", false, "answer as JSON")
	root.AddCommand(c.runCommand(), c.checkCommand(), c.demoCommand(), c.statusCommand(), c.flipCommand(), c.bakeCommand(), c.rollbackCommand(), c.splitCommand())
	root.AddCommand(c.adminCommands()...)
	root.AddCommand(c.rolloutCommand(), c.previewCommand(), c.retireCommand(), c.leaseCommand(), c.pauseCommand(), c.resumeCommand(), c.historyCommand(), c.stopCommand(), c.versionCommand())
	return root
}

// noCommand refuses a word that is no command.
func noCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	text := fmt.Sprintf("there is no command %q", args[0])
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		text += "; did you mean " + strings.Join(near, " or ") + "?"
	}
	return usageError{errors.New(text)}
}

// exactly asks for as many arguments as there are names.
func exactly(names ...string) cobra.PositionalArgs { return between(len(names), names...) }

// between asks for at least least arguments, and at most for one of each name.
func between(least int, names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) < least:
			return usageError{fmt.Errorf("%s is missing: %s", names[len(args)], cmd.UseLine())}
		case len(args) > len(names):
			return usageError{fmt.Errorf("%q is one argument too many: %s", args[len(names)], cmd.UseLine())}
		}
		return nil
	}
}

// finish says what went wrong and chooses the exit code.
func (c *cli) finish(cmd *cobra.Command, err error) int {
	var usage usageError
	if errors.As(err, &usage) {
		fmt.Fprintf(c.err, "sluice: %v\nsee `%s --help`\n", err, cmd.CommandPath())
		return exitUsage
	}
	code := exitFailed
	var lost *admin.LostError
	if errors.As(err, &lost) {
		code = exitUnknown
	}
	var exit exitError
	if errors.As(err, &exit) {
		code, err = exit.code, exit.err
	}
	c.complain(cmd.CommandPath(), err)
	return code
}

func (c *cli) complain(command string, err error) {
	var p *admin.Problem
	switch {
	case err == nil:
	case errors.As(err, &p) && c.json:
		c.printJSON(p)
	case errors.As(err, &p):
		fmt.Fprintf(c.err, "%s: %s\n", command, p.Detail)
		if p.Hint != "" {
			fmt.Fprintf(c.err, "  next: %s\n", p.Hint)
		}
	default:
		fmt.Fprintf(c.err, "%s: %v\n", command, err)
	}
}

func (c *cli) printJSON(doc any) error {
	text, err := asJSON(doc)
	if err == nil {
		_, err = io.WriteString(c.out, text)
	}
	return err
}

func asJSON(doc any) (string, error) {
	text, err := json.MarshalIndent(doc, "", "  ")
	return string(text) + "\n", err
}

// client asks the Sluice that --admin, SLUICE_ADMIN or the default names.
func (c *cli) client() (*admin.Client, error) {
	address := c.admin
	if address == "" {
		address = c.getenv("SLUICE_ADMIN")
	}
	client, err := admin.NewClient(address, c.getenv("SLUICE_ADMIN_TOKEN"))
	if err != nil {
		return nil, usageError{err}
	}
	return client, nil
}

// asking runs a command that talks to a Sluice. Ctrl-C ends the talk, not what was asked for.
func (c *cli) asking(talk func(context.Context, *admin.Client) error) error {
	client, err := c.client()
	if err != nil {
		return err
	}
	defer client.Close()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err = talk(ctx, client)
	if own := (exitError{}); errors.As(err, &own) {
		return err
	}
	if err != nil && ctx.Err() != nil {
		return exitError{exitUnknown, errors.New("interrupted; what was asked for goes on: see `sluice status`")}
	}
	return err
}
