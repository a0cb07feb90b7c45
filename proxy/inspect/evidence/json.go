package evidence

import (
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/outrider-mesh/outrider/proxy/inspect/payload"
	"github.com/outrider-mesh/outrider/proxy/inspect/payload/dialect"
)

// deepest bounds how deep a document is followed; what lies deeper is looked at as one
// text. The base rules refuse more than 128.
const deepest = 128

// A walk goes over documents in JSON without building them: every text is a value, by
// the path that leads to it.
type walk struct {
	s     string
	i     int
	steps []step
	out   []byte // for texts with escapes
	// nested is how many documents this one stands in.
	nested int
}

// A step leads to a member or an element.
type step struct {
	key   string
	index int // when key is empty
	array bool
}

// nested is how deep documents stand in texts of documents: an event carries the one it
// is about, and a log line an event.
const nested = 3

// document looks at a value that is a document as a whole; false if it is none.
func (l *looker) document(s string, at place) bool {
	if l.walk.nested >= nested || !valid(s) {
		return false
	}
	outer := l.walk
	l.walk = walk{s: s, nested: outer.nested + 1, steps: []step{{key: at.name}}}
	l.node(at.collection)
	l.walk = outer
	return true
}

// documents looks at a body of one document, or of several, one behind the other, which
// have numbers where they are lines. False if it is not only that: then the whole is
// looked at as a text, too.
func (l *looker) documents(s string, numbered bool) bool {
	l.walk.s, l.walk.i = strings.TrimPrefix(s, "\ufeff"), 0
	for n := 0; ; n++ {
		l.walk.steps = append(l.walk.steps[:0], step{key: "json"})
		if numbered {
			l.walk.steps = append(l.walk.steps, step{array: true, index: n})
			for l.walk.take(separator) {
			}
		}
		if l.walk.space(); l.walk.i >= len(l.walk.s) {
			return true
		}
		if !l.node("ARGS") {
			return l.cut()
		}
	}
}

// separator stands in front of each document of a sequence (RFC 7464).
const separator = '\x1e'

// node looks at the value that the walk has come to.
func (l *looker) node(collection string) bool {
	w := &l.walk
	w.space()
	if w.i >= len(w.s) || len(w.steps) > deepest {
		return false
	}
	switch w.s[w.i] {
	case '{':
		return l.object(collection)
	case '[':
		return l.array(collection)
	case '"':
		text, ok := w.text()
		if ok {
			l.member(text, collection)
		}
		return ok
	}
	return w.literal()
}

func (l *looker) object(collection string) bool {
	w := &l.walk
	w.i++
	w.steps = append(w.steps, step{})
	for first := true; ; first = false {
		if w.take('}') {
			break
		}
		if !first && !w.take(',') {
			return false
		}
		w.space()
		if w.i >= len(w.s) || w.s[w.i] != '"' {
			return false
		}
		key, ok := w.text()
		if !ok || !w.take(':') {
			return false
		}
		w.steps[len(w.steps)-1] = step{key: key}
		l.key(key, collection)
		start := w.i
		if !l.node(collection) {
			return false
		}
		l.operand(key, w.s[start:w.i], collection)
	}
	w.steps = w.steps[:len(w.steps)-1]
	return true
}

// longestOperand bounds what is looked at together with an operator: one that lets
// everything through is short.
const longestOperand = 64

// operand scans a member whose name is an operator of a document database as a whole:
// what it is worth depends on its value, which need not be a text.
func (l *looker) operand(key, value, collection string) {
	if key == "" || key[0] != '$' || len(value) > longestOperand || !dialect.Operator(key) {
		return
	}
	before, where := len(l.found), payload.Member
	if l.walk.nested > 0 && l.walk.steps[0].key != "json" {
		where = payload.Argument // a parameter that is a document
	}
	l.value(`{"`+key+`":`+value+`}`, place{collection: collection, where: where})
	if len(l.found) > before {
		l.locate(before, place{collection: collection, name: l.walk.path()})
	}
}

func (l *looker) array(collection string) bool {
	w := &l.walk
	w.i++
	w.steps = append(w.steps, step{array: true})
	for n := 0; ; n++ {
		if w.take(']') {
			break
		}
		if n > 0 && !w.take(',') {
			return false
		}
		w.steps[len(w.steps)-1].index = n
		if !l.node(collection) {
			return false
		}
	}
	w.steps = w.steps[:len(w.steps)-1]
	return true
}

// member scans a text. A field that names a class is scanned together with its name.
func (l *looker) member(text, collection string) {
	if text == "" {
		return
	}
	w := &l.walk
	if isDocument(text) && l.document(text, place{collection: collection, name: w.path()}) {
		return
	}
	before := len(l.found)
	l.value(text, place{collection: collection, where: payload.Member})
	if key := w.steps[len(w.steps)-1].key; choosesClass(key) {
		l.value(`"`+key+`":"`+text+`"`, place{collection: collection, where: payload.Member})
	}
	if len(l.found) > before {
		l.locate(before, place{collection: collection, name: w.path()})
	}
}

// choosesClass tells the members by which libraries let the sender choose a class.
func choosesClass(key string) bool {
	return key == "@type" || key == "@class" || key == "$type" || key == "@c"
}

