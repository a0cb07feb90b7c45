package meshca

import (
	"bytes"
	"encoding/pem"
	"errors"
	"testing"
	"time"

	"github.com/outrider-mesh/outrider/identity/identitytest"
	"github.com/outrider-mesh/outrider/identity/meshca/wire"
)

func TestRenewalsComeALittleEarlierThanTheIssuerProposes(t *testing.T) {
	cases := []struct {
		name     string
		proposed int64
		left     time.Duration
		most     time.Duration
	}{
		{"half of an hour", 1800, time.Hour, 30 * time.Minute},
		{"what the issuer prefers", 600, time.Hour, 10 * time.Minute},
		{"nothing", 0, time.Hour, 30 * time.Minute},
		{"the past", -1, time.Hour, 30 * time.Minute},
		{"after the end", 3600, time.Hour, 30 * time.Minute},
		{"after the end of time", 1 << 62, time.Hour, 30 * time.Minute},
		{"seconds", 1, 2 * time.Second, time.Second},
	}
	for _, c := range cases {
		var shortest, longest time.Duration = c.most, 0
		for range 1000 {
			got := renewAfter(c.proposed, c.left)
			shortest, longest = min(shortest, got), max(longest, got)
		}
		if longest > c.most || shortest < c.most*8/10 || longest-shortest < c.most/10 {
			t.Errorf("%s: %v to %v, want up to a fifth below %v", c.name, shortest, longest, c.most)
		}
	}
	if len(cases) < 7 {
		t.Errorf("%d cases are too few", len(cases))
	}
}

func TestPausesDoubleWithinTheirBounds(t *testing.T) {
	p := &pause{lowest: time.Second, highest: 5 * time.Second}
	for range 2 {
		for i, want := range []time.Duration{1, 2, 4, 5, 5} {
			want *= time.Second
			if got := p.next(errors.New("x")); (got - want).Abs() > want/5 {
				t.Errorf("pause %d is %v, want %v give or take a fifth", i, got, want)
			}
		}
		p.reset()
	}
}

// What is accepted holds CAs only, as many as it says.
func FuzzParseAnchors(f *testing.F) {
	ca := identitytest.NewCA(f, "example.org")
	root := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ca.Bundle().X509Authorities()[0].Raw})
	f.Add(root)
	f.Add(append(bytes.Clone(root), root...))
	f.Add(root[:len(root)/2])
	f.Add([]byte("-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		roots, err := parseAnchors(data)
		if err != nil {
			return
		}
		if len(roots) == 0 || len(roots) > wire.MaxRoots || len(roots) != bytes.Count(data, []byte("-----BEGIN ")) {
			t.Errorf("%d roots out of %q", len(roots), data)
		}
		for _, r := range roots {
			if !r.IsCA {
				t.Errorf("%q is no CA", r.Subject)
			}
		}
	})
}
