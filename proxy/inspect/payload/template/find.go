package template

import (
	"strings"

	"github.com/outrider-mesh/outrider/proxy/inspect/payload/clue"
	"github.com/outrider-mesh/outrider/proxy/inspect/payload/lexicon"
)

// opening are the bytes one of which begins an expression.
const opening = lexicon.Brace | lexicon.Less | lexicon.Hash | lexicon.At | lexicon.Dollar

// Find looks for expressions in a value.
func Find(t *lexicon.Text, found *clue.List) {
	if !t.Bytes.Any(opening) {
		reflection(t, found)
		return
	}
	if t.Bytes.All(lexicon.Dollar | lexicon.Brace) {
		lookups(t, found)
	}
	if t.Bytes.Any(lexicon.Brace|lexicon.Percent) || t.Bytes.All(lexicon.At|lexicon.Paren) {
		expressions(t, found)
	}
	if t.Bytes.Any(lexicon.Hash | lexicon.Less | lexicon.Percent) {
		directives(t, found)
	}
	reflection(t, found)
}

// longestExpression bounds how far an expression is read.
const longestExpression = 1024

// delimiters are how expressions begin and end, the longer ones first.
var delimiters = [...]struct{ open, close string }{
	{"{{", "}}"},
	{"{%", "%}"},
	{"<%", "%>"},
	{"[[", "]]"},
	{"${", "}"},
	{"#{", "}"},
	{"*{", "}"},
	{"%{", "}"},
	{"@{", "}"},
	{"~{", "}"},
	{"@(", ")"},
	{"{", "}"},
}

// expressions looks into what is between delimiters. What is nested again and again,
// which no template is, would be looked at as often: that is bounded, and told.
func expressions(t *lexicon.Text, found *clue.List) {
	s := t.S
	budget := 8*len(s) + longestExpression
	for i := 0; i+2 < len(s); i++ {
		if strings.IndexByte("{<[$#*%@~", s[i]) < 0 {
			continue
		}
		for _, d := range delimiters {
			if !strings.HasPrefix(s[i:], d.open) {
				continue
			}
			inside := lexicon.Window(s, i+len(d.open), longestExpression)
			n := strings.Index(inside, d.close)
			if n < 0 {
				break
			}
			if budget -= n; budget < 0 {
				found.Add(clue.NestedLookup, i, len(d.open))
				return
			}
			judge(t, i, d.open, inside[:n], found)
			i += len(d.open) - 1
			break
		}
	}
}

func judge(t *lexicon.Text, at int, open, inside string, found *clue.List) {
	size := len(open) + len(inside)
	switch {
	case open == "[[" && !strings.HasPrefix(strings.TrimSpace(inside), "$"):
	case open != "<%" && arithmetic(inside, open == "{"):
		found.Add(clue.TemplateArithmetic, at, size)
	case open == "{":
		smarty(t, at, inside, found)
	case open == "<%" && code(inside), open == "${" && strings.HasPrefix(inside, "@") && strings.Contains(inside, "("):
		found.Add(clue.TemplateDirective, at, size)
	case reaches(inside):
		found.Add(clue.ExpressionReflection, at, size)
	case calls(inside) && open != "@(":
		found.Add(clue.TemplateCall, at, size)
	}
}

// arithmetic tells a sum of constants: 7*7, 7*'7', 3-1, 191*7. In braces alone, which
// JSON and sets have, only a product is one.
func arithmetic(inside string, plain bool) bool {
	s := strings.Trim(inside, " =\t(){}'\"-_")
	i := digits(s, 0)
	if i == 0 {
		return false
	}
	at := lexicon.SkipSpace(s, i)
	if at >= len(s) || strings.IndexByte("*+-/", s[at]) < 0 || plain && s[at] != '*' {
		return false
	}
	first := at
	for at++; at < len(s) && strings.IndexByte(" *'\"", s[at]) >= 0; at++ {
	}
	if strings.Count(s[first:at], "*") > 2 {
		return false // a number of which only some digits are shown
	}
	end := digits(s, at)
	if end == at {
		return false
	}
	rest := strings.Trim(s[end:], " '\"")
	return rest == "" || strings.IndexByte("*+-/)%}|", rest[0]) >= 0 && s[i:end] != "-"
}

func digits(s string, i int) int {
	for i < len(s) && lexicon.IsDigit(s[i]) {
		i++
	}
	return i
}

// smarty is for {php}, {if …}{/if} and {system('id')}.
func smarty(t *lexicon.Text, at int, inside string, found *clue.List) {
	lower := strings.TrimSpace(lexicon.FoldASCII(inside))
	if lower == "php" || strings.HasPrefix(lower, "$smarty.") || strings.HasPrefix(lower, "self::") ||
		strings.HasPrefix(lower, "smarty_internal") {
		found.Add(clue.TemplateDirective, at, len(inside)+1)
		return
	}
	name := lower[:lexicon.WordEnd(lower, 0)]
	rest := lower[len(name):]
	if name != "" && lexicon.Groups(name).Any(lexicon.CodeCall) && strings.HasPrefix(rest, "(") && !t.Document() &&
		len(t.S) < 200 && strings.HasSuffix(rest, ")") {
		found.Add(clue.TemplateDirective, at, len(inside)+1)
	}
}

// code tells whether a server page does something: it calls, assigns or includes.
func code(inside string) bool {
	return strings.ContainsAny(inside, "(=") || arithmetic(inside, false) || strings.HasPrefix(inside, "@") ||
		strings.ContainsAny(inside, "`")
}

// calls tells whether a method is called with a text or a number, as in
// ”.constructor('x') or x.get('y').
func calls(inside string) bool {
	for i := 1; i < len(inside); i++ {
		if inside[i] != '(' || !lexicon.IsWord(inside[i-1]) {
			continue
		}
		start := lexicon.WordStart(inside, i)
		if start > 0 && inside[start-1] == '.' {
			return true
		}
	}
	return false
}
