package inspect

import (
	"slices"
	"strings"
	"testing"

	"github.com/outrider-mesh/outrider/proxy/config"
	"github.com/outrider-mesh/outrider/proxy/flow"
)

// What the rule set misses and the detectors find, in the parts of a request.
func TestDetectorsBlockByThemselves(t *testing.T) {
	const form = "Content-Type: application/x-www-form-urlencoded"
	cases := []struct {
		name     string
		req      *flow.Request
		body     string
		rule     int
		location string
		decoded  string
	}{
		{"a computed member in a parameter", request("GET", "/?q=window['al'%2b'ert'](1)"), "", 7200206, "ARGS:q", ""},
		{"in a header field", request("GET", "/", "Referer: https://a.example/?q=self['\\x61lert'](1)"), "", 7200206, "REQUEST_HEADERS:Referer", ""},
		{"in a member of a document", request("POST", "/", jsonType, "Content-Length: 2"), `{"a":[{"b":"top[/al/.source+/ert/.source](1)"}]}`, 7200206, "ARGS:json.a.0.b", ""},
		{"in Base64", request("POST", "/", jsonType, "Content-Length: 2"), `{"a":"PHN2ZyBvbmxvYWQ9YWxlcnQoMSk+"}`, 7200201, "ARGS:json.a", "base64"},
		{"in a form", request("POST", "/", form, "Content-Length: 2"), "a=1&b=%24%7B%24%7Blower%3Aj%7Dndi%3Aldap%3A%2F%2Fx%7D", 7200405, "ARGS:b", ""},
		{"in a cookie", request("GET", "/", `Cookie: a=1; s=O:4:"User":0:{}`), "", 7200502, "REQUEST_COOKIES:s", ""},
		{"in a name", request("POST", "/", jsonType, "Content-Length: 2"), `{"__proto__":{"admin":true}}`, 7200211, "ARGS_NAMES:json.__proto__", ""},
		{"in protobuf", request("POST", "/", "Content-Type: application/protobuf", "Content-Length: 2"), stringField(2, "self['\\x61lert'](1)"), 7200206, "ARGS:body.2", ""},
	}
	if len(cases) < 8 {
		t.Fatalf("only %d cases", len(cases))
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			v := judge(t, mesh(t), c.req, c.body)
			if v.Outcome != flow.Blocked || !v.Refuse || v.Score < 5 || !hasRule(v, c.rule) {
				t.Fatalf("verdict %+v", v)
			}
			if v.Location != c.location || v.Message == "" {
				t.Errorf("location %q, message %q", v.Location, v.Message)
			}
			if !slices.ContainsFunc(v.Matches, func(m flow.Match) bool {
				return m.Rule == c.rule && m.Location == c.location && (c.decoded == "" || m.Decoded == c.decoded)
			}) {
				t.Errorf("matches %+v", v.Matches)
			}
		})
	}
}

func TestDetectorsAreOfTheMeshProfileOnly(t *testing.T) {
	v := judge(t, stock(t), request("GET", "/?q=window['al'%2b'ert'](1)"), "")
	for _, id := range v.Rules {
		if isDetector(id) {
			t.Errorf("verdict %+v", v)
		}
	}
}

func TestDetectorsAreOnlyWatchedInModeDetect(t *testing.T) {
	v := judge(t, mesh(t), from(batch, request("GET", "/?q=window['al'%2b'ert'](1)")), "")
	if v.Outcome != flow.Detected || v.Refuse || !hasRule(v, 7200206) {
		t.Errorf("verdict %+v", v)
	}
}

func TestDetectorsCanBeExcluded(t *testing.T) {
	i := build(t, config.InspectionSpec{Exclusions: []config.Exclusion{
		{Rule: 7200206, Parameter: "q", Path: "/search", Reason: "r"},
		{Rule: 7200206, Parameter: "REQUEST_COOKIES:c", Reason: "r"},
		{Rule: 7200206, Path: "/raw/{*}", Reason: "r"},
	}})
	const attack = "window['al'%2b'ert'](1)"
	for _, c := range []struct {
		name string
		req  *flow.Request
		want flow.Outcome
	}{
		{"the parameter on the path", request("GET", "/search?q="+attack), flow.Clean},
		{"another parameter", request("GET", "/search?p="+attack), flow.Blocked},
		{"the parameter on another path", request("GET", "/?q="+attack), flow.Blocked},
		{"a cookie", request("GET", "/", "Cookie: c="+attack), flow.Clean},
		{"another cookie", request("GET", "/", "Cookie: d="+attack), flow.Blocked},
		{"everything on a path", request("GET", "/raw/1?x="+attack), flow.Clean},
		{"another attack in the parameter", request("GET", "/search?q=aced0005737200116a617661"), flow.Blocked},
	} {
		t.Run(c.name, func(t *testing.T) {
			if v := judge(t, i, c.req, ""); v.Outcome != c.want {
				t.Errorf("verdict %+v", v)
			}
		})
	}
}

func TestExclusionsNameDetectorsThatExist(t *testing.T) {
	_, err := New([]config.InspectionPolicy{policyDoc(config.InspectionSpec{Exclusions: []config.Exclusion{{Rule: 7299999, Reason: "r"}}})}, testOptions())
	if err == nil || !strings.Contains(err.Error(), "7299999") {
		t.Errorf("error %v", err)
	}
}

// A rule that is believed only with a second opinion does not refuse by itself, and one
// that a policy adds does.
func TestRulesAreWeighed(t *testing.T) {
	i := build(t, config.InspectionSpec{Rules: `
SecRule ARGS:a "@streq on" "id:1,phase:2,pass,msg:'a',setvar:'tx.inbound_anomaly_score_pl1=+5'"
SecRule ARGS:b "@streq on" "id:2,phase:2,pass,msg:'b',setvar:'tx.inbound_anomaly_score_pl1=+%{tx.warning_anomaly_score}'"
SecRule ARGS:c "@streq on" "id:3,phase:2,deny,msg:'c'"
`})
	for _, c := range []struct {
		name, target string
		want         flow.Outcome
		score        int
	}{
		{"a rule of a policy", "/?a=on", flow.Blocked, 5},
		{"one that adds less than the threshold", "/?b=on", flow.Clean, 3},
		{"one that refuses by itself", "/?c=on", flow.Blocked, 0},
		{"two of them", "/?a=on&b=on", flow.Blocked, 8},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := judge(t, i, request("GET", c.target), "")
			if v.Outcome != c.want || v.Score != c.score {
				t.Errorf("verdict %+v", v)
			}
		})
	}
	req := request("GET", "/?note=the+committee+-+select+all+that+apply,+rm+notes")
	if v := judge(t, i, req, ""); v.Outcome != flow.Clean {
		t.Errorf("verdict %+v", v)
	}
}
