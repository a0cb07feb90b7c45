package keeper_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"go.uber.org/goleak"

	"github.com/outrider-mesh/outrider/identity"
	"github.com/outrider-mesh/outrider/identity/identitytest"
	"github.com/outrider-mesh/outrider/identity/mtls"
	"github.com/outrider-mesh/outrider/injector/issue/ca"
	"github.com/outrider-mesh/outrider/injector/issue/keeper"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	domain   = spiffeid.RequireTrustDomainFromString("example.org")
	abroad   = spiffeid.RequireTrustDomainFromString("example.net")
	own      = spiffeid.RequireFromPath(domain, "/ns/outrider-system/sa/outrider-injector")
	checkout = spiffeid.RequireFromPath(domain, "/ns/shop/sa/checkout")
)

// poll is rare, so that days pass quickly.
const poll = 10 * time.Minute

// A store is one that can be broken.
type store struct {
	keeper.Memory

	loadErr, saveErr atomic.Pointer[error]
	saves            atomic.Int64
}

func (s *store) Load(ctx context.Context) (keeper.Stored, error) {
	if err := s.loadErr.Load(); err != nil {
		return keeper.Stored{}, *err
	}
	return s.Memory.Load(ctx)
}

func (s *store) Save(ctx context.Context, state []byte, revision string) error {
	s.saves.Add(1)
	if err := s.saveErr.Load(); err != nil {
		return *err
	}
	return s.Memory.Save(ctx, state, revision)
}

func (s *store) fails(load, save error) {
	set := func(p *atomic.Pointer[error], err error) {
		p.Store(nil)
		if err != nil {
			p.Store(&err)
		}
	}
	set(&s.loadErr, load)
	set(&s.saveErr, save)
}

// A replica is a keeper that runs until its test ends.
type replica struct {
	*keeper.Keeper

	leads   atomic.Bool
	changed chan struct{}
}

func start(t *testing.T, s keeper.Store, leads bool) *replica {
	t.Helper()
	r := &replica{changed: make(chan struct{}, 1)}
	r.leads.Store(leads)
	k, err := keeper.New(keeper.Options{Store: s, ID: own, Leader: r.leads.Load, Changed: r.changed, Poll: poll})
	if err != nil {
		t.Fatal(err)
	}
	r.Keeper = k
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		if err := k.Run(ctx); err != nil {
			t.Errorf("run: %v", err)
		}
	})
	t.Cleanup(func() {
		cancel()
		running.Wait()
	})
	synctest.Wait()
	return r
}

func newKey(t testing.TB) crypto.Signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// verifies tells whether a workload with the bundles of one replica accepts an
// SVID that another one has issued.
func verifies(t *testing.T, by, with *replica) {
	t.Helper()
	chain, err := by.Issue(checkout, newKey(t).Public())
	if err != nil {
		t.Fatal(err)
	}
	if err := mtls.Verify(identity.Peer{ID: checkout, Chain: chain}, with.Current(), time.Now()); err != nil {
		t.Fatal(err)
	}
}

func roots(t *testing.T, r *replica, td spiffeid.TrustDomain) []*x509.Certificate {
	t.Helper()
	snap := r.Current()
	if snap.Bundles == nil {
		return nil
	}
	b, ok := snap.Bundles.Get(td)
	if !ok {
		return nil
	}
	return b.X509Authorities()
}

func pass(d time.Duration) {
	<-time.After(d) // synctest's clock
	synctest.Wait()
}

func TestANewCAHasAnIdentityAtOnceAndRenewsIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, new(store), true)
		first := r.Current()
		if !first.Ready() || first.Err != nil || first.SVID.ID != own {
			t.Fatalf("the snapshot is %+v", first)
		}
		verifies(t, r, r)
		pass(29 * time.Minute)
		if r.Current() != first {
			t.Error("something changed before half of the SVID's life")
		}
		pass(2 * time.Minute)
		second := r.Current()
		if second.SVID.Certificates[0].Equal(first.SVID.Certificates[0]) {
			t.Error("the SVID was not renewed")
		}
		if second.Bundles != first.Bundles {
			t.Error("the same bundles are another value, so that others can't compare")
		}
	})
}

func TestTheRootChangesWithOverlapInEveryReplica(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := new(store)
		a, b := start(t, s, true), start(t, s, false)
		old := roots(t, a, domain)[0]
		s.Change(func(stored *keeper.Stored) { stored.Request = "2027-01-01" })
		for _, r := range []*replica{a, b} { // the one that leads first, or the other has nothing to see
			r.changed <- struct{}{}
			synctest.Wait()
			if n := len(roots(t, r, domain)); n != 2 {
				t.Fatalf("%d roots are announced at once, want 2", n)
			}
		}
		verifies(t, a, b)
		pass(24*time.Hour + poll)
		verifies(t, a, b)
		verifies(t, b, a)
		if state, _ := b.State(); state.Signing().Cert.Equal(old) {
			t.Error("the old root signs still")
		}
		pass(24*time.Hour + poll)
		for _, r := range []*replica{a, b} {
			if left := roots(t, r, domain); len(left) != 1 || left[0].Equal(old) {
				t.Errorf("%d roots are left, want the new one", len(left))
			}
		}
		if err := b.Current().Err; err != nil {
			t.Error(err)
		}
	})
}

