package inspect

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/outrider-mesh/outrider/proxy/config"
	"github.com/outrider-mesh/outrider/proxy/flow"
)

func TestEveryDisruptiveActionIsABlock(t *testing.T) {
	i := sharedInspector(t, "actions", config.InspectionSpec{Rules: `
SecRule ARGS:a "@streq deny"     "id:1,phase:1,deny,status:418,msg:'denied %{MATCHED_VAR}'"
SecRule ARGS:a "@streq drop"     "id:2,phase:1,drop,msg:'dropped'"
SecRule ARGS:a "@streq redirect" "id:3,phase:1,redirect:https://example.org/,msg:'sent away'"
SecRule ARGS:a "@streq late"     "id:4,phase:2,drop,msg:'dropped late'"
SecRule ARGS:a "@streq chained"  "id:5,phase:2,deny,msg:'chained',\
    chain"
    SecRule ARGS:b "@streq yes" "t:lowercase"
SecRule ARGS:a "@streq score"    "id:6,phase:2,pass,msg:'scored',setvar:'tx.inbound_anomaly_score_pl1=+5'"
SecRule ARGS:a "@streq pass"     "id:7,phase:2,pass,msg:'noticed'"
`})
	for _, tt := range []struct {
		query, message string
		rule           int
	}{
		{"a=deny", "denied …", 1},
		{"a=drop", "dropped", 2},
		{"a=redirect", "sent away", 3},
		{"a=late", "dropped late", 4},
		{"a=chained&b=YES", "chained", 5},
		{"a=score", "scored", 6},
		{"a=chained&b=no", "", 0},
		{"a=pass", "", 0},
		{"a=other", "", 0},
	} {
		t.Run(tt.query, func(t *testing.T) {
			v := judge(t, i, request("GET", "/?"+tt.query), "")
			if tt.rule == 0 {
				if v.Outcome != flow.Clean || v.Refuse || len(v.Rules) > 0 {
					t.Errorf("verdict %+v", v)
				}
				return
			}
			if v.Outcome != flow.Blocked || !v.Refuse || len(v.Rules) != 1 || !hasRule(v, tt.rule) {
				t.Errorf("verdict %+v", v)
			}
			if v.Message != tt.message || v.Location != "ARGS:a" {
				t.Errorf("message %q, location %q", v.Message, v.Location)
			}
		})
	}
}

// The gravest of the rules gives its message, not the one that came first.
func TestTheGravestRuleSpeaks(t *testing.T) {
	req := request("GET", "/?q=1%27%20OR%201=1--%20-")
	req.Host = "10.1.2.4"
	req.Header = header{{"Host", "10.1.2.4"}, {"User-Agent", "x"}, {"Accept", "*/*"}}
	v := judge(t, mesh(t), req, "")
	if !hasRule(v, 920350) || v.Rules[0] != 920350 {
		t.Fatalf("rules %v: the test shows nothing", v.Rules)
	}
	if v.Location != "ARGS:q" {
		t.Errorf("location %q, message %q", v.Location, v.Message)
	}
}

