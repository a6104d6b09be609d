//go:build gatefirst

package control

// closeFirst breaks the rule on purpose: with the tag gatefirst, gates are closed before the new snapshot is in place. The
// end-to-end tests build Sluice so once, to show that their clients notice.
func closeFirst(was, next *now) {
	for _, l := range was.built.gone(next.built) {
		l.gate.Close()
	}
}
