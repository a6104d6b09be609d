package journal

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strconv"
)

// envelope is what a state file holds beside the state: the number of the last record, and the records that may not
// have reached the history file yet. A record travels in here first, so that state and record become durable in the
// same instant, and a crash between the two files loses neither.
type envelope struct {
	Seq     uint64          `json:"seq"`
	Pending []Record        `json:"pending,omitempty"`
	State   json.RawMessage `json:"state"`
}

// formatVersion is the number in the header. A reader refuses a higher one instead of guessing.
const formatVersion = 1

var headerPattern = regexp.MustCompile(`^sluice-state ([0-9]{1,9}) sha256=([0-9a-f]{64}) length=([0-9]{1,9})\n`)

// maxHeader is longer than any header that the pattern admits.
const maxHeader = 128

// encode writes a state file. The state keeps its bytes, apart from white space around it.
func encode(e envelope) ([]byte, error) {
	e.State = bytes.TrimSpace(e.State)
	if len(e.State) > maxState {
		return nil, fmt.Errorf("%w: a state of %d bytes is over the limit of %d", ErrInvalid, len(e.State), maxState)
	}
	if !json.Valid(e.State) {
		return nil, fmt.Errorf("%w: the state is not JSON", ErrInvalid)
	}
	pending, err := json.Marshal(e.Pending)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	var payload bytes.Buffer
	fmt.Fprintf(&payload, `{"seq":%d,"pending":%s,"state":`, e.Seq, pending)
	payload.Write(e.State)
	payload.WriteString("}\n")
	header := fmt.Sprintf("sluice-state %d sha256=%s length=%d\n", formatVersion, checksum(formatVersion, payload.Bytes()), payload.Len())
	file := append([]byte(header), payload.Bytes()...)
	if len(file) > maxState {
		return nil, fmt.Errorf("%w: a state file of %d bytes is over the limit of %d", ErrInvalid, len(file), maxState)
	}
	return file, nil
}

// checksum covers the version as well as the payload, so that a flipped bit in it does not pass for a newer format.
func checksum(version int, payload []byte) string {
	hash := sha256.New()
	fmt.Fprintf(hash, "sluice-state %d\n", version)
	hash.Write(payload)
	return hex.EncodeToString(hash.Sum(nil))
}

// errNewer marks a state file of a later format, which is not damaged.
var errNewer = errors.New("written by a newer sluice")

// decode reads a state file. Any byte that is not as encode wrote it is an error.
func decode(file []byte) (envelope, error) {
	if len(file) == 0 {
		return envelope{}, errors.New("empty")
	}
	header := headerPattern.FindSubmatch(file[:min(len(file), maxHeader)])
	if header == nil {
		return envelope{}, errors.New("no valid header")
	}
	payload := file[len(header[0]):]
	if strconv.Itoa(len(payload)) != string(header[3]) {
		return envelope{}, fmt.Errorf("%d bytes where %s were written", len(payload), header[3])
	}
	version, _ := strconv.Atoi(string(header[1]))
	if checksum(version, payload) != string(header[2]) {
		return envelope{}, errors.New("checksum does not fit")
	}
	if version > formatVersion {
		return envelope{}, fmt.Errorf("%w (format %d, this one reads %d)", errNewer, version, formatVersion)
	}
	var e envelope
	if err := json.Unmarshal(payload, &e); err != nil {
		return envelope{}, fmt.Errorf("no valid content: %w", err)
	}
	return e, nil
}
