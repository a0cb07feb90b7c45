package evidence

import "github.com/outrider-mesh/outrider/proxy/inspect/payload"

// longestEscape is that of JSON: \u003c.
const longestEscape = 6

// cut tells whether a document stopped where the body does, as that of a body longer than
// what is inspected: then what is left is one text without its end, which is looked at.
// All before it has been, by its members, and as one text it would only be their quotes.
func (l *looker) cut() bool {
	rest := l.walk.s[l.walk.i:]
	if rest == "" {
		return true
	}
	if rest[0] != '"' {
		return false
	}
	for n := range min(longestEscape, len(rest)) {
		w := walk{s: rest[:len(rest)-n] + `"`}
		if text, ok := w.text(); ok && w.i == len(w.s) {
			l.value(text, place{"ARGS", "body", payload.Member})
			return true
		}
	}
	return false
}
