package ca_test

import (
	"bytes"
	"crypto/x509"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"

	"github.com/outrider-mesh/outrider/injector/issue/ca"
)

// busy is a state that has everything a state can have.
func busy(t testing.TB) *world {
	t.Helper()
	w := newWorld(t)
	w.settle()
	user := newUserCA(t, begin, begin.Add(5*year))
	w.brings(user.bring(t, begin.Add(-time.Minute), begin.Add(year)))
	w.settle()
	w.after(day)
	w.in.Brought, w.in.Request = nil, "now"
	w.after(time.Minute)
	w.state.Federated = map[spiffeid.TrustDomain][]*x509.Certificate{
		spiffeid.RequireTrustDomainFromString("example.net"): {user.cert},
	}
	return w
}

func encode(t testing.TB, s ca.State) []byte {
	t.Helper()
	data, err := ca.Encode(s)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestAStateIsReadAsItWasWritten(t *testing.T) {
	w := busy(t)
	if got := w.phases(); !slices.Equal(got, []ca.Phase{ca.Retired, ca.Signing, ca.Announced}) {
		t.Fatalf("the state is not the one that was meant: %v", got)
	}
	data := encode(t, w.state)
	s, err := ca.Decode(data)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(encode(t, s), data) {
		t.Error("written again it differs")
	}
	if s.Bundles().Len() != 2 || s.Handled != "now" || s.Signing().Key != nil || s.Roots[2].Key == nil {
		t.Errorf("something is lost: %+v", s)
	}
	if !bytes.Equal(encode(t, s), encode(t, w.state)) {
		t.Error("the states differ")
	}
}

// A key that can sign no more is not kept: a backup of the store is worth less.
func TestTheKeyOfARetiredRootIsForgotten(t *testing.T) {
	w := newWorld(t)
	w.settle()
	w.in.Request = "now"
	w.settle()
	w.after(day)
	if r := w.state.Roots[0]; r.Phase != ca.Retired || r.Key != nil || r.Issuer != nil {
		t.Errorf("the retired root is kept as %+v", r)
	}
}

func TestAStateThatCannotBeIsRefused(t *testing.T) {
	other := busy(t)
	var otherForm map[string]any
	if err := json.Unmarshal(encode(t, other.state), &otherForm); err != nil {
		t.Fatal(err)
	}
	foreign := otherForm["roots"].([]any)[1].(map[string]any)
	type object = map[string]any
	cases := []struct {
		name, says string
		bend       func(form object, roots []any)
	}{
		{"another format", "format 2", func(f object, _ []any) { f["format"] = 2 }},
		{"no trust domain", "trust domain is missing", func(f object, _ []any) { f["trustDomain"] = "" }},
		{"a phase that is none", `phase "Resting"`, func(_ object, r []any) { r[0].(object)["phase"] = "Resting" }},
		{"two that sign", "2 roots sign", func(_ object, r []any) { r[2].(object)["phase"] = "Signing" }},
		{"a root twice", "there twice", func(f object, r []any) { f["roots"] = append(r, r[2]) }},
		{"one that signs without an issuer", "no issuer", func(_ object, r []any) { delete(r[1].(object), "issuer") }},
		{"an issuer of another root", "issuer", func(_ object, r []any) { r[1].(object)["issuer"] = foreign["issuer"] }},
		{"an issuer with another key", "another one's", func(_ object, r []any) { r[1].(object)["issuer"].(object)["key"] = foreign["issuer"].(object)["key"] }},
		{"an issuer without a chain", "no certificate", func(_ object, r []any) { r[1].(object)["issuer"].(object)["chain"] = nil }},
		{"a root with another key", "another one's", func(_ object, r []any) { r[2].(object)["key"] = foreign["issuer"].(object)["key"] }},
		{"a key that is none", "not PKCS #8", func(_ object, r []any) { r[2].(object)["key"] = "eHg=" }},
		{"a root that is none", "root 1", func(_ object, r []any) { r[0].(object)["certificate"] = "eHg=" }},
		{"federation with itself", "its own", func(f object, r []any) {
			f["federated"] = object{"example.org": []any{r[0].(object)["certificate"]}}
		}},
		{"federation with nobody", "no certificate", func(f object, _ []any) { f["federated"] = object{"example.net": nil} }},
		{"federation with no name", "federated", func(f object, r []any) { f["federated"] = object{"": []any{r[0]}} }},
	}
	if len(cases) < 15 {
		t.Errorf("%d cases are too few", len(cases))
	}
	data := encode(t, busy(t).state)
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			var form object
			if err := json.Unmarshal(data, &form); err != nil {
				t.Fatal(err)
			}
			c.bend(form, form["roots"].([]any))
			bent, err := json.Marshal(form)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := ca.Decode(bent); err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v, want an error that says %q", err, c.says)
			}
		})
	}
	for _, text := range []string{"", "{}", "x", strings.Repeat(" ", ca.MaxState+1)} {
		if _, err := ca.Decode([]byte(text)); err == nil {
			t.Errorf("%.10q is accepted", text)
		}
	}
}

