package hop_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/outrider-mesh/outrider/identity"
	"github.com/outrider-mesh/outrider/identity/devca"
	"github.com/outrider-mesh/outrider/identity/identitytest"
	"github.com/outrider-mesh/outrider/identity/mtls"
	"github.com/outrider-mesh/outrider/proxy/flow"
	"github.com/outrider-mesh/outrider/proxy/hop"
)

const (
	checkout = "spiffe://example.org/ns/shop/sa/checkout"
	payments = "spiffe://example.org/ns/shop/sa/payments"
)

// end is one side of a handshake.
type end struct {
	source identity.Source
	config *tls.Config
}

func server(src identity.Source, protocols ...string) end {
	return end{src, mtls.ServerConfig(src, mtls.ServerOptions{NextProtos: protocols})}
}

func client(t *testing.T, src identity.Source, expected string, protocols ...string) end {
	t.Helper()
	e, err := mtls.NewExpected(identitytest.ID(t, expected))
	if err != nil {
		t.Fatal(err)
	}
	return end{src, mtls.ClientConfig(src, mtls.ClientOptions{Expected: e, NextProtos: protocols})}
}

// meet makes a handshake. Both ends are closed when the test ends.
func meet(t *testing.T, c, s end) (dialed, accepted *hop.Conn, dialErr, acceptErr error) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	near, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	far, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(func() {
		cancel()
		_ = near.Close()
		_ = far.Close()
	})
	done := make(chan struct{})
	go func() {
		defer close(done)
		if accepted, acceptErr = hop.Accept(ctx, far, s.source, s.config); acceptErr != nil {
			_ = far.Close() // as its owner does
		}
	}()
	if dialed, dialErr = hop.Dial(ctx, near, c.source, c.config); dialErr != nil {
		_ = near.Close()
	}
	<-done
	return dialed, accepted, dialErr, acceptErr
}

func TestBothEndsKnowWhoTheyAre(t *testing.T) {
	ca := identitytest.NewCA(t, "example.org")
	a, b := ca.Source(t, checkout), ca.Source(t, payments)
	d, s, err, serverErr := meet(t, client(t, a, payments, hop.ClientProtocols(flow.HTTP1)...), server(b, hop.ServerProtocols()...))
	if err := errors.Join(err, serverErr); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		end         *hop.Conn
		local, peer string
		source      identity.Source
	}{{d, checkout, payments, a}, {s, payments, checkout, b}} {
		if c.end.Local.String() != c.local || c.end.Peer.ID.String() != c.peer || len(c.end.Peer.Chain) == 0 {
			t.Errorf("we are %v and speak with %v; want %v and %v", c.end.Local, c.end.Peer.ID, c.local, c.peer)
		}
		if c.end.ALPN != hop.ALPNHTTP1 || c.end.Took <= 0 {
			t.Errorf("ALPN %q, took %v", c.end.ALPN, c.end.Took)
		}
		if want := c.source.Current().SVID.Certificates[0].NotAfter; !c.end.LocalNotAfter.Equal(want) {
			t.Errorf("our certificate ends at %v, not %v", c.end.LocalNotAfter, want)
		}
		if err := c.end.Revalidate(); err != nil {
			t.Errorf("nothing has changed, and yet: %v", err)
		}
	}
}

