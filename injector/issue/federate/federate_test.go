package federate_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/spiffe/go-spiffe/v2/bundle/spiffebundle"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"go.uber.org/goleak"

	"github.com/outrider-mesh/outrider/identity/identitytest"
	"github.com/outrider-mesh/outrider/identity/mtls"
	"github.com/outrider-mesh/outrider/injector/issue/ca"
	"github.com/outrider-mesh/outrider/injector/issue/federate"
	"github.com/outrider-mesh/outrider/injector/issue/keeper"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const endpoint = "spiffe://example.net/bundle-endpoint"

// document is a SPIFFE bundle with the roots of a CA.
func document(t testing.TB, ca *identitytest.CA) []byte {
	t.Helper()
	b := spiffebundle.FromX509Authorities(ca.TrustDomain(), ca.Bundle().X509Authorities())
	b.SetRefreshHint(10 * time.Minute)
	data, err := b.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// web serves an endpoint of the profile https_web.
func web(t *testing.T, h http.HandlerFunc) (url string, roots *x509.CertPool) {
	t.Helper()
	s := httptest.NewUnstartedServer(h)
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	s.StartTLS()
	t.Cleanup(s.Close)
	roots = x509.NewCertPool()
	roots.AddCert(s.Certificate())
	return s.URL, roots
}

func says(data string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, data) }
}

func TestABundleIsFetchedFromTheWeb(t *testing.T) {
	other := identitytest.NewCA(t, "example.net")
	url, roots := web(t, says(string(document(t, other))))
	d := federate.Domain{TrustDomain: other.TrustDomain(), URL: url, WebRoots: roots}
	b, err := d.Fetch(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(b.Roots) != 1 || !b.Roots[0].Equal(other.Bundle().X509Authorities()[0]) || b.Refresh != 10*time.Minute {
		t.Errorf("%d roots, refresh %v", len(b.Roots), b.Refresh)
	}
	d.WebRoots = x509.NewCertPool()
	if _, err := d.Fetch(t.Context(), nil); err == nil {
		t.Error("an endpoint that nobody vouches for is believed")
	}
}

func TestABundleIsFetchedFromASPIFFEEndpoint(t *testing.T) {
	other := identitytest.NewCA(t, "example.net")
	src := other.Source(t, endpoint)
	s := httptest.NewUnstartedServer(says(string(document(t, other))))
	s.TLS = mtls.ServerConfig(src, mtls.ServerOptions{NextProtos: []string{"http/1.1"}, Anonymous: true})
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	s.Listener = tls.NewListener(s.Listener, s.TLS)
	s.Start()
	t.Cleanup(s.Close)
	d := federate.Domain{
		TrustDomain: other.TrustDomain(), URL: strings.Replace(s.URL, "http:", "https:", 1),
		EndpointID: identitytest.ID(t, endpoint), Bootstrap: other.Bundle().X509Authorities(),
	}
	if _, err := d.Fetch(t.Context(), nil); err != nil {
		t.Error(err)
	}
	stranger := identitytest.NewCA(t, "example.net").Bundle().X509Authorities()
	if _, err := d.Fetch(t.Context(), stranger); !errors.Is(err, mtls.ErrUntrusted) {
		t.Errorf("known roots don't come before those of the beginning: %v", err)
	}
	d.EndpointID = identitytest.ID(t, endpoint+"/other")
	if _, err := d.Fetch(t.Context(), nil); !errors.Is(err, mtls.ErrUnexpectedID) {
		t.Errorf("another identity: %v", err)
	}
}

func TestAnswersThatAreNoBundleAreRefused(t *testing.T) {
	other := identitytest.NewCA(t, "example.net")
	good := string(document(t, other))
	leaf := spiffebundle.FromX509Authorities(other.TrustDomain(), other.Source(t, endpoint).Current().SVID.Certificates[:1])
	leafData, err := leaf.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	cases := []struct {
		name, says string
		h          http.HandlerFunc
	}{
		{"nothing", "parse", says("")},
		{"no roots", "0 roots", says(`{"keys":[]}`)},
		{"a leaf", "not a CA", says(string(leafData))},
		{"more than a bundle can be", "more than 524288 bytes", says(good + strings.Repeat(" ", 512<<10))},
		{"not found", "status 404", http.NotFound},
		{"a redirect", "status 302", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/other", http.StatusFound) }},
	}
	if len(cases) < 6 {
		t.Errorf("%d cases are too few", len(cases))
	}
	for _, c := range cases {
		url, roots := web(t, c.h)
		_, err := federate.Domain{TrustDomain: other.TrustDomain(), URL: url, WebRoots: roots}.Fetch(t.Context(), nil)
		if err == nil || !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), "example.net") {
			t.Errorf("%s: got %v, want an error that says %q", c.name, err, c.says)
		}
	}
}

