package issue_test

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"

	"github.com/outrider-mesh/outrider/identity"
	"github.com/outrider-mesh/outrider/identity/meshca/wire"
	"github.com/outrider-mesh/outrider/identity/mtls"
	"github.com/outrider-mesh/outrider/injector/issue"
)

func TestAPodIsGivenTheIdentityOfItsServiceAccount(t *testing.T) {
	w := newWorld(t)
	answer, chain := w.issued(good)
	bundles, err := answer.Bundles.Set()
	if err != nil {
		t.Fatal(err)
	}
	peer := identity.Peer{ID: checkout, Chain: chain}
	if err := mtls.Verify(peer, &identity.Snapshot{Bundles: bundles}, time.Now()); err != nil {
		t.Errorf("with the bundles of the same answer: %v", err)
	}
	if len(chain[0].DNSNames) > 0 || chain[0].Subject.CommonName != "" {
		t.Errorf("names of the request are in the SVID: %q, %q", chain[0].DNSNames, chain[0].Subject)
	}
	if half := int64(1800); answer.RenewAfter < half-2 || answer.RenewAfter > half {
		t.Errorf("it is to be renewed after %d s, want half an hour", answer.RenewAfter)
	}
	if n := w.counted("outrider_injector_svids_issued_total", ""); n != 1 {
		t.Errorf("%v issues are counted", n)
	}
	for _, want := range []string{
		`level=INFO msg="identity issued" id=spiffe://example.org/ns/shop/sa/checkout`,
		"pod=checkout-1 pod_uid=uid-1 node=node-1", "serial=" + chain[0].SerialNumber.Text(16), "not_after=",
	} {
		if !strings.Contains(w.log.String(), want) {
			t.Errorf("the log lacks %q: %s", want, w.log)
		}
	}
	if strings.Contains(w.log.String(), good) {
		t.Error("the token is in the log")
	}
}

func TestWhoeverIsNotAPodOfTheMeshIsRefused(t *testing.T) {
	user := func(name string) func(*world) {
		return func(w *world) { w.cluster.set(good, pod(name)) }
	}
	verdict := func(bend func(*issue.Verdict)) func(*world) {
		return func(w *world) {
			v := pod("system:serviceaccount:shop:checkout")
			bend(&v)
			w.cluster.set(good, v)
		}
	}
	cases := []struct {
		name   string
		token  string // empty: good; "-": none
		bend   func(*world)
		body   string // empty: a good request
		status int
		says   string // in the log
	}{
		{name: "no token", token: "-", status: 401, says: "no Authorization"},
		{name: "a token that the cluster doesn't know", token: "other", status: 401, says: "does not know the token"},
		{name: "a token with bytes that no token has", token: "go od", status: 401, says: "bytes that no token has"},
		{name: "an endless token", token: strings.Repeat("x", 8<<10+1), status: 401, says: "a token of more than"},
		{name: "a token for another audience", bend: verdict(func(v *issue.Verdict) { v.Audiences = []string{"vault"} }), status: 401, says: `for [\"vault\"], not for \"outrider\"`},
		{name: "a cluster that doesn't check audiences", bend: verdict(func(v *issue.Verdict) { v.Audiences = nil }), status: 401, says: "not for"},
		{name: "a token that was revoked", bend: verdict(func(v *issue.Verdict) { v.Authenticated, v.Why = false, "deleted" }), status: 401, says: "deleted"},
		{name: "a token that is not bound to a pod", bend: verdict(func(v *issue.Verdict) { v.Pod, v.PodUID = "", "" }), status: 401, says: "not bound to a pod"},
		{name: "a token with the name of a pod only", bend: verdict(func(v *issue.Verdict) { v.PodUID = "" }), status: 401, says: "not bound to a pod"},
		{name: "a person", bend: user("kubernetes-admin"), status: 401, says: "not a service account"},
		{name: "a node", bend: user("system:node:node-1"), status: 401, says: "not a service account"},
		{name: "a service account without a name", bend: user("system:serviceaccount:shop:"), status: 401, says: "not a service account"},
		{name: "a service account with three parts", bend: user("system:serviceaccount:shop:a:b"), status: 401, says: "not a service account"},
		{name: "a name that would be another path", bend: user("system:serviceaccount:shop:a/sa/b"), status: 401, says: "not a service account"},
		{name: "a name that climbs", bend: user("system:serviceaccount:..:b"), status: 401, says: "not a service account"},
		{name: "a namespace of two labels", bend: user("system:serviceaccount:shop.x:checkout"), status: 401, says: "not a service account"},
		{name: "a name in capitals", bend: user("system:serviceaccount:shop:Checkout"), status: 401, says: "not a service account"},
		{name: "the control plane's own identity", bend: user("system:serviceaccount:outrider-system:outrider-injector"), status: 403, says: "control plane's own"},
		{name: "a namespace that is excluded", bend: func(w *world) { w.opts.Excluded = []string{"shop"} }, status: 403, says: "not part of the mesh"},
		{name: "a caller that somebody else refuses", bend: func(w *world) { w.opts.Permit = func(issue.Caller) error { return errAway } }, status: 403, says: "away"},
		{name: "a cluster that can't be asked", bend: func(w *world) { w.cluster.err = errAway }, status: 503, says: "away"},
		{name: "no body", body: " ", status: 400, says: "read the request for an SVID"},
		{name: "no certification request", body: `{"csr":"eHg="}`, status: 400, says: "certification request"},
		{name: "an endless body", body: `{"csr":"` + strings.Repeat("eHh4", 5000) + `"}`, status: 400, says: "more than 16384 bytes"},
	}
	if len(cases) < 24 {
		t.Errorf("%d cases are too few", len(cases))
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, func(w *world) {
				if c.bend != nil {
					c.bend(w)
				}
			})
			token := map[string]string{"": good, "-": ""}[c.token]
			if len(c.token) > 1 {
				token = c.token
			}
			request := []byte(c.body)
			if c.body == "" {
				request = body(t, wire.SVIDRequest{CSR: newCSR(t)})
			}
			rec := w.post(token, request)
			said := wire.DecodeRefusal(rec.Body)
			if rec.Code != c.status || said == "" {
				t.Errorf("status %d, %q; want %d and a reason", rec.Code, said, c.status)
			}
			if !strings.Contains(w.log.String(), c.says) {
				t.Errorf("the log doesn't say %q: %s", c.says, w.log)
			}
			if strings.Contains(said, c.says) || strings.Contains(said, "shop") {
				t.Errorf("the asker learns too much: %q", said)
			}
			if n := w.counted("outrider_injector_svid_refusals_total", ""); n != 1 {
				t.Errorf("%v refusals are counted", n)
			}
			if w.counted("outrider_injector_svids_issued_total", "") != 0 {
				t.Error("an SVID was issued")
			}
		})
	}
}

