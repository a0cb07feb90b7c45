package inspect

import (
	"testing"
	"time"

	"github.com/outrider-mesh/outrider/proxy/config"
	"github.com/outrider-mesh/outrider/proxy/flow"
)

const (
	sqli     = "/v1/notes?q=1%27%20OR%201=1--%20-"
	oddness  = "/?q=a%7Cb%7Cc%7Cd%7Ce%7Cf%7Cg" // special characters: level 3 and up
	partner  = "spiffe://cluster.local/ns/edge/sa/partner"
	tests    = "spiffe://cluster.local/ns/shop/sa/tests"
	importer = "spiffe://cluster.local/ns/shop/sa/import"
)

func day(t *testing.T, s string) config.Date {
	t.Helper()
	d, err := time.Parse(time.DateOnly, s)
	if err != nil {
		t.Fatal(err)
	}
	return config.Date{Time: d}
}

// What is inspected, and how, is chosen by who was verified to call.
func TestEachCallerHasItsOwnInspection(t *testing.T) {
	only := func(id string) []string { return []string{id} }
	i := build(t, config.InspectionSpec{
		Body: config.InspectionBody{InspectBytes: 1000},
		Callers: []config.CallerInspection{
			{Principals: only(batch), Mode: config.DetectOnly, Expires: day(t, "2026-11-22"), Reason: "ended today"},
			{Principals: only(batch), Threshold: 100, Expires: day(t, "2026-11-23"), Reason: "ends tomorrow"},
			{Principals: only(partner), Profile: config.ProfileCRS, Paranoia: 4, Body: config.InspectionBody{InspectBytes: 20, Overflow: config.OverflowDeny}},
			{Principals: only(importer), Exclusions: []config.Exclusion{
				{Rule: 942100, Parameter: "q", Path: "/v1/notes", Reason: "r"},
				{Rule: 7200101, Parameter: "q", Path: "/v1/notes", Reason: "r"}, // the detector of the same
				{Rule: 7200105, Parameter: "q", Path: "/v1/notes", Reason: "r"},
			}},
			{Principals: only(tests), Mode: config.Off},
		},
	})
	long := "note=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	cases := []struct {
		name   string
		peer   string
		req    *flow.Request
		body   string
		want   flow.Outcome
		refuse bool
	}{
		{"anybody", "spiffe://cluster.local/ns/shop/sa/checkout", request("GET", sqli), "", flow.Blocked, true},
		{"nobody", "", request("GET", sqli), "", flow.Blocked, true},
		{"an entry that has expired does not count, and the next does", batch, request("GET", sqli), "", flow.Clean, false},
		{"a caller that is excluded", importer, request("GET", sqli), "", flow.Clean, false},
		{"a caller that is excluded, elsewhere", importer, request("GET", "/?q=1%27%20OR%201=1--%20-"), "", flow.Blocked, true},
		{"a caller of another level", partner, request("GET", oddness), "", flow.Blocked, true},
		{"anybody, of that level", importer, request("GET", oddness), "", flow.Clean, false},
		{"a caller with another cap", partner, request("POST", "/", formType, "Content-Length: 45"), long, flow.NotInspected, true},
		{"anybody, below that cap", importer, request("POST", "/", formType, "Content-Length: 45"), long, flow.Clean, false},
		{"a caller with another profile", partner, request("PATCH", "/", "Content-Length: 0"), "", flow.Blocked, true},
		{"a caller that is not inspected", tests, request("GET", sqli), "", flow.InspectionOff, false},
	}
	const minimum = 11
	if len(cases) < minimum {
		t.Errorf("only %d cases, want %d", len(cases), minimum)
	}
	for _, tt := range cases {
		t.Run(tt.name, func(t *testing.T) {
			if v := judge(t, i, from(tt.peer, tt.req), tt.body); v.Outcome != tt.want || v.Refuse != tt.refuse {
				t.Errorf("verdict %+v", v)
			}
		})
	}
	t.Run("an entry ends while the engine runs", func(t *testing.T) {
		opts := testOptions()
		opts.Now = func() time.Time { return testNow.AddDate(0, 0, 1) }
		later := newInspector(opts.withDefaults())
		later.policies = i.policies
		if v := judge(t, later, from(batch, request("GET", sqli)), ""); v.Outcome != flow.Blocked {
			t.Errorf("verdict %+v", v)
		}
	})
	t.Run("callers share engines", func(t *testing.T) {
		// Everybody and nobody else's mode; the threshold; the other profile; the exclusion.
		if len(i.engines) != 4 {
			t.Errorf("%d engines", len(i.engines))
		}
	})
}

// A policy that is tried is asked beside the one that decides, never in its place.
func TestAPolicyIsRolledOut(t *testing.T) {
	mode := config.InspectionMode("")
	set := func(percent int) []config.InspectionPolicy {
		old := policyDoc(config.InspectionSpec{Threshold: 6})
		next := policyDoc(config.InspectionSpec{
			Rules:   `SecRule ARGS:debug "@streq on" "id:1,phase:2,deny,msg:'No debugging'"`,
			Rollout: &config.Rollout{Percent: percent, Mode: mode},
		})
		next.Metadata.Name = "next"
		return []config.InspectionPolicy{old, next}
	}
	const debug, both = "/?debug=on", "/?debug=on&q=1%27%20UNION%20SELECT%20password%20FROM%20users--%20-"
	drawn := 0
	opts := testOptions()
	opts.Draw = func(int) int { return drawn }
	for _, tt := range []struct {
		name, target string
		mode         config.InspectionMode
		drawn        int
		outcome      flow.Outcome
		policy       string
		trial        flow.Outcome
		rules        int // of the trial
	}{
		{"in the share", debug, "", 9, flow.Clean, "shop/waf", flow.Detected, 1},
		{"in the share, an attack for both is refused", both, "", 0, flow.Blocked, "shop/waf", flow.InspectionOff, 0},
		{"in the share, nothing to find", "/?a=b", "", 0, flow.Clean, "shop/waf", flow.Clean, 0},
		{"outside of it", debug, "", 10, flow.Clean, "shop/waf", flow.InspectionOff, 0},
		{"in force, in the share", debug, config.Block, 9, flow.Blocked, "shop/next", flow.InspectionOff, 0},
		{"in force, outside of it", debug, config.Block, 10, flow.Clean, "shop/waf", flow.InspectionOff, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			mode, drawn = tt.mode, tt.drawn
			i, err := New(set(10), opts)
			if err != nil {
				t.Fatal(err)
			}
			defer i.Close()
			v := judge(t, i, request("GET", tt.target), "")
			if v.Outcome != tt.outcome || v.Policy != tt.policy {
				t.Errorf("verdict %+v", v)
			}
			if v.Trial == nil {
				v.Trial = &flow.Inspection{}
			}
			if v.Trial.Outcome != tt.trial || v.Trial.Refuse || tt.rules > 0 && !hasRule(*v.Trial, tt.rules) {
				t.Errorf("trial %+v", v.Trial)
			}
		})
	}
	t.Run("alone", func(t *testing.T) {
		mode, drawn = "", 0
		i, err := New(set(10)[1:], opts)
		if err != nil {
			t.Fatal(err)
		}
		defer i.Close()
		if v := judge(t, i, request("GET", debug), ""); v.Outcome != flow.Detected || v.Refuse || v.Trial != nil {
			t.Errorf("in the share: %+v", v)
		}
		drawn = 10
		if v := judge(t, i, request("GET", debug), ""); v.Outcome != flow.InspectionOff {
			t.Errorf("outside of it: %+v", v)
		}
	})
}
