// Package dialect finds pieces of the smaller query languages where a value is
// expected: filters of LDAP, expressions of XPath, operators and scripts of document
// databases.
package dialect

import (
	"strings"

	"github.com/outrider-mesh/outrider/proxy/inspect/payload/clue"
	"github.com/outrider-mesh/outrider/proxy/inspect/payload/lexicon"
)

// longest bounds the values that are looked at, and longestText those that are looked at
// for what has no byte of its own: attributes and names are short.
const (
	longest     = 4096
	longestText = 512
)

// Find looks for query languages in a value.
func Find(t *lexicon.Text, found *clue.List) {
	if len(t.S) > longest || t.Document() {
		return
	}
	if t.Bytes.Any(lexicon.Paren) && t.Bytes.Any(lexicon.Equals|lexicon.Star|lexicon.Ampersand|lexicon.Pipe|lexicon.NUL) ||
		t.Bytes.All(lexicon.Colon|lexicon.Equals|lexicon.Dot) {
		ldap(t, found)
	}
	if t.Bytes.Any(lexicon.Dollar) {
		document(t, found)
	}
	if len(t.S) > longestText {
		return
	}
	if t.Bytes.Any(lexicon.Slash|lexicon.Paren|lexicon.Pipe) && t.Bytes.Any(lexicon.Quote|lexicon.Bracket|lexicon.Colon|lexicon.Star|lexicon.Pipe) {
		xpath(t, found)
	}
	if t.Bytes.Any(lexicon.Single|lexicon.Double|lexicon.Paren) && t.Bytes.Any(lexicon.Pipe|lexicon.Semicolon|lexicon.Ampersand|lexicon.Dot) {
		scripts(t, found)
	}
}

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