// What the two ends agree on, and what that says of the protocol.
func TestALPN(t *testing.T) {
	ca := identitytest.NewCA(t, "example.org")
	a, b := ca.Source(t, checkout), ca.Source(t, payments)
	cases := []struct {
		name           string
		client, server []string
		alpn           string
		declared       flow.Protocol
		clean          bool
	}{
		{"two Outriders, HTTP", hop.ClientProtocols(flow.HTTP1), hop.ServerProtocols(), "outrider/1+h1", flow.HTTP1, true},
		{"two Outriders, HTTP/2", hop.ClientProtocols(flow.HTTP2), hop.ServerProtocols(), "outrider/1+h2", flow.HTTP2, false},
		{"two Outriders, opaque bytes", hop.ClientProtocols(flow.TCP), hop.ServerProtocols(), "outrider/1+tcp", flow.TCP, false},
		{"an undetected protocol is carried as bytes", hop.ClientProtocols(flow.Undetected), hop.ServerProtocols(), "outrider/1+tcp", flow.TCP, false},
		{"another SPIFFE client that speaks HTTP/1.1", []string{"h2", "http/1.1"}, hop.ServerProtocols(), "http/1.1", flow.HTTP1, false},
		{"another SPIFFE client that speaks HTTP/2", []string{"h2"}, hop.ServerProtocols(), "h2", flow.HTTP2, false},
		{"another SPIFFE server that speaks HTTP/2", hop.ClientProtocols(flow.HTTP2), []string{"h2", "http/1.1"}, "h2", flow.HTTP2, false},
		{"a SPIFFE client without ALPN", nil, hop.ServerProtocols(), "", flow.Undetected, false},
		{"another SPIFFE server that speaks HTTP/1.1", hop.ClientProtocols(flow.HTTP1), []string{"h2", "http/1.1"}, "http/1.1", flow.HTTP1, false},
		{"a SPIFFE server without ALPN", hop.ClientProtocols(flow.HTTP1), nil, "", flow.Undetected, false},
		{"a SPIFFE server without ALPN, opaque bytes", hop.ClientProtocols(flow.TCP), nil, "", flow.Undetected, false},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			d, s, err, serverErr := meet(t, client(t, a, payments, c.client...), server(b, c.server...))
			if err := errors.Join(err, serverErr); err != nil {
				t.Fatal(err)
			}
			if d.ALPN != c.alpn || s.ALPN != c.alpn {
				t.Errorf("agreed on %q and %q, want %q", d.ALPN, s.ALPN, c.alpn)
			}
			if hop.Declared(d.ALPN) != c.declared || hop.CleanClose(d.ALPN) != c.clean {
				t.Errorf("declares %v, clean close %t", hop.Declared(d.ALPN), hop.CleanClose(d.ALPN))
			}
		})
	}
	if hop.Declared("spdy/3") != flow.Undetected || hop.CleanClose("spdy/3") {
		t.Error("a protocol we don't offer is taken for one")
	}
	if p := hop.ServerProtocols(); !slices.Equal(p, []string{hop.ALPNHTTP1, hop.ALPNHTTP2, hop.ALPNTCP, hop.ALPNPlainHTTP1, hop.ALPNPlainHTTP2}) {
		t.Errorf("a server accepts %v", p)
	}
}

func TestHandshakesThatFail(t *testing.T) {
	ca, other := identitytest.NewCA(t, "example.org"), identitytest.NewCA(t, "other.org")
	if err := other.CA.Federate(ca.Bundle()); err != nil { // strangers know us, and we don't know them
		t.Fatal(err)
	}
	a, b := ca.Source(t, checkout), ca.Source(t, payments)
	expired := ca.Source(t, checkout)
	expired.Rotate(t, devca.IssueOptions{NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: time.Now().Add(-time.Hour)})
	stranger := other.Source(t, "spiffe://other.org/ns/shop/sa/checkout")
	protocols := hop.ServerProtocols()
	cases := []struct {
		name               string
		client, server     end
		dialErr, acceptErr error // nil: any error, or none where the other end noticed first
	}{
		{"the server is somebody else", client(t, a, checkout, protocols...), server(b, protocols...), mtls.ErrUnexpectedID, nil},
		{"the client is of an unknown trust domain", client(t, stranger, payments, protocols...), server(b, protocols...), nil, mtls.ErrUnknownTrustDomain},
		{"the server is of an unknown trust domain", client(t, a, "spiffe://other.org/x", protocols...), server(stranger, protocols...), mtls.ErrUnknownTrustDomain, nil},
		{"we have no SVID, as a client", client(t, new(identity.Publisher), payments, protocols...), server(b, protocols...), mtls.ErrNoSVID, nil},
		{"we have no SVID, as a server", client(t, a, payments, protocols...), server(new(identity.Publisher), protocols...), nil, mtls.ErrNoSVID},
		{"our SVID has expired", client(t, expired, payments, protocols...), server(b, protocols...), mtls.ErrSVIDExpired, nil},
		{"there is no common protocol", client(t, a, payments, "spdy/3"), server(b, protocols...), nil, nil},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			d, s, dialErr, acceptErr := meet(t, c.client, c.server)
			if d != nil && s != nil {
				// TLS 1.3: a client may be done before its server refuses.
				t.Fatal("the handshake succeeded")
			}
			if c.dialErr != nil && !errors.Is(dialErr, c.dialErr) {
				t.Errorf("client: %v, want %v", dialErr, c.dialErr)
			}
			if c.acceptErr != nil && !errors.Is(acceptErr, c.acceptErr) {
				t.Errorf("server: %v, want %v", acceptErr, c.acceptErr)
			}
			if acceptErr == nil && dialErr == nil {
				t.Error("nobody has an error")
			}
		})
	}
}

