package federate

import (
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"

	"github.com/outrider-mesh/outrider/identity/meshca/wire"
	"github.com/outrider-mesh/outrider/injector/issue/ca"
)

const (
	// defaultRefresh is for endpoints that don't say (SPIFFE Federation §4.1).
	defaultRefresh = 5 * time.Minute
	// leastRefresh and mostRefresh bound what an endpoint may ask for: a root
	// that is announced for a day must not be missed.
	leastRefresh = time.Minute
	mostRefresh  = time.Hour
	// retry is after a failure, and while another replica leads.
	retry = time.Minute
)

// A Keeper has the CA's state and takes the roots of others into it. Package
// keeper has one.
type Keeper interface {
	State() (ca.State, bool)
	Federate(ctx context.Context, td spiffeid.TrustDomain, roots []*x509.Certificate) error
}

// Options are what a [Federation] is made of.
type Options struct {
	// Domains are the trust domains to federate with.
	Domains []Domain
	// Keeper takes the roots; required.
	Keeper Keeper
	// Leader tells whether this replica may write; nil: it may.
	Leader func() bool
	// Fetch asks an endpoint; nil: [Domain.Fetch].
	Fetch func(ctx context.Context, d Domain, known []*x509.Certificate) (Bundle, error)
	// Log receives changes and failures; nil: nothing is logged.
	Log *slog.Logger
}

// A Federation follows the endpoints of other trust domains.
type Federation struct {
	opts Options
	log  *slog.Logger
}

// New returns a federation that has asked nobody yet. It fails if a domain cannot
// be right, or is there twice.
func New(opts Options) (*Federation, error) {
	if opts.Keeper == nil {
		return nil, errors.New("federation: no keeper")
	}
	if most := wire.MaxDomains - 1; len(opts.Domains) > most { // one is our own
		return nil, fmt.Errorf("federation with %d trust domains: sidecars take %d", len(opts.Domains), most)
	}
	var errs []error
	seen := map[spiffeid.TrustDomain]bool{}
	for _, d := range opts.Domains {
		if seen[d.TrustDomain] {
			errs = append(errs, fmt.Errorf("federation with %q: it is named twice", d.TrustDomain))
		}
		seen[d.TrustDomain] = true
		errs = append(errs, d.Check())
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	if opts.Leader == nil {
		opts.Leader = func() bool { return true }
	}
	if opts.Fetch == nil {
		opts.Fetch = func(ctx context.Context, d Domain, known []*x509.Certificate) (Bundle, error) {
			return d.Fetch(ctx, known)
		}
	}
	return &Federation{opts: opts, log: cmp.Or(opts.Log, slog.New(slog.DiscardHandler))}, nil
}

// Run follows every domain until ctx ends; then it returns nil. A domain that is
// no longer named is forgotten.
func (f *Federation) Run(ctx context.Context) error {
	var running sync.WaitGroup
	running.Go(func() { f.every(ctx, f.forget) })
	for _, d := range f.opts.Domains {
		running.Go(func() {
			f.every(ctx, func(ctx context.Context) (time.Duration, error) { return f.refresh(ctx, d) })
		})
	}
	running.Wait()
	return nil
}

// every does what is to be done, as the replica that leads, again and again.
func (f *Federation) every(ctx context.Context, do func(context.Context) (time.Duration, error)) {
	for ctx.Err() == nil {
		after := retry
		if f.opts.Leader() {
			next, err := do(ctx)
			switch {
			case ctx.Err() != nil:
				return
			case err != nil:
				f.log.Warn("federation", "err", err)
			default:
				after = next
			}
		}
		timer := time.NewTimer(after)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
		}
	}
}

// refresh fetches the roots of one domain and returns when to do so again.
func (f *Federation) refresh(ctx context.Context, d Domain) (time.Duration, error) {
	state, ok := f.opts.Keeper.State()
	if !ok {
		return 0, fmt.Errorf("federation with %q: there is no CA yet", d.TrustDomain)
	}
	b, err := f.opts.Fetch(ctx, d, state.Federated[d.EndpointID.TrustDomain()])
	if err != nil {
		return 0, err
	}
	if !same(b.Roots, state.Federated[d.TrustDomain]) {
		if err := f.opts.Keeper.Federate(ctx, d.TrustDomain, b.Roots); err != nil {
			return 0, err
		}
		f.log.Info("federation: roots received", "trust_domain", d.TrustDomain.Name(), "roots", len(b.Roots))
	}
	return min(max(cmp.Or(b.Refresh, defaultRefresh), leastRefresh), mostRefresh), nil
}

// forget removes the domains that are not named any more.
func (f *Federation) forget(ctx context.Context) (time.Duration, error) {
	state, _ := f.opts.Keeper.State()
	for td := range state.Federated {
		if slices.ContainsFunc(f.opts.Domains, func(d Domain) bool { return d.TrustDomain == td }) {
			continue
		}
		if err := f.opts.Keeper.Federate(ctx, td, nil); err != nil {
			return 0, err
		}
		f.log.Info("federation: forgotten", "trust_domain", td.Name())
	}
	return mostRefresh, nil
}

// same tells whether both hold the same certificates, in whatever order.
func same(a, b []*x509.Certificate) bool {
	in := func(all []*x509.Certificate) func(*x509.Certificate) bool {
		return func(c *x509.Certificate) bool { return !slices.ContainsFunc(all, c.Equal) }
	}
	return !slices.ContainsFunc(a, in(b)) && !slices.ContainsFunc(b, in(a))
}
