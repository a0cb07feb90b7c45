package issue

import (
	"errors"
	"net/http"
	"time"

	"github.com/spiffe/go-spiffe/v2/bundle/x509bundle"

	"github.com/outrider-mesh/outrider/identity"
	"github.com/outrider-mesh/outrider/identity/meshca/wire"
	"github.com/outrider-mesh/outrider/identity/mtls"
	"github.com/outrider-mesh/outrider/injector/fair"
)

// An encoded is a set of bundles as it is sent.
type encoded struct {
	of      *x509bundle.Set
	bundles wire.Bundles
}

// bundles writes the bundles of snap down, once for all who ask.
func (s *Server) bundles(snap *identity.Snapshot) wire.Bundles {
	if e := s.encoded.Load(); e != nil && e.of == snap.Bundles {
		return e.bundles
	}
	e := &encoded{of: snap.Bundles, bundles: wire.BundlesOf(snap.Bundles)}
	s.encoded.Store(e)
	return e.bundles
}

// serveBundles answers as soon as there are other bundles than those the asker
// has, and after a while in any case.
func (s *Server) serveBundles(w http.ResponseWriter, r *http.Request) {
	// HTTP/1.1 connections are read from while their answer is awaited, and one
	// whose deadline has passed counts as gone; so both are for the whole poll.
	deadlines(w, pollTimeout+answerTimeout, pollTimeout+answerTimeout)
	since, refused := s.poll(r)
	if refused != nil {
		s.answer(w, r, refused)
		return
	}
	s.metrics.waiting(1)
	defer s.metrics.waiting(-1)
	deadline := time.NewTimer(pollTimeout)
	defer deadline.Stop()
	for {
		snap := s.opts.Signer.Current()
		if snap.Bundles != nil {
			if b := s.bundles(snap); b.Version != since {
				s.write(w, http.StatusOK, b)
				return
			}
		}
		select {
		case <-snap.Superseded():
		case <-deadline.C:
			w.WriteHeader(http.StatusNoContent)
			return
		case <-r.Context().Done():
			// The asker has gone and hears nothing of it, or we are stopping and
			// it is to ask the other replica.
			w.WriteHeader(http.StatusNoContent)
			return
		}
	}
}

// poll checks a request for bundles and returns the version that the asker has.
func (s *Server) poll(r *http.Request) (since string, refused *refusal) {
	if refused := s.member(r); refused != nil {
		return "", refused
	}
	// One that is answered at once each time would be asking for ever.
	if wait, ok := s.addresses.take(fair.Host(r.RemoteAddr), time.Now()); !ok {
		return "", refuseFor(limited, wait, "too many requests from this address")
	}
	if r.Method != http.MethodGet {
		return "", refuse(badRequest, errors.New("the method is "+clipped(r.Method)))
	}
	since = r.URL.Query().Get(wire.QuerySince)
	if len(since) > wire.MaxVersion {
		return "", refuse(badRequest, errors.New("a version that nobody has given it"))
	}
	return since, nil
}

// member tells whether the asker has an SVID that the bundles of now vouch for;
// the handshake may have been long ago. Bundles are public in themselves; who
// may ask is limited because each asker is held on to.
func (s *Server) member(r *http.Request) *refusal {
	if r.TLS == nil {
		return refuse(notMTLS, errors.New("no TLS"))
	}
	peer, err := mtls.PeerOf(*r.TLS)
	if err == nil {
		err = mtls.Verify(peer, s.opts.Signer.Current(), time.Now())
	}
	if err == nil && !peer.ID.MemberOf(s.opts.Signer.TrustDomain()) {
		err = errors.New(peer.ID.String() + " is of another trust domain")
	}
	if err != nil {
		return refuse(notMTLS, err)
	}
	return nil
}
