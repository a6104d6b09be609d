package journal

import (
	"bytes"
	"encoding/json"
	"testing"
)

// FuzzDecode: nothing but what encode wrote is read as a state, and that is read as it was written.
func FuzzDecode(f *testing.F) {
	sound, err := encode(envelope{Seq: 3, Pending: []Record{{Seq: 3, Data: []byte(`{"a":1}`)}}, State: []byte(`{"b":[2]}`)})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(sound)
	f.Add([]byte("sluice-state 1 sha256=00 length=0\n"))
	f.Fuzz(func(t *testing.T, file []byte) {
		e, err := decode(file)
		if err != nil {
			return
		}
		again, err := encode(e)
		if err != nil || !bytes.Equal(again, file) {
			t.Errorf("%q was read, and written again as %q (%v)", file, again, err)
		}
	})
}

// FuzzScan: no file makes the reader of the history panic or loop, and what it reads can be appended to.
func FuzzScan(f *testing.F) {
	lines, sum := appendLine(nil, Record{Seq: 1, Data: []byte(`{"a":1}`)}, noSum)
	lines, _ = appendLine(lines, Record{Seq: 2, Data: []byte(`2`)}, sum)
	f.Add(lines)
	f.Add(lines[:len(lines)-1])
	f.Add([]byte("\n\n\x00"))
	f.Fuzz(func(t *testing.T, data []byte) {
		found := scan(data)
		if found.sound > len(data) || found.sound < len(data) && bytes.IndexByte(data[found.sound:], '\n') >= 0 {
			t.Fatalf("sound part of %d bytes in %d", found.sound, len(data))
		}
		more, _ := appendLine(bytes.Clone(data[:found.sound]), Record{Seq: found.seq + 1, Data: []byte(`{}`)}, found.sum)
		again := scan(more)
		if len(again.records) != len(found.records)+1 || !json.Valid(again.records[len(found.records)].Data) {
			t.Errorf("%d records, after one more %d", len(found.records), len(again.records))
		}
	})
}
