package http1

import (
	"io"
	"sync"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"

	"sluice/message"
)

// Pipe carries body bytes from one socket to another inside the kernel (splice): they are never copied to us. It is
// owned by one goroutine.
type Pipe struct {
	ends [2]int // to read from, to write to
	held int    // bytes in it

	from, to       *Conn
	onFill, onSend func(fd uintptr) bool
	n              int
	err            error
}

const (
	// pipeSize is how many bytes a pipe is asked to hold. One that the kernel grants less of works too. All that are kept
	// take half of what a user without privileges may have (fs.pipe-user-pages-soft); beyond it, pipes are small.
	pipeSize = 512 << 10
	// pipesKept bounds the pipes kept for use again, of which each is two open files.
	pipesKept = 64
	// worthPipe is from where on moving bytes in the kernel costs less than copying them.
	worthPipe = 64 << 10
)

// pipes are the empty ones kept for use again.
var pipes = make(chan *Pipe, pipesKept)

// pipesOpen counts the pipes there are, those that are kept too.
var pipesOpen atomic.Int64

// mostPipes is a tenth of the files that may be open, so that clients who read slowly cannot use them all up: a pipe is
// two.
var mostPipes = sync.OnceValue(func() int64 {
	const enough = 4096
	var files unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &files) != nil {
		return 0
	}
	return int64(min(files.Cur/10, enough))
})

// NewPipe returns a pipe for the rest of the body that is being read from one connection and written to another, or nil
// where copying is the way: a socket is hidden, the length is not known, or little is left.
func NewPipe(from, to *Conn) *Pipe {
	b := &from.body
	if from.raw == nil || to.raw == nil || to.out.chunked || b.kind != message.Length || b.left < worthPipe {
		return nil
	}
	select {
	case p := <-pipes:
		p.from, p.to = from, to
		return p
	default:
		return openPipe(from, to)
	}
}

func openPipe(from, to *Conn) *Pipe {
	p := &Pipe{from: from, to: to}
	if pipesOpen.Add(1) > mostPipes() || unix.Pipe2(p.ends[:], unix.O_NONBLOCK|unix.O_CLOEXEC) != nil {
		pipesOpen.Add(-1)
		return nil
	}
	unix.FcntlInt(uintptr(p.ends[1]), unix.F_SETPIPE_SZ, pipeSize)
	p.onFill, p.onSend = p.fill, p.send
	return p
}

// Close gives the pipe back. One that still holds bytes is of no more use.
func (p *Pipe) Close() {
	p.from, p.to = nil, nil
	if p.held == 0 {
		select {
		case pipes <- p:
			return
		default:
		}
	}
	unix.Close(p.ends[0])
	unix.Close(p.ends[1])
	pipesOpen.Add(-1)
}

// Fill waits for bytes of the body and takes what fits into the pipe. It returns how many those are, or an error as Next
// does. What was read ahead of the pipe must have been taken by Next.
func (p *Pipe) Fill() (int, error) {
	p.n, p.err = 0, nil
	if err := p.from.raw.Read(p.onFill); err != nil {
		return 0, err
	}
	b := &p.from.body
	b.left -= int64(p.n)
	b.done = b.left == 0
	p.held = p.n
	return p.n, p.err
}

func (p *Pipe) fill(fd uintptr) bool {
	n, errno := splice(fd, uintptr(p.ends[1]), min(p.from.body.left, pipeSize))
	switch {
	case errno == unix.EAGAIN:
		return false
	case errno != 0:
		p.err = readError(errno)
	case n == 0:
		p.err = truncated(io.EOF)
	}
	p.n = n
	return true
}

// Holds reports whether there are bytes in the pipe.
func (p *Pipe) Holds() bool { return p.held > 0 }

// Send writes out what the pipe holds, or as much of it as the reader takes before it is to be waited for again: the caller
// then gives it new time.
func (p *Pipe) Send() error {
	p.n, p.err = 0, nil
	if err := p.to.raw.Write(p.onSend); err != nil {
		return err
	}
	return p.err
}

func (p *Pipe) send(fd uintptr) bool {
	for p.held > 0 {
		n, errno := splice(uintptr(p.ends[0]), fd, int64(p.held))
		switch {
		case errno == unix.EAGAIN:
			return p.n > 0
		case errno != 0:
			p.err = writeError(errno)
			return true
		}
		p.held -= n
		p.n += n
		p.to.out.wrote = true
	}
	return true
}

// splice moves up to n bytes, of which one end is a pipe; it never waits. unix.EAGAIN means that the socket is not ready:
// the pipe is empty when it is filled, and not when it is emptied.
func splice(from, to uintptr, n int64) (int, syscall.Errno) {
	for {
		moved, _, errno := syscall.RawSyscall6(unix.SYS_SPLICE, from, 0, to, 0, uintptr(n), unix.SPLICE_F_MOVE|unix.SPLICE_F_NONBLOCK)
		if errno == 0 {
			return int(moved), 0
		}
		if errno != unix.EINTR {
			return 0, errno
		}
	}
}