func TestExclusions(t *testing.T) {
	day := func(s string) config.Date {
		d, err := time.Parse(time.DateOnly, s)
		if err != nil {
			t.Fatal(err)
		}
		return config.Date{Time: d}
	}
	const attack = "1%27%20OR%201=1--%20-"
	i := build(t, config.InspectionSpec{Profile: config.ProfileCRS, Exclusions: []config.Exclusion{
		{Rule: 942100, Parameter: "q", Path: "/search", Reason: "r"},
		{Rule: 942100, Parameter: "tmp", Reason: "r", Expires: day("2026-11-23")},
		{Rule: 942100, Parameter: "old", Reason: "r", Expires: day("2026-11-22")},
		{Rule: 942100, Path: "/raw/{*}", Reason: "r"},
		{Rule: 942100, Parameter: "REQUEST_COOKIES:c", Reason: "r"},
		{Rule: 942100, Parameter: "json.q", Reason: "r"},
		{Rule: 942100, Parameter: "json.Items.*.name", Reason: "r"},
	}})
	for _, tt := range []struct {
		name string
		req  *flow.Request
		body string
		want flow.Outcome
	}{
		{"the parameter on the path", request("GET", "/search?q="+attack), "", flow.Clean},
		{"the parameter in another case", request("GET", "/search?Q="+attack), "", flow.Clean},
		{"the parameter on another path", request("GET", "/search2?q="+attack), "", flow.Blocked},
		{"another parameter on the path", request("GET", "/search?p="+attack), "", flow.Blocked},
		{"another attack in the parameter", request("GET", "/search?q=<script>alert(1)</script>"), "", flow.Blocked},
		{"one that expires tomorrow", request("GET", "/?tmp="+attack), "", flow.Clean},
		{"one that expired today", request("GET", "/?old="+attack), "", flow.Blocked},
		{"the whole rule on a path", request("GET", "/raw/1?any="+attack), "", flow.Clean},
		{"the whole rule on a longer path", request("GET", "/raw/1/2?any="+attack), "", flow.Blocked},
		{"a cookie", request("GET", "/", "Cookie: c=1' OR 1=1-- -"), "", flow.Clean},
		{"another cookie", request("GET", "/", "Cookie: d=1' OR 1=1-- -"), "", flow.Blocked},
		{"a parameter in a body", request("POST", "/", jsonType, "Content-Length: 2"), `{"q":"1' OR 1=1-- -"}`, flow.Clean},
		{"an element of an array in a body", request("POST", "/", jsonType, "Content-Length: 2"), `{"Items":[{"name":"1' OR 1=1-- -"},{"Name":"1' OR 1=1-- -"}]}`, flow.Clean},
		{"another field of an element", request("POST", "/", jsonType, "Content-Length: 2"), `{"Items":[{"note":"1' OR 1=1-- -"}]}`, flow.Blocked},
		{"a field of what is no array", request("POST", "/", jsonType, "Content-Length: 2"), `{"Items":{"x":{"name":"1' OR 1=1-- -"}}}`, flow.Blocked},
		{"a longer place", request("POST", "/", jsonType, "Content-Length: 2"), `{"Items":[{"name":{"name":"1' OR 1=1-- -"}}]}`, flow.Blocked},
		{"another parameter in a body", request("POST", "/", jsonType, "Content-Length: 2"), `{"p":"1' OR 1=1-- -"}`, flow.Blocked},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if v := judge(t, i, tt.req, tt.body); v.Outcome != tt.want {
				t.Errorf("verdict %+v", v)
			}
		})
	}
	t.Run("one ends while the engine runs", func(t *testing.T) {
		later := newInspector(Options{Now: func() time.Time { return testNow.AddDate(0, 0, 1) }}.withDefaults())
		later.policies = i.policies
		if v := judge(t, later, request("GET", "/?tmp="+attack), ""); v.Outcome != flow.Blocked {
			t.Errorf("verdict %+v", v)
		}
	})
}

