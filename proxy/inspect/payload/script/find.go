package script

import (
	"github.com/outrider-mesh/outrider/proxy/inspect/payload/clue"
	"github.com/outrider-mesh/outrider/proxy/inspect/payload/lexicon"
)

// Find looks for scripts in a value.
func Find(t *lexicon.Text, found *clue.List) {
	if t.Bytes.Any(lexicon.Less) && t.Bytes.Any(lexicon.Letter) {
		markup(t, found)
	}
	if t.Words.Any(lexicon.Handler) && t.Bytes.Any(lexicon.Equals) {
		handlers(t, found)
	}
	if t.Bytes.Any(lexicon.Colon) && t.Words.Any(lexicon.Scheme|lexicon.Sink|lexicon.Global) {
		schemes(t, found)
	}
	if t.Bytes.Any(lexicon.Bracket|lexicon.Paren|lexicon.Backtick|lexicon.Equals) &&
		t.Words.Any(lexicon.Global|lexicon.Sink|lexicon.Property) {
		javascript(t, found)
	}
	if t.Bytes.All(lexicon.Bracket | lexicon.Paren | lexicon.Plus) {
		encoded(t, found)
	}
	if t.Words.Any(lexicon.Property) {
		prototype(t, found)
	}
}
