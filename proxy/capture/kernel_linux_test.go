package capture

import (
	"errors"
	"net"
	"net/netip"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/outrider-mesh/outrider/internal/testkit/netns"
)

// machine puts the test into a namespace with an interface, as a pod has.
func machine(t *testing.T) {
	t.Helper()
	netns.Enter(t)
	for _, line := range []string{
		"ip link add eth0 type veth peer name elsewhere",
		"ip addr add 10.77.0.1/24 dev eth0",
		"ip addr add fd77::1/64 dev eth0 nodad",
		"ip link set eth0 up",
		"ip link set elsewhere up",
	} {
		netns.Command(t, line)
	}
	netns.Await(t, "ip -6 route show table local", "local fd77::1 ")
}

func plan(t *testing.T, o Options) *Plan {
	t.Helper()
	p, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func apply(t *testing.T, o Options) *Plan {
	t.Helper()
	p := plan(t, o)
	if err := p.Apply(); err != nil {
		t.Fatal(err)
	}
	return p
}

// ruleset is everything that the kernel has, as nft sees it.
func ruleset(t *testing.T) string {
	t.Helper()
	netns.NeedsProgram(t, "nft")
	return netns.Command(t, "nft list ruleset")
}

// byHand gives nft a text.
func byHand(t *testing.T, text string) {
	t.Helper()
	netns.NeedsProgram(t, "nft")
	cmd := exec.CommandContext(t.Context(), "nft", "-f", "-")
	cmd.Stdin = strings.NewReader(text)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("nft: %v\n%s", err, out)
	}
}

var counted = regexp.MustCompile(`counter packets \d+ bytes \d+`)

// uniform leaves out what a plan's text does not say: counts, how nft writes the
// priority of a hook, and empty lines.
func uniform(text string) string {
	text = counted.ReplaceAllString(text, "counter")
	text = strings.ReplaceAll(text, "priority dstnat;", "priority -100;")
	return strings.ReplaceAll(text, "\n\n", "\n")
}

func TestTheKernelHasWhatThePlanSays(t *testing.T) {
	for _, c := range plans {
		t.Run(c.name, func(t *testing.T) {
			machine(t)
			p := apply(t, c.opts)
			if diff := cmp.Diff(uniform(p.String()), uniform(ruleset(t))); diff != "" {
				t.Errorf("(-plan +nft) %s", diff)
			}
			text, err := p.InForce()
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(uniform(p.String()), uniform(text)); diff != "" {
				t.Errorf("(-plan +in force) %s", diff)
			}
		})
	}
}

