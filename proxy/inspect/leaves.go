package inspect

import (
	"encoding/json"
	"strconv"
	"strings"
)

// maxJSONDepth is as SecRequestBodyJsonDepthLimit in rules/base.conf.
const maxJSONDepth = 128

// A jsonWalk adds the values of JSON as arguments named by their place, as Coraza
// names those of a JSON body: "name.items.3.price".
type jsonWalk struct {
	left int // more values than that are not taken
	full bool
	add  func(name, value string)

	stack []jsonLevel
}

// A jsonLevel is an object or an array that has begun.
type jsonLevel struct {
	name  string
	array bool
	next  int    // of an array
	key   string // of an object, when its value comes
	keyed bool
}

// document adds the values of a text as far as it is JSON, and tells whether all of
// it is.
func (w *jsonWalk) document(name, text string) bool {
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	w.stack = append(w.stack[:0], jsonLevel{name: name, array: true})
	for !w.full {
		token, err := d.Token()
		if err != nil {
			return len(w.stack) == 1 && d.InputOffset() == int64(len(strings.TrimRight(text, " \t\r\n")))
		}
		if !w.token(token) {
			return false
		}
	}
	return false
}

// token takes one; false where the document is too deep.
func (w *jsonWalk) token(token json.Token) bool {
	top := &w.stack[len(w.stack)-1]
	delim, structural := token.(json.Delim)
	switch {
	case structural && (delim == ']' || delim == '}'):
		w.stack = w.stack[:len(w.stack)-1]
		return true
	case !top.array && !top.keyed:
		top.key, _ = token.(string)
		top.keyed = true
		return true
	}
	name := top.place(len(w.stack) == 1)
	if structural {
		w.stack = append(w.stack, jsonLevel{name: name, array: delim == '['})
		return len(w.stack) <= maxJSONDepth
	}
	w.value(name, token)
	return true
}

// place names the next value of a level. A document is no element of anything.
func (l *jsonLevel) place(document bool) string {
	switch {
	case document:
		return l.name
	case l.array:
		l.next++
		return l.name + "." + strconv.Itoa(l.next-1)
	}
	l.keyed = false
	return l.name + "." + l.key
}

func (w *jsonWalk) value(name string, token json.Token) {
	if w.left--; w.left < 0 {
		w.full = true
		return
	}
	switch v := token.(type) {
	case string:
		w.add(name, v)
	case json.Number:
		w.add(name, v.String())
	case bool:
		w.add(name, strconv.FormatBool(v))
	default:
		w.add(name, "")
	}
}
