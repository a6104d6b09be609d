package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/miekg/dns"
)

// world is the containers that run, each a file in a folder with the name of its address.
type world struct {
	file   composeFile
	folder string
}

type container struct {
	Service, IP, Image string
	PID                int
}

func (w world) path(ip string) string { return filepath.Join(w.folder, "containers", ip) }

// containers are those of a service, the oldest first.
func (w world) containers(service string) (all []container) {
	files, _ := os.ReadDir(filepath.Join(w.folder, "containers"))
	for _, f := range files {
		var c container
		text, err := os.ReadFile(w.path(f.Name()))
		if err == nil && json.Unmarshal(text, &c) == nil && c.Service == service {
			all = append(all, c)
		}
	}
	slices.SortFunc(all, func(a, b container) int { return a.PID - b.PID })
	return all
}

// program is what the image of a service runs.
func (w world) program(name, image string) []string {
	switch {
	case name == "sluice":
		return []string{"sluice", "run", "--config", filepath.Join(w.folder, "sluice.yaml")}
	case strings.HasSuffix(image, ":broken"):
		return []string{"false"}
	}
	return []string{"node", "../bluegreen/app-node/server.js"}
}

// start runs one more container. Its address is the next one that was never used.
func (w world) start(name string, s service) error {
	ip, err := w.address()
	if err != nil {
		return err
	}
	log, err := os.OpenFile(filepath.Join(w.folder, name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	args := w.program(name, s.Image)
	cmd := exec.Command(args[0], args[1:]...)
	cmd.SysProcAttr, cmd.Stdout, cmd.Stderr, cmd.Env = apart, log, log, os.Environ()
	for key, value := range s.Environment {
		cmd.Env = append(cmd.Env, key+"="+strings.Replace(value, "0.0.0.0", ip, 1)) // all addresses of a container are this one
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	text, err := json.Marshal(container{Service: name, IP: ip, Image: s.Image, PID: cmd.Process.Pid})
	if err == nil {
		err = os.WriteFile(w.path(ip), text, 0o600)
	}
	return err
}

func (w world) address() (string, error) {
	next := filepath.Join(w.folder, "next")
	for n := 2; n < 255; n++ {
		f, err := os.OpenFile(fmt.Sprintf("%s.%d", next, n), os.O_CREATE|os.O_EXCL, 0o600)
		if err == nil {
			return fmt.Sprintf("127.0.77.%d", n), f.Close()
		}
	}
	return "", errors.New("no address is left")
}

// stop has the program of a container end; its name goes with its network, when it has ended.
func (w world) stop(ip string) error {
	var c container
	text, err := os.ReadFile(w.path(ip))
	if err == nil {
		err = json.Unmarshal(text, &c)
	}
	if err != nil {
		return err
	}
	syscall.Kill(c.PID, syscall.SIGTERM)
	for end := time.Now().Add(w.file.Services[c.Service].StopGracePeriod); runs(c.PID); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			return syscall.Kill(c.PID, syscall.SIGKILL)
		}
	}
	return nil
}

// runs reports whether a process is there. One that has ended may be listed for as long as nobody has asked how.
func runs(pid int) bool {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && !strings.Contains(string(text), ") Z ")
}

func (w world) remove(ip string) error { return os.Remove(w.path(ip)) }

// serveNames is the DNS server: a service is the addresses of its containers, for 600 s, as Docker says.
func (w world) serveNames(at string) error {
	conn, err := net.ListenPacket("udp", at)
	if err != nil {
		return err
	}
	server := &dns.Server{PacketConn: conn, Handler: dns.HandlerFunc(w.answer)}
	return server.ActivateAndServe()
}

func (w world) answer(to dns.ResponseWriter, q *dns.Msg) {
	m := new(dns.Msg).SetReply(q)
	m.RecursionAvailable = true
	name := strings.TrimSuffix(strings.ToLower(q.Question[0].Name), ".")
	all := w.containers(name)
	if len(all) == 0 {
		m.Rcode = dns.RcodeNameError
	}
	for _, c := range all {
		if q.Question[0].Qtype == dns.TypeA {
			m.Answer = append(m.Answer, &dns.A{
				Hdr: dns.RR_Header{Name: q.Question[0].Name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 600}, A: net.ParseIP(c.IP),
			})
		}
	}
	to.WriteMsg(m)
}
