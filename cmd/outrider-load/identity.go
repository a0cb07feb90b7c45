package main

import (
	"context"
	"crypto/tls"
	"errors"
	"flag"

	"github.com/outrider-mesh/outrider/loadtest/target"
)

// identityFlags say who makes requests, and which servers it trusts.
type identityFlags struct {
	roots    string
	identity target.Identity
	servers  words
}

func (i *identityFlags) register(fs *flag.FlagSet, getenv func(string) string) {
	fs.StringVar(&i.roots, "roots", "", "PEM `file` of roots for https (default: the system's)")
	fs.StringVar(&i.identity.Socket, "spiffe-socket", getenv("SPIFFE_ENDPOINT_SOCKET"), "Workload API to get an identity from, for mutual TLS; used with --spiffe-server")
	fs.StringVar(&i.identity.SVID, "svid", "", "PEM `file` of an SVID, instead of --spiffe-socket")
	fs.StringVar(&i.identity.Key, "key", "", "PEM `file` of its key")
	fs.StringVar(&i.identity.Bundle, "bundle", "", "PEM `file` of the trust domain's roots")
	fs.Var(&i.servers, "spiffe-server", "SPIFFE `ID` that the server must prove; turns mutual TLS on; may be repeated")
}

// check names what would otherwise be left aside without a word. A socket may come
// from the environment, and then asks for nothing.
func (i *identityFlags) check() error {
	var errs []error
	files := i.identity.SVID != "" || i.identity.Key != "" || i.identity.Bundle != ""
	if files && len(i.servers) == 0 {
		errs = append(errs, errors.New("--svid, --key and --bundle: name the server that is expected with --spiffe-server"))
	}
	if files && (i.identity.SVID == "" || i.identity.Key == "" || i.identity.Bundle == "") {
		errs = append(errs, errors.New("--svid, --key and --bundle: each takes the other two"))
	}
	if i.roots != "" && len(i.servers) > 0 {
		errs = append(errs, errors.New("--roots and --spiffe-server: give one of them; a SPIFFE server is verified by its trust domain's bundle"))
	}
	if len(i.servers) > 0 && !files && i.identity.Socket == "" {
		errs = append(errs, errors.New("--spiffe-server: an identity is missing; give --spiffe-socket, or --svid, --key and --bundle"))
	}
	return errors.Join(errs...)
}

// placeholder is the configuration before its identity is there; nil if none is
// asked for.
func (i *identityFlags) placeholder() *tls.Config {
	if len(i.servers) == 0 && i.roots == "" {
		return nil
	}
	return &tls.Config{MinVersion: tls.VersionTLS12}
}

// open makes the client's configuration; nil: the system's roots. done ends the
// identity's source, and is nil with an error.
func (i *identityFlags) open(ctx context.Context) (c *tls.Config, done func() error, err error) {
	nothing := func() error { return nil }
	switch {
	case len(i.servers) > 0:
		identity := i.identity
		identity.Servers = i.servers
		if identity.SVID != "" {
			identity.Socket = "" // the one of the environment, and files are asked for
		}
		credential, err := identity.Open(ctx)
		if err != nil {
			return nil, nil, err
		}
		return credential.TLS(), credential.Close, nil
	case i.roots != "":
		c, err := target.TrustFile(i.roots)
		return c, nothing, err
	}
	return nil, nothing, nil
}
