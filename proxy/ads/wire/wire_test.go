package wire

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/google/go-cmp/cmp"
	rpc "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/outrider-mesh/outrider/proxy/config/push"
)

func node(t *testing.T, n push.Node) *core.Node {
	t.Helper()
	p := new(core.Node)
	if err := proto.Unmarshal(n.Append(nil), p); err != nil {
		t.Fatal(err)
	}
	return p
}

func TestRequestsAreThoseOfXDS(t *testing.T) {
	who := push.Node{Namespace: "shop", Name: "payments-0", Version: "v1"}
	cases := []struct {
		ours   Request
		theirs *discovery.DeltaDiscoveryRequest
	}{
		{Request{Type: push.DocumentType}, &discovery.DeltaDiscoveryRequest{TypeUrl: push.DocumentType}},
		{
			Request{Node: &who, Type: push.DocumentType, Subscribe: []string{"*"}, Held: map[string]string{"b": "2", "a": "1", "": ""}},
			&discovery.DeltaDiscoveryRequest{
				Node: node(t, who), TypeUrl: push.DocumentType, ResourceNamesSubscribe: []string{"*"},
				InitialResourceVersions: map[string]string{"b": "2", "a": "1", "": ""},
			},
		},
		{
			Request{Type: push.DestinationType, Subscribe: []string{"a", "b"}, Unsubscribe: []string{"c", "d"}, Nonce: "7"},
			&discovery.DeltaDiscoveryRequest{
				TypeUrl: push.DestinationType, ResourceNamesSubscribe: []string{"a", "b"},
				ResourceNamesUnsubscribe: []string{"c", "d"}, ResponseNonce: "7",
			},
		},
		{
			Request{Type: push.DocumentType, Nonce: "7", Refusal: "it does not compile: \"é\""},
			&discovery.DeltaDiscoveryRequest{
				TypeUrl: push.DocumentType, ResponseNonce: "7", ErrorDetail: &rpc.Status{Code: 3, Message: "it does not compile: \"é\""},
			},
		},
	}
	if len(cases) < 4 {
		t.Errorf("only %d cases", len(cases))
	}
	for _, c := range cases {
		got := new(discovery.DeltaDiscoveryRequest)
		if err := proto.Unmarshal(c.ours.Append(nil), got); err != nil {
			t.Error(err)
		}
		if diff := cmp.Diff(c.theirs, got, protocmp.Transform()); diff != "" {
			t.Error(diff)
		}
	}
}

func resource(name, version, body string) *discovery.Resource {
	return &discovery.Resource{Name: name, Version: version, Resource: &anypb.Any{TypeUrl: push.DocumentType, Value: []byte(body)}}
}

// full is a response with all that is read.
func full() *discovery.DeltaDiscoveryResponse {
	short := resource("c", "3", "")
	short.Ttl = durationpb.New(90*time.Second + 5)
	return &discovery.DeltaDiscoveryResponse{
		SystemVersionInfo: "v", TypeUrl: push.DocumentType, Nonce: "1",
		Resources:        []*discovery.Resource{resource("a", "1", "x"), resource("b", "2", "\x00\xff"), short},
		RemovedResources: []string{"d", "e"},
	}
}

// ours is what we should read of a response of theirs.
func ours(theirs *discovery.DeltaDiscoveryResponse) *Response {
	r := &Response{Type: theirs.GetTypeUrl(), Version: theirs.GetSystemVersionInfo(), Nonce: theirs.GetNonce(), Removed: theirs.GetRemovedResources()}
	for _, one := range theirs.GetResources() {
		r.Resources = append(r.Resources, Resource{
			Name: one.GetName(), Version: one.GetVersion(), TTL: one.GetTtl().AsDuration(),
			Body: append([]byte{}, one.GetResource().GetValue()...),
		})
	}
	return r
}