func TestOtherMethodsAndPathsAreRefused(t *testing.T) {
	w := newWorld(t)
	for path, want := range map[string]int{wire.PathSVID: 400, "/v1/other": 404, "/": 404} {
		rec := w.serve(httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
		if rec.Code != want || rec.Header().Get("Connection") != "close" {
			t.Errorf("GET %s: status %d, want %d and the connection to end", path, rec.Code, want)
		}
	}
	if n := w.cluster.asked.Load(); n != 0 {
		t.Errorf("the cluster was asked %d times", n)
	}
}

func TestRequestsForOthersOnThePortAreHandedOn(t *testing.T) {
	var got string
	w := newWorld(t, func(w *world) {
		w.opts.Next = http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = r.URL.Path })
	})
	for path, want := range map[string]string{"/envoy.Discovery/Stream": "/envoy.Discovery/Stream", "/v1/more": "", wire.PathSVID: ""} {
		got = ""
		w.serve(httptest.NewRequestWithContext(t.Context(), http.MethodPost, path, nil))
		if got != want {
			t.Errorf("%s was handed on as %q, want %q", path, got, want)
		}
	}
}

func TestAPodThatAsksTooOftenWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.cluster.set("twin", issue.Verdict{
			Authenticated: true, Audiences: []string{wire.Audience}, Username: "system:serviceaccount:shop:checkout",
			Pod: "checkout-2", PodUID: "uid-2",
		})
		request := body(t, wire.SVIDRequest{CSR: newCSR(t)})
		for range 10 {
			w.issued(good)
		}
		rec := w.post(good, request)
		if rec.Code != http.StatusTooManyRequests || rec.Header().Get("Retry-After") != "21" {
			t.Errorf("the eleventh: status %d, Retry-After %q", rec.Code, rec.Header().Get("Retry-After"))
		}
		w.issued("twin") // another pod with the same identity
		<-later(21 * time.Second)
		w.issued(good)
	})
}

func TestAnAddressThatAsksTooOftenIsNotEvenHeard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		const burst = 500
		for range burst {
			if rec := w.post("wrong", nil); rec.Code != http.StatusUnauthorized {
				t.Fatalf("status %d", rec.Code)
			}
		}
		if rec := w.post(good, nil); rec.Code != http.StatusTooManyRequests {
			t.Errorf("status %d, want 429", rec.Code)
		}
		if n := w.cluster.asked.Load(); n != burst {
			t.Errorf("the cluster was asked %d times", n)
		}
		if n := strings.Count(w.log.String(), "level=WARN"); n != burst {
			t.Errorf("%d warnings: what anybody can cause without bounds is to be logged quietly", n)
		}
	})
}

func TestReviewsAreBoundedInNumberAndTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.cluster.hold = make(chan struct{})
		request := body(t, wire.SVIDRequest{CSR: newCSR(t)})
		const all = 40
		codes := make(chan int, all)
		for range all {
			go func() { codes <- w.post(good, request).Code }()
		}
		synctest.Wait()
		if n := w.cluster.asked.Load(); n != 32 {
			t.Errorf("%d reviews at a time, want 32", n)
		}
		<-later(2 * time.Second)
		for range all - 32 {
			if code := <-codes; code != http.StatusServiceUnavailable {
				t.Errorf("one that waited too long: status %d", code)
			}
		}
		if n := w.counted("outrider_injector_svid_refusals_total", "overload"); n != all-32 {
			t.Errorf("%v are counted as overload", n)
		}
		<-later(3 * time.Second)
		for range 32 {
			if code := <-codes; code != http.StatusServiceUnavailable {
				t.Errorf("one whose review took too long: status %d", code)
			}
		}
	})
}

func TestNothingIsIssuedWithoutACA(t *testing.T) {
	w := newWorld(t)
	w.opts.Signer = &emptySigner{w.keeper}
	var err error
	if w.server, err = issue.New(w.opts); err != nil {
		t.Fatal(err)
	}
	rec := w.post(good, body(t, wire.SVIDRequest{CSR: newCSR(t)}))
	if rec.Code != http.StatusServiceUnavailable || w.counted("outrider_injector_svid_refusals_total", "sign_failed") != 1 {
		t.Errorf("status %d: %s", rec.Code, w.log)
	}
}

type emptySigner struct{ issue.Signer }

func (*emptySigner) Current() *identity.Snapshot { return new(identity.Publisher).Current() }

func TestAServerNeedsASignerAndAReviewer(t *testing.T) {
	w := newWorld(t)
	for _, opts := range []issue.Options{{}, {Signer: w.keeper}, {Reviewer: w.cluster}} {
		if _, err := issue.New(opts); err == nil {
			t.Errorf("%+v is accepted", opts)
		}
	}
}

// Whatever is asked with, an SVID is issued for a good token and a good request
// only, and it is never another one than the token's.
func FuzzRequest(f *testing.F) {
	f.Add("Bearer "+good, body(f, wire.SVIDRequest{CSR: newCSR(f)}))
	f.Add("bearer  "+good, []byte(`{"csr":"eHg="}`))
	f.Add("Basic eHg=", []byte(`{}`))
	f.Add("", []byte(nil))
	f.Fuzz(func(t *testing.T, authorization string, data []byte) {
		w := newWorld(t)
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, wire.PathSVID, bytes.NewReader(data))
		r.Header.Set("Authorization", authorization)
		rec := w.serve(r)
		if rec.Code != http.StatusOK {
			if w.counted("outrider_injector_svids_issued_total", "") != 0 || wire.DecodeRefusal(rec.Body) == "" {
				t.Errorf("status %d, and an SVID or no reason", rec.Code)
			}
			return
		}
		scheme, token, _ := strings.Cut(authorization, " ")
		_, chain, err := wire.DecodeAnswer(rec.Body)
		if !strings.EqualFold(scheme, "bearer") || token != good || err != nil || chain[0].URIs[0].String() != checkout.String() {
			t.Errorf("%q was given an SVID: %v", authorization, err)
		}
	})
}

// An identity can be read back into the one user name that it was made of.
func FuzzUsername(f *testing.F) {
	for _, name := range []string{
		"system:serviceaccount:shop:checkout", "system:serviceaccount:a.b:c.d", "system:serviceaccount::",
		"system:serviceaccount:a:b:c", "system:serviceaccount:a:b/sa/c", "system:serviceaccount:-:.", "system:node:x", "系",
	} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		w := newWorld(t, func(w *world) { w.cluster.set(good, pod(name)) })
		rec := w.post(good, body(t, wire.SVIDRequest{CSR: newCSR(t)}))
		if rec.Code != http.StatusOK {
			return
		}
		_, chain, err := wire.DecodeAnswer(rec.Body)
		if err != nil {
			t.Fatal(err)
		}
		parts := strings.Split(spiffeid.RequireFromURI(chain[0].URIs[0]).Path(), "/")
		if len(parts) != 5 || "system:serviceaccount:"+parts[2]+":"+parts[4] != name || parts[1] != "ns" || parts[3] != "sa" {
			t.Errorf("%q has become %q", name, chain[0].URIs[0])
		}
	})
}
