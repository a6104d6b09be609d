package http1

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"sluice/message"
)

// newSender is a connection with the head of a response written, a reader at its other end, and a file.
func newSender(t *testing.T, content []byte, length int64) (c *Conn, reader net.Conn, file *os.File) {
	t.Helper()
	a, b := dialed(t, "tcp")
	c = NewConn(a, &DefaultLimits)
	h := message.Head{Status: 200, Framing: message.Framing{Kind: message.Length, Length: length}}
	if err := c.WriteResponse(&h); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { file.Close() })
	return c, b, file
}

func random(n int) []byte {
	b := make([]byte, n)
	r := rand.NewChaCha8([32]byte{1})
	r.Read(b)
	return b
}

func TestSendFile(t *testing.T) {
	const from = 123
	content := random(3<<20 + 17)
	c, reader, file := newSender(t, content, int64(len(content)-from))
	got := make(chan []byte, 1)
	go func() {
		time.Sleep(50 * time.Millisecond) // until the socket is full
		all, _ := io.ReadAll(reader)
		got <- all
	}()
	calls := 0
	for at := int64(from); at < int64(len(content)); calls++ {
		c.ArmWrite(5 * time.Second)
		n, err := c.SendFile(file, at, int64(len(content))-at)
		if err != nil {
			t.Fatal(err)
		}
		at += n
	}
	c.Close()
	all := <-got
	_, body, _ := bytes.Cut(all, []byte("\r\n\r\n"))
	if !bytes.HasPrefix(all, []byte("HTTP/1.1 200 ")) || !bytes.Equal(body, content[from:]) {
		t.Errorf("%d bytes of %d came: %.40q", len(body), len(content)-from, all)
	}
	if calls < 2 {
		t.Error("the reader was never waited for")
	}
}

func TestSendFileThatBecameShorter(t *testing.T) {
	c, reader, file := newSender(t, random(1000), 2000)
	go io.Copy(io.Discard, reader)
	n, err := c.SendFile(file, 0, 2000)
	if n != 1000 || err != io.ErrUnexpectedEOF {
		t.Errorf("%d, %v", n, err)
	}
}

func TestSendFileToOneWhoDoesNotRead(t *testing.T) {
	const size = 64 << 20
	c, _, file := newSender(t, nil, size)
	if err := os.Truncate(file.Name(), size); err != nil {
		t.Fatal(err)
	}
	var err error
	for at := int64(0); at < size && err == nil; {
		c.ArmWrite(100 * time.Millisecond)
		var n int64
		n, err = c.SendFile(file, at, size-at)
		at += n
	}
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%v", err)
	}
}
