package keeper

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"fmt"
	"time"

	"github.com/spiffe/go-spiffe/v2/bundle/x509bundle"
	"github.com/spiffe/go-spiffe/v2/svid/x509svid"

	"github.com/outrider-mesh/outrider/identity"
	"github.com/outrider-mesh/outrider/identity/meshca/wire"
	"github.com/outrider-mesh/outrider/identity/mtls"
	"github.com/outrider-mesh/outrider/injector/issue/ca"
)

// renew publishes a snapshot if the bundles have changed or the control plane's
// own SVID is due, and returns when it is due next.
func (k *Keeper) renew() (time.Time, error) {
	state, ok := k.State()
	if !ok {
		return time.Time{}, nil
	}
	snap := k.Current()
	svid, bundles := snap.SVID, state.Bundles()
	version := wire.BundlesOf(bundles).Version
	changed := snap.Bundles == nil || version != k.version
	if !changed {
		bundles = snap.Bundles // the same value, so that others can compare
	}
	var err error
	if !k.due(svid, bundles).After(time.Now()) {
		fresh, problem := k.newSVID()
		if err = problem; err == nil {
			svid, changed = fresh, true
		}
	}
	if changed {
		k.version = version
		k.Publish(svid, bundles)
	}
	if err != nil {
		return time.Time{}, fmt.Errorf("the control plane's own SVID: %w", err)
	}
	return k.due(svid, bundles), nil
}

// due is when svid is to be replaced: at half its life, and at once when the
// bundles vouch for it no more.
func (k *Keeper) due(svid *x509svid.SVID, bundles *x509bundle.Set) time.Time {
	if svid == nil {
		return time.Time{}
	}
	peer := identity.Peer{ID: svid.ID, Chain: svid.Certificates}
	if err := mtls.Verify(peer, &identity.Snapshot{Bundles: bundles}, time.Now()); err != nil {
		return time.Time{}
	}
	return ca.HalfLife(svid.Certificates[0])
}

func (k *Keeper) newSVID() (*x509svid.SVID, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("generate a key for the control plane: %w", err)
	}
	chain, err := k.Issue(k.opts.ID, key.Public())
	if err != nil {
		return nil, err
	}
	return &x509svid.SVID{ID: k.opts.ID, Certificates: chain, PrivateKey: key}, nil
}
