package certs

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"
)

// maxFile bounds a PEM file. A long chain has 20 KiB; more is a wrong path, such as that of a disk image.
const maxFile = 1 << 20

// certificate is one pair of files that fit each other.
type certificate struct {
	files Files
	tls   tls.Certificate
	names []string // at least one
}

func load(f Files) (*certificate, error) {
	chain, err := readPEM(f.Cert, "certificate")
	if err != nil {
		return nil, err
	}
	key, err := readPEM(f.Key, "key")
	if err != nil {
		return nil, err
	}
	pair, err := tls.X509KeyPair(chain, key)
	if err != nil {
		return nil, explain(f, chain, key, err)
	}
	c := &certificate{files: f, tls: pair, names: namesOf(pair.Leaf)}
	if len(c.names) == 0 {
		return nil, fmt.Errorf("certificate %s names no host; make one with a subjectAltName, for example DNS:example.com", f.Cert)
	}
	return c, nil
}

// readPEM reads one file. what is the key in the configuration as well as the word for people.
func readPEM(path, what string) ([]byte, error) {
	file, err := os.Open(path)
	if err == nil {
		defer file.Close()
		var data []byte
		if data, err = io.ReadAll(io.LimitReader(file, maxFile+1)); err == nil {
			return checkPEM(path, what, data)
		}
	}
	var pathErr *fs.PathError
	if errors.As(err, &pathErr) {
		err = pathErr.Err
	}
	hint := "check the path under `tls.certificates`"
	if errors.Is(err, fs.ErrPermission) {
		hint = "let sluice's user read it"
	}
	return nil, fmt.Errorf("cannot read the %s file %q: %w; %s", what, path, err, hint)
}

func checkPEM(path, what string, data []byte) ([]byte, error) {
	if len(data) > maxFile {
		return nil, fmt.Errorf("the %s file %s is over 1 MiB; check the path under `tls.certificates`", what, path)
	}
	if block, _ := pem.Decode(data); block == nil {
		return nil, fmt.Errorf("the %s file %s is not PEM; it must hold a block that starts with -----BEGIN", what, path)
	}
	return data, nil
}

// explain turns an error of the pair into one about a file. Which of the two is at fault shows by what each holds.
func explain(f Files, chain, key []byte, err error) error {
	switch {
	case !holds(chain, "CERTIFICATE") && holds(key, "CERTIFICATE"):
		return fmt.Errorf("certificate file %s and key file %s are swapped; exchange `cert` and `key`", f.Cert, f.Key)
	case !holds(chain, "CERTIFICATE"):
		return fmt.Errorf("file %s holds no certificate; point `cert` to the PEM file of the chain", f.Cert)
	case holds(key, "ENCRYPTED PRIVATE KEY"), encrypted(key):
		return fmt.Errorf("key file %s is encrypted; decrypt it, for example with `openssl pkey -in %s`", f.Key, f.Key)
	case !holds(key, "PRIVATE KEY"):
		return fmt.Errorf("file %s holds no private key; point `key` to the PEM file of the key", f.Key)
	case strings.Contains(err.Error(), "does not match"):
		return fmt.Errorf("key %s does not belong to certificate %s; give the key that the certificate was made with, and put the server's own certificate first in its file", f.Key, f.Cert)
	}
	return fmt.Errorf("certificate %s with key %s cannot be used: %w; make or export both anew", f.Cert, f.Key, err)
}

// holds says whether there is a block of a type with that ending: "RSA PRIVATE KEY" is a "PRIVATE KEY" too.
func holds(data []byte, kind string) bool {
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		if strings.HasSuffix(block.Type, kind) {
			return true
		}
	}
	return false
}

// encrypted finds the old form of encryption, which a header of the block tells of.
func encrypted(data []byte) bool {
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		if strings.Contains(block.Headers["Proc-Type"], "ENCRYPTED") {
			return true
		}
	}
	return false
}

// namesOf lists what a certificate is for. The common name counts only where there is nothing else: clients of today
// look at it no more, but private tools still make such certificates.
func namesOf(leaf *x509.Certificate) (names []string) {
	for _, name := range leaf.DNSNames {
		names = append(names, strings.ToLower(name))
	}
	for _, ip := range leaf.IPAddresses {
		names = append(names, ip.String())
	}
	if len(names) == 0 && leaf.Subject.CommonName != "" {
		names = append(names, strings.ToLower(leaf.Subject.CommonName))
	}
	return names
}

// warning says what is wrong with the dates of c, or nothing.
func (c *certificate) warning(now time.Time) string {
	leaf, day := c.tls.Leaf, time.DateOnly
	switch left := leaf.NotAfter.Sub(now); {
	case left <= 0:
		return fmt.Sprintf("certificate %s expired on %s; clients will refuse it; replace it and reload", c.files.Cert, leaf.NotAfter.Format(day))
	case now.Before(leaf.NotBefore):
		return fmt.Sprintf("certificate %s is not valid before %s; clients will refuse it; replace it or set the clock right", c.files.Cert, leaf.NotBefore.Format(day))
	case left < expiresSoon:
		return fmt.Sprintf("certificate %s expires on %s; replace it before then and reload", c.files.Cert, leaf.NotAfter.Format(day))
	}
	return ""
}
