package ads

import (
	"log/slog"
	"maps"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/outrider-mesh/outrider/proxy/ads/wire"
	"github.com/outrider-mesh/outrider/proxy/config/push"
)

// strict refuses what begins with "!".
type strict struct {
	t  *testing.T
	in Set
}

func (h *strict) Documents(s Set) error {
	for _, one := range s {
		if len(one.Body) > 0 && one.Body[0] == '!' {
			return errStuck
		}
	}
	h.in = maps.Clone(s)
	return nil
}

func (h *strict) Destination(at netip.AddrPort, r Resource, _ time.Duration) error {
	if !at.IsValid() || r.Version == "" {
		h.t.Fatalf("%v, %+v is handed over", at, r)
	}
	return nil
}

// Whatever the control plane sends, what is said to be held is what is in force, and
// it is answered once.
func FuzzResponses(f *testing.F) {
	body := func(kind, nonce, name, text string) []byte {
		// A DeltaDiscoveryResponse by hand: 2 resources{3 name, 1 version, 2 {1, 2}}, 4, 5.
		field := func(n byte, s string) []byte { return append([]byte{n<<3 | 2, byte(len(s))}, s...) }
		content := append(field(1, kind), field(2, text)...)
		one := append(append(field(3, name), field(1, push.Version([]byte(text)))...), field(2, string(content))...)
		long := append([]byte{2<<3 | 2, byte(len(one) | 0x80), byte(len(one) >> 7)}, one...)
		return append(append(long, field(4, kind)...), field(5, nonce)...)
	}
	f.Add(body(push.DocumentType, "1", "AccessPolicy/shop/a", "x"), body(push.DocumentType, "2", "AccessPolicy/shop/a", "!"))
	f.Add(body(push.DestinationType, "1", "10.0.0.1:80", "x"), body(push.DocumentType, "2", "b", "y"))
	f.Fuzz(func(t *testing.T, first, second []byte) {
		h := &strict{t: t}
		c := &Client{opts: Options{Handler: h, Log: slog.New(slog.DiscardHandler)}}
		c.session.start(nil)
		c.session.begin()
		c.session.next(push.Node{})
		c.session.subscribe(netip.MustParseAddrPort("10.0.0.1:80"), "")
		talk := &talk{Client: c}
		for _, raw := range [][]byte{first, second, first} {
			r, err := wire.Parse(raw)
			if err != nil {
				return
			}
			refused := talk.take(r)
			if err := c.session.answer(r, refused); err != nil {
				t.Fatal(err)
			}
			var answers int
			for _, q := range c.session.next(push.Node{}) {
				if q.Nonce == r.Nonce {
					answers++
				}
				if (q.Refusal != "") != (q.Nonce != "" && refused != nil) {
					t.Fatalf("%+v answers %v", q, refused)
				}
			}
			if answers != 1 {
				t.Fatalf("%d answers", answers)
			}
			if diff := cmp.Diff(h.in.versions(), c.session.held.versions()); diff != "" {
				t.Fatal(diff)
			}
		}
	})
}
