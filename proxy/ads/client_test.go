package ads

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/outrider-mesh/outrider/identity/devca"
	"github.com/outrider-mesh/outrider/identity/identitytest"
	"github.com/outrider-mesh/outrider/proxy/config/push"
)

const (
	one = "AccessPolicy/shop/one"
	two = "AccessPolicy/shop/two"
)

// only is the one request that there has to be.
func only(t *testing.T, all []*discovery.DeltaDiscoveryRequest) *discovery.DeltaDiscoveryRequest {
	t.Helper()
	if len(all) != 1 {
		t.Fatalf("%d requests, want one: %v", len(all), all)
	}
	return all[0]
}

func wantTexts(t *testing.T, p *pupil, want map[string]string) {
	t.Helper()
	got, _ := p.in()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestASetIsInForceAsAWholeOrNotAtAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTeacher(t)
		c, p := w.learn()
		l := w.stream()
		hello := only(t, l.said())
		if n, err := push.ParseNode(hello.GetNode()); err != nil || n.Name != "payments-0" || hello.GetTypeUrl() != push.DocumentType {
			t.Errorf("%v, %v", hello, err)
		}
		l.tell(t, response("1", nil, one, "a", two, "b"))
		if r := only(t, l.said()); r.GetResponseNonce() != "1" || r.GetErrorDetail() != nil {
			t.Errorf("%v", r)
		}
		wantTexts(t, p, map[string]string{one: "a", two: "b"})

		p.refuse = "bad"
		l.tell(t, response("2", []string{one}, two, "bad"))
		if r := only(t, l.said()); r.GetResponseNonce() != "2" || r.GetErrorDetail().GetMessage() != "it does not compile" {
			t.Errorf("%v", r)
		}
		wantTexts(t, p, map[string]string{one: "a", two: "b"})

		l.tell(t, response("3", []string{one}, two, "c")) // from what was held, not what was refused
		if r := only(t, l.said()); r.GetErrorDetail() != nil {
			t.Errorf("%v", r)
		}
		wantTexts(t, p, map[string]string{two: "c"})
		if s := c.Status(); !s.Connected || s.Err != nil {
			t.Errorf("%+v", s)
		}
	})
}

func TestNoDocumentsAreASetToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTeacher(t)
		_, p := w.learn()
		w.stream().tell(t, response("1", nil))
		if texts, sets := p.in(); sets != 1 || len(texts) != 0 {
			t.Errorf("%d sets, %v", sets, texts)
		}
	})
}

func TestWhatCannotBeASetIsRefused(t *testing.T) {
	var many []string
	for i := range push.MaxDocuments + 2 {
		many = append(many, fmt.Sprintf("AccessPolicy/shop/%d", i), "x")
	}
	large := strings.Repeat("x", push.MaxDocumentBytes/2+1)
	cases := []struct {
		name, says string
		response   *discovery.DeltaDiscoveryResponse
	}{
		{"another type", "nobody asked", &discovery.DeltaDiscoveryResponse{TypeUrl: "type.googleapis.com/envoy.config.cluster.v3.Cluster", Nonce: "1"}},
		{"no name of a document", "not the name of a document", response("1", nil, "payments", "a")},
		{"too many", "more than 1000", response("1", nil, many...)},
		{"too large", "bytes of documents", response("1", nil, one, large, two, large)},
		{"no address", "not the name of a destination", &discovery.DeltaDiscoveryResponse{
			TypeUrl: push.DestinationType, Nonce: "1", Resources: []*discovery.Resource{resource(push.DestinationType, "payments:80", "x")},
		}},
		{"nothing is no answer", "can't be removed", &discovery.DeltaDiscoveryResponse{
			TypeUrl: push.DestinationType, Nonce: "1", RemovedResources: []string{"10.0.0.1:80"},
		}},
	}
	if len(cases) < 6 {
		t.Errorf("only %d cases", len(cases))
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newTeacher(t)
				_, p := w.learn()
				l := w.stream()
				l.said()
				l.tell(t, c.response)
				if r := only(t, l.said()); !strings.Contains(r.GetErrorDetail().GetMessage(), c.says) {
					t.Errorf("%v, want %q", r.GetErrorDetail(), c.says)
				}
				if _, sets := p.in(); sets != 0 {
					t.Error("it was taken")
				}
			})
		})
	}
}

func TestAMessageThatCannotBeReadEndsTheStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTeacher(t)
		c, _ := w.learn()
		l := w.stream()
		l.tell(t, response("", nil, one, "a"))
		if s := c.Status(); s.Connected || !strings.Contains(fmt.Sprint(s.Err), "no nonce") {
			t.Errorf("%+v", s)
		}
		pass(time.Second)
		w.stream() // a new one
	})
}

