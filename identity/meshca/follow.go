package meshca

import (
	"context"
	"fmt"
	"time"

	"github.com/spiffe/go-spiffe/v2/bundle/x509bundle"

	"github.com/outrider-mesh/outrider/identity"
	"github.com/outrider-mesh/outrider/identity/mtls"
)

// leastPoll is the shortest time between the beginnings of two polls, so that an
// issuer which answers at once isn't asked without end.
const leastPoll = time.Second

// follow waits for other bundles until ctx ends. It begins when there is an SVID
// to ask with.
func (s *Source) follow(ctx context.Context) {
	defer s.issuer.forget()
	wait := s.newPause()
	for s.awaitSVID(ctx) {
		next := time.NewTimer(leastPoll)
		err := s.poll(ctx)
		if ctx.Err() != nil {
			next.Stop()
			return
		}
		s.note(&s.polling, err)
		if err != nil {
			next.Reset(wait.next(err))
		} else {
			wait.reset()
		}
		select {
		case <-next.C:
		case <-ctx.Done():
			next.Stop()
			return
		}
	}
}

// awaitSVID waits until there is an SVID that is still valid; false: ctx has
// ended.
func (s *Source) awaitSVID(ctx context.Context) bool {
	for {
		snap := s.Current()
		if snap.SVID != nil && time.Now().Before(snap.SVID.Certificates[0].NotAfter) {
			return ctx.Err() == nil
		}
		select {
		case <-snap.Superseded():
		case <-ctx.Done():
			return false
		}
	}
}

// poll waits for other bundles once and takes them over.
func (s *Source) poll(ctx context.Context) error {
	news, err := s.issuer.poll(ctx, s.has())
	if err != nil || news == nil {
		return err
	}
	bundles, err := news.Set()
	if err != nil {
		return s.issuer.wrong(err)
	}
	if !bundles.Has(s.opts.Server.TrustDomain()) {
		return s.issuer.wrong(fmt.Errorf("bundles without one for our own trust domain %q", s.opts.Server.TrustDomain()))
	}
	s.take(nil, bundles, news.Version)
	if !s.vouchedFor(bundles) {
		// A root was taken back early. Peers that know it by now refuse us.
		select {
		case s.again <- struct{}{}:
		default:
		}
	}
	return nil
}

// vouchedFor tells whether peers with these bundles accept our SVID.
func (s *Source) vouchedFor(bundles *x509bundle.Set) bool {
	svid := s.Current().SVID
	peer := identity.Peer{ID: svid.ID, Chain: svid.Certificates}
	return mtls.Verify(peer, &identity.Snapshot{Bundles: bundles}, time.Now()) == nil
}
