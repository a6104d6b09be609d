// Command standin is what the test has in place of systemd, which does not run everywhere: it reads the units of this folder, holds
// the sockets of sluice.socket, starts services with them, waits for READY=1, and starts again what has ended. As
// `systemctl restart UNIT` it asks the running one. It knows only what these units use.
package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

func main() {
	folder := os.Getenv("UNITS")
	var err error
	switch args := os.Args[1:]; {
	case len(args) == 1 && args[0] == "serve":
		err = serve(folder)
	case len(args) == 2:
		err = ask(folder, strings.Join(args, " "))
	default:
		err = errors.New("serve, or a verb and a unit")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "standin:", err)
		os.Exit(1)
	}
}

// ask is systemctl: it answers when the manager has.
func ask(folder, what string) error {
	conn, err := net.Dial("unix", filepath.Join(folder, "systemctl"))
	if err != nil {
		return err
	}
	defer conn.Close()
	fmt.Fprintln(conn, what)
	answer, err := io.ReadAll(conn)
	if err == nil && string(answer) != "ok" {
		err = errors.New(string(answer))
	}
	return err
}

// manager is owned by the goroutine of serve.
type manager struct {
	folder  string
	sockets []*os.File
	names   []string
	running map[string]*service
	ended   chan *service
}

// service is one that was started.
type service struct {
	name string
	unit unit
	cmd  *exec.Cmd
	gone chan struct{}
}

func serve(folder string) error {
	m := &manager{folder: folder, running: map[string]*service{}, ended: make(chan *service)}
	if err := m.openSockets(); err != nil {
		return err
	}
	control, err := net.Listen("unix", filepath.Join(folder, "systemctl"))
	if err != nil {
		return err
	}
	defer control.Close()
	asked := make(chan net.Conn)
	go accept(control, asked)
	end := make(chan os.Signal, 1)
	signal.Notify(end, syscall.SIGTERM, syscall.SIGINT)
	for {
		select {
		case conn := <-asked:
			m.answer(conn)
		case s := <-m.ended:
			m.again(s)
		case <-end:
			for name := range m.running {
				m.stop(name)
			}
			return nil
		}
	}
}

func accept(control net.Listener, asked chan<- net.Conn) {
	for {
		conn, err := control.Accept()
		if err != nil {
			return
		}
		asked <- conn
	}
}

func (m *manager) openSockets() error {
	u, err := readUnit(m.folder, "sluice.socket")
	if err != nil {
		return err
	}
	for _, address := range u["ListenStream"] {
		if !strings.Contains(address, ":") {
			address = ":" + address
		}
		l, err := net.Listen("tcp", address)
		if err != nil {
			return err
		}
		file, err := l.(*net.TCPListener).File()
		if err != nil {
			return err
		}
		l.Close()
		m.sockets, m.names = append(m.sockets, file), append(m.names, u.last("FileDescriptorName"))
	}
	return nil
}

func (m *manager) answer(conn net.Conn) {
	defer conn.Close()
	line, _ := bufio.NewReader(conn).ReadString('\n')
	verb, name, _ := strings.Cut(strings.TrimSpace(line), " ")
	var err error
	switch verb {
	case "restart", "start":
		m.stop(name)
		err = m.start(name)
	case "stop":
		m.stop(name)
	case "kill":
		m.running[name].cmd.Process.Kill()
	default:
		err = fmt.Errorf("%q is not known here", verb)
	}
	if err != nil {
		fmt.Fprint(conn, err)
		return
	}
	fmt.Fprint(conn, "ok")
}

// again starts what has ended by itself, as Restart=always wants it.
func (m *manager) again(s *service) {
	if m.running[s.name] != s || s.unit.last("Restart") != "always" {
		return
	}
	delete(m.running, s.name)
	if err := m.start(s.name); err != nil {
		fmt.Fprintln(os.Stderr, "standin:", s.name, err)
	}
}

func (m *manager) stop(name string) {
	s := m.running[name]
	if s == nil {
		return
	}
	delete(m.running, name)
	s.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-s.gone:
	case <-time.After(30 * time.Second):
		s.cmd.Process.Kill()
		<-s.gone
	}
}

// start returns when the service is there, or for Type=notify when it says that it is ready.
func (m *manager) start(name string) error {
	u, err := readUnit(m.folder, name+".service")
	if err != nil {
		return err
	}
	s := &service{name: name, unit: u, gone: make(chan struct{})}
	// LISTEN_PID is the number of the process: the shell sets it, and becomes the service.
	s.cmd = exec.Command("sh", "-c", "export LISTEN_PID=$$; exec "+u.last("ExecStart"))
	s.cmd.Dir, s.cmd.Env = u.last("WorkingDirectory"), append(os.Environ(), u.environment()...)
	log, err := os.OpenFile(filepath.Join(m.folder, name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	s.cmd.Stdout, s.cmd.Stderr = log, log
	var ready func() error
	if u.last("Type") == "notify" {
		if ready, err = m.notified(s); err != nil {
			return err
		}
	}
	if err := s.cmd.Start(); err != nil {
		return err
	}
	m.running[name] = s
	go func() { // ends with the service, and when the manager has heard of it or leaves
		s.cmd.Wait()
		close(s.gone)
		m.ended <- s
	}()
	if ready != nil {
		return ready()
	}
	return nil
}

// notified gives a service the sockets and somebody to tell that it is ready.
func (m *manager) notified(s *service) (ready func() error, err error) {
	at := filepath.Join(m.folder, "notify")
	os.Remove(at)
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: at, Net: "unixgram"})
	if err != nil {
		return nil, err
	}
	s.cmd.ExtraFiles = m.sockets
	s.cmd.Env = append(s.cmd.Env, "NOTIFY_SOCKET="+at, fmt.Sprintf("LISTEN_FDS=%d", len(m.sockets)), "LISTEN_FDNAMES="+strings.Join(m.names, ":"))
	return func() error {
		conn.SetReadDeadline(time.Now().Add(15 * time.Second))
		buf := make([]byte, 4096)
		for {
			n, err := conn.Read(buf)
			if err != nil {
				return fmt.Errorf("%s does not become ready: %w", s.name, err)
			}
			if strings.Contains(string(buf[:n]), "READY=1") {
				return nil // what is said later nobody needs to hear here
			}
		}
	}, nil
}

// unit is what a unit file says, by key.
type unit map[string][]string

// readUnit reads app@.service for app@blue.service, with %i as blue.
func readUnit(folder, name string) (unit, error) {
	file, instance := name, ""
	if kind, rest, ok := strings.Cut(name, "@"); ok {
		file, instance = kind+"@.service", strings.TrimSuffix(rest, ".service")
	}
	text, err := os.ReadFile(filepath.Join(folder, file))
	if err != nil {
		return nil, err
	}
	u := unit{}
	for line := range strings.Lines(strings.ReplaceAll(string(text), "%i", instance)) {
		key, value, ok := strings.Cut(strings.TrimSpace(line), "=")
		if ok && !strings.HasPrefix(key, "#") {
			u[key] = append(u[key], value)
		}
	}
	return u, nil
}

func (u unit) last(key string) string {
	if all := u[key]; len(all) > 0 {
		return all[len(all)-1]
	}
	return ""
}

func (u unit) environment() (env []string) {
	for _, file := range u["EnvironmentFile"] {
		text, _ := os.ReadFile(file)
		env = append(env, strings.Fields(string(text))...)
	}
	return env
}
