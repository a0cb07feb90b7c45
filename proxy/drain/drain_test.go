package drain_test

import (
	"crypto/x509"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"

	"github.com/outrider-mesh/outrider/identity"
	"github.com/outrider-mesh/outrider/proxy/drain"
	"github.com/outrider-mesh/outrider/proxy/flow"
)

// ender counts how often it was told to end.
type ender struct{ graceful, aborted atomic.Int32 }

func (e *ender) CloseGracefully() { e.graceful.Add(1) }
func (e *ender) Abort()           { e.aborted.Add(1) }

func (e *ender) check(t *testing.T, graceful, aborted int32) {
	t.Helper()
	if g, a := e.graceful.Load(), e.aborted.Load(); g != graceful || a != aborted {
		t.Errorf("asked to end %d times and cut off %d times; want %d and %d", g, a, graceful, aborted)
	}
}

func checkReason(t *testing.T, c *drain.Conn, want flow.Reason) {
	t.Helper()
	if got := c.Reason(); got != want {
		t.Errorf("reason %v, want %v", got, want)
	}
}

// caller is a peer whose certificate ends at that time.
func caller(notAfter time.Time) identity.Peer {
	return identity.Peer{
		ID:    spiffeid.RequireFromString("spiffe://example.org/ns/shop/sa/checkout"),
		Chain: []*x509.Certificate{{NotAfter: notAfter}},
	}
}

func TestAConnectionIsKnownBeforeItIsDescribed(t *testing.T) {
	var tr drain.Tracker
	e := new(ender)
	c := tr.Add(e)
	if tr.Len() != 1 || c.About() != nil {
		t.Fatalf("%d connections, the new one described as %v", tr.Len(), c.About())
	}
	other := tr.Add(new(ender))
	if c.ID() == other.ID() || c.ID() == 0 {
		t.Errorf("ids %d and %d", c.ID(), other.ID())
	}
	about := &drain.About{Listener: "http"}
	c.Describe(about)
	seen := 0
	tr.Each(func(each *drain.Conn) {
		if each == c && each.About() == about {
			seen++
		}
	})
	if seen != 1 {
		t.Errorf("seen %d times", seen)
	}
	tr.Remove(c)
	tr.Remove(c)
	if tr.Len() != 1 {
		t.Errorf("%d connections after one was removed", tr.Len())
	}
	checkReason(t, c, flow.None)
}

func TestTheFirstReasonStays(t *testing.T) {
	var tr drain.Tracker
	e := new(ender)
	c := tr.Add(e)
	c.CloseGracefully(flow.CertificateExpired)
	c.Abort(flow.PolicyChanged)
	checkReason(t, c, flow.CertificateExpired)
	e.check(t, 1, 1)
}

func TestDrainAsksThoseToComeToo(t *testing.T) {
	var tr drain.Tracker
	before, after, late := new(ender), new(ender), new(ender)
	c := tr.Add(before)
	tr.Drain()
	before.check(t, 1, 0)
	checkReason(t, c, flow.Draining)
	checkReason(t, tr.Add(after), flow.Draining)
	after.check(t, 1, 0)

	tr.Abort()
	before.check(t, 1, 1)
	after.check(t, 1, 1)
	checkReason(t, tr.Add(late), flow.Draining)
	late.check(t, 0, 1)

	tr.Drain() // takes nothing back
	again := new(ender)
	tr.Add(again)
	again.check(t, 0, 1)
}

