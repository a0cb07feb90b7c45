package meshca_test

import (
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"

	"github.com/outrider-mesh/outrider/identity"
	"github.com/outrider-mesh/outrider/identity/meshca"
	"github.com/outrider-mesh/outrider/identity/mtls"
	"github.com/outrider-mesh/outrider/injector/issue/keeper"
)

func TestAnIdentityArrivesAndIsRenewed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		s := w.start(w.options("checkout"))
		first := s.Current()
		if !first.Ready() || first.Err != nil || first.SVID.ID != checkout {
			t.Fatalf("the snapshot is %+v", first)
		}
		w.write("token-checkout", "checkout.2")
		pass(23 * time.Minute)
		if s.Current() != first {
			t.Error("something changed long before half of the SVID's life")
		}
		pass(7*time.Minute + time.Second)
		second := s.Current()
		if leaf(second) == leaf(first) {
			t.Fatal("the SVID was not renewed by half of its life")
		}
		if second.SVID.PrivateKey == first.SVID.PrivateKey || second.Bundles != first.Bundles || second.Err != nil {
			t.Error("the key is the same, or the bundles are another value, or something is wrong")
		}
		if want := []string{"checkout.1", "checkout.2"}; !slices.Equal(w.tokens.seen, want) {
			t.Errorf("tokens %v were presented, want %v", w.tokens.seen, want)
		}
		pass(12 * time.Hour)
		if s.Current().Err != nil || leaf(s.Current()) == leaf(second) {
			t.Errorf("half a day later: %v", s.Current().Err)
		}
		if strings.Contains(w.log.String(), "WARN") || strings.Contains(w.log.String(), "checkout.1") {
			t.Error("there is a warning, or a token, in the log")
		}
		// Two for each renewal: one that asks and one that polls.
		if n := w.net.dialed(); n > 2*12*5/2+10 {
			t.Errorf("%d connections in twelve hours", n)
		}
	})
}

func TestTheIssuerMayComeLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.net.goes(true)
		s := w.start(w.options("checkout"))
		says(t, s, `issuer at "issuer.test:15012": no answer: check that the control plane runs`, "connection refused")
		pass(10 * time.Minute)
		if n := w.net.dialed(); n < 10*60/40 || n > 40 {
			t.Errorf("%d attempts in ten minutes", n)
		}
		if n := strings.Count(w.log.String(), "WARN"); n != 1 {
			t.Errorf("%d warnings about the same", n)
		}
		w.net.goes(false)
		pass(40 * time.Second)
		if snap := s.Current(); !snap.Ready() || snap.Err != nil {
			t.Errorf("ready: %v, %v", snap.Ready(), snap.Err)
		}
	})
}

func TestAnIdentityOutlivesItsIssuerUntilItExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		s := w.start(w.options("checkout"))
		first := leaf(s.Current())
		w.net.goes(true)
		pass(45 * time.Minute)
		if snap := s.Current(); !snap.Ready() || leaf(snap) != first {
			t.Fatal("the SVID was given up before it expired")
		}
		says(t, s, "connection refused")
		w.net.goes(false)
		pass(40 * time.Second) // more than the longest pause
		if snap := s.Current(); snap.Err != nil || leaf(snap) == first {
			t.Errorf("the issuer is back for longer than any pause: %v", snap.Err)
		}
		w.net.goes(true)
		pass(3 * time.Hour) // far beyond its end: it stays to be seen, and mtls refuses it
		if snap := s.Current(); time.Now().Before(snap.SVID.Certificates[0].NotAfter) || snap.Err == nil {
			t.Error("the SVID is not expired, or nothing is said")
		}
		w.net.goes(false)
		pass(time.Minute)
		if snap := s.Current(); snap.Err != nil || time.Now().After(snap.SVID.Certificates[0].NotAfter) {
			t.Errorf("the issuer is back after hours: %v", snap.Err)
		}
	})
}

// Over a whole change of roots two workloads accept each other at every moment,
// though the file of trust anchors is never written again.
func TestRootsChangeUnderneath(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		a, b := w.start(w.options("checkout")), w.start(w.options("payments"))
		w.store.Change(func(s *keeper.Stored) { s.Request = "now" })
		w.keeper.Round(t.Context())
		pass(time.Second)
		for _, s := range []*meshca.Source{a, b} {
			if n := roots(s); n != 2 {
				t.Fatalf("a second after the new root was announced there are %d", n)
			}
		}
		var checks int
		for range 5 * 60 {
			pass(time.Minute)
			for _, pair := range [][2]*meshca.Source{{a, b}, {b, a}} {
				svid := pair[0].Current().SVID
				if err := mtls.Verify(identity.Peer{ID: svid.ID, Chain: svid.Certificates}, pair[1].Current(), time.Now()); err != nil {
					t.Fatalf("%q: %v", svid.ID, err)
				}
				checks++
			}
		}
		if checks != 2*300 || roots(a) != 1 || roots(b) != 1 {
			t.Errorf("%d checks, %d and %d roots in the end", checks, roots(a), roots(b))
		}
		if err := errors.Join(a.Current().Err, b.Current().Err); err != nil {
			t.Error(err)
		}
		// Whoever starts with the old file now is told so, and recovers.
		late := w.start(w.options("ledger"))
		says(t, late, "its roots are not those in", "ca.pem")
		w.anchors("ca.pem", w.keeper.Current().Bundles)
		pass(time.Minute)
		if snap := late.Current(); snap.Err != nil {
			t.Error(snap.Err)
		}
	})
}

