package ca_test

import (
	"crypto/x509"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spiffe/go-spiffe/v2/bundle/x509bundle"
	"github.com/spiffe/go-spiffe/v2/spiffeid"

	"github.com/outrider-mesh/outrider/identity"
	"github.com/outrider-mesh/outrider/identity/mtls"
	"github.com/outrider-mesh/outrider/injector/issue/ca"
)

const (
	day  = 24 * time.Hour
	week = 7 * day
	year = 365 * day
)

// A moment of a story: how long after the one before, what happens first, what
// the CA does, and where its roots stand then.
type moment struct {
	after  time.Duration
	happen func(w *world)
	does   []ca.Action
	phases []ca.Phase
}

func does(actions ...ca.Action) []ca.Action { return actions }
func roots(phases ...ca.Phase) []ca.Phase   { return phases }

func TestTheLifeOfACA(t *testing.T) {
	const (
		a, s, r = ca.Announced, ca.Signing, ca.Retired
		second  = time.Second
	)
	ask := func(text string) func(*world) { return func(w *world) { w.in.Request = text } }
	stories := []struct {
		name    string
		moments []moment
	}{
		{"a new CA signs at once", []moment{
			{does: does(ca.Create), phases: roots(s)},
			{after: second, phases: roots(s)},
		}},
		{"an intermediate is renewed at half its life", []moment{
			{does: does(ca.Create), phases: roots(s)},
			{after: week/2 - second, phases: roots(s)},
			{after: second, does: does(ca.Renew), phases: roots(s)},
			{after: week/2 - second, phases: roots(s)},
			{after: 2 * second, does: does(ca.Renew), phases: roots(s)},
		}},
		{"a root is replaced at half its life, in phases", []moment{
			{does: does(ca.Create), phases: roots(s)},
			{after: year, does: does(ca.Renew, ca.Announce), phases: roots(s, a)},
			{after: day - second, phases: roots(s, a)},
			{after: second, does: does(ca.Promote), phases: roots(r, s)},
			{after: day - second, phases: roots(r, s)},
			{after: second, does: does(ca.Drop), phases: roots(s)},
		}},
		{"a root is replaced when that is asked for, once", []moment{
			{does: does(ca.Create), phases: roots(s)},
			{after: second, happen: ask("now"), does: does(ca.Announce), phases: roots(s, a)},
			{after: day, does: does(ca.Promote), phases: roots(r, s)},
			{after: second, happen: ask("again"), does: does(ca.Announce), phases: roots(r, s, a)},
			{after: day, does: does(ca.Promote, ca.Drop), phases: roots(r, s)},
			{after: day, does: does(ca.Drop), phases: roots(s)},
		}},
		{"what was asked for before there was a root is not done twice", []moment{
			{happen: ask("now"), does: does(ca.Create), phases: roots(s)},
			{after: second, phases: roots(s)},
		}},
		{"a CA that was away too long for an announcement promotes in time", []moment{
			{does: does(ca.Create), phases: roots(s)},
			{after: 2*year - 5*time.Hour, does: does(ca.Renew, ca.Announce), phases: roots(s, a)},
			{after: 3*time.Hour + second, does: does(ca.Promote), phases: roots(r, s)},
		}},
		{"a CA that was away until its root expired begins anew", []moment{
			{does: does(ca.Create), phases: roots(s)},
			{after: 3 * year, does: does(ca.Create), phases: roots(r, s)},
			{after: day, does: does(ca.Drop), phases: roots(s)},
		}},
		{"an announced root that expired is never promoted", []moment{
			{does: does(ca.Create), phases: roots(s)},
			{after: second, happen: ask("now"), does: does(ca.Announce), phases: roots(s, a)},
			{after: 3 * year, does: does(ca.Create, ca.Drop), phases: roots(r, s)},
		}},
	}
	if len(stories) < 8 {
		t.Errorf("%d stories are too few", len(stories))
	}
	for _, story := range stories {
		t.Run(story.name, func(t *testing.T) { tell(t, newWorld(t), story.moments) })
	}
}

func tell(t *testing.T, w *world, moments []moment) {
	t.Helper()
	for i, m := range moments {
		w.now = w.now.Add(m.after)
		if m.happen != nil {
			m.happen(w)
		}
		if diff := cmp.Diff(m.does, w.settle()); diff != "" {
			t.Fatalf("moment %d: the actions (-want +got): %s", i, diff)
		}
		if diff := cmp.Diff(m.phases, w.phases()); diff != "" {
			t.Fatalf("moment %d: the phases (-want +got): %s", i, diff)
		}
		verify(t, w.issue(), w.state.Bundles(), w.now)
	}
}

