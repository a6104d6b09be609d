package config

import (
	"time"

	"gopkg.in/yaml.v3"
)

// Rollback says how long the way back to the pool before is kept open after a flip.
type Rollback struct {
	Window time.Duration // 0: until the next flip
}

const rollbackFix = "write rollback: 30m, rollback: {window: 30m}, or rollback: off for a window that ends with the next flip alone"

// defaultRollback is longer than anybody watches a deployment closely, and short enough that who asks whether the servers of
// the release before may be stopped does not pay for two releases until the next flip.
func defaultRollback() Rollback { return Rollback{Window: 30 * time.Minute} }

// rollback reads the window alone, or a mapping.
func (v value) rollback(to *Rollback) {
	if v.node.Kind != yaml.MappingNode {
		v.window(&to.Window)
		return
	}
	v.object(rollbackFix, fields{"window": func(v value) { v.window(&to.Window) }})
}

// window reads a duration; off and 0 are one without an end.
func (v value) window(to *time.Duration) {
	if v.node.Kind == yaml.ScalarNode && (v.node.Value == "off" || v.node.Value == "0") {
		*to = 0
		return
	}
	v.duration(to, 0, longestWait)
}
