package main

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/spf13/cobra"

	"sluice/config"
	"sluice/telemetry"
)

// runFlags are those of `sluice run`.
type runFlags struct {
	file, to, listen, state string
}

func (c *cli) runCommand() *cobra.Command {
	var f runFlags
	cmd := &cobra.Command{
		Use:   "run (--config FILE | --to ADDRESS)",
		Short: "Run the proxy in the foreground",
		Long: "Run the proxy in the foreground, until SIGTERM, SIGINT or `sluice stop`. It then stops accepting, finishes what is\n" +
			"inside and ends with exit code 0. A second signal ends it at once.",
		Example: "  sluice run --config sluice.yaml\n  sluice run --to 127.0.0.1:3000 --listen :8080",
		Args:    exactly(),
		RunE:    func(*cobra.Command, []string) error { return c.run(f) },
	}
	cmd.Flags().StringVarP(&f.file, "config", "c", "", "the configuration `FILE`")
	cmd.Flags().StringVar(&f.to, "to", "", "no file: one service with the backend at `ADDRESS`")
	cmd.Flags().StringVar(&f.listen, "listen", "", "with --to: where clients connect (default :8080)")
	cmd.Flags().StringVar(&f.state, "state", "", "the `FOLDER` where decisions are kept, in place of the file's")
	return cmd
}

func (c *cli) run(f runFlags) error {
	cfg, err := c.configuration(f)
	if err != nil {
		return err
	}
	// A write to a closed terminal or pipe must not end the process; it is an error like another.
	signal.Ignore(syscall.SIGPIPE)
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
	defer signal.Stop(signals)
	p, err := c.start(settings{config: cfg, events: telemetry.NewEvents(c.err, c.errTTY && !c.json), version: versionText()})
	if err != nil {
		return err
	}
	if code := p.serve(signals); code != exitDone {
		return exitError{code, nil}
	}
	return nil
}

// start brings a Sluice up with what the one that started this process has passed to it.
func (c *cli) start(s settings) (p *process, err error) {
	pid := os.Getpid()
	in, warning, err := inherit(c.getenv, pid, openPassed)
	if err != nil {
		return nil, err
	}
	if warning != "" {
		s.events.Warn(warning, nil)
	}
	s.inherited = in
	if s.manager, err = findManager(c.getenv, pid); err != nil {
		s.events.Warn(err.Error(), nil)
	}
	forget(passedVariables)
	forget(managerVariables)
	return start(s)
}

// configuration is the file, or what stands in for it, with the flags laid over it.
func (c *cli) configuration(f runFlags) (*config.Config, error) {
	cfg, err := f.load()
	if err != nil {
		return nil, err
	}
	over := *cfg
	if f.state != "" {
		if over.State, err = filepath.Abs(f.state); err != nil {
			return nil, err
		}
	}
	address := c.admin
	if address == "" && f.to != "" {
		address = c.getenv("SLUICE_ADMIN")
	}
	if address != "" {
		if over.Admin.Network, over.Admin.Address, err = config.ParseAdmin(address); err != nil {
			return nil, usageError{err}
		}
	}
	if over.Admin.Token == "" {
		over.Admin.Token = c.getenv("SLUICE_ADMIN_TOKEN")
	}
	if over.TLS.ACME != nil {
		return nil, fmt.Errorf("%s: `acme` is not in this version of Sluice; name certificate files under `tls: certificates`", over.File)
	}
	return &over, nil
}

func (f runFlags) load() (*config.Config, error) {
	switch {
	case f.file != "" && f.to != "":
		return nil, usageError{errors.New("--config and --to exclude each other; write one of them")}
	case f.file != "" && f.listen != "":
		return nil, usageError{errors.New("--listen goes with --to; with a file, write `listen:` in it")}
	case f.to != "":
		return config.To(f.to, f.listen)
	case f.file == "":
		return nil, usageError{errors.New("name what to run: --config FILE, or --to ADDRESS for a single backend")}
	}
	return loadFile(f.file)
}

// loadFile reads a configuration and looks whether the files it names are there.
func loadFile(path string) (*config.Config, error) {
	cfg, err := config.Load(path)
	if err != nil {
		return nil, err
	}
	if missing := cfg.CheckFiles(); len(missing) > 0 {
		return nil, config.Errors(missing)
	}
	return cfg, nil
}
