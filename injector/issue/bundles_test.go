package issue_test

import (
	"context"
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/spiffe/go-spiffe/v2/svid/x509svid"

	"github.com/outrider-mesh/outrider/identity/identitytest"
	"github.com/outrider-mesh/outrider/identity/meshca/wire"
	"github.com/outrider-mesh/outrider/injector/issue"
	"github.com/outrider-mesh/outrider/injector/issue/keeper"
)

// polled is a request of whoever has the SVID.
func polled(ctx context.Context, svid *x509svid.SVID, since string) *http.Request {
	r := httptest.NewRequestWithContext(ctx, http.MethodGet, wire.PathBundles+"?"+wire.QuerySince+"="+url.QueryEscape(since), nil)
	if svid != nil {
		r.TLS = &tls.ConnectionState{HandshakeComplete: true, PeerCertificates: svid.Certificates}
	}
	return r
}

// member is an SVID that the issuer has issued.
func (w *world) member() (svid *x509svid.SVID, version string) {
	w.t.Helper()
	answer, chain := w.issued(good)
	return &x509svid.SVID{ID: checkout, Certificates: chain}, answer.Bundles.Version
}

func TestBundlesAreAnsweredAtOnceToWhoeverHasOthers(t *testing.T) {
	w := newWorld(t)
	svid, version := w.member()
	for _, since := range []string{"", "another"} {
		rec := w.serve(polled(t.Context(), svid, since))
		b, err := wire.DecodeBundles(rec.Body)
		if rec.Code != http.StatusOK || err != nil || b.Version != version {
			t.Errorf("since %q: status %d, version %q, %v; want %q", since, rec.Code, b.Version, err, version)
		}
	}
}

func TestAPollEndsWhenTheBundlesChangeOrAfterAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		svid, version := w.member()
		answers := make(chan *httptest.ResponseRecorder, 1)
		poll := func() { answers <- w.serve(polled(t.Context(), svid, version)) }
		begin := time.Now()

		go poll()
		synctest.Wait()
		if n := w.counted("outrider_injector_bundle_waiters", ""); n != 1 {
			t.Errorf("%v wait, want 1", n)
		}
		if rec := <-answers; rec.Code != http.StatusNoContent || time.Since(begin) != 50*time.Second {
			t.Errorf("status %d after %v, want 204 after 50 s", rec.Code, time.Since(begin))
		}

		begin = time.Now()
		go poll()
		synctest.Wait()
		w.store.Change(func(s *keeper.Stored) { s.Request = "now" })
		w.keeper.Round(t.Context())
		rec := <-answers
		b, err := wire.DecodeBundles(rec.Body)
		if err != nil || b.Version == version || len(b.Domains[domain.Name()]) != 2 || time.Since(begin) != 0 {
			t.Errorf("after %v: status %d, %d roots, %v; want the new root at once", time.Since(begin), rec.Code, len(b.Domains[domain.Name()]), err)
		}

		version = b.Version
		ctx, cancel := context.WithCancel(t.Context())
		go func() { answers <- w.serve(polled(ctx, svid, version)) }()
		synctest.Wait()
		cancel()
		<-answers
		if n := w.counted("outrider_injector_bundle_waiters", ""); n != 0 {
			t.Errorf("%v wait although they have gone", n)
		}
	})
}

func TestAnotherSVIDOfOursIsNoNewsToWhoeverPolls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		svid, version := w.member()
		begin, answers := time.Now(), make(chan int, 1)
		go func() { answers <- w.serve(polled(t.Context(), svid, version)).Code }()
		synctest.Wait()
		w.keeper.Publish(w.keeper.Current().SVID, w.keeper.Current().Bundles)
		if code := <-answers; code != http.StatusNoContent || time.Since(begin) != 50*time.Second {
			t.Errorf("status %d after %v", code, time.Since(begin))
		}
	})
}

func TestBundlesAreForMembers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		svid, version := w.member()
		abroad := identitytest.NewCA(t, "example.net")
		stranger := identitytest.NewCA(t, "example.org").Source(t, checkout.String()).Current().SVID
		if err := w.keeper.Federate(t.Context(), abroad.TrustDomain(), abroad.Bundle().X509Authorities()); err != nil {
			t.Fatal(err)
		}
		foreign := abroad.Source(t, "spiffe://example.net/ns/shop/sa/checkout").Current().SVID
		long := polled(t.Context(), svid, strings.Repeat("x", 129))
		post := polled(t.Context(), svid, version)
		post.Method = http.MethodPost
		cases := []struct {
			name   string
			r      *http.Request
			status int
		}{
			{"nobody", polled(t.Context(), nil, ""), 401},
			{"a client without a certificate", polled(t.Context(), new(x509svid.SVID), ""), 401},
			{"an SVID of another CA", polled(t.Context(), stranger, ""), 401},
			{"an SVID of a trust domain that we only federate with", polled(t.Context(), foreign, ""), 401},
			{"an endless version", long, 400},
			{"a POST", post, 400},
			{"a member", polled(t.Context(), svid, "?"), 200},
		}
		if len(cases) < 7 {
			t.Errorf("%d cases are too few", len(cases))
		}
		for _, c := range cases {
			if rec := w.serve(c.r); rec.Code != c.status {
				t.Errorf("%s: status %d, want %d", c.name, rec.Code, c.status)
			}
		}
		<-later(time.Hour + time.Second)
		w.keeper.Round(t.Context())
		if rec := w.serve(polled(t.Context(), svid, "?")); rec.Code != http.StatusUnauthorized {
			t.Errorf("a connection that has outlived its SVID: status %d", rec.Code)
		}
	})
}

func TestTheCAIsWatched(t *testing.T) {
	w := newWorld(t)
	w.metrics.MustRegister(issue.NewCAMetrics(w.keeper))
	state, _ := w.keeper.State()
	root := state.Signing()
	for name, want := range map[string]float64{
		"outrider_injector_ca_root_expiry_timestamp_seconds":         float64(root.Cert.NotAfter.Unix()),
		"outrider_injector_ca_intermediate_expiry_timestamp_seconds": float64(root.Issuer.Cert().NotAfter.Unix()),
		"outrider_injector_ca_federated_domains":                     0,
	} {
		if got := w.counted(name, ""); got != want {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
	}
}
