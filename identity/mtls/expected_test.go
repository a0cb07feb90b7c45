package mtls_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spiffe/go-spiffe/v2/spiffeid"

	"github.com/outrider-mesh/outrider/identity/identitytest"
	"github.com/outrider-mesh/outrider/identity/mtls"
)

func TestExpectedRefusesSetsThatNameNobody(t *testing.T) {
	domain := spiffeid.RequireTrustDomainFromString("example.org").ID()
	for name, ids := range map[string][]spiffeid.ID{
		"the empty set":   nil,
		"the zero ID":     {{}},
		"a trust domain":  {domain},
		"one among many":  {identitytest.ID(t, serverID), {}},
		"a domain at end": {identitytest.ID(t, serverID), domain},
	} {
		if e, err := mtls.NewExpected(ids...); err == nil {
			t.Errorf("%s is accepted as %v", name, e)
		}
	}
}

func TestExpectedIsASet(t *testing.T) {
	a, b, c := identitytest.ID(t, serverID), identitytest.ID(t, clientID), identitytest.ID(t, otherID)
	given := []spiffeid.ID{a, c, a}
	e, err := mtls.NewExpected(given...)
	if err != nil {
		t.Fatal(err)
	}
	given[0] = b // the caller's slice is not ours
	if !e.Contains(a) || !e.Contains(c) || e.Contains(b) || e.Contains(spiffeid.ID{}) {
		t.Errorf("membership of %v is wrong", e)
	}
	if diff := cmp.Diff([]string{otherID, serverID}, names(e.IDs())); diff != "" {
		t.Errorf("members (-want +got):\n%s", diff)
	}
	if (mtls.Expected{}).Contains(a) {
		t.Error("the zero set contains somebody")
	}
}

func names(ids []spiffeid.ID) []string {
	var out []string
	for _, id := range ids {
		out = append(out, id.String())
	}
	return out
}

func TestExpectedInAMessageIsShort(t *testing.T) {
	e := expect(t, "spiffe://a/1", "spiffe://a/2", "spiffe://a/3", "spiffe://a/4", "spiffe://a/5")
	if got, want := e.String(), "[spiffe://a/1, spiffe://a/2, spiffe://a/3, and 2 more]"; got != want {
		t.Errorf("five members read %q, want %q", got, want)
	}
}
