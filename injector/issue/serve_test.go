package issue_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/spiffe/go-spiffe/v2/svid/x509svid"

	"github.com/outrider-mesh/outrider/identity"
	"github.com/outrider-mesh/outrider/identity/identitytest"
	"github.com/outrider-mesh/outrider/identity/meshca/wire"
	"github.com/outrider-mesh/outrider/identity/mtls"
)

// serving serves over loopback and returns the address, and what ends it.
func serving(t *testing.T, w *world) (addr string, stop func()) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		if err := w.server.Serve(ctx, l); err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	stop = sync.OnceFunc(func() {
		cancel()
		running.Wait()
	})
	t.Cleanup(stop)
	return "https://" + l.Addr().String(), stop
}

// client is one that expects the control plane; without an SVID it is anonymous.
func client(t *testing.T, w *world, svid *x509svid.SVID, h2 bool) *http.Client {
	t.Helper()
	var src identity.Publisher
	src.Publish(svid, w.keeper.Current().Bundles)
	expected, err := mtls.NewExpected(own)
	if err != nil {
		t.Fatal(err)
	}
	config := mtls.ClientConfig(&src, mtls.ClientOptions{Expected: expected, Anonymous: svid == nil})
	transport := &http.Transport{TLSClientConfig: config, ForceAttemptHTTP2: h2}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: time.Minute}
}

func TestAFirstSVIDIsFetchedAnonymouslyAndTheNextPollIsNot(t *testing.T) {
	for name, h2 := range map[string]bool{"HTTP/1.1": false, "HTTP/2": true} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			base, stop := serving(t, w)
			key := newKey(t)
			anonymous := client(t, w, nil, h2)
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, base+wire.PathSVID, bytes.NewReader(body(t, wire.SVIDRequest{CSR: requestFor(t, key)})))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Authorization", "Bearer "+good)
			answer, chain := w.fetch(anonymous, req)

			if res := get(t, anonymous, base, ""); res.StatusCode != http.StatusUnauthorized {
				t.Errorf("an anonymous poll: status %d", res.StatusCode)
			}
			member := client(t, w, &x509svid.SVID{ID: checkout, Certificates: chain, PrivateKey: key}, h2)
			if res := get(t, member, base, "other"); res.StatusCode != http.StatusOK || res.ProtoAtLeast(2, 0) != h2 {
				t.Errorf("a poll: status %d over %s", res.StatusCode, res.Proto)
			}
			// One that waits is sent home when the server stops.
			polls := make(chan int, 1)
			go func() { polls <- get(t, member, base, answer.Bundles.Version).StatusCode }()
			waitFor(t, func() bool { return w.counted("outrider_injector_bundle_waiters", "") == 1 })
			stop()
			if status := <-polls; status != http.StatusNoContent {
				t.Errorf("a poll at the end: status %d", status)
			}
		})
	}
}

// fetch asks for an SVID over the network.
func (w *world) fetch(c *http.Client, req *http.Request) (wire.SVIDAnswer, []*x509.Certificate) {
	w.t.Helper()
	res, err := c.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		w.t.Fatalf("status %d: %s", res.StatusCode, wire.DecodeRefusal(res.Body))
	}
	answer, chain, err := wire.DecodeAnswer(res.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return answer, chain
}

// get polls; what a goroutine of a test can't say is a status of 0.
func get(t *testing.T, c *http.Client, base, since string) *http.Response {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, base+wire.PathBundles+"?since="+since, nil)
	if err != nil {
		t.Error(err)
		return new(http.Response)
	}
	res, err := c.Do(req)
	if err != nil {
		t.Error(err)
		return new(http.Response)
	}
	res.Body.Close()
	return res
}

// waitFor waits for what a metric will say.
func waitFor(t *testing.T, done func() bool) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	for !done() {
		select {
		case <-deadline:
			t.Fatal("it doesn't happen")
		case <-time.After(time.Millisecond):
		}
	}
}

// A client with an SVID of somebody else's CA is refused before it says a word.
func TestACertificateThatIsShownIsVerified(t *testing.T) {
	w := newWorld(t)
	base, _ := serving(t, w)
	stranger := identitytest.NewCA(t, "example.org").Source(t, checkout.String()).Current().SVID
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, base+wire.PathBundles, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := client(t, w, stranger, false).Do(req)
	if err == nil {
		res.Body.Close()
		t.Errorf("status %d", res.StatusCode)
	}
}