func TestTheCAOfTheUser(t *testing.T) {
	const (
		a, s, r = ca.Announced, ca.Signing, ca.Retired
		second  = time.Second
	)
	one, two := newUserCA(t, begin, begin.Add(5*year)), newUserCA(t, begin, begin.Add(5*year))
	bring := func(u userCA, life time.Duration, more ...userCA) func(*world) {
		return func(w *world) { w.brings(u.bring(t, w.now.Add(-time.Minute), w.now.Add(life), more...)) }
	}
	nothing := func(w *world) { w.in.Brought = nil }
	stories := []struct {
		name    string
		moments []moment
	}{
		{"signs at once where there was none", []moment{
			{happen: bring(one, year), does: does(ca.Adopt), phases: roots(s)},
			{after: week, phases: roots(s)},
		}},
		{"has its intermediate replaced at once", []moment{
			{happen: bring(one, year), does: does(ca.Adopt), phases: roots(s)},
			{after: day, happen: bring(one, year), does: does(ca.Adopt), phases: roots(s)},
		}},
		{"takes over from ours in phases", []moment{
			{does: does(ca.Create), phases: roots(s)},
			{after: second, happen: bring(one, year), does: does(ca.Adopt), phases: roots(s, a)},
			{after: day, does: does(ca.Promote), phases: roots(r, s)},
			{after: day, does: does(ca.Drop), phases: roots(s)},
		}},
		{"changes its root in phases, whatever order the files change in", []moment{
			{happen: bring(one, year), does: does(ca.Adopt), phases: roots(s)},
			{after: second, happen: bring(two, year), does: does(ca.Adopt), phases: roots(s, a)},
			{after: day, does: does(ca.Promote), phases: roots(r, s)},
			{after: day, does: does(ca.Drop), phases: roots(s)},
		}},
		{"may announce a root long before", []moment{
			{happen: bring(one, year), does: does(ca.Adopt), phases: roots(s)},
			{after: second, happen: bring(one, year, two), does: does(ca.Adopt), phases: roots(s, a)},
			{after: 30 * day, phases: roots(s, a)},
			{after: second, happen: bring(two, year, one), does: does(ca.Adopt, ca.Promote), phases: roots(r, s)},
			{after: 30 * day, phases: roots(r, s)}, // it is listed still
			{after: second, happen: bring(two, year), does: does(ca.Adopt, ca.Drop), phases: roots(s)},
		}},
		{"may be withdrawn before it signs", []moment{
			{does: does(ca.Create), phases: roots(s)},
			{after: second, happen: bring(one, year), does: does(ca.Adopt), phases: roots(s, a)},
			{after: second, happen: nothing, does: does(ca.Drop), phases: roots(s)},
		}},
		{"gives way to ours when it is taken away", []moment{
			{happen: bring(one, year), does: does(ca.Adopt), phases: roots(s)},
			{after: second, happen: nothing, does: does(ca.Announce), phases: roots(s, a)},
			{after: day, does: does(ca.Promote), phases: roots(r, s)},
		}},
		{"replaces one of ours that was announced", []moment{
			{does: does(ca.Create), phases: roots(s)},
			{after: second, happen: func(w *world) { w.in.Request = "now" }, does: does(ca.Announce), phases: roots(s, a)},
			{after: second, happen: bring(one, year), does: does(ca.Adopt, ca.Drop), phases: roots(s, a)},
		}},
		{"is promoted in time when the intermediate before it expires", []moment{
			{happen: bring(one, 12*time.Hour), does: does(ca.Adopt), phases: roots(s)},
			{after: 9 * time.Hour, happen: bring(two, year), does: does(ca.Adopt), phases: roots(s, a)},
			{after: time.Hour, does: does(ca.Promote), phases: roots(r, s)},
		}},
		{"is brought back", []moment{
			{happen: bring(one, year), does: does(ca.Adopt), phases: roots(s)},
			{after: second, happen: bring(two, year), does: does(ca.Adopt), phases: roots(s, a)},
			{after: day, does: does(ca.Promote), phases: roots(r, s)},
			{after: second, happen: bring(one, year, two), does: does(ca.Adopt), phases: roots(a, s)},
			{after: day, does: does(ca.Promote), phases: roots(s, r)},
		}},
	}
	if len(stories) < 10 {
		t.Errorf("%d stories are too few", len(stories))
	}
	for _, story := range stories {
		t.Run(story.name, func(t *testing.T) { tell(t, newWorld(t), story.moments) })
	}
}

