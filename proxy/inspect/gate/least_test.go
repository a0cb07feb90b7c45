package gate

import (
	"net/url"
	"testing"

	"github.com/outrider-mesh/outrider/proxy/inspect/seclang"
)

// noFields is a head without fields.
type noFields struct{}

func (noFields) Each(func(name, value string) bool) {}

// proves tells whether a gate of these rules proves a request with an argument.
func proves(t *testing.T, rules, value string) bool {
	t.Helper()
	set := seclang.New()
	if err := set.Read("SecArgumentsLimit 1000\n" + rules); err != nil {
		t.Fatal(err)
	}
	g, err := New(set, Options{})
	if err != nil || len(g.Refused()) > 0 {
		t.Fatal(err, g.Refused())
	}
	return g.Clean(&Request{Method: "GET", Target: "/?q=" + url.QueryEscape(value), Protocol: "HTTP/1.1", Header: noFields{}})
}

// What is too short for the rules of one chain may be long enough for those of another,
// which goes on from there, in whichever order they are.
func TestShortValuesReachTheLongerChains(t *testing.T) {
	const long, short = `SecRule ARGS "@rx longer than the value" "id:1,phase:1,deny,t:none,t:urlDecodeUni"` + "\n",
		`SecRule ARGS "@rx x.y" "id:2,phase:1,deny,t:none,t:urlDecodeUni,t:jsDecode"` + "\n"
	const base64 = `SecRule ARGS "@rx eval" "id:3,phase:1,deny,t:none,t:base64Decode,t:removeWhitespace"` + "\n" +
		`SecRule ARGS "@rx longer than the value" "id:4,phase:1,deny,t:none,t:base64Decode"` + "\n"
	cases := []struct {
		rules, value string
		clean        bool
	}{
		{long + short, `%78\x2dy`, false},
		{short + long, `%78\x2dy`, false},
		{long + short, `%78\x2dz`, true},
		{long + short, `%78`, true},
		{base64, "ZSB2YWw=", false}, // e val
		{base64, "ZXZhbA==", false},
		{base64, "ZXZhbA", false},
		{base64, "ZXZh", true},
		{base64, "ZQ==", true},
	}
	if len(cases) < 8 {
		t.Fatalf("only %d cases", len(cases))
	}
	for _, c := range cases {
		if got := proves(t, c.rules, c.value); got != c.clean {
			t.Errorf("%q: proved %v", c.value, got)
		}
	}
}

// An expression that tells cases apart is asked about the value in the case that the
// transformations give it.
func TestTheCaseOfLettersCounts(t *testing.T) {
	cases := []struct {
		rules, value string
		clean        bool
	}{
		{`SecRule ARGS "@rx abc+x" "id:1,phase:1,deny,t:none,t:lowercase"`, "ABCCX", false},
		{`SecRule ARGS "@rx ABC+X" "id:1,phase:1,deny,t:none,t:lowercase"`, "ABCCX", true},
		{`SecRule ARGS "@rx (?i)ABC+X" "id:1,phase:1,deny,t:none,t:lowercase"`, "abccx", false},
		{`SecRule ARGS "@rx abc+x" "id:1,phase:1,deny,t:none,t:urlDecodeUni"`, "ABCCX", true},
		{`SecRule ARGS "@rx abc+x" "id:1,phase:1,deny,t:none,t:lowercase,multiMatch"`, "ABCCX", false},
		{`SecRule ARGS "@rx ABC+X" "id:1,phase:1,deny,t:none,t:lowercase,multiMatch"`, "ABCCX", false},
		{`SecRule ARGS "@rx a;b" "id:1,phase:1,deny,t:none,t:cmdLine"`, "A;b", true},
		{`SecRule ARGS "@rx a b" "id:1,phase:1,deny,t:none,t:cmdLine"`, `A;"b`, false},
	}
	if len(cases) < 8 {
		t.Fatalf("only %d cases", len(cases))
	}
	for _, c := range cases {
		if got := proves(t, c.rules, c.value); got != c.clean {
			t.Errorf("%s, %q: proved %v", c.rules, c.value, got)
		}
	}
}
