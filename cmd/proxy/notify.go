package main

import (
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"sluice/control"
)

// manager is the service manager that started this process and is told how it is, as sd_notify(3) wants it.
type manager struct {
	conn     *net.UnixConn // nil: nobody wants to know
	watchdog time.Duration // it ends the process when it hears nothing for so long; 0: it does not
	pid      int
}

// managerVariables say who wants to be told; what this process starts is not meant.
var managerVariables = []string{"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"}

func findManager(getenv func(string) string, pid int) (*manager, error) {
	m := &manager{pid: pid}
	address := getenv("NOTIFY_SOCKET")
	if address == "" {
		return m, nil
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: address, Net: "unixgram"})
	if err != nil {
		return m, fmt.Errorf("cannot reach the service manager at NOTIFY_SOCKET: %w; with Type=notify it will take this process for one that never started", err)
	}
	m.conn = conn
	if whose := getenv("WATCHDOG_PID"); whose == "" || whose == strconv.Itoa(pid) {
		usec, _ := strconv.ParseUint(getenv("WATCHDOG_USEC"), 10, 62)
		m.watchdog = time.Duration(usec) * time.Microsecond
	}
	return m, nil
}

// say sends lines in one message. One that is not taken is not sent again: the next one says the same.
func (m *manager) say(lines ...string) {
	if m.conn != nil {
		m.conn.SetWriteDeadline(time.Now().Add(longestSay))
		m.conn.Write([]byte(strings.Join(lines, "\n")))
	}
}

// longestSay is how long the manager may take to take a message: it has a queue.
const longestSay = time.Second

func (m *manager) close() {
	if m.conn != nil {
		m.conn.Close()
	}
}

// mostTold bounds how often the manager is told of what changes: people look at it.
const mostTold = time.Second

// startTelling tells the manager that clients are served, and from then on how things are.
func (p *process) startTelling() error {
	if p.manager == nil || p.manager.conn == nil {
		return nil
	}
	p.manager.say("READY=1", fmt.Sprintf("MAINPID=%d", p.manager.pid), "STATUS="+p.summary())
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		p.tell(stop)
	}()
	p.onClose(func() { close(stop); <-done; p.manager.close() })
	return nil
}

// tell is the goroutine that keeps the manager up to date. It says that the process is alive only while the parts that
// decide answer, and the clock of the front goes on: one that hangs is to be started again.
func (p *process) tell(stop <-chan struct{}) {
	every := mostTold
	if w := p.manager.watchdog; w > 0 {
		every = min(every, max(w/2, 10*time.Millisecond))
	}
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	said, lastTick := "", time.Time{}
	for {
		select {
		case <-ticker.C:
		case <-stop:
			return
		}
		text, tick := p.summary(), p.clock.Now()
		if p.manager.watchdog > 0 && tick.After(lastTick) {
			p.manager.say("WATCHDOG=1")
		}
		if text != said {
			p.manager.say("STATUS=" + text)
		}
		said, lastTick = text, tick
	}
}

// unwinding is more than an exit takes behind its last deadline: what was cut has to leave, and the receipt to be told.
const unwinding = 15 * time.Second

// tellLeaving asks for as much time as the exit may take, whatever TimeoutStopSec says.
func (p *process) tellLeaving() {
	if p.manager != nil {
		p.manager.say("STOPPING=1", "STATUS="+p.summary(),
			fmt.Sprintf("EXTEND_TIMEOUT_USEC=%d", (p.config.Shutdown.Timeout+unwinding).Microseconds()))
	}
}

// summary is one line for `systemctl status`.
func (p *process) summary() string {
	status := p.control.Status()
	select {
	case <-p.exit.begun:
		return fmt.Sprintf("leaving, %d inside", p.proxy.Ledger.Look(0).Total)
	default:
	}
	var all []string
	for i, svc := range status.Services {
		if i == mostSummed {
			all = append(all, fmt.Sprintf("and %d more", len(status.Services)-i))
			break
		}
		all = append(all, serviceSummary(svc))
	}
	return strings.Join(all, " · ")
}

// mostSummed is how many services there is room for in a line.
const mostSummed = 5

// serviceSummary is "web → blue v42, 2 of 2 up".
func serviceSummary(svc control.ServiceStatus) string {
	text := svc.Name + " → " + svc.Live
	if svc.Release != "" {
		text += " " + svc.Release
	}
	for _, pool := range svc.Pools {
		if pool.Live && len(pool.Backends) > 0 {
			text += fmt.Sprintf(", %d of %d up", pool.Eligible, len(pool.Backends))
		}
	}
	return safe(text)
}

// forget takes variables that are meant for this process alone out of what its children would inherit.
func forget(variables []string) {
	for _, v := range variables {
		os.Unsetenv(v)
	}
}
