package sql

import (
	"strings"

	"github.com/outrider-mesh/outrider/proxy/inspect/payload/lexicon"
)

// farthest is how many tokens behind a quote a condition is looked for in a text of several
// lines, where quotes are everywhere and most of them begin something.
const farthest = 8

// far tells joints that are too far behind a quote, and those of source code: what is
// injected into a number stands in a field.
func (r *reader) far(n int) bool {
	return r.text.Document() && (r.reading == inQuote && n > farthest || r.reading == asIs && r.isCall(r.skipSigns(n+1)))
}

// quotedSign tells a sign in quotes, '|' or "&", in a text that mentions it: what ends a
// text stands right behind a letter or at the beginning.
func (r *reader) quotedSign(n int) bool {
	if n != 0 || r.reading != inQuote || r.from < 2 || r.at(0).kind != logic || r.at(0).at != r.from {
		return false
	}
	end := r.at(0).end
	return end < len(r.s) && r.s[end] == r.s[r.from-1] && !lexicon.IsWord(r.s[r.from-2])
}

// quotation tells a value that is a text in quotes as a whole, which may begin with what is
// a comment to SQL: "# Title …", "-----BEGIN …".
func (r *reader) quotation() bool {
	s := strings.TrimSpace(r.s)
	return r.from == 1 && len(s) > 16 && s[len(s)-1] == s[0] && strings.Count(s, s[:1]) == 2+strings.Count(s, `\`+s[:1])
}

// separates tells what stands between two texts of a list, which a reader that begins
// inside of one takes for a text: "and","or","in".
func (l *lexer) separates(t token) bool {
	for i := t.at + 1; i < t.end-1; i++ {
		if l.s[i] != ',' && !lexicon.IsSpace(l.s[i]) {
			return false
		}
	}
	return t.end-t.at > 2 && !t.unclosed
}