func (l *looker) key(key, collection string) {
	before := len(l.found)
	l.value(key, place{collection: collection, where: payload.Name})
	if n := len(l.walk.steps); key == "prototype" && n > 1 && l.walk.steps[n-2].key == "constructor" {
		l.value("constructor.prototype.", place{collection: collection, where: payload.Name})
	}
	if len(l.found) > before {
		l.locate(before, place{collection: collection + "_NAMES", name: l.walk.path()})
	}
}

// locate names the place of what was found last: a path is only put together if there
// is something to tell.
func (l *looker) locate(from int, at place) {
	for i := range l.found[from:] {
		l.found[from+i].Location = at.String()
	}
}

// path is where the walk is: "json.items.3.name".
func (w *walk) path() string {
	var b strings.Builder
	for i, s := range w.steps {
		if i > 0 {
			b.WriteByte('.')
		}
		if s.array {
			b.WriteString(strconv.Itoa(s.index))
		} else {
			b.WriteString(s.key)
		}
	}
	return b.String()
}

func (w *walk) space() {
	for w.i < len(w.s) && (w.s[w.i] == ' ' || w.s[w.i] == '\t' || w.s[w.i] == '\n' || w.s[w.i] == '\r') {
		w.i++
	}
}

// take skips white space and a byte.
func (w *walk) take(c byte) bool {
	w.space()
	if w.i < len(w.s) && w.s[w.i] == c {
		w.i++
		return true
	}
	return false
}

// literal skips a number, true, false or null.
func (w *walk) literal() bool {
	start := w.i
	for w.i < len(w.s) && (w.s[w.i] == '-' || w.s[w.i] == '+' || w.s[w.i] == '.' || '0' <= w.s[w.i] && w.s[w.i] <= '9' ||
		'a' <= w.s[w.i]|0x20 && w.s[w.i]|0x20 <= 'z') {
		w.i++
	}
	word := w.s[start:w.i]
	switch word {
	case "true", "false", "null", "NaN", "Infinity":
		return true
	}
	return word != "" && (word[0] == '-' || '0' <= word[0] && word[0] <= '9')
}

// text reads a text in quotes. One without escapes is a part of the document.
func (w *walk) text() (string, bool) {
	start := w.i + 1
	for i := start; i < len(w.s); i++ {
		switch w.s[i] {
		case '"':
			w.i = i + 1
			return w.s[start:i], true
		case '\\':
			return w.escaped(start, i)
		}
	}
	return "", false
}

// escaped reads on from the first escape of a text.
func (w *walk) escaped(start, i int) (string, bool) {
	w.out = append(w.out[:0], w.s[start:i]...)
	for i < len(w.s) {
		switch c := w.s[i]; c {
		case '"':
			w.i = i + 1
			return string(w.out), true
		case '\\':
			n := w.escape(i)
			if n == 0 {
				return "", false
			}
			i += n
		default:
			w.out = append(w.out, c)
			i++
		}
	}
	return "", false
}

// escape decodes the one at i and says how long it is.
func (w *walk) escape(i int) int {
	if i+1 >= len(w.s) {
		return 0
	}
	c := w.s[i+1]
	if n := strings.IndexByte("bfnrt", c); n >= 0 {
		w.out = append(w.out, "\b\f\n\r\t"[n])
		return 2
	}
	if c != 'u' {
		w.out = append(w.out, c)
		return 2
	}
	r, ok := unit(w.s[i:])
	if !ok {
		return 0
	}
	if low, ok := unit(w.s[i+6:]); ok && utf16.IsSurrogate(r) {
		if pair := utf16.DecodeRune(r, low); pair != utf8.RuneError {
			w.out = utf8.AppendRune(w.out, pair)
			return 12
		}
	}
	w.out = utf8.AppendRune(w.out, r)
	return 6
}

// unit reads \u003c.
func unit(s string) (rune, bool) {
	if len(s) < 6 || s[0] != '\\' || s[1] != 'u' {
		return 0, false
	}
	n, err := strconv.ParseUint(s[2:6], 16, 16)
	return rune(n), err == nil
}

// valid tells whether a value is one document and nothing else.
func valid(s string) bool {
	w := walk{s: s}
	ok := w.skip(0)
	w.space()
	return ok && w.i == len(w.s)
}

// skip reads over a value.
func (w *walk) skip(depth int) bool {
	w.space()
	if w.i >= len(w.s) || depth > deepest {
		return false
	}
	switch w.s[w.i] {
	case '"':
		return w.quoted()
	case '{', '[':
	default:
		return w.literal()
	}
	object := w.s[w.i] == '{'
	last := w.s[w.i] + 2 // } is two behind {, ] is two behind [
	w.i++
	for n := 0; ; n++ {
		if w.take(last) {
			return true
		}
		if n > 0 && !w.take(',') {
			return false
		}
		w.space()
		if object && (w.i >= len(w.s) || w.s[w.i] != '"' || !w.quoted() || !w.take(':')) {
			return false
		}
		if !w.skip(depth + 1) {
			return false
		}
	}
}

// quoted reads over a text.
func (w *walk) quoted() bool {
	for i := w.i + 1; i < len(w.s); i++ {
		switch w.s[i] {
		case '\\':
			i++
		case '"':
			w.i = i + 1
			return true
		}
	}
	return false
}
