package healthcheck

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"unicode"
)

// phaseError is trouble with the connection, and what had not come yet when it struck.
type phaseError struct {
	missing string
	err     error
}

func (e *phaseError) Error() string { return e.missing + ": " + e.err.Error() }
func (e *phaseError) Unwrap() error { return e.err }

// reason says in a short sentence why a check failed. The same failure always has the same words: no port, no
// counter, no text of a lower layer, because a change of reason is news to those who listen.
func (p *connProber) reason(err error) string {
	var phase *phaseError
	if !errors.As(err, &phase) {
		return err.Error()
	}
	var errno syscall.Errno
	var dns *net.DNSError
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded), isTimeout(err):
		return fmt.Sprintf("no %s within %s", phase.missing, p.spec.Timeout)
	case errors.Is(err, syscall.ENOENT):
		return "no socket at " + p.spec.Address
	case errors.As(err, &dns):
		return "no address found for " + p.spec.Address
	case errors.As(err, &errno):
		return strings.TrimSuffix(errno.Error(), " by peer")
	case phase.missing == "connection":
		return "cannot connect to " + p.spec.Address
	case errors.Is(err, io.EOF) && phase.missing == "answer":
		return "connection closed without an answer"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "answer ended early"
	default:
		return "answer is not " + p.protocol
	}
}

func isTimeout(err error) bool {
	var t net.Error
	return errors.As(err, &t) && t.Timeout()
}

func isReset(err error) bool {
	return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// printable returns the first n printable characters of s. What a server says of itself ends up in logs, tables and
// file names, so it must not move a cursor or fill a screen.
func printable(s string, n int) string {
	var b strings.Builder
	for _, r := range s {
		if n == 0 {
			break
		}
		if r != unicode.ReplacementChar && unicode.IsPrint(r) {
			b.WriteRune(r)
			n--
		}
	}
	return strings.TrimSpace(b.String())
}