func TestAHandshakeIsBoundedInTime(t *testing.T) {
	ca := identitytest.NewCA(t, "example.org")
	b := ca.Source(t, payments)
	silent, ours := net.Pipe()
	defer silent.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, err := hop.Accept(ctx, ours, b, server(b).config); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a silent client: %v", err)
	}
	if _, err := silent.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("its connection is still open: %v", err)
	}
}

// A client stops using a connection well before a certificate of it expires.
func TestRetireAt(t *testing.T) {
	ca := identitytest.NewCA(t, "example.org")
	now := time.Now().Truncate(time.Second)
	for _, c := range []struct {
		name        string
		ours, peers time.Duration // what is left of the certificates
		want        time.Duration
	}{
		{"both live as long", time.Hour, time.Hour, 54 * time.Minute},
		{"ours is shorter", 10 * time.Minute, time.Hour, 9 * time.Minute},
		{"the peer's is shorter", time.Hour, 20 * time.Minute, 18 * time.Minute},
	} {
		t.Run(c.name, func(t *testing.T) {
			a, b := ca.Source(t, checkout), ca.Source(t, payments)
			a.Rotate(t, devca.IssueOptions{NotAfter: now.Add(c.ours)})
			b.Rotate(t, devca.IssueOptions{NotAfter: now.Add(c.peers)})
			d, _, err, serverErr := meet(t, client(t, a, payments), server(b))
			if err := errors.Join(err, serverErr); err != nil {
				t.Fatal(err)
			}
			if got := d.RetireAt(now); !got.Equal(now.Add(c.want)) {
				t.Errorf("after %v, want %v", got.Sub(now), c.want)
			}
			late := now.Add(2 * time.Hour)
			if got := d.RetireAt(late); got.After(late) {
				t.Errorf("of an expired certificate: %v later", got.Sub(late))
			}
		})
	}
}

func TestRevalidateSeesARootThatWent(t *testing.T) {
	ca := identitytest.NewCA(t, "example.org")
	a, b := ca.Source(t, checkout), ca.Source(t, payments)
	d, s, err, serverErr := meet(t, client(t, a, payments), server(b))
	if err := errors.Join(err, serverErr); err != nil {
		t.Fatal(err)
	}
	b.Refresh() // another snapshot, the same roots
	if err := s.Revalidate(); err != nil {
		t.Errorf("after a change that does not matter: %v", err)
	}
	if err := ca.RotateRoot(); err != nil {
		t.Fatal(err)
	}
	ca.DropOldRoots()
	b.Refresh()
	if err := s.Revalidate(); !errors.Is(err, mtls.ErrUntrusted) {
		t.Errorf("the server, whose bundle lost the root: %v", err)
	}
	if err := d.Revalidate(); err != nil {
		t.Errorf("the client, whose bundle did not: %v", err)
	}
}

func TestSidecarsAreKnownByWhatTheyOffer(t *testing.T) {
	for _, p := range []flow.Protocol{flow.HTTP1, flow.TCP} {
		if offered := hop.ClientProtocols(p); !hop.FromSidecar(offered) {
			t.Errorf("%q are not taken for a sidecar's", offered)
		}
	}
	for _, offered := range [][]string{nil, {"h2", "http/1.1"}, {"xoutrider/1+tcp"}} {
		if hop.FromSidecar(offered) {
			t.Errorf("%q are taken for a sidecar's", offered)
		}
	}
}
