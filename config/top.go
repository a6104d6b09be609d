package config

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// defaults is what a file is read over.
func (in *input) defaults() *Config {
	network, address, _ := ParseAdmin(DefaultAdmin())
	c := &Config{
		File: in.file, Admin: Admin{Network: network, Address: address}, State: DefaultState(),
		AccessLog: defaultAccessLog, Limits: defaultLimits(), Timeouts: defaultTimeouts(), Shutdown: defaultShutdown(), DNS: defaultDNS(),
	}
	return c
}

// environmentToken is for an operator who keeps secrets out of files. A file that names its own wins.
func (in *input) environmentToken(c *Config) {
	if token := os.Getenv(tokenVariable); token != "" && in.tokenKey == "" {
		in.value(tokenVariable, token).token(token, &c.Admin.Token)
	}
}

func parse(name string, data []byte) (*Config, *input) {
	in := &input{file: name, routes: map[Route]string{}}
	if len(data) > maxFile {
		in.problems.add(unreadable(name, errTooLong))
		return nil, in
	}
	root := in.document(data)
	if root == nil {
		return nil, in
	}
	c := in.defaults()
	c.Digest = digest(data)
	file := value{in: in, name: wholeFile, node: root}
	if file.object("write at least:\n"+example, in.topFields(c)) {
		in.whole(c, file)
	}
	return c, in
}

func (in *input) topFields(c *Config) fields {
	return fields{
		"listen":           func(v value) { v.listeners(&c.Listen) },
		"admin":            func(v value) { v.admin(&c.Admin) },
		"admin_token":      func(v value) { v.adminToken(&c.Admin.Token) },
		"admin_token_file": func(v value) { v.adminTokenFile() },
		"state":            func(v value) { v.folder(&c.State) },
		"access_log":       func(v value) { v.accessLog(&c.AccessLog) },
		"tls":              func(v value) { v.tls(c) },
		"trusted":          func(v value) { v.trusted(&c.Trusted) },
		"limits":           func(v value) { v.limits(&c.Limits) },
		"timeouts":         func(v value) { v.timeouts(&c.Timeouts) },
		"dns":              func(v value) { v.dns(&c.DNS) },
		"shutdown":         func(v value) { v.shutdown(&c.Shutdown) },
		"services":         func(v value) { v.services(&c.Services) },
	}
}

// whole checks what only the whole file shows.
func (in *input) whole(c *Config, file value) {
	if len(c.Listen) == 0 {
		c.Listen = []Listener{{Scheme: "http", Network: "tcp", Address: defaultListen}}
	}
	if c.TLS.ACME != nil && c.TLS.ACME.Storage == "" {
		c.TLS.ACME.Storage = filepath.Join(c.State, "certificates")
	}
	if in.secure != nil && !in.certificates {
		in.secure.refuse("add tls: {certificates: [{cert: cert.pem, key: key.pem}]}", "an https listener has no certificates")
	}
	for i := range c.Services {
		if s := &c.Services[i]; s.MaxBody == unsaid {
			s.MaxBody = c.Limits.BodyBytes
			s.Section["max_body"] = showSize(s.MaxBody)
		}
	}
	in.checkSights(c)
	in.environmentToken(c)
	if in.admin != nil && c.Admin.Network == "tcp" && c.Admin.Token == "" && in.tokenFile == nil {
		in.admin.refuse("add admin_token_file: /etc/sluice/token, set "+tokenVariable+", or use a unix socket",
			"an admin address on TCP demands a token")
	}
	if !hasKey(file, "services") {
		file.refuse("write at least:\n"+example, "there are no services")
	}
}

func hasKey(v value, key string) bool {
	for i := 0; i < len(v.node.Content); i += 2 {
		if v.node.Content[i].Value == key {
			return true
		}
	}
	return false
}

func (v value) folder(to *string) {
	if text, ok := v.text(); ok {
		if text == "" {
			v.refuse("write a folder, as /var/lib/sluice", "%s is empty", v.title())
			return
		}
		*to = v.in.beside(text)
	}
}

func (v value) accessLog(to *string) {
	text, ok := v.text()
	switch {
	case !ok:
	case text == "stdout" || text == "off":
		*to = text
	case !strings.Contains(text, "/") || strings.HasSuffix(text, "/"):
		// A bare word is rather a slip, as "on" or "stderr", than the name of a file.
		v.refuse("write stdout, off, or a path with a slash, as /var/log/sluice.json", "%s is %s, which is not a path", v.title(), show(text))
	default:
		*to = v.in.beside(text)
	}
}

