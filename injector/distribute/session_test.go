package distribute

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
	"time"

	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/status"

	"github.com/outrider-mesh/outrider/proxy/config/push"
)

var (
	payments = Key{"shop", "payments-0"}
	checkout = Key{"shop", "checkout-0"}
	vip      = netip.MustParseAddrPort("10.96.0.1:80")
	epoch    = time.Unix(1_700_000_000, 0)
)

func unwatched(netip.AddrPort, bool) {}

// meet starts the session of a sidecar.
func meet(t *testing.T, key Key, p *pupil) *session {
	t.Helper()
	s := newSession(key, unwatched)
	if _, err := s.request(p.hello(nil), epoch); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestASidecarGetsWhatChanged(t *testing.T) {
	w, p := newWorld(), newPupil()
	w.write(payments, "a", "1")
	w.write(payments, "b", "1")
	w.write(checkout, "c", "1")
	s := meet(t, payments, p)
	if n := talk(s, p, w.from(payments), epoch); n != 1 {
		t.Errorf("%d responses, want one with everything", n)
	}
	if diff := cmp.Diff(map[string]string{"a": "1", "b": "1"}, p.documents); diff != "" {
		t.Error(diff)
	}
	w.write(payments, "a", "2")
	w.write(payments, "b", "")
	s.changed(epoch)
	r := s.next(w.from(payments), epoch)
	if len(r.GetResources()) != 1 || r.GetResources()[0].GetName() != "a" || len(r.GetRemovedResources()) != 1 {
		t.Errorf("more than the difference: %v", r)
	}
	if again := s.next(w.from(payments), epoch); again != nil {
		t.Errorf("a second one is on its way: %v", again)
	}
	w.write(payments, "a", "3") // while the first is on its way
	s.changed(epoch)
	if again := s.next(w.from(payments), epoch); again != nil {
		t.Errorf("a second one is on its way: %v", again)
	}
	if _, err := s.request(p.take(r), epoch); err != nil {
		t.Fatal(err)
	}
	if n := talk(s, p, w.from(payments), epoch); n != 1 || p.documents["a"] != "3" {
		t.Errorf("after %d responses %v", n, p.documents)
	}
}

// A sidecar has to know whether it has no documents, or has not been told yet.
func TestNoDocumentsAreAnAnswer(t *testing.T) {
	w, p := newWorld(), newPupil()
	s := meet(t, payments, p)
	if n := talk(s, p, w.from(payments), epoch); n != 1 {
		t.Errorf("%d responses, want an empty one", n)
	}
	s.changed(epoch)
	if n := talk(s, p, w.from(payments), epoch); n != 0 {
		t.Errorf("%d responses about nothing", n)
	}
}

func TestASidecarThatComesBackGetsTheDifference(t *testing.T) {
	w, p := newWorld(), newPupil()
	for _, name := range []string{"a", "b", "c"} {
		w.write(payments, name, "1")
	}
	talk(meet(t, payments, p), p, w.from(payments), epoch)
	w.write(payments, "b", "2")
	w.write(payments, "c", "")
	s := meet(t, payments, p)
	r := s.next(w.from(payments), epoch)
	if len(r.GetResources()) != 1 || len(r.GetRemovedResources()) != 1 {
		t.Errorf("%v", r)
	}
	p.take(r)
	if diff := cmp.Diff(map[string]string{"a": "1", "b": "2"}, p.documents); diff != "" {
		t.Error(diff)
	}
}

func TestWhatWasRefusedIsNotSentAgain(t *testing.T) {
	w, p := newWorld(), newPupil()
	p.refuse = func(_, text string) bool { return text == "bad" }
	w.write(payments, "a", "1")
	s := meet(t, payments, p)
	talk(s, p, w.from(payments), epoch)
	held := func() (bool, string) {
		held, why := (&member{session: s}).holding([]Revision{{"a", push.Version([]byte("1"))}})
		return held[0], why
	}
	change := func(text string, responses int) {
		t.Helper()
		w.write(payments, "a", text)
		s.changed(epoch)
		if n := talk(s, p, w.from(payments), epoch); n != responses {
			t.Errorf("%q: %d responses, want %d", text, n, responses)
		}
	}
	change("bad", 1)
	if ok, why := held(); !ok || why == "" {
		t.Errorf("held %v, refused because of %q", ok, why)
	}
	s.changed(epoch) // something else happened
	if n := talk(s, p, w.from(payments), epoch); n != 0 {
		t.Error("what was refused is sent again")
	}
	change("1", 0) // as it is still held
	if ok, why := held(); !ok || why != "" {
		t.Errorf("after the mistake was undone: held %v, %q", ok, why)
	}
	change("bad", 1)
	change("2", 1)
	if _, why := held(); why != "" || p.documents["a"] != "2" {
		t.Errorf("%v, %q", p.documents, why)
	}
}

func TestDocumentsThatAreHeldBackAreNotSent(t *testing.T) {
	w, p := newWorld(), newPupil()
	w.write(payments, "a", "1")
	w.held[payments] = true
	s := meet(t, payments, p)
	if n := talk(s, p, w.from(payments), epoch); n != 0 {
		t.Errorf("%d responses", n)
	}
	w.held[payments] = false
	s.changed(epoch)
	if n := talk(s, p, w.from(payments), epoch); n != 1 || p.documents["a"] != "1" {
		t.Errorf("%d responses, %v", n, p.documents)
	}
}

// Whoever has a document whose last good version nobody else knows keeps it, and goes
// on being told of the others.
func TestWhatIsKeptStays(t *testing.T) {
	w, p := newWorld(), newPupil()
	w.write(payments, "a", "good")
	w.write(payments, "b", "1")
	talk(meet(t, payments, p), p, w.from(payments), epoch)
	w.write(payments, "a", "kept")
	w.write(payments, "b", "2")
	if n := talk(meet(t, payments, p), p, w.from(payments), epoch); n != 1 {
		t.Errorf("%d responses", n)
	}
	if diff := cmp.Diff(map[string]string{"a": "good", "b": "2"}, p.documents); diff != "" {
		t.Error(diff)
	}
	late := newPupil()
	s := meet(t, payments, late)
	if n := talk(s, late, w.from(payments), epoch); n != 0 {
		t.Errorf("%d responses with a set in part: %v", n, late.documents)
	}
	w.write(payments, "a", "perhaps") // it was for others, as far as anybody can tell
	s.changed(epoch)
	if n := talk(s, late, w.from(payments), epoch); n != 1 || late.documents["b"] != "2" || len(late.documents) != 1 {
		t.Errorf("%d responses, %v", n, late.documents)
	}
	w.write(payments, "a", "mended")
	s.changed(epoch)
	if n := talk(s, late, w.from(payments), epoch); n != 1 || late.documents["a"] != "mended" {
		t.Errorf("%d responses, %v", n, late.documents)
	}
}

func TestDestinationsAreOnDemand(t *testing.T) {
	w, p := newWorld(), newPupil()
	w.move(vip, push.Target{Name: "payments.shop:80", Outside: true})
	s := newSession(payments, unwatched)
	for i, names := range [][]string{{vip.String()}, {vip.String()}, {"10.0.0.9:1"}} {
		if _, err := s.request(p.want(names...), epoch); err != nil {
			t.Fatal(err)
		}
		if n := talk(s, p, w.from(payments), epoch); n != map[int]int{0: 1, 1: 0, 2: 1}[i] {
			t.Errorf("%d responses to request %d", n, i)
		}
	}
	if diff := cmp.Diff(map[string]string{vip.String(): `{"name":"payments.shop:80","outside":true}`, "10.0.0.9:1": "{}"}, p.targets); diff != "" {
		t.Error(diff)
	}
	if _, err := s.request(&discovery.DeltaDiscoveryRequest{TypeUrl: push.DestinationType, ResourceNamesUnsubscribe: []string{vip.String(), "nonsense"}}, epoch); err != nil {
		t.Fatal(err)
	}
	w.move(vip, push.Target{})
	s.moved(vip, epoch)
	if n := talk(s, p, w.from(payments), epoch); n != 0 {
		t.Error("told of what it does not want to know")
	}
	// Who asks again without holding it has forgotten it.
	delete(p.versions[push.DestinationType], "10.0.0.9:1")
	if _, err := s.request(p.want("10.0.0.9:1"), epoch); err != nil {
		t.Fatal(err)
	}
	if n := talk(s, p, w.from(payments), epoch); n != 1 {
		t.Error("an answer is owed")
	}
}

func TestManyDestinationsComeInParts(t *testing.T) {
	w, p := newWorld(), newPupil()
	s := newSession(payments, unwatched)
	var names []string
	for i := range maxPerResponse*2 + 1 {
		names = append(names, fmt.Sprintf("10.0.0.1:%d", i+1))
	}
	if _, err := s.request(p.want(names...), epoch); err != nil {
		t.Fatal(err)
	}
	if n := talk(s, p, w.from(payments), epoch); n != 3 || len(p.targets) != len(names) {
		t.Errorf("%d responses with %d destinations", n, len(p.targets))
	}
}

func TestRequestsThatEndAStream(t *testing.T) {
	many := &discovery.DeltaDiscoveryRequest{TypeUrl: push.DestinationType}
	for i := range push.MaxDestinations + 1 {
		many.ResourceNamesSubscribe = append(many.ResourceNamesSubscribe, fmt.Sprintf("10.0.0.1:%d", i+1))
	}
	long := strings.Repeat("x", push.MaxNameBytes+1)
	held := map[string]string{}
	for i := range push.MaxDocuments + 2 {
		held[fmt.Sprint(i)] = "1"
	}
	all := []string{push.Wildcard}
	cases := []struct {
		name string
		r    *discovery.DeltaDiscoveryRequest
	}{
		{"no type", &discovery.DeltaDiscoveryRequest{}},
		{"a type of Envoy", &discovery.DeltaDiscoveryRequest{TypeUrl: "type.googleapis.com/envoy.config.cluster.v3.Cluster"}},
		{"a document of somebody", &discovery.DeltaDiscoveryRequest{TypeUrl: push.DocumentType, ResourceNamesSubscribe: []string{"AccessPolicy/shop/checkout"}}},
		{"every destination", &discovery.DeltaDiscoveryRequest{TypeUrl: push.DestinationType, ResourceNamesSubscribe: all}},
		{"a name for an address", &discovery.DeltaDiscoveryRequest{TypeUrl: push.DestinationType, ResourceNamesSubscribe: []string{"payments:80"}}},
		{"too many destinations", many},
		{"too many documents", &discovery.DeltaDiscoveryRequest{TypeUrl: push.DocumentType, ResourceNamesSubscribe: all, InitialResourceVersions: held}},
		{"a long name", &discovery.DeltaDiscoveryRequest{TypeUrl: push.DocumentType, InitialResourceVersions: map[string]string{long: "1"}}},
		{"a long version", &discovery.DeltaDiscoveryRequest{TypeUrl: push.DocumentType, InitialResourceVersions: map[string]string{"a": long}}},
	}
	if len(cases) < 9 {
		t.Errorf("only %d cases", len(cases))
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s := newSession(payments, unwatched)
			if _, err := s.request(c.r, epoch); err == nil || status.Convert(err).Message() == "" {
				t.Error("it is taken")
			}
			if n := len(s.targets.wanted); n > push.MaxDestinations {
				t.Errorf("%d destinations are wanted", n)
			}
		})
	}
}