// Whatever is accepted can be written, is the same when it is read again, and
// signs nothing that its own bundles don't vouch for.
func FuzzDecode(f *testing.F) {
	f.Add(encode(f, busy(f).state))
	w := newWorld(f)
	w.settle()
	f.Add(encode(f, w.state))
	f.Add([]byte(`{"format":1,"trustDomain":"example.org","roots":[]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := ca.Decode(data)
		if err != nil {
			return
		}
		written, err := ca.Encode(s)
		if err != nil {
			t.Fatal(err)
		}
		again, err := ca.Decode(written)
		if err != nil {
			t.Fatal(err)
		}
		if second := encode(t, again); !bytes.Equal(second, written) {
			t.Error("written again it differs")
		}
		id, err := spiffeid.FromPath(s.TrustDomain, "/ns/shop/sa/checkout")
		if err != nil {
			t.Fatal(err)
		}
		chain, err := ca.IssueSVID(s, ca.Policy{}.WithDefaults(), id, newKey(t).Public(), begin)
		if err == nil {
			verify(t, chain, s.Bundles(), begin)
		}
	})
}

func TestWhatTheUserBringsIsChecked(t *testing.T) {
	user, other := newUserCA(t, begin, begin.Add(5*year)), newUserCA(t, begin, begin.Add(5*year))
	expired := newUserCA(t, begin.Add(-year), begin.Add(-time.Hour))
	now := begin.Add(time.Hour)
	good := user.bring(t, begin, begin.Add(year))
	with := func(bend func(*ca.BroughtPEM)) ca.BroughtPEM {
		files := good
		bend(&files)
		return files
	}
	leaf := func() ca.BroughtPEM {
		key := newKey(t)
		template := caTemplate("a leaf", begin, begin.Add(year))
		template.IsCA, template.KeyUsage = false, x509.KeyUsageDigitalSignature
		return ca.BroughtPEM{Chain: certPEM(sign(t, template, user.cert, key.Public(), user.key)), Key: keyPEM(t, key), Roots: certPEM(user.cert)}
	}()
	cases := []struct {
		name, says string
		files      ca.BroughtPEM
	}{
		{"an intermediate and its root", "", good},
		{"the root at the end of the chain", "", with(func(f *ca.BroughtPEM) { f.Chain = slices.Concat(f.Chain, f.Roots) })},
		{"two roots", "", with(func(f *ca.BroughtPEM) { f.Roots = slices.Concat(certPEM(other.cert), f.Roots) })},
		{"an old root that has expired", "", with(func(f *ca.BroughtPEM) { f.Roots = slices.Concat(certPEM(expired.cert), f.Roots) })},
		{"no chain", "tls.crt", with(func(f *ca.BroughtPEM) { f.Chain = nil })},
		{"no key", "tls.key", with(func(f *ca.BroughtPEM) { f.Key = nil })},
		{"no roots", "ca.crt", with(func(f *ca.BroughtPEM) { f.Roots = nil })},
		{"another root", "does not lead", with(func(f *ca.BroughtPEM) { f.Roots = certPEM(other.cert) })},
		{"only a root that has expired", "no root in it is valid", with(func(f *ca.BroughtPEM) { f.Roots = certPEM(expired.cert) })},
		{"another key", "another one's", with(func(f *ca.BroughtPEM) { f.Key = keyPEM(t, newKey(t)) })},
		{"a certificate for a key", `"CERTIFICATE"`, with(func(f *ca.BroughtPEM) { f.Key = f.Chain })},
		{"a key in the chain", "want CERTIFICATE", with(func(f *ca.BroughtPEM) { f.Chain = slices.Concat(f.Chain, f.Key) })},
		{"half a file", "are whole", with(func(f *ca.BroughtPEM) { f.Chain = f.Chain[:len(f.Chain)-20] })},
		{"the root itself", "bring an intermediate", ca.BroughtPEM{Chain: certPEM(user.cert), Key: keyPEM(t, user.key), Roots: certPEM(user.cert)}},
		{"a leaf", "may not sign", leaf},
		{"a leaf among the roots", "not a CA", with(func(f *ca.BroughtPEM) { f.Roots = leaf.Chain })},
		{"an intermediate that has expired", "valid from", user.bring(t, begin.Add(-day), begin)},
		{"an intermediate that is not valid yet", "valid from", user.bring(t, begin.Add(day), begin.Add(week))},
		{"a weak key", "1024 bits", func() ca.BroughtPEM {
			key := rsaKey(t, 1024)
			cert := sign(t, caTemplate("weak", begin, begin.Add(year)), user.cert, key.Public(), user.key)
			return ca.BroughtPEM{Chain: certPEM(cert), Key: keyPEM(t, key), Roots: certPEM(user.cert)}
		}()},
		{"too many roots", "9 PEM blocks", with(func(f *ca.BroughtPEM) { f.Roots = slices.Repeat(f.Roots, 9) })},
	}
	if len(cases) < 20 {
		t.Errorf("%d cases are too few", len(cases))
	}
	for _, c := range cases {
		_, err := ca.ParseBrought(c.files, now)
		if (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want %q", c.name, err, c.says)
		}
	}
}

// What is accepted signs SVIDs that its own roots vouch for.
func FuzzParseBrought(f *testing.F) {
	good := newUserCA(f, begin, begin.Add(year)).bring(f, begin, begin.Add(year))
	f.Add(good.Chain, good.Key, good.Roots)
	f.Add(good.Roots, good.Key, good.Roots)
	f.Add([]byte("-----BEGIN X-----\n-----END X-----\n"), good.Key, good.Roots)
	f.Fuzz(func(t *testing.T, chain, key, roots []byte) {
		now := begin.Add(time.Hour)
		b, err := ca.ParseBrought(ca.BroughtPEM{Chain: chain, Key: key, Roots: roots}, now)
		if err != nil {
			return
		}
		w := newWorld(t)
		w.now, w.in.Brought = now, b
		w.settle()
		verify(t, w.issue(), w.state.Bundles(), now)
	})
}
