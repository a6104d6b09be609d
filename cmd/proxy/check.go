package main

import (
	"github.com/spf13/cobra"

	"sluice/config"
)

func (c *cli) checkCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "check FILE",
		Short: "Validate a configuration and print its routes",
		Long:  "Validate a configuration without touching anything that runs. Each error has its place as FILE:LINE:COLUMN.",
		Args:  exactly("FILE"),
		RunE:  func(_ *cobra.Command, args []string) error { return c.check(args[0]) },
	}
}

func (c *cli) check(path string) error {
	cfg, err := loadFile(path)
	if err != nil {
		return err
	}
	routes := routesOf(cfg)
	if c.json {
		return c.printJSON(routes)
	}
	t := &table{paint: c.paintOut()}
	t.head("HOST", "PATH", "SERVICE", "POOL", "BACKENDS")
	for _, r := range routes {
		host := r.Host
		switch {
		case host == "":
			host = "(any)"
		case r.Preview:
			host += " (preview)"
		}
		t.row(host, r.Path, r.Service, r.Pool, backendsOf(cfg, r.Service, r.Pool))
	}
	return t.print(c.out)
}

// checkedRoute is a route, or a way to a preview.
type checkedRoute struct {
	config.Route
	Preview bool `json:",omitempty"`
}

func routesOf(cfg *config.Config) (all []checkedRoute) {
	for _, r := range cfg.Routes() {
		all = append(all, checkedRoute{Route: r})
	}
	for _, r := range cfg.PreviewRoutes() {
		all = append(all, checkedRoute{Route: r, Preview: true})
	}
	return all
}

func backendsOf(cfg *config.Config, service, pool string) string {
	text := ""
	for _, s := range cfg.Services {
		for _, p := range s.Pools {
			if s.Name != service || p.Name != pool {
				continue
			}
			for _, b := range p.Backends {
				text += b.Address + " "
			}
		}
	}
	return text
}
