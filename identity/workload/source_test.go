package workload_test

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"go.uber.org/goleak"

	"github.com/outrider-mesh/outrider/identity"
	"github.com/outrider-mesh/outrider/identity/devca"
	"github.com/outrider-mesh/outrider/identity/workload"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	domain   = spiffeid.RequireTrustDomainFromString("example.org")
	checkout = spiffeid.RequireFromPath(domain, "/ns/shop/sa/checkout")
	nobody   = spiffeid.ID{}
)

func newCA(t *testing.T, td spiffeid.TrustDomain) *devca.CA {
	t.Helper()
	ca, err := devca.New(devca.Options{TrustDomain: td, Warn: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ca.Close() })
	return ca
}

// socketPath is short: t.TempDir holds the test's name, and a socket's path is
// limited to 107 bytes.
func socketPath(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "w") //nolint:usetesting // see above
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return filepath.Join(dir, "agent.sock")
}

func serve(t *testing.T, ca *devca.CA, path string, id spiffeid.ID) *devca.Endpoint {
	t.Helper()
	e, err := ca.Serve(t.Context(), path, id)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func follow(t *testing.T, path string) *workload.Source {
	t.Helper()
	s, err := workload.New(t.Context(), workload.Options{
		Socket:     "unix://" + path,
		MinBackoff: time.Millisecond,
		MaxBackoff: 10 * time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// until follows the snapshots to the first that is as wanted.
func until(t *testing.T, s identity.Source, what string, wanted func(*identity.Snapshot) bool) *identity.Snapshot {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for {
		snap := s.Current()
		if wanted(snap) {
			return snap
		}
		select {
		case <-snap.Superseded():
		case <-ctx.Done():
			t.Fatalf("no snapshot is %s; the last says %v", what, snap.Err)
		}
	}
}

func ready(snap *identity.Snapshot) bool { return snap.Ready() && snap.Err == nil }

func saying(text string) func(*identity.Snapshot) bool {
	return func(snap *identity.Snapshot) bool {
		return snap.Err != nil && strings.Contains(snap.Err.Error(), text)
	}
}

func TestAnIdentityArrives(t *testing.T) {
	path := socketPath(t)
	serve(t, newCA(t, domain), path, checkout)
	snap := until(t, follow(t, path), "ready", ready)
	if snap.SVID.ID != checkout || !snap.Bundles.Has(domain) {
		t.Errorf("got %q and bundles for %v", snap.SVID.ID, snap.Bundles.Bundles())
	}
}

func TestNoIdentityAtFirstIsAStateAndNotAFailure(t *testing.T) {
	path := socketPath(t)
	endpoint := serve(t, newCA(t, domain), path, nobody)
	source := follow(t, path)
	snap := until(t, source, "explained", saying("no registration entry matches this process"))
	if snap.Ready() || !strings.Contains(snap.Err.Error(), path) {
		t.Errorf("ready: %v; the error does not name the socket: %v", snap.Ready(), snap.Err)
	}
	if err := endpoint.Assign(checkout); err != nil {
		t.Fatal(err)
	}
	if snap := until(t, source, "ready", ready); snap.SVID.ID != checkout {
		t.Errorf("got %q", snap.SVID.ID)
	}
}

func TestTheSocketMayAppearLater(t *testing.T) {
	path := socketPath(t)
	source := follow(t, path)
	until(t, source, "explained", saying("nobody answers"))
	serve(t, newCA(t, domain), path, checkout)
	until(t, source, "ready", ready)
}

func TestALostStreamKeepsTheIdentityAndComesBack(t *testing.T) {
	ca, path := newCA(t, domain), socketPath(t)
	endpoint := serve(t, ca, path, checkout)
	source := follow(t, path)
	first := until(t, source, "ready", ready)
	if err := endpoint.Close(); err != nil {
		t.Fatal(err)
	}
	lost := until(t, source, "lost", func(s *identity.Snapshot) bool { return s.Err != nil })
	if lost.SVID != first.SVID || lost.Bundles != first.Bundles || lost.Generation != first.Generation {
		t.Error("a lost stream takes the identity away")
	}
	serve(t, ca, path, checkout)
	back := until(t, source, "back", ready)
	if back.Generation == first.Generation {
		t.Error("the stream that came back brought nothing")
	}
}

func TestAnIdentityTakenAwayIsKeptUntilItExpires(t *testing.T) {
	path := socketPath(t)
	endpoint := serve(t, newCA(t, domain), path, checkout)
	source := follow(t, path)
	until(t, source, "ready", ready)
	if err := endpoint.Assign(nobody); err != nil {
		t.Fatal(err)
	}
	if snap := until(t, source, "explained", saying("no registration entry")); !snap.Ready() {
		t.Error("the identity is gone")
	}
}

func TestSVIDAndBundlesAreFollowed(t *testing.T) {
	ca, path := newCA(t, domain), socketPath(t)
	serve(t, ca, path, checkout)
	source := follow(t, path)
	first := until(t, source, "ready", ready)

	ca.Rotate(checkout)
	rotated := until(t, source, "rotated", func(s *identity.Snapshot) bool { return s.Generation > first.Generation })
	if serial(rotated) == serial(first) {
		t.Error("the SVID is the same after a rotation")
	}

	if err := ca.RotateRoot(); err != nil {
		t.Fatal(err)
	}
	overlap := until(t, source, "of two roots", func(s *identity.Snapshot) bool { return roots(s, domain) == 2 })
	if serial(overlap) != serial(rotated) {
		t.Error("a new root alone changed the SVID")
	}
	ca.DropOldRoots()
	until(t, source, "of one root", func(s *identity.Snapshot) bool { return roots(s, domain) == 1 })

	abroad := spiffeid.RequireTrustDomainFromString("example.net")
	if err := ca.Federate(newCA(t, abroad).Bundle()); err != nil {
		t.Fatal(err)
	}
	until(t, source, "federated", func(s *identity.Snapshot) bool { return roots(s, abroad) == 1 })
}

func serial(s *identity.Snapshot) string { return s.SVID.Certificates[0].SerialNumber.String() }

func roots(s *identity.Snapshot, td spiffeid.TrustDomain) int {
	b, ok := s.Bundles.Get(td)
	if !ok {
		return 0
	}
	return len(b.X509Authorities())
}

func TestAnAddressThatIsNoneIsRefused(t *testing.T) {
	for _, socket := range []string{
		"", "/run/agent.sock", "unix:", "unix:agent.sock", "unix:///run/agent.sock?x=y", "tcp://agent:8081",
		"tcp://127.0.0.1", "http://127.0.0.1:8081", "unix://user@/run/agent.sock", "\x00",
	} {
		s, err := workload.New(t.Context(), workload.Options{Socket: socket})
		if err == nil {
			t.Errorf("%q is accepted", socket)
			s.Close()
			continue
		}
		if !strings.Contains(err.Error(), "want unix:///path or tcp://ip:port") {
			t.Errorf("%q: the error does not say what is wanted: %v", socket, err)
		}
	}
}

func closeTwice(t *testing.T, s *workload.Source) {
	t.Helper()
	for range 2 {
		if err := s.Close(); err != nil {
			t.Errorf("closing: %v", err)
		}
	}
}

// goleak in TestMain proves that nothing is left running.
func TestCloseAtAnyTimeAndTwice(t *testing.T) {
	path := socketPath(t)
	never := follow(t, path)
	closeTwice(t, never)
	serve(t, newCA(t, domain), path, checkout)
	connected := follow(t, path)
	until(t, connected, "ready", ready)
	closeTwice(t, connected)
	if snap := connected.Current(); !snap.Ready() || snap.Err != nil {
		t.Errorf("after closing, the last snapshot is not what it was: %v", snap.Err)
	}
}

func TestTheContextEndsTheSource(t *testing.T) {
	path := socketPath(t)
	ctx, cancel := context.WithCancel(t.Context())
	s, err := workload.New(ctx, workload.Options{Socket: "unix://" + path})
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}
