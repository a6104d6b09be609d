package proxy

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"time"

	"sluice/message"
)

// Passes are what leads a browser to the preview of a pool on a service's own hosts: signed, for one service and one pool, and
// good until a moment. They are Sluice's own and no backend sees one.
type Passes struct {
	cookie string
	start  []byte // "name="
	key    []byte
}

// NewPasses makes and takes passes in a cookie of that name. Whoever has the secret may make them.
func NewPasses(cookie string, secret []byte) *Passes {
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte("sluice preview 1"))
	return &Passes{cookie: cookie, start: []byte(cookie + "="), key: mac.Sum(nil)}
}

// pass is what one says.
type pass struct {
	service, pool string
	until         time.Time
}

const (
	passTime = 8 // bytes of Unix seconds
	// longestPass is above what two names of services and pools come to.
	longestPass = 300
)

// Cookie is the name of the cookie that holds a pass.
func (t *Passes) Cookie() string { return t.cookie }

// Issue returns a pass for a pool of a service. It needs no escape in a cookie or a URL.
func (t *Passes) Issue(service, pool string, until time.Time) string {
	text := binary.BigEndian.AppendUint64(nil, uint64(until.Unix()))
	text = append(text, service+"\x00"+pool...)
	return tokenForm.EncodeToString(append(text, t.sign(text)...))
}

func (t *Passes) sign(text []byte) []byte {
	mac := hmac.New(sha256.New, t.key)
	mac.Write(text)
	return mac.Sum(nil)[:macBytes]
}

// read returns what a pass says that Issue made with the same secret.
func (t *Passes) read(token []byte, now time.Time) (pass, brought) {
	if len(token) > longestPass {
		return pass{}, forgedPin
	}
	data, err := tokenForm.DecodeString(string(token))
	n := len(data) - macBytes
	if err != nil || n < passTime || !hmac.Equal(data[n:], t.sign(data[:n])) {
		return pass{}, forgedPin
	}
	service, pool, _ := bytes.Cut(data[passTime:n], []byte{0})
	one := pass{string(service), string(pool), time.Unix(int64(binary.BigEndian.Uint64(data)), 0)}
	if !now.Before(one.until) {
		return one, expiredPin
	}
	return one, goodPin
}

// wallet is what an exchange knows of its client's passes.
type wallet struct {
	by   *Passes // whose cookies were looked for; nil: none were yet
	good []pass
	bad  brought // what the others are; noPin: there are none
}

// takePasses reads them and takes their cookies out of the request, whatever they are. Several Cookie fields have been made
// one before.
func (ex *Exchange) takePasses(by *Passes) {
	ex.wallet = wallet{by: by}
	for i := range ex.Request.Fields {
		if f := &ex.Request.Fields[i]; f.ID == message.Cookie {
			f.Value = ex.wallet.take(f.Value, ex.Began)
			if len(f.Value) == 0 {
				keepFields(&ex.Request, func(f *message.Field) bool { return f.ID != message.Cookie || len(f.Value) > 0 })
			}
			return
		}
	}
}

// take returns the list without passes, in the same memory.
func (w *wallet) take(list []byte, now time.Time) []byte {
	if !bytes.Contains(list, w.by.start) {
		return list
	}
	kept, tries := list[:0], 0
	for rest := list; len(rest) > 0; {
		var crumb []byte
		crumb, rest = nextCrumb(rest)
		value, ours := bytes.CutPrefix(trimCrumb(crumb), w.by.start)
		switch {
		case !ours:
			kept = append(kept, crumb...)
		case tries < mostTried:
			tries++
			w.judge(value, now)
		}
	}
	return trimCrumb(kept)
}

func (w *wallet) judge(value []byte, now time.Time) {
	switch one, what := w.by.read(value, now); {
	case what == goodPin:
		w.good = append(w.good, one)
	case w.bad != expiredPin: // which says more than that it is forged
		w.bad = what
	}
}
