package e2e

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"

	"github.com/outrider-mesh/outrider/identity/devca"
	"github.com/outrider-mesh/outrider/identity/identitytest"
	"github.com/outrider-mesh/outrider/internal/testkit"
)

// newCA is a CA that serves the Workload API.
func newCA(t testing.TB, domain string) *devca.CA {
	t.Helper()
	ca, err := devca.New(devca.Options{TrustDomain: spiffeid.RequireTrustDomainFromString(domain), Warn: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ca.Close() })
	return ca
}

// workloadAPI serves an identity and returns the socket's path, which is short:
// it is limited to 107 bytes, and t.TempDir holds the name of the test.
func workloadAPI(t testing.TB, ca *devca.CA, id string) (path string, e *devca.Endpoint) {
	t.Helper()
	dir, err := os.MkdirTemp("", "o") //nolint:usetesting // t.TempDir is too long
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	path = filepath.Join(dir, "s")
	return path, serveAt(t, ca, path, id)
}

func serveAt(t testing.TB, ca *devca.CA, path, id string) *devca.Endpoint {
	t.Helper()
	e, err := ca.Serve(t.Context(), path, identitytest.ID(t, id))
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func identityFrom(socket string) string {
	return fmt.Sprintf("  identity: {workloadAPI: {socket: %q}}\n", "unix://"+socket)
}

// generation is how many snapshots a sidecar has seen.
func generation(t testing.TB, s *testkit.Sidecar) float64 {
	t.Helper()
	return metric(t, s, "outrider_identity_generation")
}

func TestIdentitiesAreRotatedUnderLoadWithoutAFailedRequest(t *testing.T) {
	t.Parallel()
	for _, quic := range []string{"Off", "On"} {
		t.Run("QUIC is "+quic, func(t *testing.T) { rotateUnderLoad(t, quic == "On") })
	}
}

// inAndOut starts both ends with identities of their own making.
func inAndOut(t *testing.T, in, out side, quic bool) (*testkit.Sidecar, *testkit.Sidecar) {
	t.Helper()
	if quic {
		in.spec += "  quic: {listen: \"127.0.0.1:0\"}\n"
	}
	i := in.start(t)
	if quic {
		out.quic = "On"
		_, out.quicPort, _ = net.SplitHostPort(i.QUICAddress())
	}
	out.to = []string{i.Address(t, "in")}
	return i, out.start(t)
}

func rotateUnderLoad(t *testing.T, quic bool) {
	ca := newCA(t, "example.org")
	inSocket, _ := workloadAPI(t, ca, payments)
	outSocket, _ := workloadAPI(t, ca, checkout)
	in, out := inAndOut(t, side{forward: serveApp(t, hello), policies: allowMesh, spec: identityFrom(inSocket)},
		side{spec: identityFrom(outSocket)}, quic)

	const (
		callers   = 4
		rotations = 6
		between   = 100 // requests at least
		least     = rotations * between
	)
	_, tunnels := inAndOut(t, side{forward: serveTCP(t, echo), policies: allowMesh, spec: identityFrom(inSocket)},
		side{listener: ", protocol: TCP", spec: identityFrom(outSocket)}, quic)
	held := dial(t, tunnels.Address(t, "out"))
	l := startLoad(t, out.Address(t, "out"), callers)

	for i := range rotations {
		was, wasIn, wasOut := l.served.Load(), generation(t, in), generation(t, out)
		if i == rotations/2 { // a new root in the middle, with an overlap
			if err := ca.RotateRoot(); err != nil {
				t.Fatal(err)
			}
			testkit.Eventually(t, "both know the new root", func() bool {
				return generation(t, in) > wasIn && generation(t, out) > wasOut
			})
			wasIn, wasOut = generation(t, in), generation(t, out)
		}
		ca.Rotate()
		testkit.Eventually(t, "both have a new SVID and some more requests were served", func() bool {
			return generation(t, in) > wasIn && generation(t, out) > wasOut && l.reached(was+between)
		})
		held.SetDeadline(time.Now().Add(patience))
		held.send("still there?")
		held.reads("still there?")
	}
	l.finish()
	t.Logf("%d requests over %d rotations, %d failed", l.served.Load(), rotations, l.failed.Load())
	if l.served.Load() < least {
		t.Errorf("%d requests were served, want %d at least", l.served.Load(), least)
	}
}

// A load is callers that ask again and again over connections that they keep.
// A request that fails fails the test.
type load struct {
	served, failed atomic.Int64
	finish         func()
}

func startLoad(t *testing.T, addr string, callers int) *load {
	t.Helper()
	l := new(load)
	stop := make(chan struct{})
	var running sync.WaitGroup
	transport := &http.Transport{MaxIdleConnsPerHost: callers}
	client := &http.Client{Transport: transport, Timeout: patience}
	for range callers {
		running.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if err := callOnce(client, "http://"+addr+"/"); err != nil {
					l.failed.Add(1)
					t.Errorf("request %d: %v", l.served.Load(), err)
					return
				}
				l.served.Add(1)
			}
		})
	}
	l.finish = sync.OnceFunc(func() {
		close(stop)
		running.Wait()
		transport.CloseIdleConnections()
	})
	t.Cleanup(l.finish)
	return l
}

// reached tells whether that many were served, or there is no use in waiting.
func (l *load) reached(n int64) bool { return l.served.Load() >= n || l.failed.Load() > 0 }

func callOnce(c *http.Client, url string) error {
	// Not idempotent: what is sent again to make up for a lost connection shows.
	res, err := c.Post(url, "text/plain", strings.NewReader("charge"))
	if err != nil {
		return err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != 200 || string(b) != "hello" {
		return fmt.Errorf("status %d, body %q: %w", res.StatusCode, b, err)
	}
	return nil
}

func TestTheWorkloadAPIGoesAwayAndComesBack(t *testing.T) {
	t.Parallel()
	ca := newCA(t, "example.org")
	path, endpoint := workloadAPI(t, ca, payments)
	s := side{forward: serveApp(t, hello), policies: allowMesh, spec: identityFrom(path)}.start(t)
	peerCA := &identitytest.CA{CA: ca}
	old := dialMesh(t, s.Address(t, "in"), peerCA.Source(t, checkout), h1)
	old.get("/").wants(t, 200)

	if err := endpoint.Close(); err != nil {
		t.Fatal(err)
	}
	counted(t, s, 1, "outrider_identity_update_errors_total")
	if ok, missing := ready(t, s); !ok {
		t.Errorf("not ready although the SVID is valid: %q", missing)
	}
	old.get("/").wants(t, 200)
	dialMesh(t, s.Address(t, "in"), peerCA.Source(t, checkout), h1).get("/").wants(t, 200)

	was := generation(t, s)
	serveAt(t, ca, path, payments)
	testkit.Eventually(t, "a new snapshot", func() bool { return generation(t, s) > was })
	old.get("/").wants(t, 200)
	dialMesh(t, s.Address(t, "in"), peerCA.Source(t, checkout), h1).get("/").wants(t, 200)
}