func TestHowLongAnAnswerIsWaitedFor(t *testing.T) {
	w, p := newWorld(), newPupil()
	s := meet(t, payments, p)
	if !s.silent().IsZero() {
		t.Error("nothing was sent")
	}
	r := s.next(w.from(payments), epoch)
	if s.silent() != epoch {
		t.Errorf("since %v", s.silent())
	}
	late := epoch.Add(3 * time.Second)
	overtaken := &discovery.DeltaDiscoveryRequest{TypeUrl: push.DocumentType, ResponseNonce: "0"}
	if a, _ := s.request(overtaken, late); a.any || s.silent() != epoch {
		t.Error("an answer to something else is taken for one")
	}
	if a, _ := s.request(p.take(r), late); !a.any || a.took != 3*time.Second || !s.silent().IsZero() {
		t.Errorf("%+v, since %v", a, s.silent())
	}
}

// However changes, refusals and broken streams interleave, a sidecar ends with what
// it should have.
func TestASidecarEndsWithWhatItShouldHave(t *testing.T) {
	const runs, steps = 200, 60
	for run := range runs {
		r := rand.New(rand.NewPCG(uint64(run), 1))
		w, p := newWorld(), newPupil()
		p.refuse = func(_, text string) bool { return text == "bad" }
		s := meet(t, payments, p)
		addrs := []netip.AddrPort{vip, netip.MustParseAddrPort("10.0.0.1:1"), netip.MustParseAddrPort("10.0.0.1:2")}
		var names []string
		for _, a := range addrs {
			names = append(names, a.String())
		}
		again := func() {
			s = meet(t, payments, p)
			if _, err := s.request(p.want(names...), epoch); err != nil {
				t.Fatal(err)
			}
		}
		again()
		var flying []*discovery.DeltaDiscoveryResponse
		for range steps {
			switch r.IntN(6) {
			case 0:
				w.write(payments, string(rune('a'+r.IntN(4))), []string{"", "1", "2", "bad"}[r.IntN(4)])
				s.changed(epoch)
			case 1:
				at := addrs[r.IntN(len(addrs))]
				w.move(at, push.Target{Name: fmt.Sprint(r.IntN(3)), Outside: true})
				s.moved(at, epoch)
			case 2, 3:
				if next := s.next(w.from(payments), epoch); next != nil {
					flying = append(flying, next)
				}
			case 4:
				if len(flying) > 0 {
					answer := p.take(flying[0])
					if flying = flying[1:]; r.IntN(8) > 0 { // or it is lost, and the stream with it
						if _, err := s.request(answer, epoch); err != nil {
							t.Fatal(err)
						}
						continue
					}
					flying = nil
					again()
				}
			case 5:
				if r.IntN(10) == 0 {
					flying = nil
					again()
				}
			}
			if len(flying) > 2 {
				t.Fatalf("%d responses are on their way, at most one of each type may be", len(flying))
			}
		}
		for _, name := range []string{"a", "b", "c", "d"} { // the last mistake is mended
			if w.documents[payments][name] == "bad" {
				w.write(payments, name, "3")
			}
		}
		s.changed(epoch)
		for _, f := range flying {
			if _, err := s.request(p.take(f), epoch); err != nil {
				t.Fatal(err)
			}
		}
		talk(s, p, w.from(payments), epoch)
		want := maps.Clone(w.documents[payments])
		if want == nil {
			want = map[string]string{}
		}
		if diff := cmp.Diff(want, p.documents); diff != "" {
			t.Fatalf("run %d: %s", run, diff)
		}
		for _, at := range addrs {
			if got, want := p.targets[at.String()], string(w.targets[at].Encode()); got != want {
				t.Fatalf("run %d: %s is %q, want %q", run, at, got, want)
			}
		}
	}
}
