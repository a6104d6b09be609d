package journal

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// A line of the history is
//
//	{"seq":7,"prev":"<sum of the line before>","data":{…},"sum":"<SHA-256 of this line up to here>"}
//
// so that a changed, missing or inserted line shows, and jq can read the file.

// lineOverhead is more than a line is longer than its data.
const lineOverhead = 256

const hexSum = 2 * sha256.Size

// noSum is what the first line of all carries on.
var noSum = strings.Repeat("0", hexSum)

// appendLine adds the line of r, which follows the line with the sum prev, and returns its own sum.
func appendLine(lines []byte, r Record, prev string) (longer []byte, sum string) {
	begin := len(lines)
	lines = append(lines, `{"seq":`...)
	lines = strconv.AppendUint(lines, r.Seq, 10)
	lines = append(lines, `,"prev":"`+prev+`","data":`...)
	lines = append(lines, r.Data...)
	hash := sha256.Sum256(lines[begin:])
	sum = hex.EncodeToString(hash[:])
	return append(lines, `,"sum":"`+sum+"\"}\n"...), sum
}

// chained returns records with the hashes that they have, or will have, when they carry on from the hash prev.
func chained(records []Record, prev string) []Record {
	var out []Record
	for _, r := range records {
		r.Prev = prev
		_, r.Sum = appendLine(nil, r, prev)
		out, prev = append(out, r), r.Sum
	}
	return out
}

// parseLine reads a line without its newline.
func parseLine(text []byte) (r Record, sound bool) {
	const before, after = `,"sum":"`, `"}`
	cut := len(text) - len(before) - hexSum - len(after)
	if cut <= 0 {
		return r, false
	}
	body, tail := text[:cut], text[cut:]
	hash := sha256.Sum256(body)
	sum := hex.EncodeToString(hash[:])
	if string(tail) != before+sum+after {
		return r, false
	}
	var l struct {
		Record
		Prev string `json:"prev"`
	}
	err := json.Unmarshal(append(body[:cut:cut], '}'), &l)
	return Record{Seq: l.Seq, Data: l.Data, Sum: sum, Prev: l.Prev}, err == nil && l.Seq > 0
}

// scanned is what a history file was found to hold.
type scanned struct {
	records []Record
	sound   int      // length up to the last newline that counts; behind it is a line cut short
	seq     uint64   // of the last record; zero when there is none
	sum     string   // its hash
	notes   []string // what is wrong, in sentences
}

// scan reads a history file as far as it can be read. Damaged lines are counted and left out.
func scan(data []byte) scanned {
	found := scanned{sum: noSum}
	damaged, follows := 0, false
	for len(data[found.sound:]) > 0 {
		end := bytes.IndexByte(data[found.sound:], '\n')
		if end < 0 {
			found.notes = append(found.notes, "the last history entry was cut short and has been dropped")
			break
		}
		r, sound := parseLine(data[found.sound : found.sound+end])
		found.sound += end + 1
		if !sound {
			damaged++
			follows = false
			continue
		}
		found.add(r, follows)
		follows = true
	}
	if damaged > 0 {
		found.notes = append(found.notes, fmt.Sprintf("%d damaged history entries are left out", damaged))
	}
	return found
}

// add takes one line over. follows says that the line before it was sound too, so that the two can be compared.
func (s *scanned) add(r Record, follows bool) {
	if follows && (r.Prev != s.sum || r.Seq != s.seq+1) {
		s.notes = append(s.notes, fmt.Sprintf("history entry %d does not follow entry %d: the file was changed", r.Seq, s.seq))
	}
	s.records = append(s.records, r)
	s.seq, s.sum = r.Seq, r.Sum
}
