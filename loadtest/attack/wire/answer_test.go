package wire

import (
	"strings"
	"testing"

	"github.com/outrider-mesh/outrider/proxy/enforce"
	"github.com/outrider-mesh/outrider/proxy/flow"
)

func TestRefusal(t *testing.T) {
	cases := []struct {
		name   string
		values []string
		want   string
	}{
		{"none", nil, ""},
		{"ours", []string{`outrider; error=http_request_denied; details="waf_blocked"`}, "waf_blocked"},
		{"without spaces", []string{`outrider;error=x;details="bad_request"`}, "bad_request"},
		{"somebody else's", []string{`nginx; error=http_request_denied; details="waf_blocked"`}, ""},
		{"ours that refused nothing", []string{`outrider; received-status=403; details="waf_blocked"`}, ""},
		{"ours after another", []string{`origin; details="a, outrider; error=x; details=\"b\"", outrider; error=y; details="access_denied"`}, "access_denied"},
		{"in two fields", []string{"cdn", `outrider; error=y; details="overloaded"`}, "overloaded"},
		{"words that are none", []string{"outrider; error=y; details=\"a\x1b[2J\""}, ""},
		{"words that are too long", []string{`outrider; error=y; details="` + strings.Repeat("a", 65) + `"`}, ""},
	}
	if len(cases) < 9 {
		t.Errorf("only %d cases", len(cases))
	}
	for _, c := range cases {
		if got := refusal(c.values); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

// What the sidecar writes is what is read here.
func TestRefusalReadsEveryAnswerOfTheSidecar(t *testing.T) {
	var answers int
	for _, reason := range flow.Reasons() {
		a, ok := enforce.AnswerTo(flow.Refusal{Reason: reason}, "0123456789abcdefghij")
		if !ok {
			continue
		}
		answers++
		for line := range strings.Lines(string(a.Fields)) {
			if value, found := strings.CutPrefix(strings.TrimSpace(line), "proxy-status: "); found && refusal([]string{value}) != reason.String() {
				t.Errorf("%q is read as %q, want %q", value, refusal([]string{value}), reason)
			}
		}
	}
	if answers < 20 {
		t.Errorf("only %d answers", answers)
	}
}

// Whatever stands there, the reason is a word; and one that is ours is found
// beside anything that is quoted as it should be.
func FuzzRefusal(f *testing.F) {
	f.Add(`nginx; error=x; details="a, b"`)
	f.Add(`outrider; error=x; details="`)
	f.Add("a\\\"")
	f.Fuzz(func(t *testing.T, value string) {
		if got := refusal([]string{value}); got != printable(got) {
			t.Errorf("%q", got)
		}
		quoted := `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(value) + `"`
		ours := `cdn; details=` + quoted + `, outrider; error=http_request_denied; details="waf_blocked"`
		if got := refusal([]string{ours}); got != "waf_blocked" {
			t.Errorf("%q in %s", got, ours)
		}
	})
}
