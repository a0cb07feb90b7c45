package meshca

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"github.com/spiffe/go-spiffe/v2/svid/x509svid"

	"github.com/outrider-mesh/outrider/identity"
	"github.com/outrider-mesh/outrider/identity/meshca/wire"
	"github.com/outrider-mesh/outrider/identity/mtls"
)

// renew obtains SVIDs until ctx ends.
func (s *Source) renew(ctx context.Context) {
	wait := s.newPause()
	for ctx.Err() == nil {
		after, err := s.obtain(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			s.note(&s.renewing, err)
			after = wait.next(err)
		default:
			wait.reset()
		}
		s.rest(ctx, after)
	}
}

// clockStep is how often it is looked whether the clock has jumped.
const clockStep = time.Minute

// rest waits for a while, or until a new SVID is asked for or ctx ends. It goes by
// the clock that certificates go by: a machine that was suspended is late, and its
// timers do not know it.
func (s *Source) rest(ctx context.Context, while time.Duration) {
	due := wallClock().Add(while)
	for left := while; left > 0; left = due.Sub(wallClock()) {
		timer := time.NewTimer(min(left, clockStep))
		select {
		case <-timer.C:
			continue
		case <-s.again:
		case <-ctx.Done():
		}
		timer.Stop()
		return
	}
}

// wallClock is now without its monotonic part.
func wallClock() time.Time { return time.Now().Round(0) }

// obtain gets one SVID and returns in how long to come for the next.
func (s *Source) obtain(ctx context.Context) (time.Duration, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return 0, fmt.Errorf("generate a key: %w", err)
	}
	csr, err := x509.CreateCertificateRequest(rand.Reader, new(x509.CertificateRequest), key)
	if err != nil {
		return 0, fmt.Errorf("make a certification request: %w", err)
	}
	answer, chain, err := s.issuer.ask(ctx, wire.SVIDRequest{CSR: csr})
	if err != nil {
		return 0, err
	}
	bundles, err := answer.Bundles.Set()
	if err != nil {
		return 0, s.issuer.wrong(err)
	}
	if !key.PublicKey.Equal(chain[0].PublicKey) {
		return 0, s.issuer.wrong(errors.New("the SVID is for another key than ours"))
	}
	now := time.Now()
	svid, err := s.accept(chain, &identity.Snapshot{Bundles: bundles}, now)
	if err != nil {
		return 0, s.issuer.wrong(err)
	}
	svid.PrivateKey = key
	s.take(svid, bundles, answer.Bundles.Version)
	after := renewAfter(answer.RenewAfter, chain[0].NotAfter.Sub(now))
	s.log.Info("identity received", "id", svid.ID.String(), "not_after", chain[0].NotAfter, "renewal_in", after)
	return after, nil
}

// accept holds a chain to what every peer of ours will hold it to. An issuer that
// gave out something else would otherwise take this workload off the network.
func (s *Source) accept(chain []*x509.Certificate, snap *identity.Snapshot, now time.Time) (*x509svid.SVID, error) {
	id, err := x509svid.IDFromCert(chain[0])
	if err != nil {
		return nil, err
	}
	if was := s.Current().SVID; was != nil && was.ID != id {
		return nil, fmt.Errorf("it is for %q, and this workload is %q until it restarts", id, was.ID)
	}
	if !id.MemberOf(s.opts.Server.TrustDomain()) {
		return nil, fmt.Errorf("it is for %q, which is not of the issuer's trust domain %q", id, s.opts.Server.TrustDomain())
	}
	err = mtls.Verify(identity.Peer{ID: id, Chain: chain}, snap, now)
	switch {
	case errors.Is(err, mtls.ErrExpired):
		return nil, fmt.Errorf("by the clock of this machine, %s, the SVID is not valid; check the clock: %w", now.UTC().Format(time.RFC3339), err)
	case err != nil:
		return nil, err
	}
	return &x509svid.SVID{ID: id, Certificates: chain}, nil
}

// renewAfter turns what the issuer proposes, in seconds, into when we come: up to
// a fifth earlier, so that workloads which started together don't stay together.
// An issuer that proposes what can't be meant is taken to mean half of what is
// left.
func renewAfter(proposed int64, left time.Duration) time.Duration {
	after := left / 2
	if p := time.Duration(proposed) * time.Second; proposed > 0 && proposed < int64(left/time.Second) {
		after = p
	}
	return time.Duration(float64(after) * (1 - earlier*random()))
}
