package proxy

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"hash"
	"sync"
	"time"
)

// pin is what a sticky cookie says.
type pin struct {
	id      uint64 // of the backend
	client  uint32 // tells clients apart for counting, and nothing else
	expires uint32 // Unix seconds; 0: never
}

// past reports a pin that is no longer good. One without an end is not good where pins have one: it may be of any age.
func (p pin) past(now time.Time, ttl time.Duration) bool {
	if p.expires == 0 {
		return ttl > 0
	}
	return int64(p.expires) <= now.Unix()
}

const (
	pinBytes   = 16
	macBytes   = 16 // 128 bits cannot be guessed, and half the hash is what RFC 2104 §5 allows to leave out
	tokenBytes = pinBytes + macBytes
)

// One token has one form only: strict.
var tokenForm = base64.RawURLEncoding.Strict()

var tokenLength = tokenForm.EncodedLen(tokenBytes)

// signer makes and checks the tokens of one service. All methods may be called concurrently.
type signer struct {
	key    []byte    // of this service alone, so that a token of another one is no token here
	states sync.Pool // of *macState
}

// macState is one calculation, with memory for all that it needs.
type macState struct {
	mac   hash.Hash
	token [tokenBytes]byte
	sum   [sha256.Size]byte
}

func newSigner(secret []byte, service string) *signer {
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte("sluice sticky 1\x00" + service))
	s := &signer{key: mac.Sum(nil)}
	s.states.New = func() any { return &macState{mac: hmac.New(sha256.New, s.key)} }
	return s
}

// sign puts the signature behind the pin in the token.
func (st *macState) sign() {
	st.mac.Reset()
	st.mac.Write(st.token[:pinBytes])
	copy(st.token[pinBytes:], st.mac.Sum(st.sum[:0]))
}

// write appends the token of a pin.
func (s *signer) write(to []byte, p pin) []byte {
	st := s.states.Get().(*macState)
	defer s.states.Put(st)
	binary.BigEndian.PutUint64(st.token[0:], p.id)
	binary.BigEndian.PutUint32(st.token[8:], p.client)
	binary.BigEndian.PutUint32(st.token[12:], p.expires)
	st.sign()
	return tokenForm.AppendEncode(to, st.token[:])
}

// read returns the pin of a token that was made by write with the same secret for the same service.
func (s *signer) read(token []byte) (p pin, ok bool) {
	if len(token) != tokenLength {
		return pin{}, false
	}
	st := s.states.Get().(*macState)
	defer s.states.Put(st)
	if n, err := tokenForm.Decode(st.token[:], token); err != nil || n != tokenBytes {
		return pin{}, false
	}
	var signature [macBytes]byte
	copy(signature[:], st.token[pinBytes:])
	st.sign()
	if !hmac.Equal(signature[:], st.token[pinBytes:]) {
		return pin{}, false
	}
	p.id = binary.BigEndian.Uint64(st.token[0:])
	p.client = binary.BigEndian.Uint32(st.token[8:])
	p.expires = binary.BigEndian.Uint32(st.token[12:])
	return p, true
}

// id names a backend so that nobody learns its address from it.
func (s *signer) id(backend string) uint64 {
	mac := hmac.New(sha256.New, s.key)
	mac.Write([]byte("backend\x00" + backend))
	return max(1, binary.BigEndian.Uint64(mac.Sum(nil)))
}
