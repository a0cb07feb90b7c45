package proxy

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/outrider-mesh/outrider/proxy/balance"
	"github.com/outrider-mesh/outrider/proxy/capture"
	"github.com/outrider-mesh/outrider/proxy/config"
	"github.com/outrider-mesh/outrider/proxy/flow"
	"github.com/outrider-mesh/outrider/proxy/forward"
)

// captured is a configuration that captures in both directions.
const captured = `
apiVersion: outrider.dev/v1alpha1
kind: Sidecar
metadata: {name: payments}
spec:
  identity: {workloadAPI: {socket: "unix:///unused"}}
  policies: {denyAll: true}
  inbound:
  - {name: all, capture: true, protocol: HTTP, ports: [{port: 5433, protocol: TCP}, {port: 81}]}
  - {name: public, listen: ":8443", forward: "127.0.0.1:8080"}
  - {name: private, listen: "127.0.0.1:8444", forward: "127.0.0.1:8080"}
  outbound:
  - {name: everything, capture: true}
  - {name: named, listen: "127.0.0.1:9001", destination: ledger}
  destinations:
  - name: ledger
    addresses: ["10.0.0.2:8080", "10.0.0.3:8080", "[fd00::2]:8080"]
    spiffeIDs: ["spiffe://example.org/ledger"]
    match: ["10.96.0.0/16", "10.96.0.1:80", "fd96::/32"]
    protocol: HTTP
  - name: audit
    addresses: ["10.0.0.4:8080"]
    spiffeIDs: ["spiffe://example.org/audit"]
    match: ["10.96.7.0/24", "10.96.0.1:81", "10.96.0.9/32"]
`

// assembled is the traffic of a sidecar with that configuration, of which nothing
// runs.
func assembled(t *testing.T, text string) (*traffic, *config.Sidecar) {
	t.Helper()
	c, _, err := config.ParseSidecar("sidecar.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	tr := newTraffic(new(Sidecar))
	ways, err := tr.makeWays(c)
	if err != nil {
		t.Fatal(err)
	}
	tr.ways.Store(&ways)
	tr.routes.Store(tr.newRoutes(c, ways))
	return tr, c
}

// addresses are where a way leads to.
func addresses(f *forward.Forwarder) (all []string) {
	f.Destination.Each(func(e *balance.Endpoint) { all = append(all, e.Addr.String()) })
	return all
}

func TestCapturedCallsFindTheirDestination(t *testing.T) {
	ledger := []string{"10.0.0.2:8080", "10.0.0.3:8080", "[fd00::2]:8080"}
	audit := []string{"10.0.0.4:8080"}
	cases := []struct {
		name, to, service string
		addresses         []string
	}{
		{"an address leads to itself alone", "10.0.0.3:8080", "ledger", []string{"10.0.0.3:8080"}},
		{"an IPv6 address too", "[fd00::2]:8080", "ledger", []string{"[fd00::2]:8080"}},
		{"another port is another address", "10.0.0.3:8081", "", nil},
		{"a virtual address leads to all", "10.96.0.1:80", "ledger", ledger},
		{"its other port leads elsewhere", "10.96.0.1:81", "audit", audit},
		{"a network holds every port", "10.96.0.1:82", "ledger", ledger},
		{"a network holds every address", "10.96.255.255:1", "ledger", ledger},
		{"the narrower network counts", "10.96.7.1:443", "audit", audit},
		{"the narrowest is an address", "10.96.0.9:443", "audit", audit},
		{"an IPv6 network", "[fd96:0:1::1]:80", "ledger", ledger},
		{"a zone is not part of it", "[fd96::1%3]:80", "ledger", ledger},
		{"outside of all", "10.97.0.1:80", "", nil},
		{"outside of all, IPv6", "[fd97::1]:80", "", nil},
	}
	if len(cases) < 13 {
		t.Fatalf("only %d cases", len(cases))
	}
	tr, _ := assembled(t, captured)
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			way := tr.routes.Load().find(netip.MustParseAddrPort(c.to))
			if way.Service != c.service || way.Passthrough {
				t.Fatalf("%+v, want %q", way, c.service)
			}
			if c.addresses == nil {
				if way.Forward != nil {
					t.Errorf("it leads to %v", addresses(way.Forward))
				}
				return
			}
			if diff := cmp.Diff(c.addresses, addresses(way.Forward)); diff != "" {
				t.Error(diff)
			}
			if want := map[string]flow.Protocol{"ledger": flow.HTTP1, "audit": flow.Undetected}[c.service]; way.Protocol != want {
				t.Errorf("it carries %v, want %v", way.Protocol, want)
			}
			if again := tr.routes.Load().find(netip.MustParseAddrPort(c.to)); again.Forward != way.Forward {
				t.Error("the way is another each time, so a connection can't tell whether it was replaced")
			}
		})
	}
}

