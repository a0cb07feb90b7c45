package inspect

import (
	"strings"

	"github.com/corazawaf/coraza/v3/collection"
	"github.com/corazawaf/coraza/v3/experimental/plugins/plugintypes"
)

// Coraza remembers transformed values of a phase by the address of the
// argument's name and the argument's place in a listing that is made in random
// order. Values that share one string for a name, as repeated arguments do, are
// then taken for each other, and a rule looks at the wrong one: an attack in a
// repeated parameter is missed in some runs. Every argument that has a name of
// its own in memory has an entry of its own.

// makeDistinct gives every value of a collection a name of its own.
func makeDistinct(m collection.Map) {
	all := m.FindAll()
	if len(all) < 2 {
		return
	}
	for _, d := range all {
		m.Remove(d.Key())
	}
	for _, d := range all {
		m.Add(distinctName(d.Key()), d.Value())
	}
}

// distinctName copies a name. The empty name, too, gets an address of its own:
// a slice of length nought keeps the address of what it was cut from.
func distinctName(name string) string {
	if name == "" {
		return strings.Clone("--")[:0]
	}
	return strings.Clone(name)
}

// distinctArguments is the operator @outriderDistinctArguments. It is not asked
// about a value: it runs between the parsing of a body and the first rule that
// looks at it, which no other place does. It never matches.
type distinctArguments struct{}

// Evaluate implements [plugintypes.Operator].
func (distinctArguments) Evaluate(tx plugintypes.TransactionState, _ string) bool {
	v := tx.Variables()
	makeDistinct(v.ArgsPost())
	makeDistinct(v.MultipartPartHeaders()) // those of a part share its name
	return false
}