func TestNftLoadsTheTextOfAPlan(t *testing.T) {
	for _, c := range plans {
		t.Run(c.name, func(t *testing.T) {
			machine(t)
			p := plan(t, c.opts)
			byHand(t, p.String())
			if diff := cmp.Diff(uniform(p.String()), uniform(ruleset(t))); diff != "" {
				t.Errorf("(-plan +nft) %s", diff)
			}
			if _, err := p.Verify(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

// The same rules at another place let others decide first.
func TestRulesAtAnotherPlaceAreNotThePlan(t *testing.T) {
	for _, other := range []string{"hook prerouting priority -90", "hook output priority -100"} {
		machine(t)
		p := plan(t, usual())
		byHand(t, strings.Replace(p.String(), "hook prerouting priority -100", other, 1))
		if _, err := p.InForce(); !errors.Is(err, ErrBypassed) || !strings.Contains(err.Error(), "consulted at another place") {
			t.Errorf("%s: %v", other, err)
		}
		if _, err := Remove(); err != nil {
			t.Error(err)
		}
	}
}

func TestApplyTwiceIsTheSame(t *testing.T) {
	machine(t)
	p := apply(t, usual())
	once := ruleset(t)
	apply(t, usual())
	if diff := cmp.Diff(once, ruleset(t)); diff != "" {
		t.Error(diff)
	}
	apply(t, particular()) // replaces it
	if _, err := p.InForce(); !errors.Is(err, ErrBypassed) {
		t.Errorf("the first plan is taken to be in force: %v", err)
	}
	if _, err := plan(t, particular()).InForce(); err != nil {
		t.Error(err)
	}
}

func TestTheLargestPlanFitsIntoOneTransaction(t *testing.T) {
	machine(t)
	o := usual()
	o.Inbound.Ports, o.Outbound.Ports, o.Outbound.UIDs = many[uint16](MaxExclusions), many[uint16](MaxExclusions), many[uint32](MaxExclusions)
	for i := range byte(MaxExclusions) {
		o.Inbound.Sources = append(o.Inbound.Sources, netip.PrefixFrom(netip.AddrFrom4([4]byte{10, i}), 16))
		o.Outbound.Destinations = append(o.Outbound.Destinations, netip.PrefixFrom(netip.AddrFrom16([16]byte{0xfd, i}), 16))
	}
	for len(o.Own) < MaxExclusions {
		o.Own = append(o.Own, OwnPort{"listener", uint16(2000 + len(o.Own))})
	}
	p := apply(t, o)
	apply(t, o)
	if _, err := p.InForce(); err != nil {
		t.Error(err)
	}
}

// Tables of others stand beside ours and look like it in one thing or another.
const neighbours = `
table ip outrider {
	chain outbound {
		type nat hook output priority -100
		counter
	}
}
table inet outrider2 {
	set s {
		type inet_service
		elements = { 80 }
	}
	chain inbound {
		type nat hook prerouting priority -90
		tcp dport @s counter redirect to :1
	}
}
table inet filter {
	chain input {
		type filter hook input priority 0
		counter comment "theirs"
	}
}
`

func TestOtherTablesAreNotTouched(t *testing.T) {
	machine(t)
	byHand(t, neighbours)
	before := ruleset(t)
	apply(t, usual())
	if !strings.Contains(ruleset(t), before) {
		t.Errorf("installing has changed\n%s\ninto\n%s", before, ruleset(t))
	}
	apply(t, particular())
	for _, want := range []bool{true, false} {
		if had, err := Remove(); had != want || err != nil {
			t.Errorf("Remove = %v, %v, want %v", had, err, want)
		}
		if diff := cmp.Diff(before, ruleset(t)); diff != "" {
			t.Errorf("(-before +after) %s", diff)
		}
	}
}

func TestATableOfOurNameThatIsNotOursIsLeftAlone(t *testing.T) {
	cases := []struct{ name, text string }{
		{"another chain", "chain theirs {\n counter comment \"x\"\n }"},
		{"a rule without a comment", "chain inbound {\n type nat hook prerouting priority -100\n counter accept\n }"},
		{"a rule without a counter", "chain inbound {\n type nat hook prerouting priority -100\n accept comment \"x\"\n }"},
		{"a set", "set s {\n type inet_service\n }"},
	}
	if len(cases) < 4 {
		t.Fatalf("only %d cases", len(cases))
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			machine(t)
			byHand(t, "table inet outrider {\n"+c.text+"\n}\n")
			before := ruleset(t)
			p := plan(t, usual())
			_, removed := Remove()
			_, shown := p.InForce()
			for what, err := range map[string]error{"Apply": p.Apply(), "Remove": removed, "InForce": shown} {
				if !errors.Is(err, ErrForeign) {
					t.Errorf("%s: %v", what, err)
				}
			}
			if diff := cmp.Diff(before, ruleset(t)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestRulesThatWereChangedAreNoticed(t *testing.T) {
	cases := []struct{ name, line string }{
		{"all of it gone", "nft delete table inet outrider"},
		{"the rules of a chain gone", "nft flush chain inet outrider outbound"},
		{"a rule more", `nft add rule inet outrider inbound counter accept comment x`},
		{"a rule in front", `nft insert rule inet outrider outbound counter return comment x`},
		{"a rule in place of another", `nft replace rule inet outrider inbound handle 8 counter return comment x`},
	}
	if len(cases) < 5 {
		t.Fatalf("only %d cases", len(cases))
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			machine(t)
			netns.NeedsProgram(t, "nft")
			p := apply(t, usual())
			netns.Command(t, c.line)
			if _, err := p.InForce(); !errors.Is(err, ErrBypassed) {
				t.Errorf("InForce: %v", err)
			}
			if _, err := p.Verify(t.Context()); !errors.Is(err, ErrBypassed) {
				t.Errorf("Verify: %v", err)
			}
		})
	}
}

func TestVerifyProvesEachDirectionAndFamily(t *testing.T) {
	cases := []struct {
		name string
		opts Options
		want []string
	}{
		{"both directions", usual(), []string{"outbound IPv4", "inbound IPv4", "outbound IPv6", "inbound IPv6"}},
		{"inbound only", only(usual(), true, false), []string{"inbound IPv4", "inbound IPv6"}},
		{"outbound only", only(usual(), false, true), []string{"outbound IPv4", "outbound IPv6"}},
		{"IPv6 is left alone", particular(), []string{"outbound IPv4", "inbound IPv4"}},
	}
	if len(cases) < 4 {
		t.Fatalf("only %d cases", len(cases))
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			machine(t)
			proofs, err := apply(t, c.opts).Verify(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, p := range proofs {
				words := strings.Fields(p.String())
				got = append(got, strings.TrimSuffix(strings.Join(words[:2], " "), ":"))
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// Each probe must fail by itself where the kernel does not redirect, whatever the
// rules look like.
func TestProbesFailWithoutRules(t *testing.T) {
	machine(t)
	p := plan(t, usual())
	targets, err := p.targets()
	if err != nil || len(targets) != 2 {
		t.Fatal(targets, err)
	}
	for _, target := range targets {
		for _, probe := range p.probes(target) {
			if proof := probe.run(t.Context()); !errors.Is(proof.Err, syscall.ECONNREFUSED) || !strings.Contains(proof.String(), "are the rules installed?") {
				t.Error(proof)
			}
		}
	}
}

func TestVerifySaysWhyItCannot(t *testing.T) {
	cases := []struct {
		name, want string
		opts       func(*Options)
		prepare    func(t *testing.T)
	}{
		{"the sidecar runs", "is the sidecar running?", nil, func(t *testing.T) { listen(t, "127.0.0.1:15001") }},
		{"its user is not captured", "run it as another", func(o *Options) { o.Outbound.UIDs = []uint32{0} }, nil},
		{"no address", "no address to try it with", nil, func(t *testing.T) { netns.Command(t, "ip addr flush dev eth0") }},
		{"every address is excluded", "no address to try it with", func(o *Options) { o.Outbound.Destinations = networks("0.0.0.0/0", "::/0") }, nil},
	}
	if len(cases) < 4 {
		t.Fatalf("only %d cases", len(cases))
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			machine(t)
			o := usual()
			if c.opts != nil {
				c.opts(&o)
			}
			if c.prepare != nil {
				c.prepare(t)
			}
			if _, err := apply(t, o).Verify(t.Context()); err == nil || !strings.Contains(err.Error(), c.want) || errors.Is(err, ErrBypassed) {
				t.Errorf("error %v, want %q in it, and no verdict", err, c.want)
			}
		})
	}
}

func listen(t *testing.T, addr string) *net.TCPListener {
	t.Helper()
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l.(*net.TCPListener)
}

// connect returns both ends of a connection to a listener.
func connect(t *testing.T, d *net.Dialer, to string, l *net.TCPListener) (out, in net.Conn) {
	t.Helper()
	out, err := d.DialContext(t.Context(), "tcp", to)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { out.Close() })
	in, err = l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { in.Close() })
	return out, in
}

func TestOriginal(t *testing.T) {
	machine(t)
	netns.Command(t, "ip route add default via 10.77.0.2")
	apply(t, usual())
	outbound4, outbound6, inbound := listen(t, "127.0.0.1:15001"), listen(t, "[::1]:15001"), listen(t, ":15006")
	marked := &net.Dialer{Control: MarkCall}
	probe := &net.Dialer{Control: func(_, _ string, c syscall.RawConn) error { return setPriority(c, priorityProbe) }}
	cases := []struct {
		name string
		dial *net.Dialer
		to   string
		at   *net.TCPListener
		want string // empty: it was not redirected
	}{
		{"IPv4", new(net.Dialer), "192.0.2.9:80", outbound4, "192.0.2.9:80"},
		{"IPv4 of its own", new(net.Dialer), "10.77.0.1:8080", outbound4, "10.77.0.1:8080"},
		{"IPv6", new(net.Dialer), "[fd77::1]:8080", outbound6, "[fd77::1]:8080"},
		{"IPv4 at a listener of both families", probe, "10.77.0.1:8080", inbound, "10.77.0.1:8080"},
		{"IPv6 at a listener of both families", probe, "[fd77::1]:8080", inbound, "[fd77::1]:8080"},
		{"a mark is for the sidecar's user", marked, "10.77.0.1:8080", outbound4, "10.77.0.1:8080"},
		{"the outbound listener itself", new(net.Dialer), "127.0.0.1:15001", outbound4, ""},
		{"the outbound listener itself, IPv6", new(net.Dialer), "[::1]:15001", outbound6, ""},
		{"the inbound listener itself", new(net.Dialer), "127.0.0.1:15006", inbound, ""},
		{"the inbound listener itself, IPv6", new(net.Dialer), "[::1]:15006", inbound, ""},
	}
	if len(cases) < 10 {
		t.Fatalf("only %d cases", len(cases))
	}
	for _, c := range cases {
		// No subtests: they would run on another thread, outside of the namespace.
		_, in := connect(t, c.dial, c.to, c.at)
		got, err := Original(in)
		var loop *NotRedirectedError
		switch {
		case c.want == "" && !errors.As(err, &loop):
			t.Errorf("%s: %v, %v", c.name, got, err)
		case c.want != "" && (err != nil || got.String() != c.want):
			t.Errorf("%s: %v, %v, want %s", c.name, got, err, c.want)
		}
	}
}

func TestOriginalWithoutRules(t *testing.T) {
	machine(t)
	l := listen(t, "127.0.0.1:0")
	_, in := connect(t, new(net.Dialer), l.Addr().String(), l)
	var loop *NotRedirectedError
	if to, err := Original(in); !errors.As(err, &loop) || loop.Err == nil {
		t.Errorf("Original = %v, %v", to, err)
	}
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	if to, err := Original(a); err == nil {
		t.Errorf("of a pipe: %v", to)
	}
}

func TestTheLastStepDoesNotLeaveTheMachine(t *testing.T) {
	machine(t)
	netns.Command(t, "ip route add default via 10.77.0.2")
	l := listen(t, ":8080")
	for _, text := range []string{"10.77.0.1", "fd77::1"} {
		addr := netip.MustParseAddr(text)
		_, in := connect(t, ToApplication(addr), netip.AddrPortFrom(addr, 8080).String(), l)
		if from := in.RemoteAddr().(*net.TCPAddr).AddrPort().Addr().Unmap(); from != addr {
			t.Errorf("the application at %s sees %s calling", addr, from)
		}
	}
	for _, text := range []string{"10.77.0.2", "fd77::2", "192.0.2.1"} {
		addr := netip.MustParseAddr(text)
		conn, err := ToApplication(addr).DialContext(t.Context(), "tcp", netip.AddrPortFrom(addr, 8080).String())
		if !errors.Is(err, syscall.EADDRNOTAVAIL) {
			t.Errorf("%s, which is not ours, was called: %v, %v", addr, conn, err)
		}
	}
}

func TestRulesCount(t *testing.T) {
	machine(t)
	p := apply(t, usual())
	l := listen(t, "127.0.0.1:15001")
	for range 3 {
		connect(t, new(net.Dialer), "10.77.0.1:8080", l)
	}
	text, err := p.InForce()
	if want := "counter packets 3 bytes 180 redirect to :15001"; err != nil || !strings.Contains(text, want) {
		t.Errorf("%v\n%s\nwant %q in it", err, text, want)
	}
}
