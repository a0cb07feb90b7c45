package gate

import (
	"strconv"

	"github.com/tidwall/gjson"
)

// flattened is how much longer than the body its names and values may be before the
// engine takes it for an error; small bodies have flattenedFloor bytes.
const (
	flattened      = 8
	flattenedFloor = 4096
)

// readJSON proves the values of a body, by the names that the engine gives them: one
// argument per value, json.items.3.name, and one per array, its length. What is not
// valid, or over one of the engine's limits, is not proved.
func (g *Gate) readJSON(b []byte, to *Arguments) bool {
	if !gjson.ValidBytes(b) {
		return to.e.view.single[partial] == "1" && g.readPrefix(b, to)
	}
	w := g.newWalk(b, to)
	defer func() { to.e.path = w.name[:0] }()
	w.space()
	if c := w.text[w.at]; c != '{' && c != '[' {
		return w.element(0) && w.length(1) // a value by itself is read as an array of one
	}
	return w.container()
}

func (g *Gate) newWalk(b []byte, to *Arguments) jsonWalk {
	return jsonWalk{
		text: b, to: to, depth: g.depth,
		budget: max(len(b)*flattened, flattenedFloor), lengths: g.arguments,
		name: append(to.e.path[:0], "json"...),
	}
}

// A jsonWalk reads a text that is valid, in one pass. Each method that returns a
// bool returns false when the walk is over.
type jsonWalk struct {
	text []byte
	at   int
	// name is where the walk is.
	name  []byte
	depth int
	// budget is how many bytes of names and values there may be, lengths how many
	// arrays.
	budget, lengths int
	to              *Arguments
}

func (w *jsonWalk) space() {
	for w.at < len(w.text) && w.text[w.at] <= ' ' {
		w.at++
	}
}

// container reads an object or an array.
func (w *jsonWalk) container() bool {
	if w.depth--; w.depth < 0 {
		return false
	}
	object := w.text[w.at] == '{'
	w.at++
	n := 0
	for w.space(); w.text[w.at] != '}' && w.text[w.at] != ']'; w.space() {
		if w.text[w.at] == ',' {
			w.at++
			continue
		}
		ok := false
		if object {
			ok = w.member()
		} else {
			ok = w.element(n)
			n++
		}
		if !ok {
			return false
		}
	}
	w.at++
	w.depth++
	return object || n == 0 || w.length(n)
}

// member reads a name, a colon and a value.
func (w *jsonWalk) member() bool {
	before := len(w.name)
	w.name = append(append(w.name, '.'), w.str()...)
	w.space()
	w.at++ // the colon
	ok := w.value()
	w.name = w.name[:before]
	return ok
}

func (w *jsonWalk) element(n int) bool {
	before := len(w.name)
	w.name = strconv.AppendInt(append(w.name, '.'), int64(n), 10)
	ok := w.value()
	w.name = w.name[:before]
	return ok
}

func (w *jsonWalk) value() bool {
	w.space()
	switch w.text[w.at] {
	case '{', '[':
		return w.container()
	case '"':
		return w.leaf(w.str())
	}
	start := w.at
	for w.at < len(w.text) && !endsScalar(w.text[w.at]) {
		w.at++
	}
	scalar := w.text[start:w.at]
	if string(scalar) == "null" {
		scalar = nil
	}
	return w.leaf(scalar)
}

func endsScalar(c byte) bool { return c <= ' ' || c == ',' || c == '}' || c == ']' }

// str reads a string. One with escapes is decoded as the engine decodes it.
func (w *jsonWalk) str() []byte {
	start, escaped := w.at, false
	for w.at++; w.text[w.at] != '"'; w.at++ {
		if w.text[w.at] == '\\' {
			escaped = true
			w.at++
		}
	}
	w.at++
	if !escaped {
		return w.text[start+1 : w.at-1]
	}
	return []byte(gjson.ParseBytes(w.text[start:w.at]).Str)
}

func (w *jsonWalk) leaf(v []byte) bool {
	return w.spend(v) && w.to.add(w.name, v)
}

// length adds the length of an array, which does not count as an argument.
func (w *jsonWalk) length(n int) bool {
	w.to.e.number = strconv.AppendInt(w.to.e.number[:0], int64(n), 10)
	w.lengths--
	return w.lengths >= 0 && w.spend(w.to.e.number) && w.to.prove(w.name, w.to.e.number)
}

func (w *jsonWalk) spend(v []byte) bool {
	w.budget -= len(w.name) + len(v)
	return w.budget >= 0
}
