package push

import (
	"bytes"
	"net/netip"
	"strings"
	"testing"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/outrider-mesh/outrider/proxy/config"
)

// addr lets go-cmp compare addresses, whose fields are not exported.
var addr = cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })

func at(list ...string) (all []netip.AddrPort) {
	for _, s := range list {
		all = append(all, netip.MustParseAddrPort(s))
	}
	return all
}

func payments() Target {
	return Target{Name: "payments.shop:80", Protocol: config.HTTP, Endpoints: []Group{
		{ID: "spiffe://example.org/ns/shop/sa/payments", Zone: "a", At: at("10.0.0.1:8080", "10.0.0.2:8080")},
		{ID: "spiffe://example.org/ns/shop/sa/payments", Zone: "b", At: at("[fd00::1]:8080")},
	}}
}

func TestATargetIsReadAsItWasWritten(t *testing.T) {
	for _, want := range []Target{{}, {Name: "db.outside:5432", Outside: true, Protocol: config.TCP}, {Name: "empty.shop:80"}, payments()} {
		got, err := ParseTarget(want.Encode())
		if err != nil {
			t.Error(err)
		}
		if diff := cmp.Diff(want, got, addr); diff != "" {
			t.Error(diff)
		}
	}
	if n := payments().Len(); n != 3 {
		t.Errorf("%d endpoints", n)
	}
}

func TestWhatCannotBeCalledIsRefused(t *testing.T) {
	const id = `"id":"spiffe://example.org/a"`
	cases := []struct{ name, text, says string }{
		{"not JSON", `{`, "unexpected EOF"},
		{"more than one", `{}{}`, "something follows"},
		{"an endpoint of nobody", `{"endpoints":[{` + id + `,"at":["10.0.0.1:80"]}]}`, "no name"},
		{"outside and nobody", `{"outside":true}`, "no name"},
		{"outside and inside", `{"name":"a","outside":true,"endpoints":[{` + id + `,"at":["10.0.0.1:80"]}]}`, "outside"},
		{"a protocol of a later version", `{"name":"a","protocol":"QUIC"}`, "not known here"},
		{"no identity", `{"name":"a","endpoints":[{"at":["10.0.0.1:80"]}]}`, "SPIFFE ID"},
		{"a trust domain for an identity", `{"name":"a","endpoints":[{"id":"spiffe://example.org","at":["10.0.0.1:80"]}]}`, "SPIFFE ID"},
		{"no address", `{"name":"a","endpoints":[{` + id + `}]}`, "no address"},
		{"a name for an address", `{"name":"a","endpoints":[{` + id + `,"at":["localhost:80"]}]}`, "localhost"},
		{"port 0", `{"name":"a","endpoints":[{` + id + `,"at":["10.0.0.1:0"]}]}`, "not an address"},
		{"every address", `{"name":"a","endpoints":[{` + id + `,"at":["0.0.0.0:80"]}]}`, "not an address"},
		{"a group of hosts", `{"name":"a","endpoints":[{` + id + `,"at":["224.0.0.1:80"]}]}`, "not an address"},
		{"a zone", `{"name":"a","endpoints":[{` + id + `,"at":["[fe80::1%eth0]:80"]}]}`, "not an address"},
		{"IPv4 in IPv6", `{"name":"a","endpoints":[{` + id + `,"at":["[::ffff:10.0.0.1]:80"]}]}`, "not an address"},
		{"an empty address", `{"name":"a","endpoints":[{` + id + `,"at":[""]}]}`, "not an address"},
		{"one address twice", `{"name":"a","endpoints":[{` + id + `,"at":["10.0.0.1:80"]},{` + id + `,"zone":"b","at":["10.0.0.1:80"]}]}`, "repeated"},
		{"too long", `{"name":"` + strings.Repeat("a", MaxDestinationBytes) + `"}`, "more than"},
	}
	if len(cases) < 18 {
		t.Errorf("only %d cases", len(cases))
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if got, err := ParseTarget([]byte(c.text)); err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%+v, %v; want %q", got, err, c.says)
			}
		})
	}
}

// A sidecar may be older than its control plane.
func TestWhatALaterVersionAddsIsLeftAlone(t *testing.T) {
	if got, err := ParseTarget([]byte(`{"name":"a","weight":3}`)); err != nil || got.Name != "a" {
		t.Error(got, err)
	}
}

func TestOneAddressHasOneName(t *testing.T) {
	for _, s := range []string{"10.0.0.1:80", "[fd00::1]:8080"} {
		if a, ok := ParseDestinationName(s); !ok || DestinationName(a) != s {
			t.Errorf("%q is not read as it was written", s)
		}
	}
	for _, s := range []string{"", "*", "10.0.0.1", "10.0.0.1:0", "10.0.0.1:080", "[FD00::1]:80", "[fd00:0::1]:80", "[::ffff:10.0.0.1]:80", "[fe80::1%1]:80", "a:80"} {
		if a, ok := ParseDestinationName(s); ok {
			t.Errorf("%q is read as %s", s, a)
		}
	}
}