func TestAStreamThatComesBackSaysWhatIsHeld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTeacher(t)
		c, p := w.learn(func(o *Options) { o.Held = Set{one: {Version: "v0", Body: []byte("old")}} })
		at := netip.MustParseAddrPort("10.0.0.1:80")
		c.Subscribe(at, "v1")
		l := w.stream()
		held := map[string]string{}
		for _, r := range l.said() {
			maps.Copy(held, r.GetInitialResourceVersions())
		}
		if diff := cmp.Diff(map[string]string{one: "v0", "10.0.0.1:80": "v1"}, held); diff != "" {
			t.Error(diff)
		}
		l.tell(t, response("1", nil, two, "b"))
		wantTexts(t, p, map[string]string{one: "old", two: "b"})
		l.tell(t, &discovery.DeltaDiscoveryResponse{TypeUrl: push.DestinationType, Nonce: "2", Resources: []*discovery.Resource{
			resource(push.DestinationType, "10.0.0.1:80", "target"),
		}})
		l.end <- status.Error(codes.Unavailable, "this replica is stopping")
		synctest.Wait()
		if s := c.Status(); s.Connected || !strings.Contains(s.Err.Error(), "this replica is stopping") {
			t.Errorf("%+v", s)
		}
		pass(time.Second)
		l = w.stream()
		clear(held)
		for _, r := range l.said() {
			maps.Copy(held, r.GetInitialResourceVersions())
		}
		want := map[string]string{one: "v0", two: push.Version([]byte("b")), "10.0.0.1:80": push.Version([]byte("target"))}
		if diff := cmp.Diff(want, held); diff != "" {
			t.Error(diff)
		}
	})
}

func TestDestinationsAreAskedForAndForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTeacher(t)
		c, p := w.learn()
		l := w.stream()
		l.said()
		a, b := netip.MustParseAddrPort("10.0.0.1:80"), netip.MustParseAddrPort("[fd00::1]:80")
		c.Subscribe(a, "")
		c.Subscribe(b, "")
		p.refuse = "bad"
		var names []string
		for _, r := range l.said() {
			names = append(names, r.GetResourceNamesSubscribe()...)
		}
		if slices.Sort(names); !slices.Equal(names, []string{"10.0.0.1:80", "[fd00::1]:80"}) {
			t.Errorf("%v", names)
		}
		l.tell(t, &discovery.DeltaDiscoveryResponse{TypeUrl: push.DestinationType, Nonce: "1", Resources: []*discovery.Resource{
			resource(push.DestinationType, "10.0.0.1:80", "bad"), resource(push.DestinationType, "[fd00::1]:80", "good"),
			resource(push.DestinationType, "10.0.0.2:80", "unasked"),
		}})
		if r := only(t, l.said()); !strings.Contains(r.GetErrorDetail().GetMessage(), "10.0.0.1:80: it can't be called") {
			t.Errorf("%v", r)
		}
		if diff := cmp.Diff(map[string]string{"[fd00::1]:80": "good"}, named(p)); diff != "" {
			t.Error(diff)
		}
		c.Unsubscribe(a)
		c.Unsubscribe(a) // of what nobody wants, nothing is said
		c.Unsubscribe(netip.MustParseAddrPort("10.9.9.9:1"))
		if r := only(t, l.said()); !slices.Equal(r.GetResourceNamesUnsubscribe(), []string{"10.0.0.1:80"}) {
			t.Errorf("%v", r)
		}
	})
}

func named(p *pupil) map[string]string {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := map[string]string{}
	for at, text := range p.targets {
		all[at.String()] = text
	}
	return all
}

func TestManyDestinationsMakeFewRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTeacher(t)
		c, _ := w.learn()
		l := w.stream()
		l.said()
		for i := range 1000 {
			c.Subscribe(netip.AddrPortFrom(netip.MustParseAddr("10.0.0.1"), uint16(i+1)), "")
			if i%100 == 0 {
				pass(time.Millisecond)
			}
		}
		var asked, requests int
		for _, r := range l.said() {
			requests++
			asked += len(r.GetResourceNamesSubscribe())
		}
		if asked != 1000 || requests > 3 {
			t.Errorf("%d destinations in %d requests", asked, requests)
		}
	})
}

