package decode

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/corazawaf/coraza/v3"
)

// names are all transformations that there are here.
var names = []string{
	"base64decode", "cmdline", "compresswhitespace", "cssdecode", "escapeseqdecode", "hexencode",
	"htmlentitydecode", "jsdecode", "length", "lowercase", "normalisepath", "normalisepathwin",
	"removecommentschar", "removenulls", "removewhitespace", "replacecomments", "sha1",
	"urldecodeuni", "utf8tounicode",
}

// engine is Coraza with a rule per transformation, whose id is its index and one.
var engine = sync.OnceValues(func() (coraza.WAF, error) {
	var b strings.Builder
	b.WriteString("SecRuleEngine On\n")
	for i, name := range names {
		fmt.Fprintf(&b, "SecRule ARGS_GET \"@unconditionalMatch\" \"id:%d,phase:1,pass,t:none,t:%s\"\n", i+1, name)
	}
	return coraza.NewWAF(coraza.NewWAFConfig().WithDirectives(b.String()))
})

// expected is what Coraza makes of a value, by transformation.
func expected(t testing.TB, value string) map[string]string {
	t.Helper()
	waf, err := engine()
	if err != nil {
		t.Fatal(err)
	}
	tx := waf.NewTransaction()
	defer tx.Close()
	tx.AddGetRequestArgument("x", value)
	tx.ProcessRequestHeaders()
	got := map[string]string{}
	for _, m := range tx.MatchedRules() {
		got[names[m.Rule().ID()-1]] = m.MatchedDatas()[0].Value()
	}
	if len(got) != len(names) {
		t.Fatalf("%d transformations of %d", len(got), len(names))
	}
	return got
}

func compare(t testing.TB, value string) {
	t.Helper()
	var buf Buffer
	for name, want := range expected(t, value) {
		c, err := New([]string{name})
		if err != nil {
			t.Fatal(err)
		}
		if got := string(c.Apply([]byte(value), &buf)); got != want {
			t.Errorf("%s makes %q of %q, the engine %q", name, got, value, want)
		}
	}
}

// seeds are where the transformations are odd.
var seeds = []string{
	"", "plain", "a b", "a  b\t c", "%41+%zz%u0041%u00%uff21%u2019%", "&lt;script&gt;&#65;&#0;&#x80;&amp", `\u0041\x41\101\477\n\q\`,
	`\u{1F600}\u{}\u{ff01}\uff21`, `\41 \0 \10ffff\ff01z\` + "\n", "/* a */ b /*c", "a--b#c<!--d-->e*/",
	"/a/../b//./c/", "..", ".", "./", `C:\Temp\..\file.txt::$DATA`, "a./b. /... /c", " ", "a/ /b", "\x00a\x00", "a\u00a0b\u0085c\xa0d\x85e",
	"Grüße \u212a\u017f İ", "\xff\xfe a", "QUJD\nRA==", "QUJDRA", "QQ", "a=b", `"w^ho'am\i, ; ( /x`, "x\v\f y", "<!--#", "%u00e9%U0130", "\\x4\\x", `\8\9\0`,
	"\\u12", "&notit;&Aacute", "a:b/c:d", "c:", "c:/", "a:", "//", "a//", ". .", ".. /", "\u3000x",
}

func TestTransformationsAreTheEngines(t *testing.T) {
	for _, s := range seeds {
		compare(t, s)
	}
	if n := len(seeds) * len(names); n < 700 {
		t.Errorf("only %d comparisons", n)
	}
}

// Every character that can be written as %uXXXX becomes the same byte.
func TestBestFitIsTheEngines(t *testing.T) {
	var b strings.Builder
	for code := range 0x10000 {
		fmt.Fprintf(&b, "%%u%04x", code)
	}
	var buf Buffer
	c, err := New([]string{"urldecodeuni"})
	if err != nil {
		t.Fatal(err)
	}
	got, want := c.Apply([]byte(b.String()), &buf), expected(t, b.String())["urldecodeuni"]
	if len(got) != 0x10000 || len(want) != len(got) {
		t.Fatalf("%d bytes, the engine has %d", len(got), len(want))
	}
	for code := range got {
		if got[code] != want[code] {
			t.Errorf("U+%04X becomes %q, to the engine %q", code, got[code], want[code])
		}
	}
}

func FuzzTransformationsAreTheEngines(f *testing.F) {
	for _, s := range seeds {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, value string) { compare(t, value) })
}

func TestUnknownNamesAreRefused(t *testing.T) {
	for _, name := range []string{"md5", "", "urlDecodeUni", "none"} {
		if _, err := New([]string{"lowercase", name}); err == nil {
			t.Errorf("%q is known", name)
		}
	}
}

func TestChainsKeepTheirOrder(t *testing.T) {
	var buf Buffer
	for _, tt := range []struct{ chain, in, want string }{
		{"urldecodeuni lowercase", "%41B", "ab"},
		{"lowercase urldecodeuni", "%41B", "Ab"},
		{"urldecodeuni htmlentitydecode jsdecode", "%26lt%3b%5cx41", "<A"},
		{"removewhitespace base64decode", "Q U J D", "ABC"},
		{"lowercase", "same", "same"},
		{"", "Same", "Same"},
	} {
		c, err := New(strings.Fields(tt.chain))
		if err != nil {
			t.Fatal(err)
		}
		if got := string(c.Apply([]byte(tt.in), &buf)); got != tt.want {
			t.Errorf("%s of %q is %q, want %q", tt.chain, tt.in, got, tt.want)
		}
	}
}
