package config

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestHash(t *testing.T) {
	for _, test := range []struct {
		text string
		want Hash
	}{
		{"balance: hash", Hash{}},
		{"balance: hash\n    hash: client", Hash{}},
		{"balance: hash\n    hash: {cookie: JSESSIONID}", Hash{Cookie: "JSESSIONID"}},
		{"balance: hash\n    hash: {header: X-User}", Hash{Header: "x-user"}},
	} {
		s := one(t, "backends: x:1", test.text)
		equal(t, test.text, s.Hash, test.want)
		equal(t, test.text, s.Balance, "hash")
	}
}

func TestSticky(t *testing.T) {
	for _, test := range []struct {
		text string
		want *Sticky
	}{
		{"balance: round_robin", nil},
		{"sticky: pin", &Sticky{Cookie: "pin"}},
		{"sticky: {cookie: pin}", &Sticky{Cookie: "pin"}},
		{"sticky: {ttl: session}", &Sticky{Cookie: "sluice"}},
		{"sticky: {ttl: 8h}", &Sticky{Cookie: "sluice", TTL: 8 * time.Hour}},
		{"sticky: {on_drain: move}", &Sticky{Cookie: "sluice"}},
		{"sticky: {on_drain: keep}\n    drain: {timeout: 9s}", &Sticky{Cookie: "sluice", Keep: true, KeepFor: 9 * time.Second}},
		{"sticky: {on_drain: keep, keep_for: 10m}", &Sticky{Cookie: "sluice", Keep: true, KeepFor: 10 * time.Minute}},
		{"sticky: __Host-pin", &Sticky{Cookie: "__Host-pin"}},
	} {
		equal(t, test.text, one(t, "backends: x:1", test.text).Sticky, test.want)
	}
}

// TestSecretFile: it is read by Load, beside the file that names it, and is whole or refused.
func TestSecretFile(t *testing.T) {
	isolate(t)
	dir := t.TempDir()
	path := filepath.Join(dir, "sluice.yaml")
	write(t, path, "services: {web: {backends: x:1, sticky: {secret_file: pins.key}}, api: {path: /api, backends: x:1}}")
	if _, err := Load(path); !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "openssl rand -hex 32 > "+dir) {
		t.Errorf("no such file: %v", err)
	}
	secret := filepath.Join(dir, "pins.key")
	for reason, text := range map[string]string{"empty": "\n", "short": strings.Repeat("x", leastSecret-1) + "\n", "long": strings.Repeat("x", maxToken+1)} {
		write(t, secret, text)
		if _, err := Load(path); err == nil || !strings.HasPrefix(err.Error(), path+":1:") {
			t.Errorf("%s: %v", reason, err)
		}
	}
	write(t, secret, strings.Repeat("x", leastSecret)+"\n")
	c, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "the secret, without its line end", string(c.Services[0].Sticky.Secret), strings.Repeat("x", leastSecret))
}