func roots(s *meshca.Source) int {
	b, ok := s.Current().Bundles.Get(domain)
	if !ok {
		return 0
	}
	return len(b.X509Authorities())
}

// The CA was lost and made anew. The file says so, and the bundles can't.
func TestANewCAIsBelievedForTheFilesSake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		s := w.start(w.options("checkout"))
		first := leaf(s.Current())
		w.store.Change(func(s *keeper.Stored) { s.State = nil })
		w.keeper.Round(t.Context())
		w.anchors("ca.pem", w.keeper.Current().Bundles)
		pass(2 * time.Minute)
		snap := s.Current()
		if leaf(snap) == first || snap.Err != nil {
			t.Fatalf("the SVID is still the one of the CA of before: %v", snap.Err)
		}
		peer := identity.Peer{ID: snap.SVID.ID, Chain: snap.SVID.Certificates}
		if err := mtls.Verify(peer, w.keeper.Current(), time.Now()); err != nil {
			t.Error(err)
		}
	})
}

func TestATokenThatIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.tokens.revoked["checkout.1"] = true
		s := w.start(w.options("checkout"))
		says(t, s, "status 401", "the token was not accepted", `token-checkout" is the token of this pod for the audience "outrider"`)
		w.write("token-checkout", "checkout.2")
		pass(time.Minute)
		if !s.Current().Ready() {
			t.Error(s.Current().Err)
		}
		w.tokens.revoked["checkout.2"] = true
		pass(2 * time.Hour)
		if snap := s.Current(); time.Now().Before(snap.SVID.Certificates[0].NotAfter) {
			t.Error("a revoked token still buys SVIDs")
		}
	})
}

func TestAWorkloadStaysWhoItIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		s := w.start(w.options("checkout"))
		w.write("token-checkout", "payments.1")
		pass(31 * time.Minute)
		says(t, s, payments.String(), "this workload is", checkout.String())
		if s.Current().SVID.ID != checkout {
			t.Error("it has become somebody else")
		}
	})
}

func TestFilesThatCannotBeUsedAreNamed(t *testing.T) {
	root := func(w *world) string {
		data, err := os.ReadFile(w.dir + "/ca.pem")
		if err != nil {
			w.t.Fatal(err)
		}
		return string(data)
	}
	cases := []struct {
		name, says string
		bend       func(w *world, o *meshca.Options)
	}{
		{"no token", "no such file or directory; it is a projected volume", func(_ *world, o *meshca.Options) { o.Token += "x" }},
		{"an empty token", "holds no token", func(w *world, o *meshca.Options) { o.Token = w.write("t", " \n") }},
		{"a token of two words", "holds no token", func(w *world, o *meshca.Options) { o.Token = w.write("t", "a b") }},
		{"an endless token", "more bytes than any such file", func(w *world, o *meshca.Options) { o.Token = w.write("t", strings.Repeat("x", 9000)) }},
		{"a directory", "not a regular file", func(w *world, o *meshca.Options) { o.Token = w.dir }},
		{"no trust anchors", "no such file or directory; without roots no issuer can be believed", func(_ *world, o *meshca.Options) { o.TrustAnchors += "x" }},
		{"empty trust anchors", "0 certificates", func(w *world, o *meshca.Options) { o.TrustAnchors = w.write("a", "") }},
		{"half a root", "1 PEM blocks begin and 0 are whole", func(w *world, o *meshca.Options) { o.TrustAnchors = w.write("a", root(w)[:300]) }},
		{"a root and a half", "2 PEM blocks begin and 1 are whole", func(w *world, o *meshca.Options) { o.TrustAnchors = w.write("a", root(w)+root(w)[:300]) }},
		{"a key among the roots", `"PRIVATE KEY", want CERTIFICATE only`, func(w *world, o *meshca.Options) {
			o.TrustAnchors = w.write("a", root(w)+"-----BEGIN PRIVATE KEY-----\neHg=\n-----END PRIVATE KEY-----\n")
		}},
		{"too many roots", "33 certificates", func(w *world, o *meshca.Options) { o.TrustAnchors = w.write("a", strings.Repeat(root(w), 33)) }},
		{"another server", "check the address, and the SPIFFE ID that is expected", func(_ *world, o *meshca.Options) { o.Server = payments }},
	}
	if len(cases) < 12 {
		t.Errorf("%d cases are too few", len(cases))
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				opts := w.options("checkout")
				c.bend(w, &opts)
				s := w.start(opts)
				says(t, s, c.says)
				if s.Current().Ready() || len(w.tokens.seen) > 0 {
					t.Error("an SVID is there, or a token was sent")
				}
			})
		})
	}
}

func TestOptionsThatCannotBeRightAreRefused(t *testing.T) {
	good := meshca.Options{Address: "issuer:15012", Server: own, Token: "t", TrustAnchors: "a"}
	if _, err := meshca.New(good); err != nil {
		t.Fatal(err)
	}
	for want, bend := range map[string]func(*meshca.Options){
		"address":       func(o *meshca.Options) { o.Address = "issuer" },
		"want host":     func(o *meshca.Options) { o.Address = "issuer:" },
		"server":        func(o *meshca.Options) { o.Server = spiffeid.ID{} },
		"SPIFFE ID of":  func(o *meshca.Options) { o.Server = domain.ID() },
		"token":         func(o *meshca.Options) { o.Token = "" },
		"trust anchors": func(o *meshca.Options) { o.TrustAnchors = "" },
	} {
		opts := good
		bend(&opts)
		if _, err := meshca.New(opts); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want an error about %q", err, want)
		}
	}
}
