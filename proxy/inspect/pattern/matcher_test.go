package pattern

import (
	"math/rand/v2"
	"regexp"
	"regexp/syntax"
	"strings"
	"testing"
)

// expressions of all kinds, some like those of the rule sets.
var expressions = []string{
	``, `a`, `^$`, `^a`, `a$`, `(?m)^a$`, `\ba\b`, `\Ba`, `a\B`, `(?i)select.+from`, `(?s)a.b`, `a.b`, `[^a]`, `[^\n]`, `(?i)k`, `(?i)ſ`,
	`(?:a|b|cd)+e{2,3}`, `(?i)\b(?:or|and)\b\s*['"]`, `\x{e9}`, `[à-ü]x`, `(?i)[à-ü]x`, `\w+@\w+\.com`, `^(?:[^']*'|[^"]*")\s*;`, `(a*)*b`, `a??b`, `(?U)a+b`,
	`[\n\r;]\s*(?:c[\\'"]*a[\\'"]*t|w\b)`, `(?:^|[^\w])eval\s*\(`, `\A\(\)\s*\{`, `x*`, `(?m)$\n^b`, `\bфоо`, `[^\x00-\x7f]`, `(?i)union\s+(?:all\s+)?select`, `a{0}b`, `[[:^alpha:]]é`,
	`(?m)^$`, `\B`, `(?:abc)*d`, `(?:12){0,2}d`, `(?:abc)?d`, `(?:abc)+d`, `x['y]z`, `x.z`, `x['"]z`, `x[^y]z`, `(?:one|two)['"]*three`, `\$(?:a|b)?['"]c`,
}

// values that expressions may match; the last ones are no UTF-8.
var values = []string{
	"", "a", "b", "ab", "a b", "\na\n", "xaax", "A", "k", "K", "ſ", "s", "é", "É", "àx", "SELECT 1\nFROM t", "aXb", "a\nb", "cdee", "' or '", "1 or'x", "me@x.com",
	"\"a\";", "aaaa", "; c'a\\t", "\rw", "w", "eval (1)", "xeval(", "() {", "фоо", " фоо", "union  all select", "\n\nb", "日本é", "a\xffb", "\xc3", "\xe9x", "e\xccee",
	"d", "abcd", "x'z", "xyz", "x\"z", "one'\"three", "twothree", "$'c", "$a\"c",
}

func TestMatchersAgreeWithRegexp(t *testing.T) {
	compared := 0
	for _, source := range expressions {
		m, re := compiled(t, source)
		for _, v := range values {
			compared++
			if got, ok := m.Match([]byte(v)); !ok || got != re.MatchString(v) {
				t.Errorf("%q in %q: %v (known %v), regexp says %v", source, v, got, ok, !got)
			}
		}
	}
	if compared < 2000 {
		t.Errorf("only %d comparisons", compared)
	}
}

func compiled(t testing.TB, source string) (*Matcher, *regexp.Regexp) {
	t.Helper()
	tree, err := syntax.Parse(source, syntax.Perl)
	if err != nil {
		t.Skip(err)
	}
	m := NewMatcher(tree, NewBudget(1<<20))
	if m == nil {
		t.Skip("too many classes")
	}
	return m, regexp.MustCompile(source)
}

// What a value needs by a pattern's reasoning it has, if the pattern matches.
func checkNeeds(t testing.TB, source, value string) {
	t.Helper()
	tree, err := syntax.Parse(source, syntax.Perl)
	if err != nil {
		return
	}
	re, err := regexp.Compile(source)
	if err != nil || !re.MatchString(value) {
		return
	}
	a, err := NewAlphabet()
	if err != nil {
		t.Fatal(err)
	}
	v := []byte(value)
	if n := a.NeedOf(tree); !n.Met(a.Of(v)) {
		t.Errorf("%q matches %q, which lacks what it needs", source, value)
	}
	if n := MinLength(tree); len(v) < n {
		t.Errorf("%q matches %q, which is shorter than %d", source, value, n)
	}
	if other := swapCase(value); Caseless(tree) && !re.MatchString(other) {
		t.Errorf("%q matches %q, and not %q", source, value, other)
	}
	hasText(t, source, Literals(tree), v)
	narrow := a.Restrict(tree, a.Of(v))
	if narrow == nil {
		t.Errorf("%q matches %q, and nothing of its kind", source, value)
		return
	}
	hasText(t, source+" restricted", Literals(narrow), v)
	set := SetOf(`"'()[]\^`)
	erased := []byte(strings.Map(func(r rune) rune {
		if r < 0x80 && set[r] {
			return -1
		}
		return r
	}, value))
	left := Erase(tree, &set)
	if n := a.NeedOf(left); !n.Met(a.Of(erased)) {
		t.Errorf("%q matches %q, which lacks what it needs when erased", source, value)
	}
	if n := MinLength(left); len(erased) < n {
		t.Errorf("%q matches %q, which is shorter than %d when erased", source, value, n)
	}
	hasText(t, source+" erased", Literals(left), erased)
}

