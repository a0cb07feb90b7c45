package gate

import (
	"strconv"

	"github.com/tidwall/gjson"
)

// readPrefix proves the values in the first part of a body of JSON. The engine reads
// what it can of it with gjson, whose ways with what is not valid are its own; so it
// is asked here, too. That the body is broken is known to the rules.
func (g *Gate) readPrefix(b []byte, to *Arguments) bool {
	if nesting(b) > g.depth {
		return false
	}
	w := g.newWalk(b, to)
	defer func() { to.e.path = w.name[:0] }()
	to.e.view.single[bodyError] = "1"
	return w.lenient(gjson.ParseBytes(b))
}

// lenient reads a container, or a value by itself.
func (w *jsonWalk) lenient(v gjson.Result) bool {
	if w.depth--; w.depth < 0 {
		return false
	}
	n, ok := 0, true
	v.ForEach(func(key, value gjson.Result) bool {
		before := len(w.name)
		if w.name = append(w.name, '.'); key.Type == gjson.String {
			w.name = append(w.name, key.Str...)
		} else {
			w.name = strconv.AppendInt(w.name, int64(key.Num), 10)
			n++
		}
		ok = w.lenientValue(value)
		w.name = w.name[:before]
		return ok
	})
	w.depth++
	return ok && (n == 0 || w.length(n))
}

func (w *jsonWalk) lenientValue(v gjson.Result) bool {
	switch v.Type {
	case gjson.JSON:
		return w.lenient(v)
	case gjson.String:
		return w.leaf([]byte(v.Str))
	case gjson.Null:
		return w.leaf(nil)
	default:
		return w.leaf([]byte(v.Raw))
	}
}

// nesting is how deep containers stand in each other, as far as brackets tell.
func nesting(b []byte) int {
	depth, deepest, quoted := 0, 0, false
	for i := 0; i < len(b); i++ {
		switch c := b[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{' || c == '[':
			depth++
			deepest = max(deepest, depth)
		case c == '}' || c == ']':
			depth--
		}
	}
	return deepest
}