// An expired intermediate of the user, of which there is no other, is an error
// and not a fall back to a CA that the user has not chosen.
func TestAnExpiredIntermediateOfTheUserIssuesNothing(t *testing.T) {
	w := newWorld(t)
	w.brings(newUserCA(t, begin, begin.Add(5*year)).bring(t, begin, begin.Add(day)))
	w.settle()
	w.now = w.now.Add(day)
	_, err := ca.IssueSVID(w.state, w.in.Policy, checkout, newKey(t).Public(), w.now)
	if err == nil || !strings.Contains(err.Error(), "cannot sign") {
		t.Errorf("got %v", err)
	}
}

// verify tells whether a chain is one that a workload with these bundles accepts.
func verify(t *testing.T, chain []*x509.Certificate, bundles *x509bundle.Set, now time.Time) {
	t.Helper()
	id, err := spiffeid.FromURI(chain[0].URIs[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := mtls.Verify(identity.Peer{ID: id, Chain: chain}, &identity.Snapshot{Bundles: bundles}, now); err != nil {
		t.Fatal(err)
	}
}

// Whatever the CA does and however late, every workload with a valid SVID can
// talk to every other: each has the bundles that came with its SVID and no newer.
func TestNoRotationEverSeparatesTwoWorkloads(t *testing.T) {
	const tick = 15 * time.Minute
	w := newWorld(t)
	w.in.Policy = ca.Policy{SVID: time.Hour, Intermediate: 8 * time.Hour, Root: 64 * time.Hour, Announce: 2 * time.Hour, Retire: 2 * time.Hour}
	if err := w.in.Policy.Check(); err != nil {
		t.Fatal(err)
	}
	type workload struct {
		chain   []*x509.Certificate
		bundles *x509bundle.Set
	}
	random := rand.New(rand.NewPCG(1, 2))
	var living []workload
	seen := map[string]bool{}
	w.settle()
	idle := 0
	for i := range 500 {
		w.now = w.now.Add(tick)
		if idle++; random.IntN(3) == 0 || idle == 8 { // the leader is late by up to two hours
			w.settle()
			idle = 0
		}
		if i%60 == 59 {
			w.in.Request += "once more"
		}
		living = slices.DeleteFunc(living, func(l workload) bool { return w.now.After(l.chain[0].NotAfter) })
		newest := workload{w.issue(), w.state.Bundles()}
		living = append(living, newest)
		for _, l := range living {
			verify(t, l.chain, newest.bundles, w.now)
			verify(t, newest.chain, l.bundles, w.now)
		}
		seen[w.state.Signing().Cert.Subject.CommonName] = true
	}
	if len(seen) < 7 {
		t.Errorf("only %d roots have signed", len(seen))
	}
}

func TestPoliciesThatCannotWorkAreRefused(t *testing.T) {
	cases := []struct {
		name   string
		policy ca.Policy
		says   string
	}{
		{"the default", ca.Policy{}, ""},
		{"the shortest", ca.Policy{SVID: 2 * time.Second, Announce: 4 * time.Second, Retire: 4 * time.Second, Intermediate: time.Minute, Root: time.Hour}, ""},
		{"SVIDs of no life", ca.Policy{SVID: time.Second}, "SVIDs of 1s"},
		{"SVIDs of a week", ca.Policy{SVID: week, Intermediate: 30 * day, Announce: 14 * day, Retire: 14 * day}, "SVIDs of 168h"},
		{"an announcement that some miss", ca.Policy{Announce: time.Hour}, "announced for 1h"},
		{"a retirement in haste", ca.Policy{Retire: time.Hour}, "kept for 1h"},
		{"intermediates that don't last", ca.Policy{Intermediate: 2 * time.Hour}, "intermediates of 2h"},
		{"roots that don't last", ca.Policy{Root: week}, "roots of 168h"},
		{"a rotation that never ends", ca.Policy{Root: 30 * day, Announce: 20 * day}, "four times"},
		{"a negative life", ca.Policy{SVID: -time.Hour}, "SVIDs of -1h"},
	}
	if len(cases) < 10 {
		t.Errorf("%d cases are too few", len(cases))
	}
	for _, c := range cases {
		err := c.policy.Check()
		if (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want %q", c.name, err, c.says)
		}
	}
}
