package journal

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// TestSecretStays: one folder has one secret, whoever asks when, and nobody else can read it.
func TestSecretStays(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	var first []byte
	for i := range 3 {
		j, err := Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		secret, err := j.Secret()
		if err != nil || len(secret) != secretBytes {
			t.Fatalf("%d bytes, %v", len(secret), err)
		}
		if _, found, err := j.Load(); err != nil || !found.Fresh || found.Damage != "" {
			t.Errorf("a folder with a secret and no state: %+v, %v", found, err)
		}
		if i == 0 {
			first = secret
		}
		if !bytes.Equal(secret, first) {
			t.Error("another secret after a restart")
		}
		info, err := os.Stat(filepath.Join(dir, secretFile))
		if err != nil || info.Mode() != 0o600 {
			t.Errorf("mode %v, %v", info.Mode(), err)
		}
		j.Close()
		if _, err := j.Secret(); err != ErrClosed {
			t.Errorf("after Close: %v", err)
		}
	}
}

// TestSecretIsWholeOrNone: the process dies at each step of making one; the next makes one in its place.
func TestSecretIsWholeOrNone(t *testing.T) {
	for _, step := range []string{"open", "write", "sync", "rename"} {
		dir := t.TempDir()
		j, err := Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		failed := false
		j.disk.fault = func(at, name string) error {
			if at == step && name == secretFile+".new" {
				failed = true
				return os.ErrPermission
			}
			return nil
		}
		if _, err := j.Secret(); err == nil || !failed {
			t.Errorf("%s: the step was not met, or its failure went unnoticed", step)
		}
		j.disk.fault = nil
		if secret, err := j.Secret(); err != nil || len(secret) != secretBytes {
			t.Errorf("%s: afterwards %d bytes, %v", step, len(secret), err)
		}
		j.Close()
	}
}

// TestDamagedSecretIsNoSecret: half of one would be signed with, and nobody would notice.
func TestDamagedSecretIsNoSecret(t *testing.T) {
	for _, text := range []string{"", "00", "zz", string(bytes.Repeat([]byte("0"), 63))} {
		dir := t.TempDir()
		j, err := Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		os.WriteFile(filepath.Join(dir, secretFile), []byte(text), 0o600)
		if secret, err := j.Secret(); err == nil {
			t.Errorf("%q is taken for a secret: %x", text, secret)
		}
		j.Close()
	}
}
