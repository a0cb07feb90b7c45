package e2e

import (
	"context"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"

	"github.com/outrider-mesh/outrider/injector/issue"
	"github.com/outrider-mesh/outrider/injector/issue/ca"
	"github.com/outrider-mesh/outrider/injector/issue/keeper"
	"github.com/outrider-mesh/outrider/internal/testkit"
)

// audience is that of the tokens.
const audience = "outrider"

const controlPlane = "spiffe://example.org/ns/outrider-system/sa/outrider-injector"

// quickCA issues SVIDs that live for seconds. Half of that is what a machine that
// is busy with other tests may take to renew one.
func quickCA() ca.Policy {
	const svid = 10 * time.Second
	return ca.Policy{SVID: svid, Announce: time.Hour, Retire: time.Hour}
}

// An issuer is the control plane's, with a store in memory and pods that are made
// up.
type issuer struct {
	t      testing.TB
	dir    string
	addr   string
	store  *keeper.Memory
	keeper *keeper.Keeper
	server *issue.Server
	change chan struct{}
	stop   func() // of what serves

	mu   sync.Mutex
	pods map[string]issue.Verdict // by token
}

func newIssuer(t testing.TB, policy ca.Policy) *issuer {
	t.Helper()
	i := &issuer{t: t, dir: t.TempDir(), store: new(keeper.Memory), change: make(chan struct{}, 1), pods: map[string]issue.Verdict{}}
	var err error
	i.keeper, err = keeper.New(keeper.Options{
		Store: i.store, ID: spiffeid.RequireFromString(controlPlane), Policy: policy, Changed: i.change,
	})
	if err != nil {
		t.Fatal(err)
	}
	i.keeper.Round(t.Context())
	i.server, err = issue.New(issue.Options{Signer: i.keeper, Reviewer: i, Excluded: []string{"kube-system"}})
	if err != nil {
		t.Fatal(err)
	}
	i.until(i.keeper.Run)
	i.serve("127.0.0.1:0")
	i.anchors()
	return i
}

// until runs until the test ends, or earlier.
func (i *issuer) until(run func(context.Context) error) (stop func()) {
	ctx, cancel := context.WithCancel(i.t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		if err := run(ctx); err != nil {
			i.t.Errorf("issuer: %v", err)
		}
	})
	stop = sync.OnceFunc(func() {
		cancel()
		running.Wait()
	})
	i.t.Cleanup(stop)
	return stop
}

// serve listens at an address, again if it was that of before.
func (i *issuer) serve(addr string) {
	i.t.Helper()
	l, err := net.Listen("tcp", addr)
	if err != nil {
		i.t.Fatal(err)
	}
	i.addr = l.Addr().String()
	i.stop = i.until(func(ctx context.Context) error { return i.server.Serve(ctx, l) })
}

// anchors writes the file that the sidecars verify the issuer with first.
func (i *issuer) anchors() {
	i.t.Helper()
	var text []byte
	for _, root := range i.roots() {
		text = append(text, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: root})...)
	}
	i.write("ca.pem", string(text))
}

func (i *issuer) roots() (ders [][]byte) {
	own, _ := i.keeper.Current().Bundles.Get(i.keeper.TrustDomain())
	for _, root := range own.X509Authorities() {
		ders = append(ders, root.Raw)
	}
	return ders
}

func (i *issuer) write(name, text string) {
	i.t.Helper()
	if err := os.WriteFile(filepath.Join(i.dir, name), []byte(text), 0o600); err != nil {
		i.t.Fatal(err)
	}
}

// pod makes up a pod and returns what its sidecar has for an identity.
func (i *issuer) pod(namespace, account string, audiences ...string) (spec string) {
	i.t.Helper()
	token := "token-of-" + namespace + "-" + account
	i.mu.Lock()
	i.pods[token] = issue.Verdict{
		Authenticated: true, Audiences: audiences, Username: "system:serviceaccount:" + namespace + ":" + account,
		Pod: account + "-1", PodUID: namespace + "/" + account,
	}
	i.mu.Unlock()
	i.write(token, token)
	return fmt.Sprintf("  identity: {meshCA: {address: %q, server: %q, token: %q, trustAnchors: %q}}\n",
		i.addr, controlPlane, filepath.Join(i.dir, token), filepath.Join(i.dir, "ca.pem"))
}

func (i *issuer) revoke(namespace, account string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	delete(i.pods, "token-of-"+namespace+"-"+account)
}

// Review implements issue.Reviewer.
func (i *issuer) Review(_ context.Context, token string) (issue.Verdict, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.pods[token], nil
}

// pass makes the present phases of the CA's roots as old as if their time had
// passed, and has the keeper see it.
func (i *issuer) pass() {
	i.t.Helper()
	i.store.Change(func(stored *keeper.Stored) {
		s, err := ca.Decode(stored.State)
		if err != nil {
			i.t.Error(err)
			return
		}
		for n := range s.Roots {
			s.Roots[n].Since = s.Roots[n].Since.Add(-2 * time.Hour)
		}
		if stored.State, err = ca.Encode(s); err != nil {
			i.t.Error(err)
		}
	})
	i.keeper.Round(i.t.Context())
}

