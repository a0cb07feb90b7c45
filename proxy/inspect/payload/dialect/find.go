// Package dialect finds pieces of the smaller query languages where a value is
// expected: filters of LDAP, expressions of XPath, operators and scripts of document
// databases.
package dialect

import (
	"strings"

	"github.com/outrider-mesh/outrider/proxy/inspect/payload/clue"
	"github.com/outrider-mesh/outrider/proxy/inspect/payload/lexicon"
)

// longest bounds the values that are looked at: attributes and names are short.
const longest = 512

// Find looks for query languages in a value.
func Find(t *lexicon.Text, found *clue.List) {
	if len(t.S) > longest || t.Document() {
		return
	}
	if t.Bytes.Any(lexicon.Paren) && t.Bytes.Any(lexicon.Equals|lexicon.Star|lexicon.Ampersand|lexicon.Pipe) {
		ldap(t, found)
	}
	if t.Bytes.Any(lexicon.Slash|lexicon.Paren|lexicon.Pipe) && t.Bytes.Any(lexicon.Quote|lexicon.Bracket|lexicon.Colon|lexicon.Star|lexicon.Pipe) {
		xpath(t, found)
	}
	if t.Bytes.Any(lexicon.Dollar) {
		document(t, found)
	}
	if t.Bytes.Any(lexicon.Single|lexicon.Double) && t.Bytes.Any(lexicon.Pipe|lexicon.Semicolon|lexicon.Ampersand) {
		scripts(t, found)
	}
}

// ldap looks for the end of a filter and another one behind it: ")(cn=", "*)(|(". RFC
// 4515 joins filters by what stands in front of them, so nothing else looks like it.
func ldap(t *lexicon.Text, found *clue.List) {
	s := t.S
	for i := 0; i+3 < len(s); i++ {
		if s[i] != ')' || strings.IndexByte("(", s[i+1]) < 0 {
			continue
		}
		if filterBegins(s[i+2:]) && unbalanced(s[:i+1]) {
			found.Add(clue.LDAPFilter, i, 3)
			return
		}
	}
	if strings.HasPrefix(s, "*)") && len(s) < 64 && (len(s) == 2 || s[2] == ')' || s[2] == '(' || s[2] == '%' || s[2] == '\x00') {
		found.Add(clue.LDAPFilter, 0, 2)
	}
}

// filterBegins tells "cn=", "|(cn=", "&(…", "!(…".
func filterBegins(s string) bool {
	for s != "" && strings.IndexByte("|&!(", s[0]) >= 0 {
		if len(s) == 1 || s[0] != '(' && (s[1] == '(' || s[1] == ')') {
			return s[0] != '('
		}
		s = s[1:]
	}
	end := 0
	for end < len(s) && (lexicon.IsWord(s[end]) || s[end] == '-') {
		end++
	}
	if end < 1 || end > 32 {
		return false
	}
	rest := s[end:]
	return strings.HasPrefix(rest, "=") && !strings.HasPrefix(rest, "==") && !strings.HasPrefix(rest, "=>") ||
		strings.HasPrefix(rest, ">=") || strings.HasPrefix(rest, "~=")
}

// unbalanced tells whether more parentheses are closed than were opened.
func unbalanced(s string) bool { return strings.Count(s, ")") > strings.Count(s, "(") }

// xpath looks for axes, functions and unions that a value has no use for.
func xpath(t *lexicon.Text, found *clue.List) {
	lower := t.Lower()
	at, _ := lexicon.IndexAny(lower, "count(/", "string-length(name(", "string-length(//", "substring(name(", "substring(//", "name(/*",
		"/child::", "/descendant::", "ancestor::", "following-sibling::", "preceding-sibling::", "]|//", "] | //", "']/../", "')]|//",
		"contains(name(", "parent::*", "attribute::*", "child::node()", "/*[1]/", "//*[", "doc('http", "doc(\"http", "unparsed-text(",
		"']/*", "substring(//user", "position()=")
	if at >= 0 && (strings.ContainsAny(lower, "'\"|=") || strings.Contains(lower, "::")) && !strings.HasPrefix(lower, "//") {
		found.Add(clue.XPathQuery, at, 6)
	}
}

// operators are those of MongoDB that change what a comparison means.
var operators = [...]string{
	"$ne", "$gt", "$gte", "$lt", "$lte", "$nin", "$in", "$regex", "$where", "$exists", "$or", "$and", "$not", "$nor",
	"$type", "$expr", "$function", "$accumulator", "$jsonschema", "$text", "$mod", "$all", "$size", "$elemmatch",
}

// document looks for an operator as the whole value of a parameter in JSON, and for the
// scripts that databases run.
func document(t *lexicon.Text, found *clue.List) {
	lower := t.Lower()
	if i := strings.Index(lower, "$where"); i >= 0 && scripted(lower[i:]) {
		found.Add(clue.QueryScript, i, 6)
	}
	if len(lower) < 128 && strings.HasPrefix(strings.TrimSpace(lower), "{") {
		inside := strings.TrimLeft(strings.TrimSpace(lower)[1:], " '\"")
		if op := operator(inside); op != "" {
			found.Add(clue.QueryOperator, strings.Index(lower, op), len(op))
		}
	}
}

// operator is the one that a text begins with.
func operator(s string) string {
	for _, op := range operators {
		if strings.HasPrefix(s, op) && (len(s) == len(op) || !lexicon.IsWord(s[len(op)])) {
			return op
		}
	}
	return ""
}

func scripted(s string) bool {
	return strings.ContainsAny(s, "(=;") && (strings.Contains(s, "this") || strings.Contains(s, "function") || strings.Contains(s, "sleep") ||
		strings.Contains(s, "return") || strings.Contains(s, "=="))
}

// scripts looks for conditions of JavaScript behind a quote: '||'1'=='1, ';return true;.
func scripts(t *lexicon.Text, found *clue.List) {
	lower := t.Lower()
	at, _ := lexicon.IndexAny(lower, "'||'1'=='1", "' || '1'=='1", "\"||\"1\"==\"1", "'||1==1", "' || 1==1", "'||'a'=='a", "';return", "';return true",
		"'; return ", "' && this.", "'&&this.", "' || this.", "'||this.", ";sleep(", "db.getcollectionnames", "db.users.find", "tojson(",
		"1;return true", "0;return true", "';while(true)", "';while(1)", ";var date=new date()", "'==='1", "'%00")
	if at >= 0 && (strings.Contains(lower[at:], "==") || strings.Contains(lower, "return") || strings.Contains(lower, "this.") ||
		strings.Contains(lower, "db.") || strings.Contains(lower, "tojson") || strings.Contains(lower, "while(")) {
		found.Add(clue.QueryScript, at, 4)
	}
}

// Name looks at the name of a parameter, user[$ne], and of a member, $ne.
func Name(t *lexicon.Text, found *clue.List) {
	if !t.Bytes.Any(lexicon.Dollar) {
		return
	}
	lower := t.Lower()
	if lower[0] == '$' && operator(lower) == lower {
		found.Add(clue.QueryMember, 0, len(lower))
		return
	}
	i := strings.Index(lower, "[$")
	if i < 0 {
		return
	}
	if op := operator(lower[i+1:]); op != "" && strings.HasPrefix(lower[i+1+len(op):], "]") {
		found.Add(clue.QueryOperator, i+1, len(op))
	}
}