func TestAnExpiredExclusionIsLogged(t *testing.T) {
	var log bytes.Buffer
	opts := testOptions()
	opts.Log = slog.New(slog.NewJSONHandler(&log, nil))
	docs := policyDoc(config.InspectionSpec{Mode: config.Off, Exclusions: []config.Exclusion{
		{Rule: 942100, Parameter: "q", Expires: config.Date{Time: testNow.AddDate(0, 0, -1)}},
	}})
	if _, err := New([]config.InspectionPolicy{docs}, opts); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"policy":"shop/waf"`, `"rule":942100`, `"parameter":"q"`, "expired"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log lacks %s: %s", want, log.String())
		}
	}
}

func TestBadPoliciesAreRefused(t *testing.T) {
	rules := func(s string) config.InspectionSpec { return config.InspectionSpec{Rules: s} }
	exclude := func(e config.Exclusion) config.InspectionSpec {
		return config.InspectionSpec{Exclusions: []config.Exclusion{e}}
	}
	cases := []struct {
		name string
		spec config.InspectionSpec
		want []string
	}{
		{"an unknown operator", rules("# ours\n\nSecRule ARGS \"@rx a\" \"id:1,pass\"\nSecRule ARGS \\\n  \"@nosuch a\" \"id:2,pass\"\n"), []string{"line 4", "nosuch"}},
		{"a bad pattern", rules(`SecRule ARGS "@rx (" "id:1,pass"`), []string{"line 1", "missing closing )"}},
		{"a rule without an id", rules("\n" + `SecRule ARGS "@rx a" "pass"`), []string{"line 2", "id"}},
		{"an id of the rule set", rules(`SecRule ARGS "@rx a" "id:942100,pass"`), []string{"line 1", "942100"}},
		{"an id of ours", rules(`SecRule ARGS "@rx a" "id:7100001,pass"`), []string{"line 1", "7100001"}},
		{"an unknown directive", rules("SecNonsense on"), []string{"line 1", "SecNonsense"}},
		{"the engine's switch", rules("SecRuleEngine Off"), []string{"line 1", "SecRuleEngine"}},
		{"an include", rules("Include /etc/passwd"), []string{"line 1", "Include"}},
		{"the engine's switch in an action", rules(`SecAction "id:1,phase:1,pass,ctl:ruleEngine=Off"`), []string{"line 1", "ruleEngine"}},
		{"the body's switch in an action", rules(`SecAction "id:1,phase:1,pass,ctl:requestBodyAccess=Off"`), []string{"line 1", "requestBodyAccess"}},
		{"a program", rules(`SecAction "id:1,phase:1,pass,exec:/bin/true"`), []string{"line 1", "exec"}},
		{"the environment", rules(`SecAction "id:1,phase:1,pass,setenv:A=b"`), []string{"line 1", "setenv"}},
		{"a file inspected by a program", rules(`SecRule FILES_TMPNAMES "@inspectFile /bin/true" "id:1,pass"`), []string{"line 1", "inspectFile"}},
		{"a name looked up", rules(`SecRule REMOTE_ADDR "@rbl example.org" "id:1,pass"`), []string{"line 1", "rbl"}},
		{"a phase that never runs", rules("\n\n" + `SecRule RESPONSE_STATUS "@eq 200" "id:1,phase:3,pass"`), []string{"line 3", "phase 3"}},
		{"an unfinished directive", rules("SecRule ARGS \\\n \"@rx a\" \\"), []string{"line 1", "nothing follows"}},
		{"an open chain", rules(`SecRule ARGS "@rx a" "id:1,pass,chain"`), []string{"line 1", "chain"}},
		{"a line that the parser would cut", rules(`SecRule ARGS "@rx ` + strings.Repeat("a", maxDirectiveBytes) + `" "id:1,pass"`), []string{"line 1", "longer"}},
		{"too much", rules(strings.Repeat("# filler\n", maxRulesBytes/8)), []string{"bytes"}},
		{"the removal of the comparison", rules("SecRuleRemoveById 949110"), []string{"line 1", "949110"}},
		{"the removal of a range with it", rules("SecRuleRemoveById 900000-999999"), []string{"line 1"}},
		{"the removal of ours", rules("SecRuleRemoveById 942100 7100006"), []string{"line 1", "7100006"}},
		{"the removal in an action", rules(`SecAction "id:1,phase:1,pass,ctl:ruleRemoveById=949110"`), []string{"line 1", "949110"}},
		{"the removal by tag", rules("SecRuleRemoveByTag anomaly-evaluation"), []string{"line 1", "anomaly-evaluation"}},
		{"a harmless comparison", rules(`SecRuleUpdateActionById 949110 "pass"`), []string{"line 1", "949110"}},
		{"an update of a rule that is not there", rules(`SecRuleUpdateTargetById 1234567 "!ARGS:q"`), []string{"line 1"}},
		{"an exclusion of the comparison", exclude(config.Exclusion{Rule: 949110}), []string{"exclusions[0].rule", "949110"}},
		{"an exclusion of the comparison of answers", exclude(config.Exclusion{Rule: 959100}), []string{"exclusions[0].rule", "959100"}},
		{"an exclusion of ours", exclude(config.Exclusion{Rule: 7100006}), []string{"exclusions[0].rule", "7100006"}},
		{"an exclusion of nothing", exclude(config.Exclusion{}), []string{"exclusions[0].rule"}},
		{"an exclusion that adds actions", exclude(config.Exclusion{Rule: 942100, Parameter: `q,ctl:ruleEngine=Off"`}), []string{"exclusions[0].parameter"}},
		{"an exclusion of a relative path", exclude(config.Exclusion{Rule: 942100, Path: "search"}), []string{"exclusions[0].path"}},
		{"an exclusion of a broken path", exclude(config.Exclusion{Rule: 942100, Path: "/a*b"}), []string{"exclusions[0].path"}},
		{"paranoia beyond 4", config.InspectionSpec{Paranoia: 5}, []string{"paranoia"}},
		{"a negative threshold", config.InspectionSpec{Threshold: -1}, []string{"threshold"}},
		{"a cap beyond measure", config.InspectionSpec{Body: config.InspectionBody{InspectBytes: 1 << 30}}, []string{"inspectBytes"}},
		{"a caller that is none", config.InspectionSpec{Callers: []config.CallerInspection{{Principals: []string{"batch"}}}}, []string{"callers[0].principals[0]", "batch"}},
		{"callers without any", config.InspectionSpec{Callers: []config.CallerInspection{{}}}, []string{"callers[0].principals"}},
		{"a path that is none", config.InspectionSpec{Paths: []string{"a"}}, []string{"paths[0]"}},
	}
	const minimum = 39
	if len(cases) < minimum {
		t.Fatalf("only %d cases, want %d", len(cases), minimum)
	}
	for _, tt := range cases {
		t.Run(tt.name, func(t *testing.T) {
			i, err := New([]config.InspectionPolicy{policyDoc(tt.spec)}, testOptions())
			if err == nil {
				i.Close()
				t.Fatal("accepted")
			}
			for _, want := range append(tt.want, "shop/waf") {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q does not name %q", err, want)
				}
			}
		})
	}
}

