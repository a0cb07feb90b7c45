// Package keeper looks after the mesh's CA: it keeps its state in a store that
// replicas share, does what the plan of package ca says is due, signs, and holds
// the control plane's own identity.
//
// Every replica reads and signs; the one that leads also writes. Should two lead
// for a moment, the store lets one of them win and the other reads again. Nothing
// is ever signed with what is not in the store.
//
// A Keeper is an [identity.Source]: its snapshots hold the control plane's own
// SVID and the bundles that workloads are given, and whoever waits for a change of
// the bundles waits for the next snapshot.
package keeper

import (
	"cmp"
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"

	"github.com/outrider-mesh/outrider/identity"
	"github.com/outrider-mesh/outrider/injector/issue/ca"
)

const (
	// defaultPoll is how often the store is read even if it announced no
	// change: an announcement may have been lost.
	defaultPoll = 30 * time.Second
	// retryPause is between attempts at what failed. A store that is away is
	// asked twelve times a minute.
	retryPause = 5 * time.Second
	// leastPause is between rounds, however soon something is due.
	leastPause = 50 * time.Millisecond
	// tries is how often a write that another one overtook is done again in a
	// row.
	tries = 5
	// storeTimeout bounds each conversation with the store.
	storeTimeout = 10 * time.Second
)

// ErrStale means that the store was not read for so long that the CA may have
// changed without this replica knowing.
var ErrStale = errors.New("the CA's state has not been read for too long")

// Options are what a [Keeper] is made of.
type Options struct {
	// Store keeps the state; required.
	Store Store
	// ID is the control plane's own identity, in the trust domain that the CA
	// issues for; required.
	ID spiffeid.ID
	// Policy says how long things last.
	Policy ca.Policy
	// Leader tells whether this replica may write; nil: it may.
	Leader func() bool
	// Changed receives when the store, or who leads, has changed; nil: the
	// store is only polled.
	Changed <-chan struct{}
	// Poll is how often the store is read in any case; 0: every 30 s.
	Poll time.Duration
	// Log receives what is done; nil: nothing is logged.
	Log *slog.Logger
}

// A Keeper looks after one CA. It implements [identity.Source].
type Keeper struct {
	identity.Publisher

	opts   Options
	policy ca.Policy
	log    *slog.Logger

	current atomic.Pointer[held]

	mu      sync.Mutex // one round at a time; guards version
	version string     // of the bundles in the newest snapshot
}

// held is what was last read, and when.
type held struct {
	state ca.State
	at    time.Time
}

// New returns a keeper that has read nothing yet.
func New(opts Options) (*Keeper, error) {
	if opts.Store == nil {
		return nil, errors.New("CA keeper: no store")
	}
	if opts.ID.Path() == "" {
		return nil, fmt.Errorf("CA keeper: %q is no identity of a workload", opts.ID)
	}
	if err := opts.Policy.Check(); err != nil {
		return nil, err
	}
	k := &Keeper{opts: opts, policy: opts.Policy.WithDefaults(), log: cmp.Or(opts.Log, slog.New(slog.DiscardHandler))}
	k.opts.Poll = cmp.Or(k.opts.Poll, defaultPoll)
	if k.opts.Leader == nil {
		k.opts.Leader = func() bool { return true }
	}
	k.Fail(errors.New("the CA's state has not been read yet"))
	return k, nil
}

// TrustDomain is whom the CA issues for.
func (k *Keeper) TrustDomain() spiffeid.TrustDomain { return k.opts.ID.TrustDomain() }

// Policy is the policy with its defaults.
func (k *Keeper) Policy() ca.Policy { return k.policy }

// Run looks after the CA until ctx ends; then it returns nil.
func (k *Keeper) Run(ctx context.Context) error {
	for {
		timer := time.NewTimer(k.Round(ctx))
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-k.opts.Changed:
			timer.Stop()
		case <-timer.C:
		}
	}
}

// Round reads the store, does what is due, and returns in how long to come
// again. A failure is in the snapshot and in the log.
func (k *Keeper) Round(ctx context.Context) time.Duration {
	k.mu.Lock()
	defer k.mu.Unlock()
	due, err := k.round(ctx)
	if ctx.Err() != nil {
		return k.opts.Poll
	}
	k.note(err)
	if err != nil {
		return min(retryPause, k.opts.Poll)
	}
	wait := k.opts.Poll
	if !due.IsZero() {
		wait = min(wait, max(time.Until(due), leastPause))
	}
	return wait
}

// round returns when something is due next; zero: nothing is.
func (k *Keeper) round(ctx context.Context) (time.Time, error) {
	var due time.Time
	err := k.update(ctx, func(s ca.State, in ca.Input, broken error) (ca.State, error) {
		if broken != nil {
			return s, broken
		}
		if k.opts.Leader() {
			var err error
			if s, due, err = k.follow(s, in); err != nil {
				return s, err
			}
		}
		if len(s.Roots) == 0 {
			return s, errors.New("there is no CA yet: the leading replica makes it")
		}
		return s, nil
	})
	own, renewal := k.renew()
	if !own.IsZero() && (due.IsZero() || own.Before(due)) {
		due = own
	}
	return due, errors.Join(err, renewal)
}

// follow does what the plan says is due and returns when the next step is.
func (k *Keeper) follow(s ca.State, in ca.Input) (ca.State, time.Time, error) {
	now := time.Now()
	for {
		step := ca.Plan(s, in, now)
		if step.Action == ca.Wait {
			return s, step.At, nil
		}
		next, err := ca.Apply(s, step, in, now)
		if err != nil {
			return s, time.Time{}, err
		}
		k.log.Info("CA changes", "action", string(step.Action), "why", step.Why, "roots", len(next.Roots))
		s = next
	}
}

// note publishes a problem, or its end, and logs each once.
func (k *Keeper) note(err error) {
	snap := k.Current()
	switch {
	case err == nil && snap.Err != nil && snap.Ready():
		k.Publish(snap.SVID, snap.Bundles)
		k.log.Info("the CA is well again")
	case err != nil && (snap.Err == nil || snap.Err.Error() != err.Error()):
		k.Fail(err)
		k.log.Error("the CA needs attention", "err", err)
	}
}

// State returns what was last read and whether anything was.
func (k *Keeper) State() (ca.State, bool) {
	h := k.current.Load()
	if h == nil {
		return ca.State{}, false
	}
	return h.state, true
}

// Fresh returns an error while what was last read is too old to sign with, or
// nothing was read yet.
func (k *Keeper) Fresh() error {
	_, err := k.fresh()
	return err
}

func (k *Keeper) fresh() (*held, error) {
	h := k.current.Load()
	if h == nil {
		return nil, fmt.Errorf("%w: the CA's state has not been read yet", ca.ErrCannotSign)
	}
	// A root that we don't know of may sign by now, and ours may be about to be
	// dropped. Half of the shorter pause is before either can hurt.
	if age := time.Since(h.at); age > min(k.policy.Announce, k.policy.Retire)/2 {
		return nil, fmt.Errorf("%w: for %v", ErrStale, age.Round(time.Second))
	}
	return h, nil
}

// Issue certifies that key is that of the workload id; see [ca.IssueSVID].
func (k *Keeper) Issue(id spiffeid.ID, key crypto.PublicKey) ([]*x509.Certificate, error) {
	h, err := k.fresh()
	if err != nil {
		return nil, fmt.Errorf("issue an SVID to %q: %w", id, err)
	}
	return ca.IssueSVID(h.state, k.policy, id, key, time.Now())
}
