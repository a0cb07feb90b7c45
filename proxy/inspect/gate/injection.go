package gate

import (
	"strings"

	"github.com/corazawaf/libinjection-go"
)

// detectSQL asks libinjection, unless the value is one word or one number: it
// judges by the kinds of the words in a value, and no single kind is an attack.
func detectSQL(v []byte) answer {
	if oneWord(v) {
		return no
	}
	found, _ := libinjection.IsSQLi(string(v))
	return answerOf(found)
}

// oneWord tells of some values that libinjection reads them as one word: letters,
// digits and underscores that no digit begins, or digits alone. Dots are in a word
// as well where nothing in front of one is a word of SQL: "json" is none, and no
// word of SQL with dots begins with it, so the names of values in JSON are words.
func oneWord(v []byte) bool {
	if len(v) == 0 {
		return true
	}
	digit, dots := isDigit(v[0]), strings.HasPrefix(string(v[:min(5, len(v))]), "json.")
	for _, c := range v {
		switch {
		case isDigit(c):
		case digit:
			return false
		case c == '_' || 'a' <= c|0x20 && c|0x20 <= 'z':
		case c == '.' && dots:
		default:
			return false
		}
	}
	return true
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }
