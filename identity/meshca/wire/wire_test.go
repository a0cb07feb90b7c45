package wire_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spiffe/go-spiffe/v2/bundle/x509bundle"

	"github.com/outrider-mesh/outrider/identity/devca"
	"github.com/outrider-mesh/outrider/identity/identitytest"
	"github.com/outrider-mesh/outrider/identity/meshca/wire"
)

const checkout = "spiffe://example.org/ns/shop/sa/checkout"

// federated returns bundles of two trust domains, and a leaf.
func federated(t testing.TB) (set *x509bundle.Set, leaf []byte) {
	t.Helper()
	ca, other := identitytest.NewCA(t, "example.org"), identitytest.NewCA(t, "example.net")
	identitytest.Federate(t, ca, other)
	if err := ca.RotateRoot(); err != nil {
		t.Fatal(err)
	}
	svid, err := ca.Issue(identitytest.ID(t, checkout), devca.IssueOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return ca.Bundles(), svid.Certificates[0].Raw
}

func encode(t testing.TB, v any) []byte {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestBundlesCrossTheWireWhole(t *testing.T) {
	set, _ := federated(t)
	b, err := wire.DecodeBundles(bytes.NewReader(encode(t, wire.BundlesOf(set))))
	if err != nil {
		t.Fatal(err)
	}
	got, err := b.Set()
	if err != nil {
		t.Fatal(err)
	}
	if got.Len() != 2 || got.Len() != set.Len() {
		t.Fatalf("%d trust domains, want 2", got.Len())
	}
	for _, want := range set.Bundles() {
		have, ok := got.Get(want.TrustDomain())
		if !ok || !slices.EqualFunc(sorted(have), sorted(want), bytes.Equal) {
			t.Errorf("the bundle of %q changed on the way", want.TrustDomain())
		}
	}
}

func sorted(b *x509bundle.Bundle) [][]byte {
	var all [][]byte
	for _, c := range b.X509Authorities() {
		all = append(all, c.Raw)
	}
	slices.SortFunc(all, bytes.Compare)
	return all
}

func TestTheVersionIsThatOfTheContent(t *testing.T) {
	set, _ := federated(t)
	first := wire.BundlesOf(set)
	reversed := x509bundle.NewSet()
	for _, b := range set.Bundles() {
		roots := b.X509Authorities()
		slices.Reverse(roots)
		reversed.Add(x509bundle.FromX509Authorities(b.TrustDomain(), roots))
	}
	if again := wire.BundlesOf(reversed); again.Version != first.Version {
		t.Error("another order makes another version")
	}
	fewer := x509bundle.NewSet(set.Bundles()[0])
	if wire.BundlesOf(fewer).Version == first.Version {
		t.Error("fewer bundles have the same version")
	}
}

func TestBundlesThatCannotBeAreRefused(t *testing.T) {
	set, leaf := federated(t)
	good := wire.BundlesOf(set)
	root := good.Domains["example.org"][0]
	cases := []struct {
		name, says string
		bend       func(*wire.Bundles)
	}{
		{"no version", "version", func(b *wire.Bundles) { b.Version = "" }},
		{"an endless version", "version", func(b *wire.Bundles) { b.Version = strings.Repeat("x", 200) }},
		{"no root", "0 certificates", func(b *wire.Bundles) { b.Domains["example.org"] = nil }},
		{"a root that is a leaf", "not a CA", func(b *wire.Bundles) { b.Domains["example.org"] = [][]byte{root, leaf} }},
		{"a root that is none", "certificate 1", func(b *wire.Bundles) { b.Domains["example.org"] = [][]byte{[]byte("x")} }},
		{"two roots in one", "trailing", func(b *wire.Bundles) { b.Domains["example.org"] = [][]byte{slices.Concat(root, root)} }},
		{"too many roots", "33 certificates", func(b *wire.Bundles) { b.Domains["example.org"] = slices.Repeat([][]byte{root}, 33) }},
		{"a name that is none", `"Example.org"`, func(b *wire.Bundles) { b.Domains["Example.org"] = [][]byte{root} }},
		{"a name that is an ID", "another way", func(b *wire.Bundles) { b.Domains["spiffe://example.org"] = [][]byte{root} }},
		{"no name", `trust domain ""`, func(b *wire.Bundles) { b.Domains[""] = [][]byte{root} }},
		{"too many domains", "257 trust domains", func(b *wire.Bundles) {
			for i := range 255 {
				b.Domains[fmt.Sprintf("d%d.org", i)] = [][]byte{root}
			}
		}},
	}
	if len(cases) < 11 {
		t.Errorf("%d cases are too few", len(cases))
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			b := wire.BundlesOf(set)
			c.bend(&b)
			if _, err := b.Set(); err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v, want an error that says %q", err, c.says)
			}
		})
	}
}

func TestMessagesAreReadStrictly(t *testing.T) {
	_, leaf := federated(t)
	answer := string(encode(t, wire.SVIDAnswer{Chain: [][]byte{leaf}, RenewAfter: 1}))
	request := func(s string) error { _, err := wire.DecodeRequest(strings.NewReader(s)); return err }
	svid := func(s string) error { _, _, err := wire.DecodeAnswer(strings.NewReader(s)); return err }
	bundles := func(s string) error { _, err := wire.DecodeBundles(strings.NewReader(s)); return err }
	cases := []struct {
		name string
		read func(string) error
		text string
		ok   bool
	}{
		{"a request", request, `{"csr":"eHg="}`, true},
		{"a request of a newer version", request, `{"csr":"eHg=","soon":1}`, true},
		{"a request without a csr", request, `{}`, false},
		{"a request that is no object", request, `"eHg="`, false},
		{"a request with something behind it", request, `{"csr":"eHg="} {}`, false},
		{"a request in broken base64", request, `{"csr":"eHg"}`, false},
		{"a request that is too long", request, `{"csr":"` + strings.Repeat("eHg=", 5000) + `"}`, false},
		{"no request", request, ``, false},
		{"an answer", svid, answer, true},
		{"an answer with something behind it", svid, answer + "x", false},
		{"an answer without a chain", svid, `{"renewAfterSeconds":1}`, false},
		{"an answer with an endless chain", svid, string(encode(t, wire.SVIDAnswer{Chain: slices.Repeat([][]byte{leaf}, 9)})), false},
		{"an answer whose chain is none", svid, `{"chain":["eHg="]}`, false},
		{"an answer that comes back in a second and a half", svid, strings.Replace(answer, `Seconds":1`, `Seconds":1.5`, 1), false},
		{"an answer that is too long", svid, `{"chain":["` + strings.Repeat("eHg=", 1<<18) + `"]}`, false},
		{"bundles", bundles, `{"version":"x","domains":{}}`, true},
		{"bundles that are a list", bundles, `[]`, false},
	}
	if len(cases) < 17 {
		t.Errorf("%d cases are too few", len(cases))
	}
	for _, c := range cases {
		if err := c.read(c.text); (err == nil) != c.ok {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

func TestARefusalSaysWhatItSays(t *testing.T) {
	for text, want := range map[string]string{
		`{"error":"come back later"}`: "come back later", `no`: "", ``: "", `{"error":"` + strings.Repeat("x", 5000) + `"}`: "",
	} {
		if got := wire.DecodeRefusal(strings.NewReader(text)); got != want {
			t.Errorf("%.30q says %.30q, want %q", text, got, want)
		}
	}
}

func FuzzDecodeRequest(f *testing.F) {
	for _, seed := range []string{`{"csr":"eHg="}`, `{"csr":null}`, `{"csr":"eHg=","CSR":"eXk="}`, `{}x`, ``} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		req, err := wire.DecodeRequest(bytes.NewReader(data))
		if err != nil {
			return
		}
		if len(data) > wire.MaxRequest || len(req.CSR) == 0 {
			t.Errorf("accepted %d bytes with a CSR of %d", len(data), len(req.CSR))
		}
		again, err := wire.DecodeRequest(bytes.NewReader(encode(t, req)))
		if err != nil || !bytes.Equal(again.CSR, req.CSR) {
			t.Errorf("written again it is %v, %v", again, err)
		}
	})
}

// Whatever bundles are accepted can be written again and mean the same.
func FuzzDecodeBundles(f *testing.F) {
	set, leaf := federated(f)
	good := wire.BundlesOf(set)
	f.Add(encode(f, good))
	f.Add(encode(f, wire.Bundles{Version: "x", Domains: map[string][][]byte{"example.org": {leaf}}}))
	f.Add([]byte(`{"version":"x","domains":{"a":null}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		b, err := wire.DecodeBundles(bytes.NewReader(data))
		if err != nil {
			return
		}
		set, err := b.Set()
		if err != nil {
			return
		}
		for _, bundle := range set.Bundles() {
			if n := len(bundle.X509Authorities()); n == 0 || n > wire.MaxRoots {
				t.Errorf("%q has %d roots", bundle.TrustDomain(), n)
			}
		}
		written := wire.BundlesOf(set)
		back, err := written.Set()
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(written, wire.BundlesOf(back)); diff != "" {
			t.Errorf("written again it differs: %s", diff)
		}
	})
}

// A chain that is accepted is one that crypto/tls could present.
func FuzzDecodeAnswer(f *testing.F) {
	set, leaf := federated(f)
	f.Add(encode(f, wire.SVIDAnswer{Chain: [][]byte{leaf}, RenewAfter: 1800, Bundles: wire.BundlesOf(set)}))
	f.Add([]byte(`{"chain":["eHg="],"renewAfterSeconds":-1}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		a, chain, err := wire.DecodeAnswer(bytes.NewReader(data))
		if err != nil {
			return
		}
		if len(chain) != len(a.Chain) || len(chain) == 0 || len(chain) > wire.MaxChain {
			t.Errorf("a chain of %d out of %d", len(chain), len(a.Chain))
		}
		for i := range chain {
			if !bytes.Equal(chain[i].Raw, a.Chain[i]) {
				t.Errorf("certificate %d is another one", i)
			}
		}
	})
}