// What ends, if it is described as about, at a time relative to the NotAfter of
// its peer's certificate.
func TestExpire(t *testing.T) {
	const grace = 30 * time.Second
	expiry := caller(time.Time{})
	for _, c := range []struct {
		name     string
		about    *drain.About
		asked    bool // to end, at start, for another reason
		at       time.Duration
		graceful int32
		aborted  int32
		reason   flow.Reason
	}{
		{"a connection of which nothing is known is left alone", nil, false, time.Hour, 0, 0, flow.None},
		{"plaintext has no certificate that expires", &drain.About{Protocol: flow.HTTP1}, false, time.Hour, 0, 0, flow.None},
		{"a certificate that is valid", &drain.About{Protocol: flow.HTTP1, Peer: expiry}, false, -time.Nanosecond, 0, 0, flow.None},
		{"HTTP at the very moment", &drain.About{Protocol: flow.HTTP1, Peer: expiry}, false, 0, 1, 0, flow.CertificateExpired},
		{"opaque bytes at the very moment", &drain.About{Protocol: flow.TCP, Peer: expiry}, false, 0, 0, 1, flow.CertificateExpired},
		{"opaque bytes that are valid", &drain.About{Protocol: flow.TCP, Peer: expiry}, false, -time.Second, 0, 0, flow.None},
		{"HTTP that was asked to end and has time left", &drain.About{Protocol: flow.HTTP1, Peer: expiry}, true, grace, 2, 0, flow.PolicyChanged},
		{"HTTP that was asked to end and has used its time", &drain.About{Protocol: flow.HTTP1, Peer: expiry}, true, grace + time.Second, 1, 1, flow.PolicyChanged},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { // the clock stands still
				var tr drain.Tracker
				e := new(ender)
				conn := tr.Add(e)
				about := c.about
				now := time.Now()
				if about != nil {
					copied := *about
					if copied.Peer.Authenticated() {
						copied.Peer = caller(now)
					}
					conn.Describe(&copied)
				}
				if c.asked {
					conn.CloseGracefully(flow.PolicyChanged)
				}
				tr.Expire(now.Add(c.at), grace)
				e.check(t, c.graceful, c.aborted)
				checkReason(t, conn, c.reason)
			})
		})
	}
}

func TestVerifyCutsOffPeersThatAreNotTrustedAnyMore(t *testing.T) {
	var tr drain.Tracker
	known, plain, unknown := new(ender), new(ender), new(ender)
	c := tr.Add(known)
	c.Describe(&drain.About{Peer: caller(time.Now())})
	tr.Add(plain).Describe(&drain.About{})
	tr.Add(unknown)
	tr.Verify(func(*drain.About) bool { return true })
	known.check(t, 0, 0)
	tr.Verify(func(*drain.About) bool { return false })
	known.check(t, 0, 1)
	checkReason(t, c, flow.CertificateRevoked)
	plain.check(t, 0, 0)
	unknown.check(t, 0, 0)
}

func TestReauthorizeCutsOffWhatPolicyDenies(t *testing.T) {
	var tr drain.Tracker
	judge := func(allowed bool) *drain.About {
		return &drain.About{StillAllowed: func() bool { return allowed }}
	}
	denied, allowed, perRequest, unknown := new(ender), new(ender), new(ender), new(ender)
	c := tr.Add(denied)
	c.Describe(judge(false))
	tr.Add(allowed).Describe(judge(true))
	tr.Add(perRequest).Describe(&drain.About{})
	tr.Add(unknown)
	tr.Reauthorize()
	denied.check(t, 0, 1)
	checkReason(t, c, flow.PolicyChanged)
	for _, e := range []*ender{allowed, perRequest, unknown} {
		e.check(t, 0, 0)
	}
}

// A policy that changes while a connection is judged: whatever the order, one of
// the two sees the other.
func TestNoPolicyChangeIsMissed(t *testing.T) {
	const rounds = 2000
	for range rounds {
		var tr drain.Tracker
		var allowed atomic.Bool
		allowed.Store(true)
		e := new(ender)
		var refused bool
		var wg sync.WaitGroup
		wg.Go(func() {
			c := tr.Add(e)
			c.Describe(&drain.About{StillAllowed: allowed.Load})
			refused = !allowed.Load()
		})
		wg.Go(func() {
			allowed.Store(false)
			tr.Reauthorize()
		})
		wg.Wait()
		if !refused && e.aborted.Load() == 0 {
			t.Fatal("a connection outlived a policy that denies it")
		}
	}
}

// Everything at once, for the race detector; and nothing outlives Abort.
func TestConcurrentUse(t *testing.T) {
	var tr drain.Tracker
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for i := range 200 {
				e := new(ender)
				c := tr.Add(e)
				c.Describe(&drain.About{Peer: caller(time.Now()), Protocol: flow.HTTP1})
				if i%2 == 0 {
					tr.Remove(c)
				}
			}
		})
	}
	wg.Go(func() {
		for range 50 {
			tr.Expire(time.Now(), time.Hour)
			tr.Verify(func(*drain.About) bool { return true })
			tr.Reauthorize()
		}
	})
	wg.Go(tr.Drain)
	wg.Go(tr.Abort)
	wg.Wait()
	if tr.Len() != 8*100 {
		t.Errorf("%d connections", tr.Len())
	}
	tr.Each(func(c *drain.Conn) {
		if c.Reason() == flow.None {
			t.Fatal("a connection was not told to end")
		}
	})
}
