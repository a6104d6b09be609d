// Command standin is what the test has in place of Docker, whose engine does not run everywhere: as `docker compose up`, `ps` and
// `exec` it reads compose.yaml, and runs each container as a process on a loopback address of its own, which its DNS server names
// as Docker's does. It knows only what this example uses; what it does not know in the file it refuses.
package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
)

func main() {
	err := run(os.Args[1:])
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		os.Exit(exit.ExitCode()) // of what was run inside of a container
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "standin:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	file, err := readFile("compose.yaml")
	if err != nil {
		return err
	}
	w := world{file: file, folder: os.Getenv("STANDIN")}
	switch {
	case len(args) == 2 && args[0] == "dns":
		return w.serveNames(args[1])
	case len(args) > 1 && args[0] == "compose":
		return w.compose(args[1], args[2:])
	case len(args) == 4 && args[0] == "inspect":
		_, err = fmt.Println(args[3]) // here the address is the name
		return err
	case len(args) == 2 && args[0] == "stop":
		return w.stop(args[1])
	case len(args) == 2 && args[0] == "rm":
		return w.remove(args[1])
	}
	return fmt.Errorf("docker %v is not known here", args)
}

func (w world) compose(verb string, args []string) error {
	switch verb {
	case "config":
		return w.file.check()
	case "up":
		return w.up(args)
	case "ps":
		return w.list(args)
	case "down":
		return w.down()
	case "exec":
		return w.exec(args)
	}
	return fmt.Errorf("docker compose %s is not known here", verb)
}

// up takes its options and the services that it is about; none are all.
func (w world) up(args []string) error {
	keep := false
	var names []string
	for _, arg := range args {
		switch {
		case arg == "--no-recreate":
			keep = true
		case arg == "-d" || arg == "--no-deps":
		case strings.HasPrefix(arg, "-"):
			return fmt.Errorf("up %s is not known here", arg)
		default:
			names = append(names, arg)
		}
	}
	for name, s := range w.file.Services {
		if len(names) > 0 && !slices.Contains(names, name) {
			continue
		}
		if err := w.bring(name, s, keep); err != nil {
			return err
		}
	}
	return nil
}

// bring has a service run in as many containers as the file says, all of them as it says now.
func (w world) bring(name string, s service, keep bool) error {
	var there []container
	for _, c := range w.containers(name) {
		if keep || c.Image == s.Image {
			there = append(there, c)
			continue
		}
		if err := errors.Join(w.stop(c.IP), w.remove(c.IP)); err != nil {
			return err
		}
	}
	n, err := s.count()
	if err != nil {
		return err
	}
	for len(there) > n {
		last := there[len(there)-1]
		if err := errors.Join(w.stop(last.IP), w.remove(last.IP)); err != nil {
			return err
		}
		there = there[:len(there)-1]
	}
	for range n - len(there) {
		if err := w.start(name, s); err != nil {
			return err
		}
	}
	return nil
}

func (w world) list(args []string) error {
	if len(args) != 2 || args[0] != "-q" {
		return errors.New("ps -q SERVICE is all that is known here")
	}
	for _, c := range w.containers(args[1]) {
		fmt.Println(c.IP)
	}
	return nil
}

func (w world) down() error {
	var all []error
	for name := range w.file.Services {
		for _, c := range w.containers(name) {
			all = append(all, w.stop(c.IP), w.remove(c.IP))
		}
	}
	return errors.Join(all...)
}

// exec runs the program of the image, which is not at the root here.
func (w world) exec(args []string) error {
	if len(args) < 3 || args[0] != "-T" || args[2] != "/"+args[1] {
		return errors.New("exec -T sluice /sluice … is all that is known here")
	}
	if len(w.containers(args[1])) == 0 {
		return fmt.Errorf("service %q is not running", args[1])
	}
	cmd := exec.Command(args[1], args[3:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	return cmd.Run()
}

// apart lets a process outlive the command that starts it.
var apart = &syscall.SysProcAttr{Setsid: true}
