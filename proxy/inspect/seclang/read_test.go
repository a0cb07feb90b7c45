package seclang

import (
	"io/fs"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func read(t *testing.T, text string) *Set {
	t.Helper()
	s := New()
	if err := s.Read(text); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestARuleIsReadWhole(t *testing.T) {
	s := read(t, `
# a comment
SecDefaultAction "phase:2,log,auditlog,pass"
SecRule REQUEST_HEADERS:Host|!REQUEST_HEADERS:/^x-\/|y/|&ARGS|XML:/*|ARGS_NAMES:'/a|b/'|TX:0 "!@rx a\"b" \
    "id:7,phase:request,block,capture,t:none,t:lowercase,t:urlDecodeUni,multiMatch,\
    msg:'it\'s, this: %{tx.0}',tag:'a/b',setvar:'tx.x=+%{tx.critical}',chain"
    SecRule TX:1 "plain" "t:none,setvar:tx.y=1"
SecMarker "END"
SecAction "id:8,phase:1,pass,t:none,nolog,ctl:ruleRemoveById=7"
`)
	if len(s.Rules) != 3 {
		t.Fatalf("%d rules", len(s.Rules))
	}
	r := s.Rules[0]
	want := []Target{
		{Variable: "REQUEST_HEADERS", Key: Key{Text: "Host"}, Except: []Key{{Pattern: `^x-\/|y`}}},
		{Variable: "ARGS", Count: true},
		{Variable: "XML", Key: Key{Text: "/*"}},
		{Variable: "ARGS_NAMES", Key: Key{Pattern: "a|b"}},
		{Variable: "TX", Key: Key{Text: "0"}},
	}
	if diff := cmp.Diff(want, r.Targets); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(Operator{Name: "rx", Argument: `a"b`, Negated: true}, r.Operator); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"lowercase", "urldecodeuni"}, r.Transforms); diff != "" {
		t.Error(diff)
	}
	if r.ID != 7 || r.Phase != 2 || !r.Capture || !r.MultiMatch || len(r.Links) != 1 || r.Disruptive() != "pass" {
		t.Errorf("%+v", r)
	}
	if v, _ := r.Action("msg"); v != `it\'s, this: %{tx.0}` {
		t.Errorf("message %q", v)
	}
	if l := r.Links[0]; l.Operator != (Operator{Name: "rx", Argument: "plain"}) || len(l.Transforms) != 0 {
		t.Errorf("link %+v", l)
	}
	if s.Rules[1].Mark != "END" || s.Rules[2].ID != 8 || len(s.Rules[2].Targets) != 0 {
		t.Errorf("%+v, %+v", s.Rules[1], s.Rules[2])
	}
}

func TestRulesAreChangedAndRemoved(t *testing.T) {
	s := read(t, `
SecRule ARGS "a" "id:1,pass,tag:'x'"
SecRule ARGS "b" "id:2,pass,tag:'y'"
SecRule ARGS "c" "id:30,pass,tag:'y'"
SecRule ARGS "d" "id:31,pass,tag:'z'"
SecRuleRemoveById 30-40
SecRuleRemoveByTag x
SecRuleUpdateTargetById 2 "!ARGS:q"
SecRuleUpdateTargetByTag y !ARGS:/^z/|REQUEST_COOKIES
`)
	want := []Target{
		{Variable: "ARGS", Except: []Key{{Text: "q"}, {Pattern: "^z"}}},
		{Variable: "REQUEST_COOKIES"},
	}
	if len(s.Rules) != 1 {
		t.Fatalf("%d rules are left", len(s.Rules))
	}
	if diff := cmp.Diff(want, s.Rules[0].Targets); diff != "" {
		t.Error(diff)
	}
}

// What is not understood is an error or is marked; nothing is left out silently.
func TestNothingIsLeftOut(t *testing.T) {
	for _, text := range []string{
		`SecRuleUpdateActionById 1 "pass"`, `SecRuleScript a.lua`, `Include x.conf`, `SecRuleRemoveByMsg x`, `Nonsense`,
		`SecRule ARGS`, `SecRule ARGS "a`, `SecRule ARGS:/a "b" "id:1"`, `SecRule ARGS:'a' "b" "id:1"`, `SecRule ARGS:'/a/ "b" "id:1"`, `SecRule ARGS:/a/b "c" "id:1"`,
		"SecDataset x `\na\n`", "SecAction \"id:1\" \\", `SecRuleUpdateTargetById 1 2 "ARGS"`, `SecRuleUpdateTargetById x "ARGS"`, `SecRuleRemoveById x`, `SecRuleUpdateTargetByTag a`,
	} {
		if err := New().Read(text); err == nil {
			t.Errorf("%s is read", text)
		}
	}
	for _, text := range []string{`SecAction "id:x,pass"`, `SecAction "id:1,phase:9,pass"`} {
		if s := read(t, text); s.Rules[0].Unknown == "" {
			t.Errorf("%s is understood", text)
		}
	}
}

func FuzzReading(f *testing.F) {
	f.Add(`SecRule REQUEST_HEADERS:Host|!ARGS:/a\/b/|&TX:1 "!@rx a\"b" "id:7,phase:2,block,t:none,msg:'a,b',chain"`)
	f.Add("SecAction \"id:1,phase:1,pass,setvar:'tx.a=b'\"\nSecMarker x\nSecRuleRemoveById 1-2")
	f.Fuzz(func(t *testing.T, text string) {
		s := New()
		if s.Read(text) != nil {
			return
		}
		again := New()
		if err := again.Read(text); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(s.Rules, again.Rules); diff != "" {
			t.Errorf("the same text is read differently: %s", diff)
		}
		if n := strings.Count(text, "\n") + 1; len(s.Rules) > n {
			t.Errorf("%d rules in %d lines", len(s.Rules), n)
		}
	})
}

func ruleSetFiles(t *testing.T, root fs.FS) []string {
	t.Helper()
	files, err := fs.Glob(root, "@owasp_crs/*.conf")
	if err != nil {
		t.Fatal(err)
	}
	return append([]string{"@crs-setup.conf.example"}, files...)
}
