package mtls_test

import (
	"crypto/x509"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/spiffe/go-spiffe/v2/bundle/x509bundle"

	"github.com/outrider-mesh/outrider/identity"
	"github.com/outrider-mesh/outrider/identity/devca"
	"github.com/outrider-mesh/outrider/identity/identitytest"
	"github.com/outrider-mesh/outrider/identity/mtls"
)

func TestRotationServesNewHandshakesAndKeepsOldConnections(t *testing.T) {
	w := newWorld(t)
	server, client := w.serverConfig(), w.clientConfig()
	before := connect(t, server, client).mustWork(t)
	w.server.Rotate(t, devca.IssueOptions{})
	w.client.Rotate(t, devca.IssueOptions{})
	after := connect(t, server, client).mustWork(t)
	if err := before.alive(); err != nil {
		t.Errorf("the old connection died: %v", err)
	}
	oldClient, oldServer := before.peers(t)
	newClient, newServer := after.peers(t)
	if oldClient.LeafHash() == newClient.LeafHash() || oldServer.LeafHash() == newServer.LeafHash() {
		t.Error("a new handshake uses the old SVID")
	}
	if newServer.LeafHash() != hashOf(w.server) || newClient.LeafHash() != hashOf(w.client) {
		t.Error("a new handshake does not use the newest SVID")
	}
}

func hashOf(src identity.Source) string {
	return identity.Peer{Chain: src.Current().SVID.Certificates}.LeafHash()
}

func TestNoHandshakeFailsWhileIdentitiesRotate(t *testing.T) {
	w := newWorld(t)
	server, client := w.serverConfig(), w.clientConfig()
	stop, rotated := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(rotated)
		for {
			select {
			case <-stop:
				return
			default:
			}
			w.server.Rotate(t, devca.IssueOptions{})
			w.client.Rotate(t, devca.IssueOptions{Intermediate: true})
		}
	}()
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 25 {
				if l := connect(t, server, client); l.serverErr != nil || l.clientErr != nil {
					t.Errorf("server %v, client %v", l.serverErr, l.clientErr)
				}
			}
		})
	}
	wg.Wait()
	close(stop)
	<-rotated
	if n := w.server.Current().Generation; n < 3 {
		t.Errorf("only %d rotations happened", n)
	}
}

// The certificate and the roots are made once per rotation.
func TestAHandshakeReusesWhatTheLastOneMade(t *testing.T) {
	w := newWorld(t)
	server := w.serverConfig()
	first, err1 := server.GetCertificate(nil)
	w.server.Fail(errors.New("a failure changes no identity"))
	second, err2 := server.GetCertificate(nil)
	w.server.Rotate(t, devca.IssueOptions{})
	third, err3 := server.GetCertificate(nil)
	if err := errors.Join(err1, err2, err3); err != nil {
		t.Fatal(err)
	}
	if first != second || second == third {
		t.Errorf("same identity, same certificate: %v; new identity, new certificate: %v", first == second, second != third)
	}
	if n := testing.AllocsPerRun(100, func() { server.GetCertificate(nil) }); n != 0 {
		t.Errorf("%v allocations to find the certificate, want none", n)
	}
}

// Verify, asked about the peer of an open connection.
func TestVerifyAgain(t *testing.T) {
	count := 0
	for _, tc := range []struct {
		name string
		bend func(t *testing.T, w *world, peer *identity.Peer, now *time.Time)
		want error
	}{
		{"nothing changed", func(*testing.T, *world, *identity.Peer, *time.Time) {}, nil},
		{"the peer's successor has another SVID", func(t *testing.T, w *world, _ *identity.Peer, _ *time.Time) {
			w.client.Rotate(t, devca.IssueOptions{})
		}, nil},
		{"a root was added", func(t *testing.T, w *world, _ *identity.Peer, _ *time.Time) { rotateRoot(t, w) }, nil},
		{"the peer's root was dropped", func(t *testing.T, w *world, _ *identity.Peer, _ *time.Time) {
			rotateRoot(t, w)
			w.ca.DropOldRoots()
			w.server.Refresh()
		}, mtls.ErrUntrusted},
		{"the peer's domain was dropped", func(_ *testing.T, w *world, _ *identity.Peer, _ *time.Time) {
			w.server.Publish(w.server.Current().SVID, x509bundle.NewSet(w.other.Bundle()))
		}, mtls.ErrUnknownTrustDomain},
		{"the bundles are gone", func(_ *testing.T, w *world, _ *identity.Peer, _ *time.Time) {
			w.server.Publish(w.server.Current().SVID, nil)
		}, mtls.ErrUnknownTrustDomain},
		{"the peer is in its last second", func(_ *testing.T, _ *world, peer *identity.Peer, now *time.Time) {
			*now = peer.NotAfter()
		}, nil},
		{"the peer has expired", func(_ *testing.T, _ *world, peer *identity.Peer, now *time.Time) {
			*now = peer.NotAfter().Add(time.Second)
		}, mtls.ErrExpired},
		{"the peer is nobody", func(_ *testing.T, _ *world, peer *identity.Peer, _ *time.Time) {
			*peer = identity.Peer{}
		}, mtls.ErrNotSVID},
		{"the peer claims another's identity", func(t *testing.T, _ *world, peer *identity.Peer, _ *time.Time) {
			peer.ID = identitytest.ID(t, serverID)
		}, mtls.ErrNotSVID},
	} {
		t.Run(tc.name, func(t *testing.T) {
			count++
			w := newWorld(t)
			peer, _ := connect(t, w.serverConfig(), w.clientConfig()).mustWork(t).peers(t)
			now := time.Now()
			tc.bend(t, w, &peer, &now)
			err := mtls.Verify(peer, w.server.Current(), now)
			if tc.want == nil && err != nil {
				t.Errorf("the peer is refused: %v", err)
			}
			if tc.want != nil {
				wantError(t, err, tc.want)
			}
		})
	}
	if least := 10; count < least {
		t.Errorf("%d cases ran, want at least %d", count, least)
	}
}

// FuzzPeer presents damaged certificates. Whatever is accepted was signed by
// the CA, byte for byte: only the signature itself has more than one form.
func FuzzPeer(f *testing.F) {
	ca := identitytest.NewCA(f, "example.org")
	src := ca.Source(f, clientID)
	leaf := src.Current().SVID.Certificates[0]
	f.Add(0, byte(0))
	f.Add(len(leaf.Raw)/2, byte(1))
	f.Add(len(leaf.Raw)-1, byte(0x80))
	now := time.Now()
	f.Fuzz(func(t *testing.T, at int, flip byte) {
		der := append([]byte(nil), leaf.Raw...)
		if at < 0 {
			at = -(at + 1)
		}
		der[at%len(der)] ^= flip
		damaged, err := x509.ParseCertificate(der)
		if err != nil {
			return
		}
		peer := identity.Peer{ID: src.ID(), Chain: []*x509.Certificate{damaged}}
		err = mtls.Verify(peer, src.Current(), now)
		same := string(damaged.RawTBSCertificate) == string(leaf.RawTBSCertificate)
		if err == nil && !same {
			t.Errorf("accepted after byte %d of %d changed by %#x", at%len(der), len(der), flip)
		}
		if err != nil && flip == 0 {
			t.Errorf("the undamaged certificate is refused: %v", err)
		}
	})
}