// swapCase changes the case of the letters of ASCII.
func swapCase(s string) string {
	return strings.Map(func(r rune) rune {
		if isLetter(r) {
			return r ^ 0x20
		}
		return r
	}, s)
}

// hasText finds one of the texts with an automaton.
func hasText(t testing.TB, source string, texts []string, v []byte) {
	t.Helper()
	if len(texts) == 0 || Folds(v) {
		return
	}
	var list []Text
	for _, text := range texts {
		list = append(list, Text{text, 70})
	}
	auto, err := NewAutomaton(list, 71)
	if err != nil {
		t.Fatal(err)
	}
	hits := NewBits(71)
	auto.Find(v, hits)
	if !hits.Has(70) {
		t.Errorf("%q matches %q, which has none of %q", source, v, texts)
	}
}

func TestMatchesHaveWhatTheyNeed(t *testing.T) {
	for _, source := range expressions {
		for _, v := range values {
			checkNeeds(t, source, v)
		}
	}
}

func FuzzMatchersAgreeWithRegexp(f *testing.F) {
	for i, source := range expressions {
		f.Add(source, values[i%len(values)])
	}
	f.Fuzz(func(t *testing.T, source, value string) {
		if len(source) > 200 {
			return
		}
		m, re := compiled(t, source)
		for range 2 { // with states made and with states there
			if got, ok := m.Match([]byte(value)); ok && got != re.MatchString(value) {
				t.Fatalf("%q in %q: %v, regexp says %v", source, value, got, !got)
			}
		}
		checkNeeds(t, source, value)
	})
}

// When the memory is used up, matchers forget and go on.
func TestMatchersStayWithinTheirBudget(t *testing.T) {
	budget := NewBudget(20_000)
	tree, err := syntax.Parse(`(?:a|b)*a(?:a|b){10}c`, syntax.Perl) // 2^11 states
	if err != nil {
		t.Fatal(err)
	}
	m, re := NewMatcher(tree, budget), regexp.MustCompile(tree.String())
	r := rand.New(rand.NewPCG(1, 2))
	told := 0
	for range 2000 {
		v := make([]byte, r.IntN(30))
		for i := range v {
			v[i] = "abc"[min(r.IntN(12), 2)*r.IntN(2)+0]
		}
		got, ok := m.Match(v)
		if ok {
			told++
			if got != re.Match(v) {
				t.Fatalf("%q: %v", v, got)
			}
		}
		if budget.left < 0 {
			t.Fatalf("%d bytes are left", budget.left)
		}
	}
	if told < 500 {
		t.Errorf("only %d answers of 2,000", told)
	}
}

func BenchmarkMatcher(b *testing.B) {
	source := `(?i)(?:[\n\r;` + "`" + `]|\|\|?)\s*(?:c[\\'"]*a[\\'"]*t|w[\\'"]*g[\\'"]*e[\\'"]*t)\b`
	value := []byte(strings.Repeat("a cup of porcelain; with a saucer, too. ", 5))
	tree, err := syntax.Parse(source, syntax.Perl)
	if err != nil {
		b.Fatal(err)
	}
	m, re := NewMatcher(tree, NewBudget(1<<20)), regexp.MustCompile(source)
	for name, match := range map[string]func() bool{
		"regexp":  func() bool { return re.Match(value) },
		"matcher": func() bool { got, _ := m.Match(value); return got },
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if match() {
					b.Fatalf("%q", value)
				}
			}
		})
	}
}
