package config

import (
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

const listenFix = "write http://:80, https://:443, 127.0.0.1:8080, or :8080, which means http"

func (v value) listeners(to *[]Listener) {
	for _, item := range v.list("write listen: http://:8080") {
		item.listener(to)
	}
}

func (v value) listener(to *[]Listener) {
	text, ok := v.text()
	if !ok {
		return
	}
	scheme, address, found := strings.Cut(text, "://")
	if !found {
		scheme, address = "http", text
	}
	if scheme != "http" && scheme != "https" {
		v.refuse(listenFix, "a listener cannot speak %s", show(scheme))
		return
	}
	host, port, problem := splitAddress(address, true)
	if problem != "" {
		v.refuse(listenFix, "%s is no address to listen on: %s", show(text), problem)
		return
	}
	l := Listener{Scheme: scheme, Network: "tcp", Address: net.JoinHostPort(host, strconv.Itoa(port))}
	if port != 0 && slices.ContainsFunc(*to, func(o Listener) bool { return o.Address == l.Address }) {
		v.refuse("keep one of the two", "%s is listened on twice", show(l.Address))
		return
	}
	if scheme == "https" && v.in.secure == nil {
		v.in.secure = &v
	}
	*to = append(*to, l)
}

// splitAddress takes host:port apart, with the host in its one form. Where we listen, the host may be empty and the port
// zero. The problem is empty when there is none.
func splitAddress(address string, listen bool) (host string, port int, problem string) {
	if strings.Contains(address, "/") {
		return "", 0, "a path is no part of it"
	}
	host, digits, err := net.SplitHostPort(address)
	if err != nil {
		return "", 0, splitProblem(address)
	}
	port, problem = parsePort(digits)
	switch {
	case problem != "":
		return "", 0, problem
	case host == "" && !listen:
		return "", 0, "the host is missing"
	case port == 0 && !listen:
		return "", 0, "nothing listens on port 0"
	case host == "":
		return "", port, ""
	}
	host, problem = parseHost(host)
	return host, port, problem
}

func splitProblem(address string) string {
	switch colons := strings.Count(address, ":"); {
	case strings.HasPrefix(address, "[") && !strings.Contains(address, "]"):
		return "a bracket is not closed"
	case colons > 1 && !strings.HasPrefix(address, "["):
		return "an IPv6 address stands in brackets"
	case colons > 1 && !strings.Contains(address, "]:"), colons == 0:
		return "the port is missing"
	}
	return "host and port are not clear"
}

func parsePort(digits string) (int, string) {
	port, err := strconv.ParseUint(digits, 10, 16)
	switch {
	case digits == "":
		return 0, "the port is missing"
	case err != nil:
		return 0, "the port is " + show(digits) + ", not a number up to 65535"
	}
	return int(port), ""
}

// parseHost returns an address or a name in its one form.
func parseHost(host string) (string, string) {
	if addr, err := netip.ParseAddr(host); err == nil {
		return addr.String(), ""
	}
	if problem := checkName(host); problem != "" {
		return "", problem
	}
	return strings.ToLower(host), ""
}

// checkName says what is wrong with a host name. Underscores are let through: containers are named so.
func checkName(name string) string {
	if len(name) > 253 { // the longest there is in DNS
		return "the name is longer than 253 characters"
	}
	labels := strings.Split(name, ".")
	for _, label := range labels {
		if problem := checkLabel(label); problem != "" {
			return problem
		}
	}
	// "The last component of a name is never all digits" is how RFC 1123 §2.1 tells names from addresses.
	if last := labels[len(labels)-1]; strings.Trim(last, "0123456789") == "" {
		return show(name) + " is neither an IP address nor a name"
	}
	return ""
}

func checkLabel(label string) string {
	if label == "" {
		return "a part between two dots is empty"
	}
	if len(label) > 63 { // DNS again
		return "a part of the name is longer than 63 characters"
	}
	if label[0] == '-' || label[len(label)-1] == '-' {
		return "a part of the name begins or ends with -"
	}
	for _, r := range label {
		switch {
		case r >= 0x80:
			return "the name has letters beyond ASCII; write its xn-- form"
		case r == '-' || r == '_' || isAlphanumeric(r):
		default:
			return show(string(r)) + " cannot be in a name"
		}
	}
	return ""
}

func isAlphanumeric(r rune) bool {
	return '0' <= r && r <= '9' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z'
}
