package devca

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/spiffe/go-spiffe/v2/bundle/x509bundle"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
)

// Options describes a CA.
type Options struct {
	// TrustDomain is the domain the CA issues for; required.
	TrustDomain spiffeid.TrustDomain
	// SVIDLifetime is how long an SVID is valid; 0: one hour. At least two
	// seconds, because certificates count in whole ones.
	SVIDLifetime time.Duration
	// Log receives what the CA does; nil: nothing is logged.
	Log *slog.Logger
	// Warn receives the warning that this is no production CA; nil: standard
	// error.
	Warn io.Writer
}

// A CA is an in-memory certificate authority. Its methods may be called from
// several goroutines.
type CA struct {
	domain   spiffeid.TrustDomain
	lifetime time.Duration
	log      *slog.Logger

	mu        sync.Mutex
	roots     []*authority // the newest last; it signs
	federated map[spiffeid.TrustDomain]*x509bundle.Bundle
	trust     uint64                 // counts the changes of roots and federated
	epochs    map[spiffeid.ID]uint64 // counts the rotations asked for
	epoch     uint64                 // counts those asked for everybody
	changed   chan struct{}          // closed and replaced at every change
	endpoints map[*Endpoint]struct{}
	closed    bool
}

// New makes a CA with one root, and warns.
func New(opts Options) (*CA, error) {
	if opts.TrustDomain.IsZero() {
		return nil, errors.New("development CA: no trust domain given")
	}
	if opts.SVIDLifetime == 0 {
		opts.SVIDLifetime = time.Hour
	}
	if opts.SVIDLifetime < minLifetime {
		return nil, fmt.Errorf("development CA: an SVID lifetime of %s is shorter than %s", opts.SVIDLifetime, minLifetime)
	}
	root, err := newRoot(opts.TrustDomain)
	if err != nil {
		return nil, err
	}
	ca := &CA{
		domain:    opts.TrustDomain,
		lifetime:  opts.SVIDLifetime,
		log:       opts.Log,
		roots:     []*authority{root},
		federated: make(map[spiffeid.TrustDomain]*x509bundle.Bundle),
		epochs:    make(map[spiffeid.ID]uint64),
		changed:   make(chan struct{}),
		endpoints: make(map[*Endpoint]struct{}),
	}
	if ca.log == nil {
		ca.log = slog.New(slog.DiscardHandler)
	}
	warn(opts.Warn, opts.TrustDomain)
	return ca, nil
}

func warn(w io.Writer, td spiffeid.TrustDomain) {
	if w == nil {
		w = os.Stderr
	}
	// That a warning cannot be written is nothing the caller can act on.
	_, _ = fmt.Fprintf(w, "WARNING: the CA of %q is for development, NOT FOR PRODUCTION:\n"+
		"WARNING: it gives an identity to every process that can open its sockets.\n", td)
}

// TrustDomain returns the domain the CA issues for.
func (ca *CA) TrustDomain() spiffeid.TrustDomain { return ca.domain }

// Bundle returns the roots of the CA's own trust domain as they are now.
func (ca *CA) Bundle() *x509bundle.Bundle {
	ca.mu.Lock()
	defer ca.mu.Unlock()
	return ca.bundle()
}

// Bundles returns the CA's own bundle and those it federates with.
func (ca *CA) Bundles() *x509bundle.Set {
	ca.mu.Lock()
	defer ca.mu.Unlock()
	set := x509bundle.NewSet(ca.bundle())
	for _, b := range ca.federated {
		set.Add(b.Clone())
	}
	return set
}

func (ca *CA) bundle() *x509bundle.Bundle {
	b := x509bundle.New(ca.domain)
	for _, root := range ca.roots {
		b.AddX509Authority(root.cert)
	}
	return b
}

// Federate makes the CA hand out another trust domain's bundle beside its own;
// it replaces what was known of that domain.
func (ca *CA) Federate(other *x509bundle.Bundle) error {
	if other.TrustDomain() == ca.domain {
		return fmt.Errorf("federate with %q: it is the CA's own trust domain", other.TrustDomain())
	}
	ca.mu.Lock()
	defer ca.mu.Unlock()
	ca.federated[other.TrustDomain()] = other.Clone()
	ca.trustChanged()
	return nil
}

// RotateRoot adds a new root, which signs from now on. SVIDs that are out stay
// as they are until their half-life or [CA.Rotate], so that every workload can
// learn the new root before it meets an SVID signed by it.
func (ca *CA) RotateRoot() error {
	root, err := newRoot(ca.domain)
	if err != nil {
		return err
	}
	ca.mu.Lock()
	defer ca.mu.Unlock()
	ca.roots = append(ca.roots, root)
	ca.trustChanged()
	ca.log.Info("root added", "trust_domain", ca.domain.Name(), "roots", len(ca.roots))
	return nil
}

// DropOldRoots forgets every root but the newest. Workloads whose SVID an old
// root signed are sent a new one with the new bundle.
func (ca *CA) DropOldRoots() {
	ca.mu.Lock()
	defer ca.mu.Unlock()
	ca.roots = slices.Clone(ca.roots[len(ca.roots)-1:])
	ca.trustChanged()
	ca.log.Info("old roots dropped", "trust_domain", ca.domain.Name())
}

// Rotate gives the workloads with these identities new SVIDs at once; without
// arguments it does so for all of them.
func (ca *CA) Rotate(ids ...spiffeid.ID) {
	ca.mu.Lock()
	defer ca.mu.Unlock()
	if len(ids) == 0 {
		ca.epoch++
	}
	for _, id := range ids {
		ca.epochs[id]++
	}
	ca.wake()
}

// Close stops serving on all sockets and waits until that is done. The CA can
// still issue.
func (ca *CA) Close() error {
	ca.mu.Lock()
	ca.closed = true
	open := make([]*Endpoint, 0, len(ca.endpoints))
	for e := range ca.endpoints {
		open = append(open, e)
	}
	ca.mu.Unlock()
	var errs []error
	for _, e := range open {
		errs = append(errs, e.Close())
	}
	return errors.Join(errs...)
}

func (ca *CA) trustChanged() {
	ca.trust++
	ca.wake()
}

// wake tells every stream to look again; ca.mu is held.
func (ca *CA) wake() {
	close(ca.changed)
	ca.changed = make(chan struct{})
}
