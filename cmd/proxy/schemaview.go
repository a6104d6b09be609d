package main

import (
	"fmt"
	"io"

	"sluice/control"
)

// schema is "schema    812, says blue/10.0.0.1:3000; blue 808-830, green 813-840 not for 812"; nothing where nobody speaks
// of it.
func (v statusView) schema(w io.Writer, s *control.ServiceStatus) {
	text := ""
	if s.Schema != nil {
		text = fmt.Sprintf("%d, says %s", s.Schema.Have, s.Schema.By)
	}
	for _, p := range s.Pools {
		if p.Schema == nil {
			continue
		}
		if text != "" {
			text += "; "
		}
		text += p.Name + " " + v.schemaRange(*p.Schema, s.Schema)
	}
	if text != "" {
		fmt.Fprintf(w, "  schema    %s\n", text)
	}
}

func (v statusView) schemaRange(r control.SchemaRange, is *control.SchemaStatus) string {
	switch {
	case r.Fault != "":
		return v.red(r.Fault)
	case r.Min > r.Max:
		return v.red("none: its backends have no schema in common")
	case is != nil && (is.Have < r.Min || is.Have > r.Max):
		return v.red(fmt.Sprintf("%d-%d, not for %d", r.Min, r.Max, is.Have))
	}
	return fmt.Sprintf("%d-%d", r.Min, r.Max)
}
