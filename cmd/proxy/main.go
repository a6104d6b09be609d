// Command proxy is the sluice binary: its commands, their flags, and the wiring of a running Sluice. Each command but
// run, check and demo is a call of the API, so that nothing can be done by hand that a script cannot do. It refuses to
// decide anything about traffic.
package main

import "os"

func main() {
	os.Exit(execute(os.Args[1:], fromProcess()))
}