// What is pinned to one address shares its connections with the whole.
func TestOneAddressHasTheConnectionsOfItsDestination(t *testing.T) {
	tr, _ := assembled(t, captured)
	of := func(addr string) (pools []any) {
		tr.routes.Load().find(netip.MustParseAddrPort(addr)).Forward.Destination.Each(func(e *balance.Endpoint) { pools = append(pools, e.HTTP1) })
		return pools
	}
	if one, all := of("10.0.0.3:8080"), of("10.96.0.1:80"); len(one) != 1 || one[0] != all[1] {
		t.Errorf("%v, and %v of the whole", one, all)
	}
}

func TestUnknownDestinationsPassThroughWhereThatIsSaid(t *testing.T) {
	tr, _ := assembled(t, captured+"  capture: {unknown: Passthrough}\n")
	to := netip.MustParseAddrPort("192.0.2.1:443")
	way := tr.routes.Load().find(to)
	if !way.Passthrough || way.Service != "" {
		t.Fatalf("%+v", way)
	}
	if diff := cmp.Diff([]string{to.String()}, addresses(way.Forward)); diff != "" {
		t.Error(diff)
	}
	if known := tr.routes.Load().find(netip.MustParseAddrPort("10.0.0.2:8080")); known.Passthrough || known.Service != "ledger" {
		t.Errorf("a known one: %+v", known)
	}
}

func TestThePlanOfAConfiguration(t *testing.T) {
	_, c := assembled(t, captured+`  metrics: {listen: "off"}
  health: {listen: "10.0.0.1:15021"}
  capture:
    uid: 4000
    inboundPort: 16006
    outboundPort: 16001
    inbound: {excludePorts: [9090], excludeSources: ["10.1.0.0/16"]}
    outbound: {excludePorts: [443], excludeDestinations: ["fd00::/8"], excludeUIDs: [7]}
`)
	want := capture.Options{
		UID: 4000, InboundPort: 16006, OutboundPort: 16001,
		Own:      []capture.OwnPort{{Name: "admin", Port: 15000}, {Name: "health", Port: 15021}, {Name: "listener public", Port: 8443}},
		Inbound:  capture.Inbound{Ports: []uint16{9090}, Sources: []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16")}},
		Outbound: capture.Outbound{Ports: []uint16{443}, Destinations: []netip.Prefix{netip.MustParsePrefix("fd00::/8")}, UIDs: []uint32{7}},
	}
	if diff := cmp.Diff(want, CaptureOptions(c), cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); diff != "" {
		t.Error(diff)
	}
	if _, err := capture.New(CaptureOptions(c)); err != nil {
		t.Error(err)
	}
}

// A listener may have the longest name there is, and its rule still says so.
func TestAPlanWithTheLongestNames(t *testing.T) {
	name := strings.Repeat("x", 63)
	_, c := assembled(t, strings.Replace(captured, "name: public", "name: "+name, 1))
	if p, err := capture.New(CaptureOptions(c)); err != nil || !strings.Contains(p.String(), name) {
		t.Error(err)
	}
}

// The defaults stand in two packages, of which neither imports the other.
func TestDefaultsOfCaptureAreTheSameEverywhere(t *testing.T) {
	_, c := assembled(t, captured)
	o := CaptureOptions(c)
	if o.UID != capture.DefaultUID || o.InboundPort != capture.DefaultInboundPort || o.OutboundPort != capture.DefaultOutboundPort {
		t.Errorf("%+v", o)
	}
}

func TestTheSidecarsOwnPortsAreNoApplication(t *testing.T) {
	tr, c := assembled(t, captured)
	how := tr.capturedInbound(c.Spec.Inbound[0])
	for port, want := range map[uint16]bool{15001: true, 15006: true, 15020: true, 15021: true, 8443: true, 15000: true, 8080: false, 8444: false, 9001: false} {
		if got := how.Own(port); got != want {
			t.Errorf("port %d: %v, want %v", port, got, want)
		}
	}
	for port, want := range map[uint16]flow.Protocol{80: flow.HTTP1, 81: flow.HTTP1, 5433: flow.TCP} {
		if got := how.Protocol(port); got != want {
			t.Errorf("port %d carries %v, want %v", port, got, want)
		}
	}
}

func TestWaysToTheApplicationAreBounded(t *testing.T) {
	tr, c := assembled(t, captured)
	most := effectiveLimits(c.Spec.Limits).CapturedPorts
	how := tr.capturedInbound(c.Spec.Inbound[0])
	at := func(i int) netip.AddrPort { return netip.MustParseAddrPort(fmt.Sprintf("10.0.0.1:%d", 1000+i)) }
	first := how.App(at(0))
	for i := range 3 * most {
		if got := addresses(how.App(at(i)))[0]; got != at(i).String() {
			t.Fatalf("the way to %s leads to %s", at(i), got)
		}
		if how.App(at(0)) != first {
			t.Fatalf("the way that is used most was forgotten after %d others", i)
		}
	}
	n := 0
	w := (*tr.ways.Load())[appKey("all")]
	w.each(func(*balance.Destination) { n++ })
	if n != most {
		t.Errorf("%d ways are kept, want %d", n, most)
	}
	w.close()
	if how.App(at(0)) != nil {
		t.Error("a way was made after the end")
	}
}
