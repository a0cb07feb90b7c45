package meshca_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"maps"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"

	"github.com/outrider-mesh/outrider/identity/identitytest"
	"github.com/outrider-mesh/outrider/identity/meshca"
	"github.com/outrider-mesh/outrider/identity/meshca/wire"
	"github.com/outrider-mesh/outrider/identity/mtls"
	"github.com/outrider-mesh/outrider/injector/issue/ca"
	"github.com/outrider-mesh/outrider/injector/issue/keeper"
)

// serveInstead starts another server with the control plane's identity.
func (w *world) serveInstead(h http.HandlerFunc) *listener {
	w.t.Helper()
	l := newListener()
	config := mtls.ServerConfig(w.keeper, mtls.ServerOptions{NextProtos: []string{"http/1.1"}, Anonymous: true})
	server := &http.Server{Handler: h, TLSConfig: config, ReadHeaderTimeout: time.Minute}
	w.run(func(ctx context.Context) error {
		stop := context.AfterFunc(ctx, func() { server.Close() })
		defer stop()
		_ = server.ServeTLS(l, "", "") // it says that it was closed
		return nil
	})
	return l
}

// honest answers a request as the issuer would.
func (w *world) honest(r *http.Request, id spiffeid.ID) wire.SVIDAnswer {
	req, err := wire.DecodeRequest(r.Body)
	if err != nil {
		w.t.Error(err)
		return wire.SVIDAnswer{}
	}
	key, err := ca.ParseRequest(req.CSR)
	if err != nil {
		w.t.Error(err)
		return wire.SVIDAnswer{}
	}
	return wire.SVIDAnswer{Chain: w.chain(id, key), RenewAfter: 1800, Bundles: wire.BundlesOf(w.keeper.Current().Bundles)}
}

func (w *world) chain(id spiffeid.ID, key crypto.PublicKey) (ders [][]byte) {
	certs, err := w.keeper.Issue(id, key)
	if err != nil {
		w.t.Error(err)
	}
	for _, c := range certs {
		ders = append(ders, c.Raw)
	}
	return ders
}

func answer(w http.ResponseWriter, v any) {
	_ = json.NewEncoder(w).Encode(v)
}

func TestAnswersThatCannotBeUsedAreNotTaken(t *testing.T) {
	abroad := identitytest.NewCA(t, "example.net")
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	cases := []struct {
		name, says string
		bend       func(w *world, a *wire.SVIDAnswer)
	}{
		{"an SVID for another key", "another key than ours", func(w *world, a *wire.SVIDAnswer) { a.Chain = w.chain(checkout, other.Public()) }},
		{"no chain", "0 certificates", func(_ *world, a *wire.SVIDAnswer) { a.Chain = nil }},
		{"an intermediate first", "another key than ours", func(_ *world, a *wire.SVIDAnswer) { a.Chain = a.Chain[1:] }},
		{"no intermediate", "not trusted", func(_ *world, a *wire.SVIDAnswer) { a.Chain = a.Chain[:1] }},
		{"no bundles", "a version of 0 bytes", func(_ *world, a *wire.SVIDAnswer) { a.Bundles = wire.Bundles{} }},
		{"bundles without our trust domain", "the trust domain is unknown", func(_ *world, a *wire.SVIDAnswer) { delete(a.Bundles.Domains, "example.org") }},
		{"bundles that don't vouch for it", "not trusted", func(_ *world, a *wire.SVIDAnswer) {
			a.Bundles.Domains["example.org"] = [][]byte{abroad.Bundle().X509Authorities()[0].Raw}
		}},
		{"bundles with a name that is none", `"Example.org"`, func(_ *world, a *wire.SVIDAnswer) {
			a.Bundles.Domains["Example.org"] = a.Bundles.Domains["example.org"]
		}},
	}
	if len(cases) < 8 {
		t.Errorf("%d cases are too few", len(cases))
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				opts := w.options("checkout")
				opts.Dial = w.serveInstead(func(rw http.ResponseWriter, r *http.Request) {
					a := w.honest(r, checkout)
					c.bend(w, &a)
					answer(rw, a)
				}).dial
				s := w.start(opts)
				says(t, s, "its answer can't be used", c.says)
				if s.Current().Ready() {
					t.Error("it was taken")
				}
			})
		})
	}
}

func TestAWorkloadOfAnotherTrustDomainIsNotWhoWeAre(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		abroad := identitytest.NewCA(t, "example.net")
		opts := w.options("checkout")
		opts.Dial = w.serveInstead(func(rw http.ResponseWriter, r *http.Request) {
			if r.URL.Path == wire.PathBundles {
				rw.WriteHeader(http.StatusNoContent)
				return
			}
			a := w.honest(r, checkout)
			a.Bundles.Domains["example.net"] = [][]byte{abroad.Bundle().X509Authorities()[0].Raw}
			answer(rw, a)
		}).dial
		if s := w.start(opts); !s.Current().Ready() { // federated bundles are welcome
			t.Error(s.Current().Err)
		}
		foreign := meshca.Options{
			Address: opts.Address, Dial: w.net.dial, Token: opts.Token, TrustAnchors: opts.TrustAnchors,
			Server: spiffeid.RequireFromString("spiffe://example.net/ns/outrider-system/sa/outrider-injector"),
		}
		s := w.start(foreign)
		says(t, s, "check the address, and the SPIFFE ID that is expected of the issuer")
	})
}

