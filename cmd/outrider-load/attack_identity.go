package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"flag"
	"fmt"
	"os"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"

	"github.com/outrider-mesh/outrider/identity"
	"github.com/outrider-mesh/outrider/identity/files"
	"github.com/outrider-mesh/outrider/identity/mtls"
	"github.com/outrider-mesh/outrider/identity/workload"
)

// attackIdentity says who sends the samples, and whom it expects.
type attackIdentity struct {
	roots, server, socket, svid, key, bundle string
}

func (i *attackIdentity) register(fs *flag.FlagSet, getenv func(string) string) {
	fs.StringVar(&i.roots, "roots", "", "PEM `file` of roots for https (default: the system's)")
	fs.StringVar(&i.server, "spiffe-server", "", "SPIFFE `ID` that the server must prove; turns mutual TLS on")
	fs.StringVar(&i.socket, "spiffe-socket", getenv("SPIFFE_ENDPOINT_SOCKET"), "Workload API to get an identity from, for mutual TLS")
	fs.StringVar(&i.svid, "svid", "", "PEM `file` of an SVID, instead of --spiffe-socket")
	fs.StringVar(&i.key, "key", "", "PEM `file` of its key")
	fs.StringVar(&i.bundle, "bundle", "", "PEM `file` of the trust domain's roots")
}

// open makes the client's configuration; nil: the system's roots. done is to be
// called in the end.
func (i *attackIdentity) open(ctx context.Context) (c *tls.Config, done func() error, err error) {
	done = func() error { return nil }
	switch {
	case i.server == "" && i.roots == "":
		return nil, done, nil
	case i.server == "":
		c, err = i.trust()
		return c, done, err
	}
	id, err := spiffeid.FromString(i.server)
	if err != nil {
		return nil, done, fmt.Errorf("--spiffe-server: %w", err)
	}
	expected, err := mtls.NewExpected(id)
	if err != nil {
		return nil, done, fmt.Errorf("--spiffe-server: %w", err)
	}
	src, done, err := i.source(ctx, id.TrustDomain())
	if err != nil {
		return nil, done, err
	}
	if err := awaitIdentity(ctx, src); err != nil {
		return nil, done, errors.Join(err, done())
	}
	return mtls.ClientConfig(src, mtls.ClientOptions{Expected: expected}), done, nil
}

// trust takes the roots of a file.
func (i *attackIdentity) trust() (*tls.Config, error) {
	text, err := os.ReadFile(i.roots)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("%s: holds no certificate", i.roots)
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: pool}, nil
}

func (i *attackIdentity) source(ctx context.Context, domain spiffeid.TrustDomain) (identity.Source, func() error, error) {
	none := func() error { return nil }
	if i.svid == "" {
		s, err := workload.New(ctx, workload.Options{Socket: i.socket})
		if err != nil {
			return nil, none, err
		}
		return s, s.Close, nil
	}
	s, err := files.New(files.Options{SVID: i.svid, Key: i.key, Bundles: map[string]string{domain.Name(): i.bundle}})
	if err == nil {
		err = s.Reload()
	}
	return s, none, err // a replay is shorter than an SVID lives
}

// awaitIdentity returns when there is an SVID.
func awaitIdentity(ctx context.Context, src identity.Source) error {
	const patience = 30 * time.Second // an agent may be starting
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		snap := src.Current()
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
