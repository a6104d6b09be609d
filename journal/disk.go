package journal

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// disk does the steps that change the folder, each durable or undone by itself. fault, where it is set, is asked
// before each step and can make it fail; tests use it to stop at every step in turn.
type disk struct {
	fault func(step, name string) error
}

func (d disk) before(step, path string) error {
	if d.fault == nil {
		return nil
	}
	return d.fault(step, filepath.Base(path))
}

// create writes a whole file and waits until the disk has it. A file that could not be written is removed.
func (d disk) create(path string, data []byte) error {
	err := d.write(path, os.O_TRUNC, data)
	if err != nil {
		d.remove(path)
	}
	return err
}

// extend adds data to the end of a file and waits until the disk has it. After an error the file may hold a part.
func (d disk) extend(path string, data []byte) error { return d.write(path, os.O_APPEND, data) }

func (d disk) write(path string, how int, data []byte) error {
	if err := d.before("open", path); err != nil {
		return err
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|syscall.O_NOFOLLOW|how, 0o600)
	if err != nil {
		return err
	}
	err = d.writeSync(file, data)
	return errors.Join(err, file.Close())
}

func (d disk) writeSync(file *os.File, data []byte) error {
	if err := d.before("write", file.Name()); err != nil {
		return err
	}
	if _, err := file.Write(data); err != nil {
		return err
	}
	if err := d.before("sync", file.Name()); err != nil {
		return err
	}
	return file.Sync()
}

func (d disk) rename(from, to string) error {
	if err := d.before("rename", from); err != nil {
		return err
	}
	return os.Rename(from, to)
}

// remove removes a file; that there is none is no error.
func (d disk) remove(path string) error {
	if err := d.before("remove", path); err != nil {
		return err
	}
	if err := os.Remove(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// duplicate gives a file a second name, or makes a copy where the file system knows no second names.
func (d disk) duplicate(from, to string) error {
	if err := d.remove(to); err != nil {
		return err
	}
	err := d.before("link", from)
	if err == nil {
		err = os.Link(from, to)
	}
	if !errors.Is(err, syscall.EPERM) && !errors.Is(err, syscall.ENOTSUP) {
		return err
	}
	data, err := readLimited(from, maxState)
	if err != nil {
		return err
	}
	part := to + ".part" // a copy cut short by a crash must not pass for a whole one
	if err := d.create(part, data); err != nil {
		return err
	}
	return d.rename(part, to)
}

func (d disk) truncate(path string, size int64) error {
	if err := d.before("truncate", path); err != nil {
		return err
	}
	return os.Truncate(path, size)
}

// syncDir waits until the disk has the names in the folder. Without it a rename may be forgotten by a power loss.
func (d disk) syncDir(dir string) error {
	if err := d.before("syncdir", dir); err != nil {
		return err
	}
	folder, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}

// errTooLarge is the error for a file that this package would not have written.
var errTooLarge = errors.New("larger than sluice writes")

func readLimited(path string, limit int64) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, limit+1))
	if err == nil && int64(len(data)) > limit {
		return nil, fmt.Errorf("%w (over %d bytes)", errTooLarge, limit)
	}
	return data, err
}
