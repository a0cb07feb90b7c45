package capture

import (
	"errors"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/outrider-mesh/outrider/internal/testkit/netns"
)

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
		for _, probe := range p.probes(target, 0) {
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
