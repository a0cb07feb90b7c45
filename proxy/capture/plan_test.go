package capture

import (
	"flag"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// ports are those the sidecar is called at directly.
var ports = []OwnPort{{"admin", 15000}, {"metrics", 15020}, {"health", 15021}}

func networks(list ...string) []netip.Prefix {
	all := make([]netip.Prefix, len(list))
	for i, s := range list {
		all[i] = netip.MustParsePrefix(s)
	}
	return all
}

// usual is what a pod without wishes of its own has.
func usual() Options {
	return Options{UID: DefaultUID, InboundPort: DefaultInboundPort, OutboundPort: DefaultOutboundPort, Own: ports}
}

// particular leaves out something of every kind.
func particular() Options {
	o := usual()
	o.UID, o.InboundPort, o.OutboundPort = 4000, 25006, 25001
	o.Inbound = Inbound{Ports: []uint16{9090, 9091}, Sources: networks("10.1.0.5/32", "10.2.0.0/15", "fd00:1::/64")}
	o.Outbound = Outbound{
		Ports:        []uint16{443, 6443},
		Destinations: networks("169.254.169.254/32", "172.16.0.0/12", "fd00:2::7/128", "::/0"),
		UIDs:         []uint32{65534, 7},
	}
	return o
}

func only(o Options, inbound, outbound bool) Options {
	if !inbound {
		o.InboundPort = 0
	}
	if !outbound {
		o.OutboundPort = 0
	}
	return o
}

// plans are those whose text is in testdata, and which the kernel is given.
var plans = []struct {
	name string
	opts Options
}{
	{"usual", usual()},
	{"particular", particular()},
	{"inbound", only(particular(), true, false)},
	{"outbound", only(particular(), false, true)},
}

func TestPlansAreWrittenAsNftReadsThem(t *testing.T) {
	if len(plans) < 4 {
		t.Fatalf("only %d plans", len(plans))
	}
	for _, c := range plans {
		t.Run(c.name, func(t *testing.T) {
			p, err := New(c.opts)
			if err != nil {
				t.Fatal(err)
			}
			golden(t, c.name+".nft", p.String())
		})
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s differs (-want +got), refresh with -update and review:\n%s", path, diff)
	}
}

// many returns n different values.
func many[T uint16 | uint32](n int) []T {
	all := make([]T, n)
	for i := range all {
		all[i] = T(i + 1000)
	}
	return all
}

func TestPlansThatCannotBe(t *testing.T) {
	cases := []struct {
		name string
		edit func(*Options)
		want string
	}{
		{"the sidecar is root", func(o *Options) { o.UID = 0 }, "is root"},
		{"no direction", func(o *Options) { o.InboundPort, o.OutboundPort = 0, 0 }, "nothing to capture"},
		{"one port for both", func(o *Options) { o.InboundPort = o.OutboundPort }, "a port each"},
		{"an own port of 0", func(o *Options) { o.Own = []OwnPort{{"health", 0}} }, "the port of health is 0"},
		{"an own port that is the inbound one", func(o *Options) { o.Own = []OwnPort{{"health", 15006}} }, "redirected to"},
		{"an own port that is the outbound one", func(o *Options) { o.Own = []OwnPort{{"health", 15001}} }, "redirected to"},
		{"a name that ends the comment", func(o *Options) { o.Own = []OwnPort{{`x" drop`, 1}} }, "lower-case"},
		{"a name without letters", func(o *Options) { o.Own = []OwnPort{{"", 1}} }, "lower-case"},
		{"a name that no comment can hold", func(o *Options) { o.Own = []OwnPort{{strings.Repeat("x", 81), 1}} }, "at most 80"},
		{"port 0 inbound", func(o *Options) { o.Inbound.Ports = []uint16{0} }, "excluded inbound port 0"},
		{"port 0 outbound", func(o *Options) { o.Outbound.Ports = []uint16{0} }, "excluded outbound port 0"},
		{"a port twice", func(o *Options) { o.Inbound.Ports = []uint16{80, 80} }, "excluded inbound port 80 is repeated"},
		{"a network twice", func(o *Options) { o.Inbound.Sources = networks("10.0.0.0/8", "10.0.0.0/8") }, "10.0.0.0/8 is repeated"},
		{"a user twice", func(o *Options) { o.Outbound.UIDs = []uint32{5, 5} }, "excluded user 5 is repeated"},
		{"a network with host bits", func(o *Options) { o.Outbound.Destinations = networks("10.0.0.1/8") }, "write 10.0.0.0/8"},
		{"no network", func(o *Options) { o.Outbound.Destinations = []netip.Prefix{{}} }, "not a network"},
		{"IPv4 in IPv6", func(o *Options) { o.Inbound.Sources = networks("::ffff:10.0.0.0/104") }, "IPv6 form"},
		{"too many own ports", func(o *Options) { o.Own = make([]OwnPort, MaxExclusions+1) }, "65 ports of the sidecar"},
		{"too many inbound ports", func(o *Options) { o.Inbound.Ports = many[uint16](MaxExclusions + 1) }, "65 times excluded inbound port"},
		{"too many users", func(o *Options) { o.Outbound.UIDs = many[uint32](MaxExclusions + 1) }, "65 times excluded user"},
	}
	if len(cases) < 20 {
		t.Fatalf("only %d cases", len(cases))
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			o := usual()
			c.edit(&o)
			p, err := New(o)
			if err == nil || p != nil {
				t.Fatal("it was made")
			}
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %q, want %q in it", err, c.want)
			}
		})
	}
}

// A plan that leaves the sidecar's own calls to themselves must do so before it
// redirects, or they go round for ever.
func TestTheOwnCallsAreLeftBeforeAnythingIsRedirected(t *testing.T) {
	for _, c := range plans {
		p, err := New(c.opts)
		if err != nil {
			t.Fatal(err)
		}
		text := p.String()
		_, outbound, _ := strings.Cut(text, "chain outbound")
		own, redirect := strings.Index(outbound, "the sidecar's own calls"), strings.Index(outbound, "\t\tmeta l4proto tcp counter redirect to")
		if redirect >= 0 && (own < 0 || own > redirect) {
			t.Errorf("%s:\n%s", c.name, text)
		}
	}
}