func TestNamesOfDocuments(t *testing.T) {
	for _, c := range [][3]string{{"AccessPolicy", "shop", "payments"}, {"MeshConfig", "", "mesh"}} {
		kind, namespace, name, ok := SplitDocumentName(DocumentName(c[0], c[1], c[2]))
		if got := [3]string{kind, namespace, name}; !ok || got != c {
			t.Errorf("%q becomes %q", c, got)
		}
	}
	for _, s := range []string{"", "a", "a/b", "a/b/", "/b/c", "a/b/c/d"} {
		if _, _, _, ok := SplitDocumentName(s); ok {
			t.Errorf("%q is a name", s)
		}
	}
}

// sent is a node as it arrives.
func sent(t *testing.T, n Node) *core.Node {
	t.Helper()
	p := new(core.Node)
	if err := proto.Unmarshal(n.Append(nil), p); err != nil {
		t.Fatal(err)
	}
	return p
}

// What is written by hand is what go-control-plane would write.
func TestANodeIsOneOfXDS(t *testing.T) {
	got := sent(t, Node{Namespace: "shop", Name: "payments-0", Version: "v1"})
	text := func(s string) *structpb.Value { return structpb.NewStringValue(s) }
	want := &core.Node{
		Id: "shop/payments-0", UserAgentName: "outrider",
		Metadata:             &structpb.Struct{Fields: map[string]*structpb.Value{"namespace": text("shop"), "name": text("payments-0")}},
		UserAgentVersionType: &core.Node_UserAgentVersion{UserAgentVersion: "v1"},
	}
	if !proto.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

func TestANodeSaysWhoItIs(t *testing.T) {
	want := Node{Namespace: "shop", Name: "payments-7c9d-x2x4z", Version: "v1.2.3"}
	if got, err := ParseNode(sent(t, want)); err != nil || got != want {
		t.Error(got, err)
	}
	for _, n := range []Node{{}, {Namespace: "shop"}, {Name: "payments"}, {Namespace: "a/b", Name: "c"}, {Namespace: "a", Name: "../b"}, {Namespace: "a", Name: "B"}, {Namespace: "a", Name: strings.Repeat("b", 300)}} {
		if got, err := ParseNode(sent(t, n)); err == nil {
			t.Errorf("%+v is taken for %+v", n, got)
		}
	}
	if _, err := ParseNode(nil); err == nil {
		t.Error("nobody is somebody")
	}
	long := sent(t, want)
	long.UserAgentVersionType = &core.Node_UserAgentVersion{UserAgentVersion: strings.Repeat("v", MaxNodeBytes)}
	if _, err := ParseNode(long); err == nil {
		t.Error("a node has no bound")
	}
}

func TestAWorkloadIsReadAsItWasWritten(t *testing.T) {
	want := Workload{Namespace: "shop", Name: "payments-0", Labels: map[string]string{"app": "payments"}}
	got, err := ParseWorkload(want.Encode())
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Error(err, diff)
	}
	for _, text := range []string{"", "{}", `{"namespace":"shop"}`, `{"namespace":"shop","name":"a/b"}`} {
		if got, err := ParseWorkload([]byte(text)); err == nil {
			t.Errorf("%q is taken for %+v", text, got)
		}
	}
}

// Whatever is taken can be called, and is written as it was read.
func FuzzParseTarget(f *testing.F) {
	f.Add(payments().Encode())
	f.Add([]byte(`{"name":"a","outside":true}`))
	f.Add([]byte(`{"name":"a","endpoints":[{"id":"spiffe://a/b","at":["[::1]:1"]}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		got, err := ParseTarget(text)
		if err != nil {
			return
		}
		again, err := ParseTarget(got.Encode())
		if err != nil || !bytes.Equal(again.Encode(), got.Encode()) {
			t.Fatalf("%q becomes %q, %v", text, got.Encode(), err)
		}
		if !got.Known() && (got.Len() > 0 || got.Outside) {
			t.Fatalf("nobody knows it, and it can be called: %q", text)
		}
		for _, g := range got.Endpoints {
			for _, a := range g.At {
				if a.Port() == 0 || a.Addr().IsUnspecified() {
					t.Fatalf("%s can't be called", a)
				}
			}
		}
	})
}

// A claim is read as it was made, or not at all.
func FuzzParseNode(f *testing.F) {
	f.Add(Node{Namespace: "shop", Name: "payments", Version: "1"}.Append(nil))
	f.Fuzz(func(t *testing.T, raw []byte) {
		p := new(core.Node)
		if proto.Unmarshal(raw, p) != nil {
			return
		}
		n, err := ParseNode(p)
		if err != nil {
			return
		}
		if again, err := ParseNode(sent(t, n)); err != nil || again != n {
			t.Fatalf("%+v becomes %+v, %v", n, again, err)
		}
	})
}