func TestRulesMayChangeTheRuleSet(t *testing.T) {
	i := build(t, config.InspectionSpec{Profile: config.ProfileCRS, Rules: `
SecRuleRemoveById 942100
SecRuleUpdateTargetById 942190 "!ARGS:q"
SecRuleRemoveByTag attack-xss
`})
	if v := judge(t, i, request("GET", "/?q=1%27%20OR%201=1--%20-"), ""); v.Outcome != flow.Clean {
		t.Errorf("verdict %+v", v)
	}
	if v := judge(t, i, request("GET", "/?q=<script>alert(1)</script>"), ""); v.Outcome != flow.Clean {
		t.Errorf("verdict %+v", v)
	}
	if v := judge(t, i, request("GET", "/?f=../../etc/passwd"), ""); v.Outcome != flow.Blocked {
		t.Errorf("verdict %+v", v)
	}
}

func TestParanoiaAndThreshold(t *testing.T) {
	const odd = "/?q=a%7Cb%7Cc%7Cd%7Ce%7Cf%7Cg" // special characters: level 3 and up
	four := build(t, config.InspectionSpec{Paranoia: 4})
	if v := judge(t, four, request("GET", odd), ""); v.Outcome != flow.Blocked || v.Score == 0 {
		t.Errorf("level 4: %+v", v)
	}
	if v := judge(t, mesh(t), request("GET", odd), ""); v.Outcome != flow.Clean {
		t.Errorf("level 1: %+v", v)
	}
	lax := build(t, config.InspectionSpec{Threshold: 1000})
	v := judge(t, lax, request("GET", "/?q=<script>alert(1)</script>"), "")
	if v.Outcome != flow.Clean || v.Score < 5 || len(v.Rules) == 0 {
		t.Errorf("a threshold of 1000: %+v", v)
	}
}

