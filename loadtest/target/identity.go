package target

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"

	"github.com/outrider-mesh/outrider/identity"
	"github.com/outrider-mesh/outrider/identity/files"
	"github.com/outrider-mesh/outrider/identity/mtls"
	"github.com/outrider-mesh/outrider/identity/workload"
)

// Identity says who the generator is, and whom it expects.
type Identity struct {
	// Socket is the address of a SPIFFE Workload API; empty: from files.
	Socket string
	// SVID, Key and Bundle are PEM files; Bundle holds the roots of the expected
	// servers' trust domain, which is the SVID's own.
	SVID, Key, Bundle string
	// Servers are the SPIFFE IDs that are accepted; at least one.
	Servers []string
}

// A Credential is an identity in use. Close it.
type Credential struct {
	source   identity.Source
	close    func() error
	expected mtls.Expected
}

// identityTimeout is how long an identity may take to be issued.
const identityTimeout = 30 * time.Second

// Open obtains the identity and waits until it is there.
func (i Identity) Open(ctx context.Context) (*Credential, error) {
	ids := make([]spiffeid.ID, len(i.Servers))
	for n, text := range i.Servers {
		id, err := spiffeid.FromString(text)
		if err != nil {
			return nil, fmt.Errorf("expected server %q: %w", text, err)
		}
		ids[n] = id
	}
	if len(ids) == 0 {
		return nil, errors.New("mutual TLS needs the SPIFFE ID of the server that is expected")
	}
	expected, err := mtls.NewExpected(ids...)
	if err != nil {
		return nil, err
	}
	c := &Credential{expected: expected}
	if err := c.open(ctx, i, ids[0].TrustDomain()); err != nil {
		return nil, err
	}
	if err := c.await(ctx); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

func (c *Credential) open(ctx context.Context, i Identity, domain spiffeid.TrustDomain) error {
	if i.Socket != "" {
		s, err := workload.New(ctx, workload.Options{Socket: i.Socket})
		if err != nil {
			return err
		}
		c.source, c.close = s, s.Close
		return nil
	}
	s, err := files.New(files.Options{SVID: i.SVID, Key: i.Key, Bundles: map[string]string{domain.Name(): i.Bundle}})
	if err == nil {
		err = s.Reload()
	}
	if err != nil {
		return err
	}
	c.source, c.close = s, func() error { return nil } // a run is shorter than an SVID lives
	return nil
}

// await returns when there is an SVID.
func (c *Credential) await(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, identityTimeout)
	defer cancel()
	for {
		snap := c.source.Current()
		if snap.Ready() {
			return nil
		}
		select {
		case <-snap.Superseded():
		case <-ctx.Done():
			return fmt.Errorf("no identity was issued: %w", context.Cause(ctx))
		}
	}
}

// TLS is the configuration for [Options].
func (c *Credential) TLS() *tls.Config {
	return mtls.ClientConfig(c.source, mtls.ClientOptions{Expected: c.expected})
}

// Close ends the source of the identity.
func (c *Credential) Close() error { return c.close() }

// TrustFile is a configuration for servers that a PEM file of roots vouches for.
func TrustFile(path string) (*tls.Config, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("%s: holds no certificate", path)
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: pool}, nil
}
