package certs

import (
	"context"
	"errors"
	"io/fs"

	"github.com/caddyserver/certmagic"
)

// nothing is a certmagic.Storage that holds nothing and takes nothing. Without it certmagic would keep its files in the
// home folder of the user.
type nothing struct{}

var _ certmagic.Storage = nothing{}

func (nothing) Load(context.Context, string) ([]byte, error) { return nil, fs.ErrNotExist }
func (nothing) Exists(context.Context, string) bool          { return false }
func (nothing) Delete(context.Context, string) error         { return nil }
func (nothing) Lock(context.Context, string) error           { return nil }
func (nothing) Unlock(context.Context, string) error         { return nil }

func (nothing) Store(context.Context, string, []byte) error { return errors.ErrUnsupported }

func (nothing) List(context.Context, string, bool) ([]string, error) { return nil, fs.ErrNotExist }

func (nothing) Stat(context.Context, string) (certmagic.KeyInfo, error) {
	return certmagic.KeyInfo{}, fs.ErrNotExist
}