// A parser that ignores the order or the case of names sees one value and the
// application another.
func TestRepeatedNamesAreAllInspected(t *testing.T) {
	filler := ""
	for _, c := range "bcdefghij" {
		filler += "&" + string(c) + "=1"
	}
	const attack = "<script>alert(1)</script>"
	for _, tt := range []struct {
		name string
		req  *flow.Request
		body string
	}{
		{"in a form", request("POST", "/", formType), "q=x&q=y&q=" + attack + "&q=z" + filler},
		{"in a form, in another case", request("POST", "/", formType), "q=x&Q=" + attack + filler},
		{"in a form, in another case, before", request("POST", "/", formType), "Q=" + attack + "&q=x" + filler},
		{"in a form, without a name", request("POST", "/", formType), "=x&=" + attack + "&=y" + filler},
		{"in JSON", request("POST", "/", jsonType), `{"b":1,"c":2,"d":3,"e":4,"q":"x","q":"` + attack + `","q":"y"}`},
		{"in the query", request("GET", "/?q=x&q="+attack+"&q=y"+filler), ""},
		{"in the query, without a name", request("GET", "/?=x&="+attack+"&=y"+filler), ""},
		{"in cookies", request("GET", "/", "Cookie: b=1; c=2; d=3; q=x; q="+attack+"; q=y"), ""},
		{"in headers", request("GET", "/", "X-A: x", "X-A: "+attack, "X-A: y"), ""},
		{"in XML", request("POST", "/", xmlType), "<a b='x'><q>x</q><q>y</q><q>&lt;script>alert(1)&lt;/script></q><q>z</q></a>"},
		{"in multipart, in another case", request("POST", "/", multi), part(`name="b"`, "1") + part(`name="q"`, "x") + part(`name="Q"`, attack) + part(`name="q"`, "y") + "--b--\r\n"},
		{"in JSON, in another case", request("POST", "/", jsonType), `{"b":1,"c":2,"Q":"` + attack + `","q":"x","q":"y"}`},
		{"in multipart", request("POST", "/", multi), part(`name="b"`, "1") + part(`name="c"`, "2") + part(`name="q"`, "x") + part(`name="q"`, attack) + part(`name="q"`, "y") + "--b--\r\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			first := judge(t, mesh(t), tt.req, tt.body)
			if first.Outcome != flow.Blocked || !hasFamily(first, 941) {
				t.Fatalf("verdict %+v", first)
			}
			for n := range 30 {
				if v := judge(t, mesh(t), tt.req, tt.body); v.Score != first.Score {
					t.Fatalf("run %d: score %d, then %d", n, first.Score, v.Score)
				}
			}
		})
	}
}

// The directory for temporary files is gone once the engine is built, so
// whatever would be written there becomes an error.
func TestALongBodyStaysInMemory(t *testing.T) {
	const size = 150_000 // stock Coraza writes from 128 KiB on
	dir := filepath.Join(t.TempDir(), "tmp")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("TMPDIR", dir)
	i := build(t, config.InspectionSpec{Body: config.InspectionBody{InspectBytes: 512 << 10}})
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
	v := judge(t, i, request("POST", "/", "Content-Type: application/octet-stream", "Content-Length: 150000"), strings.Repeat("\x00", size))
	if v.Outcome != flow.Clean || v.Bytes != size {
		t.Errorf("verdict %+v", v)
	}
}
