package capture

import (
	"errors"
	"net"
	"net/netip"
	"os/exec"
	"regexp"
	"strings"
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
