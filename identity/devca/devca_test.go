package devca_test

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spiffe/go-spiffe/v2/proto/spiffe/workload"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/spiffe/go-spiffe/v2/svid/x509svid"
	"github.com/spiffe/go-spiffe/v2/workloadapi"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/outrider-mesh/outrider/identity/devca"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	domain   = spiffeid.RequireTrustDomainFromString("example.org")
	checkout = spiffeid.RequireFromPath(domain, "/ns/shop/sa/checkout")
	payments = spiffeid.RequireFromPath(domain, "/ns/shop/sa/payments")
)

func newCA(t *testing.T, lifetime time.Duration) *devca.CA {
	t.Helper()
	ca, err := devca.New(devca.Options{TrustDomain: domain, SVIDLifetime: lifetime, Warn: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ca.Close() })
	return ca
}

// shortDir is short because a socket's path is limited to 107 bytes.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "ca") //nolint:usetesting // t.TempDir is too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func serve(t *testing.T, ca *devca.CA, id spiffeid.ID) *devca.Endpoint {
	t.Helper()
	e, err := ca.Serve(t.Context(), filepath.Join(shortDir(t), "s"), id)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// A recorder receives what a workload is sent.
type recorder struct{ updates chan *workloadapi.X509Context }

func (r *recorder) OnX509ContextUpdate(u *workloadapi.X509Context) { r.updates <- u }
func (r *recorder) OnX509ContextWatchError(error)                  {}

// watch follows an endpoint until the test ends.
func watch(t *testing.T, e *devca.Endpoint) *recorder {
	t.Helper()
	client, err := workloadapi.New(t.Context(), workloadapi.WithAddr(e.Addr()))
	if err != nil {
		t.Fatal(err)
	}
	r := &recorder{updates: make(chan *workloadapi.X509Context, 16)}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = client.WatchX509Context(ctx, r)
	}()
	t.Cleanup(func() {
		cancel()
		<-done
		client.Close()
	})
	return r
}

func (r *recorder) next(t *testing.T) *workloadapi.X509Context {
	t.Helper()
	select {
	case u := <-r.updates:
		return u
	case <-time.After(20 * time.Second):
		t.Fatal("no update arrived")
		return nil
	}
}

func verifies(t *testing.T, u *workloadapi.X509Context) {
	t.Helper()
	if _, _, err := x509svid.Verify(u.DefaultSVID().Certificates, u.Bundles); err != nil {
		t.Errorf("the SVID does not verify with the bundles beside it: %v", err)
	}
}

func serial(u *workloadapi.X509Context) string {
	return u.DefaultSVID().Certificates[0].SerialNumber.String()
}

func TestTheCAWarnsLoudly(t *testing.T) {
	var warning bytes.Buffer
	if _, err := devca.New(devca.Options{TrustDomain: domain, Warn: &warning}); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(warning.String(), "NOT FOR PRODUCTION") {
		t.Errorf("the warning reads %q", warning.String())
	}
}

