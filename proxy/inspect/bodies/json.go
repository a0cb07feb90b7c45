package bodies

import (
	"strconv"
	"strings"

	"github.com/tidwall/gjson"
)

// A JSON reads documents in JSON (RFC 8259) in one pass. Each value is named by its
// place, as the engine names those of a JSON body: "name.items.3.price".
type JSON struct {
	*Sink

	text string
	at   int
	name []byte
}

// Document hands over the values of a text as far as it is JSON, and tells whether all
// of it is. Of a text that ends within quotes the last value is what is there of it.
func (w *JSON) Document(name, text string) bool {
	w.name = append(w.name[:0], name...)
	return w.document(text)
}

// document is Document for the name that is there already.
func (w *JSON) document(text string) bool {
	w.text, w.at = text, 0
	if w.space(); w.at == len(text) {
		return true
	}
	if !w.value(maxDepth) {
		return false
	}
	w.space()
	return w.at == len(text)
}

func (w *JSON) space() {
	for w.at < len(w.text) && isSpace(w.text[w.at]) {
		w.at++
	}
}

func isSpace(c byte) bool { return c == ' ' || c == '\n' || c == '\t' || c == '\r' }

// take skips white space and a byte.
func (w *JSON) take(c byte) bool {
	if w.space(); w.at < len(w.text) && w.text[w.at] == c {
		w.at++
		return true
	}
	return false
}

// value reads one; false where it is broken, too deep or one too many.
func (w *JSON) value(depth int) bool {
	if w.space(); w.at == len(w.text) || depth == 0 {
		return false
	}
	switch w.text[w.at] {
	case '{':
		return w.object(depth - 1)
	case '[':
		return w.array(depth - 1)
	case '"':
		start := w.at + 1
		s, ok := w.str()
		if !ok {
			if w.at == len(w.text) {
				w.put(w.name, w.text[start:])
			}
			return false
		}
		return w.put(w.name, s)
	}
	word := w.word()
	switch word {
	case "null":
		return w.put(w.name, "")
	case "true", "false":
		return w.put(w.name, word)
	}
	return isNumber(word) && w.put(w.name, word)
}

func (w *JSON) object(depth int) bool {
	w.at++
	if w.take('}') {
		return true
	}
	before := len(w.name)
	for {
		if w.space(); w.at == len(w.text) || w.text[w.at] != '"' {
			return false
		}
		key, ok := w.str()
		if !ok || !w.take(':') {
			return false
		}
		w.step(key)
		if !w.value(depth) {
			return false
		}
		w.name = w.name[:before]
		if !w.take(',') {
			return w.take('}')
		}
	}
}

func (w *JSON) array(depth int) bool {
	w.at++
	if w.take(']') {
		return true
	}
	before := len(w.name)
	for n := 0; ; n++ {
		w.step(strconv.Itoa(n))
		if !w.value(depth) {
			return false
		}
		w.name = w.name[:before]
		if !w.take(',') {
			return w.take(']')
		}
	}
}

// step goes one down in the name, while there is room for it.
func (w *JSON) step(key string) {
	if len(w.name)+len(key) < maxPlace {
		w.name = append(append(w.name, '.'), key...)
	}
}

// str reads a text in quotes. One with escapes is decoded as the engine does it.
func (w *JSON) str() (s string, ok bool) {
	start, escaped := w.at, false
	for w.at++; w.at < len(w.text); w.at++ {
		switch c := w.text[w.at]; {
		case c == '"':
			w.at++
			if !escaped {
				return w.text[start+1 : w.at-1], true
			}
			return gjson.Parse(w.text[start:w.at]).Str, true
		case c == '\\':
			n := escapeLen(w.text[w.at:])
			if n == 0 {
				w.escapeCut()
				return "", false
			}
			escaped = true
			w.at += n - 1
		case c < ' ':
			return "", false
		}
	}
	return "", false
}

// escapeCut goes to the end where an escape is only not whole.
func (w *JSON) escapeCut() {
	const longest = len(`\u0000`)
	if rest := w.text[w.at:]; len(rest) < longest && (len(rest) == 1 || rest[1] == 'u' && strings.Trim(rest[2:], hexDigits) == "") {
		w.at = len(w.text)
	}
}

const hexDigits = "0123456789abcdefABCDEF"

// escapeLen is the length of the escape that s begins with; 0 for none.
func escapeLen(s string) int {
	const unicode = len(`\u0000`)
	switch {
	case len(s) > 1 && strings.IndexByte(`"\/bfnrt`, s[1]) >= 0:
		return 2
	case len(s) >= unicode && s[1] == 'u' && strings.Trim(s[2:unicode], hexDigits) == "":
		return unicode
	}
	return 0
}

// word reads a number or a literal.
func (w *JSON) word() string {
	start := w.at
	for w.at < len(w.text) && !endsWord(w.text[w.at]) {
		w.at++
	}
	return w.text[start:w.at]
}

func endsWord(c byte) bool {
	return isSpace(c) || c == ',' || c == '}' || c == ']' || c == '"' || c == ':' || c == '{' || c == '['
}

// isNumber tells what RFC 8259 §6 takes for a number.
func isNumber(s string) bool {
	s = strings.TrimPrefix(s, "-")
	whole := digits(s)
	if whole == 0 || whole > 1 && s[0] == '0' {
		return false
	}
	s = s[whole:]
	if after, ok := strings.CutPrefix(s, "."); ok {
		n := digits(after)
		if n == 0 {
			return false
		}
		s = after[n:]
	}
	if s != "" && (s[0] == 'e' || s[0] == 'E') {
		if s = s[1:]; s != "" && (s[0] == '+' || s[0] == '-') {
			s = s[1:]
		}
		return s != "" && digits(s) == len(s)
	}
	return s == ""
}

// digits is how many s begins with.
func digits(s string) int {
	n := 0
	for n < len(s) && '0' <= s[n] && s[n] <= '9' {
		n++
	}
	return n
}