func marshal(t testing.TB, m proto.Message) []byte {
	t.Helper()
	b, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestResponsesAreReadAsXDSWritesThem(t *testing.T) {
	newer := full() // with what is not known here
	newer.ControlPlane = &core.ControlPlane{Identifier: "x"}
	newer.Resources[0].Aliases = []string{"y"}
	for _, theirs := range []*discovery.DeltaDiscoveryResponse{full(), newer, {TypeUrl: push.DocumentType, Nonce: "2"}} {
		raw := marshal(t, theirs)
		got, err := Parse(raw)
		if err != nil {
			t.Fatal(err)
		}
		clear(raw) // gRPC uses it again
		if diff := cmp.Diff(ours(theirs), got); diff != "" {
			t.Error(diff)
		}
	}
}

func TestResponsesThatAreRefused(t *testing.T) {
	bent := func(bend func(r *discovery.DeltaDiscoveryResponse)) []byte {
		r := full()
		bend(r)
		return marshal(t, r)
	}
	many := func(n int) (names []string) {
		for i := range n {
			names = append(names, fmt.Sprint("r", i))
		}
		return names
	}
	cases := []struct {
		name string
		raw  []byte
		says string
	}{
		{"no type", bent(func(r *discovery.DeltaDiscoveryResponse) { r.TypeUrl = "" }), "no type"},
		{"no nonce", bent(func(r *discovery.DeltaDiscoveryResponse) { r.Nonce = "" }), "no nonce"},
		{"no name", bent(func(r *discovery.DeltaDiscoveryResponse) { r.Resources[0].Name = "" }), "want a name"},
		{"no version", bent(func(r *discovery.DeltaDiscoveryResponse) { r.Resources[0].Version = "" }), "want a name"},
		{"no content", bent(func(r *discovery.DeltaDiscoveryResponse) { r.Resources[0].Resource = nil }), "0 contents"},
		{"another type inside", bent(func(r *discovery.DeltaDiscoveryResponse) { r.Resources[1].Resource.TypeUrl = push.DestinationType }), "among those of"},
		{"one resource twice", bent(func(r *discovery.DeltaDiscoveryResponse) { r.Resources[1].Name = "a" }), "twice"},
		{"there and removed", bent(func(r *discovery.DeltaDiscoveryResponse) { r.RemovedResources[0] = "a" }), "removed"},
		{"removed twice", bent(func(r *discovery.DeltaDiscoveryResponse) { r.RemovedResources[0] = "e" }), "removed"},
		{"nothing removed", bent(func(r *discovery.DeltaDiscoveryResponse) { r.RemovedResources[0] = "" }), "removed"},
		{"a name without end", bent(func(r *discovery.DeltaDiscoveryResponse) { r.RemovedResources[0] = strings.Repeat("x", 601) }), "more than 600"},
		{"a version without end", bent(func(r *discovery.DeltaDiscoveryResponse) { r.Resources[0].Version = strings.Repeat("x", 601) }), "more than 600"},
		{"a nonce without end", bent(func(r *discovery.DeltaDiscoveryResponse) { r.Nonce = strings.Repeat("x", 601) }), "more than 600"},
		{"too many", bent(func(r *discovery.DeltaDiscoveryResponse) { r.RemovedResources = many(4097) }), "more than 4096"},
		{"a time before now", bent(func(r *discovery.DeltaDiscoveryResponse) { r.Resources[0].Ttl = durationpb.New(-1) }), "time to live"},
		{"a time after all", bent(func(r *discovery.DeltaDiscoveryResponse) {
			r.Resources[0].Ttl = &durationpb.Duration{Seconds: 1 << 40}
		}), "time to live"},
		{"too long", make([]byte, push.MaxResponseBytes+1), "more than"},
		{"cut off", marshal(t, full())[:40], "unexpected EOF"},
		{"not UTF-8", appendText(marshal(t, full()), responseNonce, "\xff"), "not UTF-8"},
		{"a number for a text", protowire.AppendVarint(protowire.AppendTag(nil, responseNonce, protowire.VarintType), 1), "wire type"},
		{"a second content", appendMessage(nil, responseResources, slices.Concat(
			marshal(t, resource("a", "1", "x")), marshal(t, &discovery.Resource{Resource: &anypb.Any{TypeUrl: push.DocumentType}}))), "2 contents"},
	}
	if len(cases) < 21 {
		t.Errorf("only %d cases", len(cases))
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if got, err := Parse(c.raw); err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%+v, %v; want %q", got, err, c.says)
			}
		})
	}
}

// What we read is what go-control-plane reads. It also looks into fields that we skip,
// and may find them broken.
func FuzzParse(f *testing.F) {
	f.Add(marshal(f, full()))
	f.Add(marshal(f, &discovery.DeltaDiscoveryResponse{TypeUrl: push.DestinationType, Nonce: "1"}))
	f.Add(appendText(marshal(f, full()), responseNonce, "2"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		got, err := Parse(bytes.Clone(raw))
		if err != nil {
			return
		}
		theirs := new(discovery.DeltaDiscoveryResponse)
		if proto.Unmarshal(raw, theirs) != nil {
			return
		}
		if diff := cmp.Diff(ours(theirs), got); diff != "" {
			t.Fatal(diff)
		}
	})
}