func TestImpossibleOptionsAreRefused(t *testing.T) {
	for name, opts := range map[string]devca.Options{
		"no trust domain":  {},
		"too short a life": {TrustDomain: domain, SVIDLifetime: time.Second},
		"a negative life":  {TrustDomain: domain, SVIDLifetime: -time.Hour},
	} {
		opts.Warn = io.Discard
		if _, err := devca.New(opts); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestAWorkloadIsServedAndOnlyItsChangesReachIt(t *testing.T) {
	ca := newCA(t, 0)
	mine, others := watch(t, serve(t, ca, checkout)), watch(t, serve(t, ca, payments))
	first := mine.next(t)
	verifies(t, first)
	if got := first.DefaultSVID().ID; got != checkout {
		t.Errorf("the workload is %q", got)
	}
	undisturbed := others.next(t)

	ca.Rotate(checkout)
	second := mine.next(t)
	verifies(t, second)
	if serial(first) == serial(second) {
		t.Error("a rotation brings the same SVID")
	}
	ca.Rotate()
	mine.next(t)
	if serial(others.next(t)) == serial(undisturbed) {
		t.Error("another workload's rotation disturbed this one")
	}
}

func TestRootsRotateWithAnOverlap(t *testing.T) {
	ca := newCA(t, 0)
	r := watch(t, serve(t, ca, checkout))
	first := r.next(t)
	if err := ca.RotateRoot(); err != nil {
		t.Fatal(err)
	}
	overlap := r.next(t)
	verifies(t, overlap)
	if serial(overlap) != serial(first) || overlap.Bundles.Bundles()[0].Equal(first.Bundles.Bundles()[0]) {
		t.Error("a new root changes more or less than the bundle")
	}
	ca.DropOldRoots()
	last := r.next(t)
	verifies(t, last)
	if serial(last) == serial(overlap) {
		t.Error("the SVID of a dropped root stays out")
	}
	if n := len(ca.Bundle().X509Authorities()); n != 1 {
		t.Errorf("%d roots are left, want 1", n)
	}
}

func TestAnSVIDIsReplacedAtHalfItsLife(t *testing.T) {
	ca := newCA(t, 2*time.Second)
	r := watch(t, serve(t, ca, checkout))
	first, second := r.next(t), r.next(t)
	verifies(t, second)
	if serial(first) == serial(second) {
		t.Error("the SVID is the same")
	}
}

func TestFederationReachesTheWorkloads(t *testing.T) {
	ca := newCA(t, 0)
	abroad, err := devca.New(devca.Options{TrustDomain: spiffeid.RequireTrustDomainFromString("example.net"), Warn: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	r := watch(t, serve(t, ca, checkout))
	r.next(t)
	if err := ca.Federate(abroad.Bundle()); err != nil {
		t.Fatal(err)
	}
	got, ok := r.next(t).Bundles.Get(abroad.TrustDomain())
	if !ok || !got.Equal(abroad.Bundle()) {
		t.Errorf("the workload is given %v", got)
	}
	if !ca.Bundles().Has(abroad.TrustDomain()) || !ca.Bundles().Has(domain) {
		t.Error("Bundles lacks a domain")
	}
	if err := ca.Federate(ca.Bundle()); err == nil {
		t.Error("the CA federates with itself")
	}
}

func TestOnlyWorkloadsOfTheDomainAreServed(t *testing.T) {
	ca := newCA(t, 0)
	for _, id := range []spiffeid.ID{spiffeid.RequireFromString("spiffe://example.net/a"), domain.ID()} {
		if _, err := ca.Serve(t.Context(), filepath.Join(shortDir(t), "s"), id); err == nil {
			t.Errorf("%q is served", id)
		}
	}
}

func TestASocketIsPrivateGoesAwayAndComesBack(t *testing.T) {
	ca, dir := newCA(t, 0), shortDir(t)
	path := filepath.Join(dir, "made", "s")
	for range 2 {
		e, err := ca.Serve(t.Context(), path, checkout)
		if err != nil {
			t.Fatal(err)
		}
		for p, want := range map[string]os.FileMode{path: 0o600, filepath.Dir(path): 0o700} {
			if info, err := os.Stat(p); err != nil || info.Mode().Perm() != want {
				t.Errorf("%s: %v, %v, want mode %v", p, info.Mode().Perm(), err, want)
			}
		}
		verifies(t, watch(t, e).next(t))
		for range 2 {
			if err := e.Close(); err != nil {
				t.Errorf("closing: %v", err)
			}
		}
		if left, err := os.ReadDir(filepath.Dir(path)); err != nil || len(left) != 0 {
			t.Errorf("closing leaves %v behind (%v)", left, err)
		}
	}
}

func TestNothingButTheSocketIsEverWritten(t *testing.T) {
	dir := shortDir(t)
	e, err := newCA(t, 0).Serve(t.Context(), filepath.Join(dir, "s"), checkout)
	if err != nil {
		t.Fatal(err)
	}
	watch(t, e).next(t)
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 || entries[0].Type() != os.ModeSocket {
		t.Errorf("the directory holds %v (%v), want one socket", entries, err)
	}
}

func TestATooLongSocketPathIsExplained(t *testing.T) {
	_, err := newCA(t, 0).Serve(t.Context(), filepath.Join(shortDir(t), strings.Repeat("x", 100)), checkout)
	if err == nil || !strings.Contains(err.Error(), "107") {
		t.Errorf("the error is %v", err)
	}
}

func TestTheEndOfTheContextAndOfTheCAEndServing(t *testing.T) {
	ca, path := newCA(t, 0), filepath.Join(shortDir(t), "s")
	ctx, cancel := context.WithCancel(t.Context())
	e, err := ca.Serve(ctx, path, checkout)
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	eventuallyGone(t, path)
	if err := e.Close(); err != nil {
		t.Error(err)
	}
	again, err := ca.Serve(t.Context(), path, checkout)
	if err != nil {
		t.Fatal(err)
	}
	for _, close := range []func() error{ca.Close, ca.Close, again.Close} {
		if err := close(); err != nil {
			t.Errorf("closing: %v", err)
		}
	}
	if _, err := ca.Serve(t.Context(), path, checkout); err == nil {
		t.Error("a closed CA serves")
	}
	if left, err := os.ReadDir(filepath.Dir(path)); err != nil || len(left) != 0 {
		t.Errorf("a refused service leaves %v behind (%v)", left, err)
	}
}

// eventuallyGone waits for a file to disappear.
func eventuallyGone(t *testing.T, path string) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for deadline := time.After(20 * time.Second); ; {
		if _, err := os.Stat(path); os.IsNotExist(err) {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("%s is still there", path)
		}
	}
}

// The raw API, as a client that is not go-spiffe sees it.
func TestTheWireSemantics(t *testing.T) {
	ca := newCA(t, 0)
	served, unserved := dial(t, serve(t, ca, checkout)), dial(t, serve(t, ca, spiffeid.ID{}))
	plain := t.Context()
	proper := metadata.AppendToOutgoingContext(plain, "workload.spiffe.io", "true")
	falsy := metadata.AppendToOutgoingContext(plain, "workload.spiffe.io", "false")

	svid := func(ctx context.Context, c workload.SpiffeWorkloadAPIClient) error {
		stream, err := c.FetchX509SVID(ctx, &workload.X509SVIDRequest{})
		if err == nil {
			_, err = stream.Recv()
		}
		return err
	}
	bundles := func(ctx context.Context, c workload.SpiffeWorkloadAPIClient) error {
		stream, err := c.FetchX509Bundles(ctx, &workload.X509BundlesRequest{})
		if err == nil {
			_, err = stream.Recv()
		}
		return err
	}
	jwt := func(ctx context.Context, c workload.SpiffeWorkloadAPIClient) error {
		_, err := c.FetchJWTSVID(ctx, &workload.JWTSVIDRequest{Audience: []string{"x"}})
		return err
	}
	for _, tc := range []struct {
		name string
		call func(context.Context, workload.SpiffeWorkloadAPIClient) error
		ctx  context.Context
		from workload.SpiffeWorkloadAPIClient
		want codes.Code
	}{
		{"an SVID is served", svid, proper, served, codes.OK},
		{"bundles are served", bundles, proper, served, codes.OK},
		{"an SVID without the header is refused", svid, plain, served, codes.InvalidArgument},
		{"an SVID with a false header is refused", svid, falsy, served, codes.InvalidArgument},
		{"bundles without the header are refused", bundles, plain, served, codes.InvalidArgument},
		{"a JWT without the header is refused", jwt, plain, served, codes.InvalidArgument},
		{"a JWT is not offered", jwt, proper, served, codes.Unimplemented},
		{"nobody has no SVID", svid, proper, unserved, codes.PermissionDenied},
		{"nobody has no bundles", bundles, proper, unserved, codes.PermissionDenied},
	} {
		ctx, cancel := context.WithTimeout(tc.ctx, 20*time.Second)
		if got := status.Code(tc.call(ctx, tc.from)); got != tc.want {
			t.Errorf("%s: %v, want %v", tc.name, got, tc.want)
		}
		cancel()
	}
}

func dial(t *testing.T, e *devca.Endpoint) workload.SpiffeWorkloadAPIClient {
	t.Helper()
	conn, err := grpc.NewClient(e.Addr(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return workload.NewSpiffeWorkloadAPIClient(conn)
}

func TestIssueMakesWhatWasAskedFor(t *testing.T) {
	ca := newCA(t, 0)
	svid, err := ca.Issue(checkout, devca.IssueOptions{Intermediate: true, ExtraURIs: []string{"https://x/"}})
	if err != nil {
		t.Fatal(err)
	}
	uris := make([]string, 0, 2)
	for _, u := range svid.Certificates[0].URIs {
		uris = append(uris, u.String())
	}
	if !slices.Equal(uris, []string{checkout.String(), "https://x/"}) || len(svid.Certificates) != 2 {
		t.Errorf("the chain of %d names %v", len(svid.Certificates), uris)
	}
	if _, err := ca.Issue(checkout, devca.IssueOptions{ExtraURIs: []string{"://"}}); err == nil {
		t.Error("a URI that is none is accepted")
	}
}
