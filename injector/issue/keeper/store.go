package keeper

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"

	"github.com/outrider-mesh/outrider/injector/issue/ca"
)

// ErrConflict is what a store returns for a write that another one overtook.
var ErrConflict = errors.New("the CA's state was changed by somebody else")

// A Store keeps the state of a CA for several replicas. It may be a Kubernetes
// Secret.
type Store interface {
	// Load returns what is there. That nothing is there yet is no error.
	Load(ctx context.Context) (Stored, error)
	// Save replaces the state, if the revision is that of what is there still;
	// otherwise it returns an error that wraps [ErrConflict].
	Save(ctx context.Context, state []byte, revision string) error
}

// Stored is what a store holds.
type Stored struct {
	// State is what [ca.Encode] made; nil: none yet.
	State []byte
	// Revision is the store's own; it says nothing to others.
	Revision string
	// Brought is the CA of the user; nil: there is none.
	Brought *ca.BroughtPEM
	// Request asks for a new root when it changes.
	Request string
}

// A change makes another state of the one that was read. broken says that what
// the user brought can't be read. The state is kept even if it returns an error.
type change func(s ca.State, in ca.Input, broken error) (ca.State, error)

// update reads, changes, writes if something changed, and publishes.
func (k *Keeper) update(ctx context.Context, c change) error {
	var err error
	for range tries {
		if err = k.attempt(ctx, c); !errors.Is(err, ErrConflict) {
			return err
		}
	}
	return err
}

func (k *Keeper) attempt(ctx context.Context, c change) error {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	at := time.Now()
	stored, err := k.opts.Store.Load(ctx)
	if err != nil {
		return fmt.Errorf("read the CA's state: %w", err)
	}
	s, in, broken, err := k.read(stored)
	if err != nil {
		return err
	}
	s, problem := c(s, in, broken)
	data, err := ca.Encode(s)
	if err != nil {
		return err
	}
	if !bytes.Equal(data, stored.State) && len(s.Roots) > 0 {
		if err := k.opts.Store.Save(ctx, data, stored.Revision); err != nil {
			return fmt.Errorf("write the CA's state: %w", err)
		}
	}
	if len(s.Roots) > 0 {
		k.current.Store(&held{state: s, at: at})
	}
	return problem
}

// read turns what a store holds into what a plan needs. What the user brought
// and can't be used is an error of its own: the CA goes on with what it has, and
// does not fall back to one that nobody chose.
func (k *Keeper) read(stored Stored) (s ca.State, in ca.Input, broken, err error) {
	s = ca.State{TrustDomain: k.TrustDomain()}
	if len(stored.State) > 0 {
		if s, err = ca.Decode(stored.State); err != nil {
			return s, in, nil, err
		}
	}
	if s.TrustDomain != k.TrustDomain() {
		return s, in, nil, fmt.Errorf("the CA's state is of the trust domain %q, and this control plane of %q; "+
			"use the one of before, or remove the state so that a new CA is made", s.TrustDomain, k.TrustDomain())
	}
	in = ca.Input{Policy: k.policy, Request: stored.Request}
	if stored.Brought == nil {
		return s, in, nil, nil
	}
	if in.Brought, err = ca.ParseBrought(*stored.Brought, time.Now()); err != nil {
		return s, in, fmt.Errorf("the CA that was brought can't be used: %w", err), nil
	}
	return s, in, nil, nil
}

// Federate makes the roots of another trust domain known to every workload, or
// forgets them if there are none. Only the replica that leads may do so.
func (k *Keeper) Federate(ctx context.Context, td spiffeid.TrustDomain, roots []*x509.Certificate) error {
	if td == k.TrustDomain() {
		return fmt.Errorf("federate with %q: it is our own trust domain", td)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	err := k.update(ctx, func(s ca.State, _ ca.Input, _ error) (ca.State, error) {
		if len(s.Roots) == 0 {
			return s, errors.New("there is no CA yet")
		}
		s.Federated = maps.Clone(s.Federated)
		if s.Federated == nil {
			s.Federated = map[spiffeid.TrustDomain][]*x509.Certificate{}
		}
		if len(roots) == 0 {
			delete(s.Federated, td)
		} else {
			s.Federated[td] = slices.Clone(roots)
		}
		return s, nil
	})
	if err == nil {
		_, err = k.renew()
	}
	if err != nil {
		return fmt.Errorf("federate with %q: %w", td, err)
	}
	return nil
}

// Memory is a [Store] in memory, for one process and tests. Its zero value is
// empty. What it holds may be changed through Change.
type Memory struct {
	mu     sync.Mutex
	stored Stored
	count  int
}

// Load implements [Store].
func (m *Memory) Load(context.Context) (Stored, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.stored, nil
}

// Save implements [Store].
func (m *Memory) Save(_ context.Context, state []byte, revision string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if revision != m.stored.Revision {
		return ErrConflict
	}
	m.stored.State = state
	m.next()
	return nil
}

// Change changes what is held, as the user would.
func (m *Memory) Change(bend func(*Stored)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	bend(&m.stored)
	m.next()
}

func (m *Memory) next() {
	m.count++
	m.stored.Revision = strconv.Itoa(m.count)
}