func TestOnlyTheLeaderWrites(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := new(store)
		b := start(t, s, false)
		if err := b.Current().Err; err == nil || !strings.Contains(err.Error(), "the leading replica makes it") {
			t.Errorf("a replica without a CA says %v", err)
		}
		if _, err := b.Issue(checkout, newKey(t).Public()); !errors.Is(err, ca.ErrCannotSign) {
			t.Errorf("it issues: %v", err)
		}
		if n := s.saves.Load(); n != 0 {
			t.Errorf("it writes %d times", n)
		}
		b.leads.Store(true)
		pass(time.Minute)
		if err := b.Current().Err; err != nil || s.saves.Load() != 1 {
			t.Errorf("elected, it says %v after %d writes", err, s.saves.Load())
		}
	})
}

// Two replicas that both believe to lead make one CA.
func TestTwoLeadersMakeOneCA(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := new(store)
		overtaken := keeper.ErrConflict
		s.fails(nil, overtaken)
		a := start(t, s, true)
		if err := a.Current().Err; !errors.Is(err, keeper.ErrConflict) {
			t.Errorf("overtaken for ever, it says %v", err)
		}
		if n := s.saves.Load(); n != 5 {
			t.Errorf("it tries %d times in a row, want 5", n)
		}
		if _, err := a.Issue(checkout, newKey(t).Public()); err == nil {
			t.Error("it issues with a CA that was never stored")
		}
		s.fails(nil, nil)
		b := start(t, s, true)
		pass(time.Minute)
		verifies(t, a, b)
		verifies(t, b, a)
	})
}

func TestAStoreThatIsAwayIsNoticedInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := new(store)
		r := start(t, s, true)
		s.fails(errors.New("etcd is away"), nil)
		pass(poll)
		if err := r.Current().Err; err == nil || !strings.Contains(err.Error(), "etcd is away") {
			t.Errorf("the snapshot says %v", err)
		}
		verifies(t, r, r)
		pass(12 * time.Hour)
		if _, err := r.Issue(checkout, newKey(t).Public()); !errors.Is(err, keeper.ErrStale) {
			t.Errorf("after half of an announcement it issues: %v", err)
		}
		s.fails(nil, nil)
		pass(time.Minute)
		verifies(t, r, r)
		if err := r.Current().Err; err != nil {
			t.Errorf("well again, the snapshot says %v", err)
		}
	})
}

func TestWhatCannotBeReadChangesNothing(t *testing.T) {
	cases := []struct {
		name, says string
		bend       func(*keeper.Stored)
	}{
		{"a state that is none", "read the CA's state", func(s *keeper.Stored) { s.State = []byte("x") }},
		{"a state of another trust domain", `"example.net"`, func(s *keeper.Stored) {
			state, err := ca.Encode(ca.State{TrustDomain: abroad})
			if err != nil {
				panic(err)
			}
			s.State = state
		}},
		{"a CA of the user that is none", "that was brought can't be used", func(s *keeper.Stored) { s.Brought = new(ca.BroughtPEM) }},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := new(store)
				r := start(t, s, true)
				before := roots(t, r, domain)[0]
				s.Change(c.bend)
				writes := s.saves.Load()
				r.changed <- struct{}{}
				synctest.Wait()
				if err := r.Current().Err; err == nil || !strings.Contains(err.Error(), c.says) {
					t.Errorf("the snapshot says %v, want %q", err, c.says)
				}
				verifies(t, r, r)
				if left := roots(t, r, domain); len(left) != 1 || !left[0].Equal(before) || s.saves.Load() != writes {
					t.Error("the CA is another one, or something was written")
				}
			})
		})
	}
	// At the start there is nothing to go on with, and nothing is made instead.
	synctest.Test(t, func(t *testing.T) {
		s := new(store)
		s.Change(func(stored *keeper.Stored) { stored.Brought = new(ca.BroughtPEM) })
		r := start(t, s, true)
		if _, err := r.Issue(checkout, newKey(t).Public()); err == nil || s.saves.Load() != 0 {
			t.Errorf("a CA that nobody chose issues: %v", err)
		}
	})
}

func TestFederationReachesEveryReplica(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := new(store)
		a, b := start(t, s, true), start(t, s, false)
		foreign := identitytest.NewCA(t, "example.net").Bundle().X509Authorities()
		if err := a.Federate(t.Context(), abroad, foreign); err != nil {
			t.Fatal(err)
		}
		pass(poll)
		for _, r := range []*replica{a, b} {
			if got := roots(t, r, abroad); len(got) != 1 || !got[0].Equal(foreign[0]) {
				t.Errorf("the bundle is %v", got)
			}
		}
		writes := s.saves.Load()
		if err := a.Federate(t.Context(), abroad, foreign); err != nil || s.saves.Load() != writes {
			t.Errorf("the same again: %v, %d writes", err, s.saves.Load()-writes)
		}
		if err := a.Federate(t.Context(), abroad, nil); err != nil {
			t.Fatal(err)
		}
		pass(poll)
		if roots(t, a, abroad) != nil || roots(t, b, abroad) != nil {
			t.Error("what was forgotten is there still")
		}
		if err := a.Federate(t.Context(), domain, foreign); err == nil {
			t.Error("it federates with itself")
		}
	})
}

func TestImpossibleOptionsAreRefused(t *testing.T) {
	for name, opts := range map[string]keeper.Options{
		"no store":         {ID: own},
		"no identity":      {Store: new(store)},
		"a domain only":    {Store: new(store), ID: domain.ID()},
		"a policy in vain": {Store: new(store), ID: own, Policy: ca.Policy{Announce: time.Second}},
	} {
		if _, err := keeper.New(opts); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