func (v value) trusted(to *[]netip.Prefix) {
	const fix = "write networks and addresses, as trusted: [10.0.0.0/8, 127.0.0.1]"
	seen := map[netip.Prefix]bool{}
	for _, item := range v.list(fix) {
		text, ok := item.text()
		if !ok {
			continue
		}
		prefix, err := parsePrefix(text)
		switch {
		case err != nil:
			item.refuse(fix, "%s is not a network", show(text))
		case prefix != prefix.Masked():
			item.refuse("write "+prefix.Masked().String(), "%s has bits set beyond its length", show(text))
		case seen[prefix]:
			item.refuse("keep one of the two", "%s is given twice", show(text))
		default:
			seen[prefix] = true
			*to = append(*to, prefix)
		}
	}
}

// parsePrefix reads a network, or an address as the network of it alone.
func parsePrefix(text string) (netip.Prefix, error) {
	if strings.Contains(text, "/") {
		return netip.ParsePrefix(text)
	}
	addr, err := netip.ParseAddr(text)
	if err != nil {
		return netip.Prefix{}, err
	}
	return addr.WithZone("").Prefix(addr.BitLen())
}

func (v value) limits(l *Limits) {
	var target, field *value
	v.object("write limits: {head_bytes: 32KiB}", fields{
		// The engine's largest buffer holds 64 KiB, and a head has to fit.
		"head_bytes":        sizeField(&l.HeadBytes, 1<<10, 64<<10),
		"fields":            wholeField(&l.Fields, 10, 10000),
		"target_bytes":      func(v value) { target = &v; v.size(&l.TargetBytes, 256, 64<<10) },
		"field_bytes":       func(v value) { field = &v; v.size(&l.FieldBytes, 256, 64<<10) },
		"trailer_bytes":     sizeField(&l.TrailerBytes, 0, 64<<10),
		"interim_responses": wholeField(&l.InterimResponses, 0, 1000),
		"body_bytes":        sizeField(&l.BodyBytes, 0, largestBody),
		"body_rate":         sizeField(&l.BodyRate, 0, 1<<30),
		"intake_bytes":      sizeField(&l.IntakeBytes, 0, 1<<40),
		"memory":            func(v value) { v.memory(&l.Memory) },
		"requests":          wholeField(&l.Requests, 0, 1_000_000_000),
		"connections":       wholeField(&l.Connections, 0, 10_000_000),
	})
	target.partOf(l.HeadBytes, &l.TargetBytes)
	field.partOf(l.HeadBytes, &l.FieldBytes)
}

// partOf holds a part of a head to the whole. One that is left out (nil) is lowered to it.
func (v *value) partOf(head int, part *int) {
	switch {
	case *part <= head:
	case v == nil:
		*part = head
	default:
		v.refuse("raise head_bytes, or lower "+v.name+" to "+showSize(head), "%s is more than `head_bytes`, which includes it", v.title())
	}
}

func (v value) timeouts(t *Timeouts) {
	const least, most = time.Millisecond, longestWait
	v.object("write timeouts: {response: 2m}", fields{
		"connect":       durationField(&t.Connect, least, most),
		"head":          durationField(&t.Head, least, most),
		"first":         durationField(&t.First, least, most),
		"idle":          durationField(&t.Idle, least, most),
		"body":          durationField(&t.Body, least, most),
		"body_grace":    durationField(&t.BodyGrace, 0, most),
		"response":      durationField(&t.Response, least, most),
		"backend_idle":  durationField(&t.BackendIdle, least, most),
		"write":         durationField(&t.Write, least, most),
		"tunnel":        durationField(&t.Tunnel, 0, most),
		"tls_handshake": durationField(&t.TLSHandshake, least, most),
		"age":           durationField(&t.Age, 0, most),
	})
}

func (v value) shutdown(s *Shutdown) {
	var grace *value
	v.object("write shutdown: {timeout: 1m}", fields{
		"grace":   func(v value) { grace = &v; v.duration(&s.Grace, 0, longestWait) },
		"timeout": durationField(&s.Timeout, 0, longestWait),
	})
	if s.Grace <= s.Timeout {
		return
	}
	if grace == nil {
		s.Grace = s.Timeout
		return
	}
	grace.refuse("lower grace or raise timeout", "`grace` is longer than `timeout`, which is %s", showDuration(s.Timeout))
}
