package config

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"strconv"
)

// maxFile is what a configuration may have in bytes: thousands of backends fit, and a wrong file, as a log or a disk
// image, is not read to its end.
const maxFile = 1 << 20

// Load reads and checks the file, and reads the admin token and secrets where the file names files of their own. Any error is of type
// Errors, and nothing is returned with it. Whether certificates exist is asked by CheckFiles.
func Load(path string) (*Config, error) {
	data, err := readAtMost(path, maxFile)
	if err != nil {
		return nil, Errors{unreadable(path, err)}
	}
	c, in := parse(path, data)
	if len(in.problems) == 0 {
		in.readToken(c)
		in.readSecrets()
	}
	return in.result(c)
}

// Parse checks the bytes of a file. The name is for messages, and relative paths are relative to its folder. It reads the
// environment for defaults and for SLUICE_ADMIN_TOKEN, and no file: a token or secret that stands in a file of its own is left
// empty. Any error is of type Errors.
func Parse(name string, data []byte) (*Config, error) {
	c, in := parse(name, data)
	return in.result(c)
}

// To returns what `sluice run --to BACKEND --listen ADDRESS` stands for: one service "default" with one pool "default"
// of one backend, and the default for all else. An empty listen means ":8080". Any error is of type Errors.
func To(backend, listen string) (*Config, error) {
	if listen == "" {
		listen = defaultListen
	}
	in := &input{}
	c := in.defaults()
	in.value("--listen", listen).listener(&c.Listen)
	b := Backend{Weight: defaultWeight}
	in.value("--to", backend).address(&b)
	c.Services = []Service{newService(defaultPool, 0)}
	c.Services[0].Live, c.Services[0].Section = defaultPool, Section{"backends": strconv.Quote(backend), "max_body": showSize(0)}
	c.Services[0].Pools = []Pool{{Name: defaultPool, Backends: []Backend{b}}}
	if in.secure != nil {
		in.secure.refuse("use --config with a file that has `tls:`", "an https listener needs certificates, which %s cannot name", "--listen")
	}
	in.environmentToken(c)
	c.Digest = digest([]byte("to " + backend + "\nlisten " + listen + "\n"))
	return in.result(c)
}

func digest(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// readAtMost opens without waiting, so that a named pipe with nobody at its other end is an error and not a hang.
func readAtMost(path string, limit int64) ([]byte, error) {
	f, err := openNow(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && info.IsDir() {
		return nil, &os.PathError{Op: "read", Path: path, Err: errFolder}
	}
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(data)) > limit {
		err = fmt.Errorf("%w of %s", errTooLong, showSize(int(limit)))
	}
	return data, err
}
