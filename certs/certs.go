// Package certs hands out TLS certificates, and is the only package that knows certmagic.
//
// It reads certificate files, checks them, and answers each handshake with the one that fits the name the client asks
// for. It contacts no network and writes no file: stapling is off, and certmagic gets a storage that holds nothing. It
// refuses to know listeners, routes and what a connection is used for.
package certs

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/caddyserver/certmagic"
	"go.uber.org/zap"
)

// expiresSoon is how long before its end a certificate is worth a warning: time enough to replace one by hand.
const expiresSoon = 14 * 24 * time.Hour

// Files names one certificate: PEM files with the chain, leaf first, and with its key.
type Files struct{ Cert, Key string }

// Store holds the certificates of one configuration. It is immutable; for other files make another. Its methods may
// be called concurrently. Close it when no handshake uses it any more.
type Store struct {
	loaded []*certificate
	cache  *certmagic.Cache
	config *certmagic.Config
	close  sync.Once
}

// New reads all files. The error names the file and what to do about it; nothing is kept then. A certificate that has
// expired is taken, since a client that checks less is served better by it than by nothing; Warnings tells of it.
func New(ctx context.Context, files []Files) (*Store, error) {
	if len(files) == 0 {
		return nil, errors.New("no certificate is configured; add one under `tls.certificates`, with `cert` and `key`")
	}
	s := &Store{}
	for _, f := range files {
		loaded, err := load(f)
		if err != nil {
			return nil, err
		}
		s.loaded = append(s.loaded, loaded)
	}
	s.start()
	for _, c := range s.loaded {
		if _, err := s.config.CacheUnmanagedTLSCertificate(ctx, c.tls, nil); err != nil {
			s.Close()
			return nil, fmt.Errorf("certificate %s: %w", c.files.Cert, err)
		}
	}
	return s, nil
}

// start makes the certmagic cache, with every door to network, disk and log shut. A client that names no host, or one
// that no certificate has, gets the first certificate.
func (s *Store) start() {
	silent := zap.NewNop()
	s.cache = certmagic.NewCache(certmagic.CacheOptions{
		GetConfigForCert: func(certmagic.Certificate) (*certmagic.Config, error) { return s.config, nil },
		Logger:           silent,
	})
	first := s.loaded[0].names[0]
	s.config = certmagic.New(s.cache, certmagic.Config{
		Storage:            nothing{},
		Issuers:            []certmagic.Issuer{},
		OCSP:               certmagic.OCSPConfig{DisableStapling: true},
		DisableARI:         true,
		Logger:             silent,
		DefaultServerName:  first,
		FallbackServerName: first,
	})
}

// TLSConfig returns a new configuration for a server that speaks HTTP/2 and HTTP/1.1. The caller owns it and may change
// it.
//
// TLS below 1.2 is refused, as RFC 8996 demands.
func (s *Store) TLSConfig() *tls.Config {
	return &tls.Config{
		GetCertificate: s.choose,
		MinVersion:     tls.VersionTLS12,
		NextProtos:     []string{"h2", "http/1.1"},
	}
}

// choose picks by the name that the client asks for: one with exactly that name, then a wildcard, then the first.
// Among several for one name the client's abilities decide.
//
// RFC 6066 section 3: a server that does not recognise the name "SHOULD take one of two actions: either abort the
// handshake [...] or continue the handshake". Sluice continues, because a service without hosts serves any name.
func (s *Store) choose(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	chosen, err := s.config.GetCertificate(hello)
	if err != nil || chosen == nil || len(chosen.Certificate) == 0 {
		return &s.loaded[0].tls, nil
	}
	return chosen, nil
}

// Names returns the host names and addresses of all certificates, sorted, each once.
func (s *Store) Names() []string {
	var names []string
	for _, c := range s.loaded {
		names = append(names, c.names...)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// Warnings returns a sentence for each certificate that has expired, expires within 14 days or is not valid yet, as
// of this call.
func (s *Store) Warnings() []string {
	var warnings []string
	for _, c := range s.loaded {
		if w := c.warning(time.Now()); w != "" {
			warnings = append(warnings, w)
		}
	}
	return warnings
}

// Close ends the background work of the cache. It may be called twice.
func (s *Store) Close() { s.close.Do(s.cache.Stop) }
