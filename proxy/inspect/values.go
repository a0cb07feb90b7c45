package inspect

import (
	"strings"

	"github.com/outrider-mesh/outrider/proxy/flow"
)

// manyArguments is the rule that ends an inspection for more arguments in a body than
// are kept.
const manyArguments = 7100006

// tooManyValues tells that a body of JSON has more values than are inspected, where
// that ends the inspection. The rule set would say the same when all of the body had
// been taken apart, which for a megabyte takes 50 ms; this takes some microseconds.
func tooManyValues(req *flow.Request, in *input) bool {
	const shortest = 2 * maxArguments // a digit and a comma each
	return len(in.body) > shortest && !in.firstArguments && readAsJSON(req.Header) && moreValues(in.body, maxArguments)
}

// readAsJSON tells the types that rule 7100001 has read as JSON. Those of Connect's streams
// it does only where no other rule knows them: they are messages in frames (rule 7100502),
// in which commas separate no values.
func readAsJSON(h flow.Header) bool {
	t, _ := h.Get("content-type")
	t, _, _ = strings.Cut(strings.ToLower(t), ";")
	kind, sub, _ := strings.Cut(strings.TrimSpace(t), "/")
	return (kind == "application" || kind == "text") && (sub == "json" || strings.HasSuffix(sub, "+json")) && sub != "connect+json"
}

// moreValues tells whether a document has more values than so many: what is valid has
// one more than there are commas, but for empty objects and arrays, which have none.
func moreValues(b []byte, most int) bool {
	values, text, empty := 1, false, false
	for i := 0; i < len(b); i++ {
		switch c := b[i]; {
		case text && c == '\\':
			i++
		case c == '"':
			text, empty = !text, false
		case text || c <= ' ':
		case c == ',':
			if values++; values > most+1 { // the last may yet turn out to be empty
				return true
			}
			empty = false
		case (c == '}' || c == ']') && empty:
			values, empty = values-1, false
		default:
			empty = c == '{' || c == '['
		}
	}
	return values > most
}

// overArguments is what the rule would find.
func overArguments() finding {
	return finding{attack: true, refused: true, arguments: true, rules: []int{manyArguments}, message: "Too many arguments in the body"}
}