func TestAnotherControlPlaneIsNotSpokenTo(t *testing.T) {
	abroad := "spiffe://example.org/ns/shop/sa/intruder"
	synctest.Test(t, func(t *testing.T) {
		w := newTeacher(t)
		w.id = w.ca.Source(t, abroad)
		w.serve()
		c, _ := w.learn()
		pass(time.Minute)
		if s := c.Status(); s.Connected || !strings.Contains(s.Err.Error(), "check spec.policies.controlPlane") || !strings.Contains(s.Err.Error(), abroad) {
			t.Errorf("%+v", s)
		}
		if len(w.streams) > 0 {
			t.Error("it was spoken to")
		}
	})
}

func TestPausesGrowWithinTheirBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTeacher(t)
		w.down = true
		c, _ := w.learn()
		pass(10 * time.Minute)
		if s := c.Status(); s.Connected || s.Attempts < 15 || s.Attempts > 60 {
			t.Errorf("%d attempts in ten minutes: %v", s.Attempts, s.Err)
		}
		w.set(func(w *teacher) { w.down = false })
		pass(maxPause + maxPause/2)
		w.stream()
		if !c.Status().Connected {
			t.Error("it did not come back")
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		for i := range len(w.dials) - 1 {
			if d := w.dials[i+1].Sub(w.dials[i]); d < minPause/2 || d > maxPause*3/2 {
				t.Errorf("a pause of %v", d)
			}
		}
	})
}

func TestANewSVIDMakesANewConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTeacher(t)
		c, _ := w.learn()
		w.stream()
		w.own.Rotate(t, devca.IssueOptions{})
		w.stream() // at once
		w.own.Refresh()
		w.own.Fail(fmt.Errorf("the issuer is away"))
		pass(time.Minute)
		if n := len(w.streams); n != 0 || !c.Status().Connected || c.Status().Attempts != 2 {
			t.Errorf("%d more streams, %+v", n, c.Status())
		}
	})
}

func TestAControlPlaneThatNobodyVouchesForIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTeacher(t)
		c, _ := w.learn()
		w.stream()
		w.own.Publish(w.own.Current().SVID, identitytest.NewCA(t, "example.org").Bundles())
		synctest.Wait()
		if s := c.Status(); s.Connected || !strings.Contains(s.Err.Error(), "not vouched for any more") {
			t.Errorf("%+v", s)
		}
	})
}

func TestAControlPlaneThatDoesNotSayWhetherItTakesUsIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTeacher(t)
		w.mute = true
		c, _ := w.learn()
		pass(admitTimeout + time.Millisecond)
		if s := c.Status(); s.Connected || !strings.Contains(fmt.Sprint(s.Err), errSilent.Error()) {
			t.Errorf("%+v", s)
		}
		w.stream().end <- nil
	})
}

func TestWithoutAnIdentityNobodyIsAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTeacher(t)
		c, _ := w.learn(func(o *Options) { o.Source = new(identitytest.StaticSource) })
		pass(time.Minute)
		if s := c.Status(); s.Connected || len(w.dials) > 0 || !strings.Contains(s.Err.Error(), "not asked") {
			t.Errorf("%+v", s)
		}
	})
}

func TestOptionsThatCannotBeRight(t *testing.T) {
	ok := Options{Address: "a:1", Server: identitytest.ID(t, controlPlane)}
	for _, bend := range []func(*Options){
		func(o *Options) { o.Address = "" }, func(o *Options) { o.Address = "a" }, func(o *Options) { o.Address = "a:" },
		func(o *Options) { o.Server = identitytest.ID(t, "spiffe://example.org") },
	} {
		o := ok
		bend(&o)
		if _, err := New(o); err == nil {
			t.Errorf("%+v is taken", o)
		}
	}
	if _, err := New(ok); err != nil {
		t.Error(err)
	}
}

func TestPausesDouble(t *testing.T) {
	for range 1000 {
		var p pause
		for _, want := range []time.Duration{minPause, 2 * minPause, 4 * minPause} {
			if got := p.next(); got < want/2 || got > want*3/2 {
				t.Fatalf("a pause of %v, want %v give or take its half", got, want)
			}
		}
		p.reset()
		if got := p.next(); got > minPause*3/2 {
			t.Fatalf("a pause of %v after a success", got)
		}
	}
}

// Who was taken for who it is comes back soon, however long that took.
func TestAfterAStreamThePausesBeginAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTeacher(t)
		w.down = true
		w.learn()
		pass(10 * time.Minute)
		w.set(func(w *teacher) { w.down = false })
		pass(maxPause + maxPause/2)
		w.stream().end <- nil
		pass(minPause + minPause/2)
		w.stream()
	})
}
