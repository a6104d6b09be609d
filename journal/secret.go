package journal

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

const (
	secretFile  = "secret"
	secretBytes = 32
)

// Secret returns the secret of this folder, which is made when it is first asked for and never changes: what was signed
// with it is still good after a restart. Nobody but this user can read it. There is never a part of one: it is whole
// before it has its name.
func (j *Journal) Secret() ([]byte, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.closed {
		return nil, ErrClosed
	}
	path := filepath.Join(j.dir, secretFile)
	secret, err := readSecret(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return secret, err
	}
	secret = make([]byte, secretBytes)
	rand.Read(secret) // never fails
	if err := j.putSecret(path, secret); err != nil {
		return nil, fmt.Errorf("journal: cannot keep the secret: %w; let this user write to the state folder, and see that its disk is not full", err)
	}
	return secret, nil
}

func (j *Journal) putSecret(path string, secret []byte) error {
	if err := j.disk.create(path+".new", []byte(hex.EncodeToString(secret)+"\n")); err != nil {
		return err
	}
	if err := j.disk.rename(path+".new", path); err != nil {
		return err
	}
	return j.disk.syncDir(j.dir)
}

func readSecret(path string) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text := make([]byte, 2*secretBytes)
	n, _ := f.Read(text)
	secret, err := hex.DecodeString(string(text[:n]))
	if err != nil || len(secret) != secretBytes {
		return nil, fmt.Errorf("journal: %s does not hold a secret of %d bytes in hex; remove it for a new one, and clients lose their pins", path, secretBytes)
	}
	return secret, nil
}
