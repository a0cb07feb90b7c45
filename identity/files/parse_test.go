package files

import (
	"testing"
	"time"

	"github.com/spiffe/go-spiffe/v2/bundle/x509bundle"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/spiffe/go-spiffe/v2/svid/x509svid"

	"github.com/outrider-mesh/outrider/identity/devca"
	"github.com/outrider-mesh/outrider/identity/identitytest"
)

// FuzzIdentity loads damaged files. Whatever loads is whole: the key signs for
// the certificate, the chain verifies against the bundle, and what it is
// written back as loads as the same.
func FuzzIdentity(f *testing.F) {
	ca := identitytest.NewCA(f, "example.org")
	td := spiffeid.RequireTrustDomainFromString("example.org")
	bundlePEM, err := ca.Bundle().Marshal()
	if err != nil {
		f.Fatal(err)
	}
	var chains, keys [][]byte
	for _, opts := range []devca.IssueOptions{{}, {Intermediate: true}, {NoURI: true}} {
		svid, err := ca.Issue(spiffeid.RequireFromString("spiffe://example.org/a"), opts)
		if err != nil {
			f.Fatal(err)
		}
		chain, key, err := svid.Marshal()
		if err != nil {
			f.Fatal(err)
		}
		chains, keys = append(chains, chain), append(keys, key)
	}
	for _, chain := range chains {
		for _, key := range keys {
			f.Add(chain, key, bundlePEM)
		}
	}
	f.Add(append(chains[0], keys[0]...), append(keys[0], chains[0]...), append(bundlePEM, bundlePEM...))
	f.Add(chains[1][:len(chains[1])-30], keys[1], bundlePEM)
	now := time.Now()
	f.Fuzz(func(t *testing.T, chain, key, bundle []byte) {
		c := contents{
			svid:    file{role: "svid", data: chain},
			key:     file{role: "key", data: key},
			bundles: []bundleFile{{file: file{role: "bundle", data: bundle}, domain: td}},
		}
		svid, bundles, err := c.identity(now)
		if err != nil {
			return
		}
		checkPair(t, svid)
		if id, _, err := x509svid.Verify(svid.Certificates, bundles, x509svid.WithTime(now)); err != nil || id != svid.ID {
			t.Fatalf("go-spiffe verifies %q as %q: %v", svid.ID, id, err)
		}
		checkRoundTrip(t, c, svid, bundles, now)
	})
}

// checkPair lets go-spiffe, which has a reader of its own, judge the pair.
func checkPair(t *testing.T, svid *x509svid.SVID) {
	t.Helper()
	chain, key, err := svid.MarshalRaw()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := x509svid.ParseRaw(chain, key); err != nil {
		t.Fatalf("go-spiffe refuses what was loaded: %v", err)
	}
}

func checkRoundTrip(t *testing.T, c contents, svid *x509svid.SVID, bundles *x509bundle.Set, now time.Time) {
	t.Helper()
	var err error
	if c.svid.data, c.key.data, err = svid.Marshal(); err != nil {
		t.Fatal(err)
	}
	bundle := bundles.Bundles()[0]
	if c.bundles[0].data, err = bundle.Marshal(); err != nil {
		t.Fatal(err)
	}
	again, bundlesAgain, err := c.identity(now)
	if err != nil {
		t.Fatalf("what was loaded does not load when it is written back: %v", err)
	}
	if !bundlesAgain.Bundles()[0].Equal(bundle) || !sameKey(again.PrivateKey.Public(), svid.PrivateKey.Public()) {
		t.Error("written back and loaded, it is another key or bundle")
	}
	for i, cert := range svid.Certificates {
		if !cert.Equal(again.Certificates[i]) {
			t.Errorf("written back and loaded, certificate %d is another", i)
		}
	}
}
