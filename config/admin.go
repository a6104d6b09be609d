package config

import (
	"fmt"
	"net"
	"path"
	"strconv"
	"strings"
)

const (
	unixScheme    = "unix:"
	tokenVariable = "SLUICE_ADMIN_TOKEN"
	// maxSocketPath is what sun_path holds on Linux, less the zero at its end.
	maxSocketPath = 107
	// minToken keeps a token out of reach of guessing.
	minToken = 16
)

// ParseAdmin reads an admin address: "unix:///path" or a path from the root for a socket, "host:port" or
// "http://host:port" for TCP. The network is "unix" or "tcp". An error is an *Error.
func ParseAdmin(text string) (network, address string, err error) {
	const fix = "write unix:///run/sluice/admin.sock or 127.0.0.1:9900"
	refuse := func(problem string) (string, string, error) {
		return "", "", &Error{Problem: show(text) + " is no admin address: " + problem, Fix: fix}
	}
	if strings.HasPrefix(text, unixScheme) || strings.HasPrefix(text, "/") {
		socket, problem := socketPath(text)
		if problem != "" {
			return refuse(problem)
		}
		return "unix", socket, nil
	}
	if strings.HasPrefix(text, "https://") {
		return refuse("it speaks plain http")
	}
	host, port, problem := splitAddress(strings.TrimSuffix(strings.TrimPrefix(text, "http://"), "/"), true)
	if problem != "" {
		return refuse(problem)
	}
	return "tcp", net.JoinHostPort(host, strconv.Itoa(port)), nil
}

// socketPath returns the path of "unix:///path" and "unix:/path", and what is wrong with it.
func socketPath(text string) (string, string) {
	socket := strings.TrimPrefix(strings.TrimPrefix(text, unixScheme), "//")
	switch {
	case !strings.HasPrefix(socket, "/"):
		return "", "the path of a socket begins with /, as in unix:///run/app.sock"
	case strings.ContainsRune(socket, 0):
		return "", "a path holds no zero byte"
	case strings.HasSuffix(socket, "/"):
		return "", "it names a folder, not a socket"
	}
	socket = path.Clean(socket)
	if len(socket) > maxSocketPath {
		return "", fmt.Sprintf("the path of a socket has at most %d bytes", maxSocketPath)
	}
	return socket, ""
}

func (v value) admin(to *Admin) {
	text, ok := v.text()
	if !ok {
		return
	}
	network, address, err := ParseAdmin(text)
	if err != nil {
		e := err.(*Error)
		v.refuse(e.Fix, "%s", e.Problem)
		return
	}
	v.in.admin = &v
	to.Network, to.Address = network, address
}

func (v value) adminToken(to *string) {
	if text, ok := v.text(); ok {
		v.token(text, to)
	}
	v.oneToken()
}

func (v value) adminTokenFile() {
	text, ok := v.text()
	if ok && text == "" {
		v.refuse("write the path of a file that holds the token", "%s is empty", v.title())
	} else if ok {
		v.in.tokenFile = &v
	}
	v.oneToken()
}

// oneToken refuses the second of admin_token and admin_token_file.
func (v value) oneToken() {
	if first := v.in.tokenKey; first != "" {
		v.refuseKey("keep one of the two; a file of its own is better kept secret", "%s and %s are both given", show(v.name), show(first))
	}
	v.in.tokenKey = v.name
}

// token checks a token and never repeats it: what is refused is often close to the right one.
func (v value) token(text string, to *string) {
	for _, r := range text {
		if r <= ' ' || r > '~' {
			v.refuse("make one: openssl rand -hex 16", "the admin token has characters beyond visible ASCII")
			return
		}
	}
	if len(text) < minToken {
		v.refuse("make one: openssl rand -hex 16", "the admin token is shorter than %d characters", minToken)
		return
	}
	*to = text
}
