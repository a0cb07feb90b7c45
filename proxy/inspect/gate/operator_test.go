package gate

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/corazawaf/coraza/v3"
	"github.com/corazawaf/libinjection-go"

	"github.com/outrider-mesh/outrider/proxy/inspect/seclang"
)

// operators are compared with the engine's on every value.
var operators = []string{
	"@rx ^a.c$", "!@rx b", `@rx (?i)\bor\b`, `@rx \x{bc}[^>]`, `@rx [\xe0-\xff]`, "@rx ", "@pm foo bAr 12", "!@pm x", "@streq abc", "!@streq abc", "@contains bc", "@within abc def 12",
	"@beginsWith ab", "@endsWith bc", "!@endsWith bc", "@eq 12", "!@eq 0", "@ge 12", "@gt 12", "@le 12", "@lt 12", "@validateByteRange 9,32-126",
	"@validateByteRange 1-255", "@validateUrlEncoding", "@detectSQLi", "@detectXSS", "@ipMatch 10.0.0.0/8,::1", "@unconditionalMatch", "@noMatch", "@streq %{tx.known}", "@streq %{tx.unknown}",
}

var operands = []string{
	"", "a", "abc", "ABC", "a\nc", "x\na.c", "b", "foo", "FOOL", "BAR", "12", "012", "-1", "99999999999999999999", "abc def", "x OR 1", "1 or 1=1", "' or '1'='1", "<script>alert(1)</script>",
	"a onerror=b", "%41", "%4", "%zz%", "\x00", "\x7f", "é", "\xe9", "\xbcx", "¼x", "\xff\xfe", "10.1.2.3", "11.1.1.1", "::1", "json.a.0.b", "_a1", "value", "tx.unknown", "1union", "0x1",
	"select", "information_schema", "a.select", "\u212a", "json.select.1", "json", "bc",
}

func TestOperatorsAreTheEngines(t *testing.T) {
	var rules strings.Builder
	rules.WriteString("SecRuleEngine On\nSecAction \"id:999,phase:1,pass,setvar:'tx.known=value'\"\n")
	for i, o := range operators {
		fmt.Fprintf(&rules, "SecRule ARGS_GET \"%s\" \"id:%d,phase:1,pass,t:none\"\n", o, i+1)
	}
	waf, err := coraza.NewWAF(coraza.NewWAFConfig().WithDirectives(rules.String()))
	if err != nil {
		t.Fatal(err)
	}
	c := newCompiler(seclang.New(), Options{})
	c.vars.fixed["known"] = "value"
	set := seclang.New()
	if err := set.Read(rules.String()); err != nil {
		t.Fatal(err)
	}
	for _, v := range operands {
		tx := waf.NewTransaction()
		tx.AddGetRequestArgument("x", v)
		tx.ProcessRequestHeaders()
		matched := map[int]bool{}
		for _, m := range tx.MatchedRules() {
			matched[m.Rule().ID()] = true
		}
		if err := tx.Close(); err != nil {
			t.Fatal(err)
		}
		for _, r := range set.Rules[1:] {
			o, err := c.newOperator(r.Operator)
			if err != nil {
				t.Fatal(err)
			}
			if got := o.match([]byte(v), &environment{}); got != answerOf(matched[r.ID]) {
				t.Errorf("%s of %q: %d, the engine says %t", operators[r.ID-1], v, got, matched[r.ID])
			}
		}
	}
	if n := len(operators) * len(operands); n < 1200 {
		t.Errorf("only %d comparisons", n)
	}
}

func TestUnknownOperatorsAreRefused(t *testing.T) {
	c := newCompiler(seclang.New(), Options{ReadFile: func(string) ([]byte, error) { return nil, errors.New("gone") }})
	for _, o := range []seclang.Operator{
		{Name: "rbl", Argument: "x"},
		{Name: "rx", Argument: "("},
		{Name: "pmfromfile", Argument: "x"},
		{Name: "validatebyterange", Argument: "1-x"},
		{Name: "validatebyterange", Argument: "300"},
		{Name: "pm", Argument: "a  b"},
	} {
		if _, err := c.newOperator(o); err == nil {
			t.Errorf("@%s %s is understood", o.Name, o.Argument)
		}
	}
}

// What libinjection would find, the glances in front of it let through.
func FuzzGlancesMissNothing(f *testing.F) {
	for _, v := range operands {
		f.Add(v)
	}
	c := newCompiler(seclang.New(), Options{})
	xss, err := c.newOperator(seclang.Operator{Name: "detectxss"})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, v string) {
		// A word of the value's letters is as likely to be one as the value itself.
		word := strings.Map(func(r rune) rune {
			if isWord(byte(r&0x7f)) || r == '.' {
				return r & 0x7f
			}
			return -1
		}, v)
		for _, s := range []string{v, word, "json." + word, "xml." + word, "body." + word, "graphql." + word, "xml." + word + ".@" + word, "xml.@" + word} {
			if found, _ := libinjection.IsSQLi(s); found && oneWord([]byte(s)) {
				t.Errorf("%q is SQL, and one word", s)
			}
		}
		if xss.match([]byte(v), nil) == yes && !strings.ContainsAny(v, "<=") {
			t.Errorf("%q is a script without < and =", v)
		}
	})
}