func TestRefusalsSayWhatToDo(t *testing.T) {
	cases := []struct {
		name     string
		status   int
		head     http.Header
		body     string
		says     []string
		attempts int32 // in a minute
	}{
		{"unauthorized", 401, nil, `{"error":"no"}`, []string{`status 401, "no"; check that`, `audience "outrider"`}, 4},
		{"forbidden", 403, nil, `{"error":"not you"}`, []string{`status 403, "not you"`}, 4},
		{"another server", 404, nil, "<html>", []string{`status 404, "no reason"; whoever answers there is no issuer`}, 4},
		{"foreign text is quoted", 403, nil, `{"error":"a\nb"}`, []string{`"a\nb"`}, 4},
		{"a redirect", 307, http.Header{"Location": {"https://issuer.test:15012/steal"}}, "", []string{"status 307"}, 4},
		{"busy", 429, http.Header{"Retry-After": {"120"}}, "", []string{"status 429"}, 1},
		{"busy until the end of days", 503, http.Header{"Retry-After": {"65000"}}, "", []string{"status 503"}, 1},
		{"busy until a day in May", 503, http.Header{"Retry-After": {"Fri, 01 May 2026 00:00:00 GMT"}}, "", []string{"status 503"}, 4},
	}
	if len(cases) < 8 {
		t.Errorf("%d cases are too few", len(cases))
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				opts := w.options("checkout")
				var asked, elsewhere atomic.Int32
				opts.Dial = w.serveInstead(func(rw http.ResponseWriter, r *http.Request) {
					asked.Add(1)
					if r.URL.Path != wire.PathSVID {
						elsewhere.Add(1)
					}
					maps.Copy(rw.Header(), c.head)
					rw.WriteHeader(c.status)
					_, _ = rw.Write([]byte(c.body))
				}).dial
				s := w.start(opts)
				pass(time.Minute)
				says(t, s, c.says...)
				if n := asked.Load(); c.attempts == 1 && n != 1 || n < c.attempts || n > 10 {
					t.Errorf("%d attempts in a minute, want %d or some more", n, c.attempts)
				}
				if elsewhere.Load() > 0 {
					t.Error("a token was taken somewhere else")
				}
			})
		})
	}
}

func TestBundlesThatCannotBeUsedAreNotTaken(t *testing.T) {
	for name, body := range map[string]string{
		"its answer can't be used: bundles without one for our own trust domain": `{"version":"x","domains":{}}`,
		"unexpected end of JSON input":                                           ``,
		`trust domain "example.org": 0 certificates`:                             `{"version":"x","domains":{"example.org":[]}}`,
		"has more than 1048576 bytes":                                            `{"version":"` + strings.Repeat("x", 1<<20) + `"}`,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				opts := w.options("checkout")
				var polls atomic.Int32
				opts.Dial = w.serveInstead(func(rw http.ResponseWriter, r *http.Request) {
					if r.URL.Path == wire.PathSVID {
						answer(rw, w.honest(r, checkout))
						return
					}
					polls.Add(1)
					_, _ = rw.Write([]byte(body))
				}).dial
				s := w.start(opts)
				says(t, s, name)
				if snap := s.Current(); !snap.Ready() || roots(s) != 1 {
					t.Error("the bundles of before are gone")
				}
				pass(10 * time.Minute)
				if n := polls.Load(); n > 40 {
					t.Errorf("%d polls in ten minutes", n)
				}
			})
		})
	}
}

// An issuer that answers every poll at once is not asked without end.
func TestPollsAreNotEndless(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		opts := w.options("checkout")
		var polls atomic.Int32
		opts.Dial = w.serveInstead(func(rw http.ResponseWriter, r *http.Request) {
			if r.URL.Path == wire.PathSVID {
				answer(rw, w.honest(r, checkout))
				return
			}
			polls.Add(1)
			rw.WriteHeader(http.StatusNoContent)
		}).dial
		w.start(opts)
		pass(time.Minute)
		if n := polls.Load(); n < 55 || n > 61 {
			t.Errorf("%d polls in a minute, want one a second", n)
		}
	})
}

// The issuer takes a root back before its time: whoever has an SVID below it asks
// for another one at once.
func TestAnSVIDThatTheBundlesDontVouchForIsReplacedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		opts := w.options("checkout")
		first := w.keeper.Current().Bundles
		var second atomic.Bool
		opts.Dial = w.serveInstead(func(rw http.ResponseWriter, r *http.Request) {
			switch {
			case r.URL.Path == wire.PathSVID:
				answer(rw, w.honest(r, checkout))
			case second.Load() && r.URL.Query().Get(wire.QuerySince) == wire.BundlesOf(first).Version:
				answer(rw, wire.BundlesOf(w.keeper.Current().Bundles))
			default:
				rw.WriteHeader(http.StatusNoContent)
			}
		}).dial
		s := w.start(opts)
		was := leaf(s.Current())
		w.store.Change(func(s *keeper.Stored) { s.State = nil })
		w.keeper.Round(t.Context())
		w.anchors("ca.pem", w.keeper.Current().Bundles)
		second.Store(true)
		pass(5 * time.Second)
		snap := s.Current()
		if leaf(snap) == was || snap.Err != nil || wire.BundlesOf(snap.Bundles).Version == wire.BundlesOf(first).Version {
			t.Errorf("five seconds later it has its old SVID or bundles: %v", snap.Err)
		}
	})
}
