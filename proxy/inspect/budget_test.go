package inspect

import (
	"errors"
	"io/fs"
	"strings"
	"testing"
	"time"

	coreruleset "github.com/corazawaf/coraza-coreruleset/v4"

	"github.com/outrider-mesh/outrider/proxy/config"
	"github.com/outrider-mesh/outrider/proxy/flow"
)

// The time of the rules ends between two of them.
func TestTheRulesEndWhenTheirTimeIsUp(t *testing.T) {
	i := mesh(t)
	e := i.policies[0].engine
	in := input{
		meter: newMeter(time.Nanosecond), now: testNow, checkpoint: func() error { return nil },
		body: []byte("q=<script>alert(1)</script>"),
	}
	req := request("POST", "/", formType)
	if f, err := e.evaluate(req, in); !errors.Is(err, errBudget) {
		t.Errorf("%+v, %v", f, err)
	}
	in.meter = newMeter(time.Hour)
	if f, err := e.evaluate(req, in); err != nil || !f.attack {
		t.Errorf("with time enough: %+v, %v", f, err)
	}
}

func TestTheTimeIsThePolicysAndSoIsWhatComesOfIt(t *testing.T) {
	// As many values as there may be are not proved clean without the engine.
	dear := "<a>" + strings.Repeat("<k>v1 and 2</k>", maxArguments) + "</a>"
	for _, tt := range []struct {
		name    string
		failure config.OnFailure
		refuse  bool
	}{
		{"denied by default", config.OnFailure{}, true},
		{"allowed", config.OnFailure{Timeout: config.FailAllow}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			i := build(t, config.InspectionSpec{CPUMillis: 1, OnFailure: tt.failure})
			v := judge(t, i, request("POST", "/", "Content-Type: application/xml", "Content-Length: 2"), dear)
			if v.Outcome != flow.NotInspected || v.Uninspected != flow.EngineTimeout || v.Refuse != tt.refuse {
				t.Errorf("verdict %+v", v)
			}
		})
	}
}

// A checkpoint inside of a chain would become a part of it.
func TestCheckpointsStandBetweenRules(t *testing.T) {
	files, err := fs.Glob(coreruleset.FS, "@owasp_crs/REQUEST-*.conf")
	if err != nil {
		t.Fatal(err)
	}
	var c checkpoints
	for _, name := range files {
		text, err := fs.ReadFile(coreruleset.FS, name)
		if err != nil {
			t.Fatal(err)
		}
		got := string(c.insert(text))
		var without strings.Builder
		chained, more := false, false
		for line := range strings.Lines(got) {
			if strings.Contains(line, "@outriderTimeIsUp") {
				if chained || more {
					t.Errorf("%s: a checkpoint inside of a rule: %s", name, line)
				}
				continue
			}
			without.WriteString(line)
			trimmed := strings.TrimSpace(line)
			if trimmed == "" || trimmed[0] == '#' {
				continue
			}
			if !more {
				chained = false
			}
			more = strings.HasSuffix(trimmed, `\`)
			chained = chained || strings.HasSuffix(strings.TrimSuffix(strings.TrimRight(trimmed, `\`), `"`), "chain")
		}
		if strings.ReplaceAll(without.String(), "\n", "") != strings.ReplaceAll(string(text), "\n", "") {
			t.Errorf("%s: the rules are not what they were", name)
		}
	}
	const least = 100
	if c.coarse < least || c.fine < 2*c.coarse {
		t.Errorf("only %d checkpoints and %d fine ones, want %d", c.coarse, c.fine, least)
	}
	if firstBudgetID+c.coarse > firstFineID || firstFineID+c.fine > maxBudgetID {
		t.Errorf("%d and %d checkpoints have no room for their ids", c.coarse, c.fine)
	}
}

func TestMoreArgumentsThanAreInspected(t *testing.T) {
	const script = "<script>alert(1)</script>"
	deny := build(t, config.InspectionSpec{})
	allow := build(t, config.InspectionSpec{OnFailure: config.OnFailure{Arguments: config.FailAllow}})
	rules := build(t, config.InspectionSpec{Profile: config.ProfileCRS, OnFailure: config.OnFailure{Arguments: config.FailAllow}})
	watch := build(t, config.InspectionSpec{Mode: config.DetectOnly})
	many := strings.Repeat("a=1&", 1500)
	for _, tt := range []struct {
		name    string
		with    *Inspector
		body    string
		outcome flow.Outcome
		refuse  bool
	}{
		{"denied by default", deny, many, flow.NotInspected, true},
		{"an attack among the first is not looked for", deny, "q=" + script + "&" + many, flow.NotInspected, true},
		{"allowed", allow, many, flow.Clean, false},
		{"allowed, but the first are inspected", allow, "q=" + script + "&" + many, flow.Blocked, true},
		{"allowed, and what is beyond is seen by no rule", rules, many + "q=" + script, flow.Clean, false},
		{"allowed, and what is beyond is seen by detectors", allow, many + "q=" + script, flow.Blocked, true},
		{"in Detect", watch, many, flow.NotInspected, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			v := judge(t, tt.with, request("POST", "/", formType, "Content-Length: 2"), tt.body)
			if v.Outcome != tt.outcome || v.Uninspected != flow.Arguments || v.Refuse != tt.refuse {
				t.Errorf("verdict %+v", v)
			}
		})
	}
}

func TestStreamsCanBeDenied(t *testing.T) {
	i := build(t, config.InspectionSpec{OnFailure: config.OnFailure{Stream: config.FailDeny}})
	v := judge(t, i, request("GET", "/ws", "Upgrade: websocket", "Connection: Upgrade"), "")
	if v.Outcome != flow.NotInspected || v.Uninspected != flow.Stream || !v.Refuse {
		t.Errorf("verdict %+v", v)
	}
}