func TestDomainsThatCannotBeRightAreRefused(t *testing.T) {
	td := spiffeid.RequireTrustDomainFromString("example.net")
	good := federate.Domain{TrustDomain: td, URL: "https://example.net/bundle"}
	k := new(fakeKeeper)
	if _, err := federate.New(federate.Options{Domains: []federate.Domain{good}, Keeper: k}); err != nil {
		t.Fatal(err)
	}
	for want, bend := range map[string]func(*federate.Domain){
		"no trust domain":          func(d *federate.Domain) { d.TrustDomain = spiffeid.TrustDomain{} },
		"want https":               func(d *federate.Domain) { d.URL = "http://example.net/bundle" },
		"is not the URL":           func(d *federate.Domain) { d.URL = "https://user@example.net/" },
		"no identity of an":        func(d *federate.Domain) { d.EndpointID = td.ID() },
		"give its present roots":   func(d *federate.Domain) { d.EndpointID = identitytest.ID(t, endpoint) },
		`"" is not the URL`:        func(d *federate.Domain) { d.URL = "" },
		"https:///x\" is not the ": func(d *federate.Domain) { d.URL = "https:///x" },
	} {
		d := good
		bend(&d)
		if _, err := federate.New(federate.Options{Domains: []federate.Domain{d}, Keeper: k}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want an error about %q", err, want)
		}
	}
	if _, err := federate.New(federate.Options{Domains: []federate.Domain{good, good}, Keeper: k}); err == nil {
		t.Error("a domain is accepted twice")
	}
	if _, err := federate.New(federate.Options{Domains: make([]federate.Domain, 256), Keeper: k}); err == nil || !strings.Contains(err.Error(), "sidecars take 255") {
		t.Errorf("more than a sidecar takes: %v", err)
	}
	if _, err := federate.New(federate.Options{}); err == nil {
		t.Error("there is no keeper")
	}
}

// A countingKeeper counts what it is given.
type countingKeeper struct {
	*keeper.Keeper

	given atomic.Int32
}

func (k *countingKeeper) Federate(ctx context.Context, td spiffeid.TrustDomain, roots []*x509.Certificate) error {
	k.given.Add(1)
	return k.Keeper.Federate(ctx, td, roots)
}

type fakeKeeper struct{}

func (*fakeKeeper) State() (ca.State, bool) { return ca.State{}, false }

func (*fakeKeeper) Federate(context.Context, spiffeid.TrustDomain, []*x509.Certificate) error {
	return nil
}

func TestRootsOfOthersAreFollowed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inner, err := keeper.New(keeper.Options{Store: new(keeper.Memory), ID: identitytest.ID(t, "spiffe://example.org/ns/o/sa/i")})
		if err != nil {
			t.Fatal(err)
		}
		k := &countingKeeper{Keeper: inner}
		k.Round(t.Context())
		other, gone := identitytest.NewCA(t, "example.net"), identitytest.NewCA(t, "gone.example")
		if err := k.Federate(t.Context(), gone.TrustDomain(), gone.Bundle().X509Authorities()); err != nil {
			t.Fatal(err)
		}
		var fetched atomic.Int32
		var away, follower atomic.Bool
		f, err := federate.New(federate.Options{
			Keeper: k, Domains: []federate.Domain{{TrustDomain: other.TrustDomain(), URL: "https://example.net/"}},
			Leader: func() bool { return !follower.Load() },
			Fetch: func(_ context.Context, d federate.Domain, _ []*x509.Certificate) (federate.Bundle, error) {
				fetched.Add(1)
				if away.Load() {
					return federate.Bundle{}, errors.New("away")
				}
				return federate.Parse(d.TrustDomain, document(t, other))
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { _ = f.Run(ctx) })
		pass := func(d time.Duration) {
			<-time.After(d)
			synctest.Wait()
		}
		count := func() int {
			b, ok := k.Current().Bundles.Get(other.TrustDomain())
			if !ok {
				return 0
			}
			return len(b.X509Authorities())
		}
		synctest.Wait()
		if count() != 1 || k.Current().Bundles.Has(gone.TrustDomain()) {
			t.Errorf("%d roots, or a domain that is not named stays", count())
		}
		if err := other.RotateRoot(); err != nil {
			t.Fatal(err)
		}
		away.Store(true)
		pass(11 * time.Minute)
		if count() != 1 {
			t.Error("an endpoint that is away has changed something")
		}
		away.Store(false)
		pass(time.Minute)
		if count() != 2 {
			t.Errorf("%d roots a minute after it is back", count())
		}
		was, given := fetched.Load(), k.given.Load()
		pass(time.Hour)
		if n := fetched.Load() - was; n != 6 || k.given.Load() != given {
			t.Errorf("%d fetches in an hour, want one each ten minutes and no change", n)
		}
		follower.Store(true)
		pass(11 * time.Minute)
		was = fetched.Load()
		pass(time.Hour)
		if n := fetched.Load() - was; n != 0 {
			t.Errorf("%d fetches by a replica that doesn't lead", n)
		}
		cancel()
		running.Wait()
	})
}

// What is accepted can be written again and is accepted again.
func FuzzParse(f *testing.F) {
	other := identitytest.NewCA(f, "example.net")
	f.Add(document(f, other))
	f.Add([]byte(`{"keys":[{"use":"x509-svid","kty":"EC","x5c":["eHg="]}]}`))
	f.Add([]byte(`{"keys":null,"spiffe_refresh_hint":-1}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		b, err := federate.Parse(other.TrustDomain(), data)
		if err != nil {
			return
		}
		for _, r := range b.Roots {
			if !r.IsCA {
				t.Errorf("%q is no CA", r.Subject)
			}
		}
		again, err := spiffebundle.FromX509Authorities(other.TrustDomain(), b.Roots).Marshal()
		if err != nil || !json.Valid(again) {
			t.Fatal(err)
		}
		if back, err := federate.Parse(other.TrustDomain(), again); err != nil || len(back.Roots) != len(b.Roots) {
			t.Errorf("%d roots have become %d: %v", len(b.Roots), len(back.Roots), err)
		}
	})
}
