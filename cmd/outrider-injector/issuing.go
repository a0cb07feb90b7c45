package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"strings"

	"github.com/spiffe/go-spiffe/v2/bundle/x509bundle"
	"github.com/spiffe/go-spiffe/v2/spiffeid"

	"github.com/outrider-mesh/outrider/identity/workload"
	"github.com/outrider-mesh/outrider/injector/issue/ca"
	"github.com/outrider-mesh/outrider/injector/issue/federate"
	"github.com/outrider-mesh/outrider/proxy/config"
)

// maxRoots bounds a file of roots, in bytes: 32 of them have a tenth of it.
const maxRoots = 1 << 20

// issuerFlags say how identities are issued.
type issuerFlags struct {
	policy      ca.Policy
	federation  []federate.Domain
	workloadAPI string
}

func (f *issuerFlags) add(fs *flag.FlagSet) {
	p := ca.Policy{}.WithDefaults()
	fs.DurationVar(&f.policy.SVID, "svid-lifetime", p.SVID, "how long an identity is valid; sidecars come for the next one after half of it")
	fs.DurationVar(&f.policy.Intermediate, "intermediate-lifetime", p.Intermediate, "how long an intermediate of the CA is valid; it is replaced after half of it")
	fs.DurationVar(&f.policy.Root, "root-lifetime", p.Root, "how long a root of the CA is valid; the next one is announced after half of it")
	fs.DurationVar(&f.policy.Announce, "root-announce", p.Announce, "how long a root is known to everybody before it signs")
	fs.DurationVar(&f.policy.Retire, "root-retire", p.Retire, "how long a root that signs no more is known to everybody")
	fs.StringVar(&f.workloadAPI, "workload-api", "unix:///spiffe-workload-api/"+config.DefaultCSISocket,
		"`address` where the control plane gets its own identity; with --identity-provider=WorkloadAPI only")
	fs.Func("federate", "another `trust-domain` whose roots are handed out too: domain=URL of its bundle endpoint, which has a certificate of a public CA; "+
		"or domain=URL,ID,FILE: it proves to be the SPIFFE ID, at first by the roots in FILE; may be repeated", f.federate)
}

// federate reads one --federate.
func (f *issuerFlags) federate(value string) error {
	name, rest, ok := strings.Cut(value, "=")
	if !ok {
		return errors.New("want domain=URL")
	}
	parts := strings.Split(rest, ",")
	if len(parts) > 3 {
		return errors.New("want domain=URL, domain=URL,ID or domain=URL,ID,FILE")
	}
	d := federate.Domain{URL: parts[0]}
	var err error
	if d.TrustDomain, err = spiffeid.TrustDomainFromString(name); err != nil {
		return err
	}
	if len(parts) > 1 {
		if d.EndpointID, err = spiffeid.FromString(parts[1]); err != nil {
			return err
		}
	}
	if len(parts) > 2 {
		if err := readRoots(&d, parts[2]); err != nil {
			return err
		}
	}
	f.federation = append(f.federation, d)
	return d.Check()
}

func readRoots(d *federate.Domain, name string) error {
	info, err := os.Stat(name)
	switch {
	case err != nil:
		return err
	case !info.Mode().IsRegular() || info.Size() > maxRoots:
		return fmt.Errorf("%q is no file of at most %d bytes", name, maxRoots)
	}
	text, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	bundle, err := x509bundle.Parse(d.EndpointID.TrustDomain(), text)
	if err != nil {
		return fmt.Errorf("%q: %w", name, err)
	}
	d.Bootstrap = bundle.X509Authorities()
	return nil
}

// check tells what of it can't work, before anything is asked.
func (f *issuerFlags) check(provider config.IdentityProvider) error {
	if provider == config.ProviderWorkloadAPI && len(f.federation) > 0 {
		return errors.New("--federate: whoever issues the identities federates; here that is not the control plane")
	}
	return f.policy.Check()
}

// source is where the control plane gets its identity when it does not issue any.
func (f *issuerFlags) source(ctx context.Context, log *slog.Logger) (*workload.Source, error) {
	s, err := workload.New(ctx, workload.Options{Socket: f.workloadAPI, Log: log})
	if err != nil {
		return nil, fmt.Errorf("--workload-api: %w", err)
	}
	return s, nil
}
