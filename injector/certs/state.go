package certs

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"slices"
	"time"
)

// The keys of the Secret. The first three are those that others expect of one.
const (
	certKey     = "tls.crt"
	keyKey      = "tls.key"
	bundleKey   = "ca.crt"
	nextCertKey = "next.crt"
	nextKeyKey  = "next.key"
)

// maxAuthorities is how many there may be; with lifetimes as above there are three.
const maxAuthorities = 8

// A state is what the Secret holds.
type state struct {
	// current is in use, next will be; either may be nil.
	current, next *pair
	// authorities are those of both and of those before.
	authorities []*x509.Certificate
}

// decode reads a Secret. One without data is the empty state.
func decode(data map[string][]byte) (state, error) {
	var s state
	var err error
	if len(data[certKey]) > 0 {
		if s.current, err = parsePair(data[certKey], data[keyKey]); err != nil {
			return state{}, err
		}
	}
	if len(data[nextCertKey]) > 0 {
		if s.next, err = parsePair(data[nextCertKey], data[nextKeyKey]); err != nil {
			return state{}, err
		}
	}
	for rest := data[bundleKey]; ; {
		var b *pem.Block
		if b, rest = pem.Decode(rest); b == nil {
			return s, nil
		}
		c, err := x509.ParseCertificate(b.Bytes)
		if err != nil {
			return state{}, fmt.Errorf("read the webhook's authorities: %w", err)
		}
		s.authorities = append(s.authorities, c)
	}
}

func (s state) encode() map[string][]byte {
	data := map[string][]byte{bundleKey: s.bundle()}
	if s.current != nil {
		data[certKey], data[keyKey] = s.current.certPEM, s.current.keyPEM
	}
	if s.next != nil {
		data[nextCertKey], data[nextKeyKey] = s.next.certPEM, s.next.keyPEM
	}
	return data
}

// bundle is what the API server is to trust.
func (s state) bundle() []byte {
	var b bytes.Buffer
	for _, c := range s.authorities {
		b.Write(block("CERTIFICATE", c.Raw))
	}
	return b.Bytes()
}

// usable tells whether a pair can be presented now, to those who trust the
// authorities.
func (s state) usable(p *pair, names []string, now time.Time) bool {
	return p.serves(names, now) && slices.ContainsFunc(s.authorities, func(a *x509.Certificate) bool {
		return p.leaf.CheckSignatureFrom(a) == nil
	})
}

// step is what the state has to become at a time.
func (s state) step(names []string, now time.Time) (state, error) {
	s.authorities = slices.DeleteFunc(slices.Clone(s.authorities), func(c *x509.Certificate) bool { return now.After(c.NotAfter) })
	if extra := len(s.authorities) - maxAuthorities; extra > 0 {
		s.authorities = s.authorities[extra:]
	}
	if s.next != nil && !s.usable(s.next, names, now) {
		s.next = nil
	}
	switch {
	case !s.usable(s.current, names, now):
		return s.afresh(names, now)
	case s.next != nil && now.Sub(s.next.made()) >= ripening:
		s.current, s.next = s.next, nil
	case s.next == nil && now.Sub(s.current.made()) >= lifetime/2:
		p, err := makePair(names, now)
		if err != nil {
			return s, err
		}
		s.next, s.authorities = p, append(s.authorities, p.authority)
	}
	return s, nil
}

// afresh is for when there is nothing that could be used: it can't get worse.
func (s state) afresh(names []string, now time.Time) (state, error) {
	if s.next != nil {
		s.current, s.next = s.next, nil
		return s, nil
	}
	p, err := makePair(names, now)
	if err != nil {
		return s, err
	}
	s.current, s.authorities = p, append(s.authorities, p.authority)
	return s, nil
}
