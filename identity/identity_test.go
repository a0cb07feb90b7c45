package identity_test

import (
	"crypto/x509"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/spiffe/go-spiffe/v2/bundle/x509bundle"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/spiffe/go-spiffe/v2/svid/x509svid"

	"github.com/outrider-mesh/outrider/identity"
)

func TestANewPublisherHasAnEmptySnapshot(t *testing.T) {
	var p identity.Publisher
	s := p.Current()
	if s.Ready() || s.Generation != 0 || s.Err != nil {
		t.Errorf("the first snapshot is %+v, want an empty one", s)
	}
	if p.Current() != s {
		t.Error("two loads without a change return different snapshots")
	}
	select {
	case <-s.Superseded():
		t.Error("the first snapshot is superseded, but nothing newer exists")
	default:
	}
}

func TestPublishSupersedesAndCounts(t *testing.T) {
	var p identity.Publisher
	first := p.Current()
	svid, bundles := &x509svid.SVID{}, x509bundle.NewSet()
	p.Publish(svid, bundles)
	select {
	case <-first.Superseded():
	default:
		t.Fatal("the first snapshot is not superseded")
	}
	s := p.Current()
	if !s.Ready() || s.SVID != svid || s.Bundles != bundles || s.Generation != 1 {
		t.Errorf("the snapshot is %+v, want what was published as generation 1", s)
	}
}

func TestAFailureKeepsTheIdentityAndSuccessForgetsTheFailure(t *testing.T) {
	var p identity.Publisher
	svid, bundles := &x509svid.SVID{}, x509bundle.NewSet()
	p.Publish(svid, bundles)
	before := p.Current()
	hiccup := errors.New("hiccup")
	p.Fail(hiccup)
	s := p.Current()
	if s.SVID != svid || s.Bundles != bundles || s.Generation != 1 || !errors.Is(s.Err, hiccup) {
		t.Errorf("after a failure the snapshot is %+v, want the identity of before and the error", s)
	}
	select {
	case <-before.Superseded():
	default:
		t.Error("a failure wakes nobody")
	}
	p.Publish(svid, bundles)
	if s := p.Current(); s.Err != nil || s.Generation != 2 {
		t.Errorf("after a success the snapshot is %+v, want generation 2 without an error", s)
	}
}

// Whoever follows the snapshots from any point arrives at the last one, however
// the writers and readers interleave. A lost wake-up hangs the test.
func TestNoFollowerMissesTheLastChange(t *testing.T) {
	const writers, changes, followers = 4, 250, 8
	var p identity.Publisher
	var wg sync.WaitGroup
	for range followers {
		wg.Go(func() {
			var last uint64
			for s := p.Current(); s.Generation < writers*changes; s = p.Current() {
				if s.Generation < last {
					t.Errorf("generation %d after %d: it went back", s.Generation, last)
				}
				last = s.Generation
				<-s.Superseded()
			}
		})
	}
	for range writers {
		wg.Go(func() {
			for range changes {
				p.Publish(nil, nil)
				p.Fail(errors.New("hiccup"))
			}
		})
	}
	wg.Wait()
}

func TestPeer(t *testing.T) {
	var nobody identity.Peer
	if nobody.Authenticated() || !nobody.NotAfter().IsZero() || nobody.LeafHash() != "" {
		t.Errorf("the zero peer is authenticated: %v, until %v, hash %q", nobody.Authenticated(), nobody.NotAfter(), nobody.LeafHash())
	}
	end := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	peer := identity.Peer{
		ID:    spiffeid.RequireFromString("spiffe://example.org/ns/shop/sa/checkout"),
		Chain: []*x509.Certificate{{Raw: []byte("leaf"), NotAfter: end}, {Raw: []byte("above")}},
	}
	// printf leaf | sha256sum
	const hash = "9f91161f43433e49a6de6db680d79f60159f2e4ac9172621a12846428158440b"
	if !peer.Authenticated() || !peer.NotAfter().Equal(end) || peer.LeafHash() != hash {
		t.Errorf("the peer is authenticated: %v, until %v, hash %q", peer.Authenticated(), peer.NotAfter(), peer.LeafHash())
	}
}
