package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"sluice/admin"
	"sluice/config"
	"sluice/control"
)

func (c *cli) previewCommand() *cobra.Command {
	var f causeFlags
	var want control.PreviewWant
	cmd := &cobra.Command{
		Use:   "preview SERVICE",
		Short: "Show where a pool can be seen before it is live",
		Long: "Show where the pool of a service can be seen that is not live: hosts and ports that the file has for it, and with\n" +
			"`preview: {cookie: true}` a link that sets a cookie. Whoever opens the link sees that pool on the hosts of the service\n" +
			"until it is over; visitors see nothing of it. Give the link to testers only: it needs no password.",
		Example:           "  sluice preview web --for 2h\n  curl -b \"$(sluice preview web --json | jq -r '.cookie | .name + \"=\" + .value')\" https://example.com/",
		Args:              exactly("SERVICE"),
		ValidArgsFunction: c.complete(services),
		RunE: func(cmd *cobra.Command, args []string) error {
			if cmd.Flags().Changed("for") && want.For < time.Second {
				return usageError{fmt.Errorf("--for is %s; write a length such as 30m or 2h", want.For)}
			}
			return c.asking(func(ctx context.Context, client *admin.Client) error {
				pass, err := client.Preview(ctx, args[0], want, c.because(f))
				if err != nil {
					return err
				}
				return c.printPass(pass)
			})
		},
	}
	cmd.Flags().StringVar(&want.Pool, "pool", "", "the `POOL` to be seen (default: the one that is not live)")
	cmd.Flags().DurationVar(&want.For, "for", control.DefaultPreview, "how `LONG` the link is good")
	f.add(cmd)
	return cmd
}

func (c *cli) printPass(p control.PreviewPass) error {
	if c.json {
		return c.printJSON(p)
	}
	text := safe(p.Service + "/" + p.Pool)
	if p.Release != "" {
		text += " (release " + safe(p.Release) + ")"
	}
	if p.Live {
		text += ", which is live,"
	}
	fmt.Fprintf(c.out, "%s can be seen\n", text)
	for _, place := range p.Places {
		fmt.Fprintf(c.out, "  at      %s\n", safe(place))
	}
	for _, link := range p.Links {
		fmt.Fprintf(c.out, "  by      %s\n", safe(link))
	}
	if p.Cookie != nil {
		fmt.Fprintf(c.out, "  cookie  %s=%s\n  until   %s\n", safe(p.Cookie.Name), safe(p.Cookie.Value), p.Until.Local().Format(time.DateTime))
	}
	for _, end := range p.End {
		fmt.Fprintf(c.out, "  end     %s\n", safe(end))
	}
	return nil
}

// previews says where pools can be seen that need not be live, and what was asked for there.
func (v statusView) previews(w io.Writer, s *control.ServiceStatus) {
	if s.Preview == nil {
		return
	}
	for _, p := range s.Pools {
		if len(p.Preview) > 0 {
			fmt.Fprintf(w, "  preview   %s: %s\n", p.Name, strings.Join(p.Preview, ", "))
		}
	}
	fmt.Fprintf(w, "            %d requests\n", s.Preview.Requests)
}

// listeners are those of visitors and then those of previews.
func (p *process) listeners() (all []config.Door) {
	for _, l := range p.config.Listen {
		all = append(all, config.Door{Listener: l})
	}
	return append(all, p.config.Doors()...)
}

// said are the listeners as the log names them: with the ports that the kernel gave.
func (p *process) said() (fields []string) {
	var visitors, previews []string
	for i, on := range p.listeners() {
		url := on.Scheme + "://" + p.addresses[i].String()
		if on.Name == "" {
			visitors = append(visitors, url)
		} else {
			previews = append(previews, url)
		}
	}
	fields = []string{"listen", strings.Join(visitors, " ")}
	if len(previews) > 0 {
		fields = append(fields, "preview", strings.Join(previews, " "))
	}
	return fields
}

// uncertified are the hosts of previews that no certificate is for: browsers would not open them.
func (p *process) uncertified() (hosts []string) {
	if p.certs == nil {
		return nil
	}
	names := p.certs.Names()
	for _, r := range p.config.PreviewRoutes() {
		if !strings.Contains(r.Host, "://") && !covered(r.Host, names) && !slices.Contains(hosts, r.Host) {
			hosts = append(hosts, r.Host)
		}
	}
	return hosts
}

// covered: a star stands for one label (RFC 6125 §6.4.3).
func covered(host string, names []string) bool {
	_, rest, _ := strings.Cut(host, ".")
	return slices.Contains(names, strings.Trim(host, "[]")) || slices.Contains(names, "*."+rest)
}
