package distribute

import (
	"net/netip"
	"testing"

	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/protobuf/proto"

	"github.com/outrider-mesh/outrider/proxy/config/push"
)

// Whatever a sidecar sends, it gets nobody else's documents, makes no more of us
// than it may, and leaves nothing behind.
func FuzzRequests(f *testing.F) {
	p := newPupil()
	for _, r := range []*discovery.DeltaDiscoveryRequest{
		p.hello(nil), p.want(vip.String(), "10.0.0.1:1"),
		{TypeUrl: push.DocumentType, ResponseNonce: "1"},
		{TypeUrl: push.DestinationType, ResourceNamesUnsubscribe: []string{vip.String()}},
	} {
		raw, err := proto.Marshal(r)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw, raw)
	}
	f.Fuzz(func(t *testing.T, first, second []byte) {
		w := newWorld()
		w.write(payments, "AccessPolicy/shop/own", "own")
		w.write(checkout, "AccessPolicy/shop/foreign", "foreign")
		watching := map[netip.AddrPort]bool{}
		s := newSession(payments, func(at netip.AddrPort, on bool) {
			if watching[at] == on {
				t.Fatalf("%s is watched %v twice", at, on)
			}
			if watching[at] = on; !on {
				delete(watching, at)
			}
		})
		for _, raw := range [][]byte{first, second, first} {
			r := new(discovery.DeltaDiscoveryRequest)
			if proto.Unmarshal(raw, r) != nil {
				continue
			}
			_, err := s.request(r, epoch)
			if sent := s.next(w.from(payments), epoch); sent != nil {
				for _, res := range sent.GetResources() {
					if string(res.GetResource().GetValue()) == "foreign" {
						t.Fatal("it got the document of somebody else")
					}
				}
			}
			if err != nil {
				break
			}
		}
		if len(s.targets.wanted) > push.MaxDestinations || len(s.targets.dirty) > len(s.targets.wanted) {
			t.Fatalf("%d destinations, %d to be told", len(s.targets.wanted), len(s.targets.dirty))
		}
		if s.end(); len(watching) > 0 {
			t.Fatalf("%d are watched after the end", len(watching))
		}
	})
}