func TestTheMeshCAGivesSidecarsTheirIdentities(t *testing.T) {
	t.Parallel()
	i := newIssuer(t, ca.Policy{})
	in := side{forward: serveApp(t, hello), policies: allowMesh + next + access("Allow",
		`{from: [{principals: ["`+checkout+`"]}]}`), spec: i.pod("shop", "payments", audience)}.start(t)
	to := []string{in.Address(t, "in")}
	out := side{to: to, spec: i.pod("shop", "checkout", audience)}.start(t)
	dial(t, out.Address(t, "out")).get("/").wants(t, 200)

	// A workload of the same name elsewhere is somebody else, and so is a server.
	elsewhere := side{to: to, spec: i.pod("other", "checkout", audience)}.start(t)
	dial(t, elsewhere.Address(t, "out")).get("/").wants(t, 403)
	impostor := side{forward: serveApp(t, hello), policies: allowMesh, spec: i.pod("other", "payments", audience)}.start(t)
	misled := side{to: []string{impostor.Address(t, "in")}, spec: i.pod("shop", "checkout", audience)}.start(t)
	dial(t, misled.Address(t, "out")).get("/").refused(t, 502, "upstream_tls_failed")
}

func TestNoIdentityIsGivenToWhoeverShouldNotHaveOne(t *testing.T) {
	t.Parallel()
	i := newIssuer(t, ca.Policy{})
	cases := []struct{ name, spec, says string }{
		{"a token for another audience", i.pod("shop", "audience", "vault"), "status 401"},
		{"a namespace that is not part of the mesh", i.pod("kube-system", "proxy", audience), "status 403"},
		{"a token that nobody knows", strings.ReplaceAll(i.pod("shop", "nobody", audience), "token-of", "no-token-of"), "no such file"},
	}
	if len(cases) < 3 {
		t.Errorf("%d cases are too few", len(cases))
	}
	for _, c := range cases {
		s := side{forward: serveApp(t, hello), policies: allowMesh, spec: c.spec, notReady: true}.start(t)
		testkit.Eventually(t, c.name+" is explained", func() bool {
			_, why := httpGet(t, "http://"+s.AdminAddress()+"/ready")
			return strings.Contains(why, c.says)
		})
		if ok, missing := ready(t, s); ok || !strings.Contains(missing, "identity") {
			t.Errorf("%s: ready: %v, missing %q", c.name, ok, missing)
		}
		if len(s.Addresses()) != 0 {
			t.Errorf("%s: listeners are bound", c.name)
		}
	}
}

// Announced, signing, retired and gone: nothing is lost at any of these steps,
// although every sidecar verifies with its own bundles only.
func TestTheMeshCAsRootChangesUnderLoadWithoutAFailedRequest(t *testing.T) {
	t.Parallel()
	i := newIssuer(t, quickCA())
	in := side{forward: serveApp(t, hello), policies: allowMesh, spec: i.pod("shop", "payments", audience)}.start(t)
	out := side{to: []string{in.Address(t, "in")}, spec: i.pod("shop", "checkout", audience)}.start(t)
	l := startLoad(t, out.Address(t, "out"), 4)
	// changed waits until both sidecars have seen as many snapshots more.
	changed := func(what string, more float64, step func()) {
		wasIn, wasOut, served := generation(t, in), generation(t, out), l.served.Load()
		step()
		testkit.Eventually(t, what, func() bool {
			return generation(t, in) >= wasIn+more && generation(t, out) >= wasOut+more && l.reached(served+100)
		})
	}
	old := i.roots()
	changed("the new root is announced", 1, func() {
		i.store.Change(func(s *keeper.Stored) { s.Request = "now" })
		i.keeper.Round(t.Context())
	})
	if n := len(i.roots()); n != 2 {
		t.Fatalf("%d roots are announced", n)
	}
	changed("the new root signs", 1, i.pass)
	// The pause before the next step is for SVIDs of before to expire, and with
	// them the connections that were made with them.
	expired := time.Now().Add(quickCA().SVID)
	changed("no SVID of before is left", 2, func() {})
	testkit.Eventually(t, "nor a connection", func() bool { return time.Now().After(expired) })
	changed("the old root is gone", 1, i.pass)
	if now := i.roots(); len(now) != 1 || string(now[0]) == string(old[0]) {
		t.Errorf("%d roots are left, or it is the old one", len(now))
	}
	changed("renewed below the new root alone", 1, func() {})
	l.finish()
	t.Logf("%d requests, %d failed", l.served.Load(), l.failed.Load())
}

func TestTheMeshOutlivesItsIssuer(t *testing.T) {
	t.Parallel()
	i := newIssuer(t, quickCA())
	in := side{forward: serveApp(t, hello), policies: allowMesh, spec: i.pod("shop", "payments", audience)}.start(t)
	out := side{to: []string{in.Address(t, "in")}, spec: i.pod("shop", "checkout", audience)}.start(t)
	l := startLoad(t, out.Address(t, "out"), 2)
	i.stop()
	expiry := func() time.Time {
		return time.Unix(int64(min(metric(t, in, "outrider_identity_svid_expiry_timestamp_seconds"), metric(t, out, "outrider_identity_svid_expiry_timestamp_seconds"))), 0)
	}
	last := expiry()
	testkit.Eventually(t, "more than half of a life has passed", func() bool {
		return time.Until(last) < quickCA().SVID/2-time.Second || !l.reached(0)
	})
	wasIn, wasOut, served := generation(t, in), generation(t, out), l.served.Load()
	if got := metric(t, in, "outrider_identity_update_errors_total"); got == 0 {
		t.Error("nobody is told")
	}
	i.serve(i.addr)
	testkit.Eventually(t, "both have a new SVID", func() bool {
		return generation(t, in) > wasIn && generation(t, out) > wasOut && expiry().After(last) && l.reached(served+50)
	})
	l.finish()

	// A pod whose token is revoked is part of the mesh for as long as its SVID.
	i.revoke("shop", "checkout")
	testkit.Eventually(t, "the revoked pod has no identity", func() bool {
		ok, missing := ready(t, out)
		return !ok && strings.Contains(missing, "identity")
	})
	dial(t, out.Address(t, "out")).get("/").refused(t, 503, "no_identity")
	if ok, missing := ready(t, in); !ok {
		t.Errorf("the other one lacks %q", missing)
	}
}
