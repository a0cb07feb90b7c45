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
// word of SQL with dots begins with it, so the names of values in JSON are words. A
// name of an attribute of XML is a word and, from the sign on, a variable, which
// together are no attack either.
func oneWord(v []byte) bool {
	if len(v) == 0 {
		return true
	}
	digit, dots := isDigit(v[0]), isPlace(v)
	for i, c := range v {
		switch {
		case isDigit(c):
		case digit:
			return false
		case c == '_' || 'a' <= c|0x20 && c|0x20 <= 'z':
		case c == '.' && dots:
		case c == '@' && dots && v[i-1] == '.':
			return isName(v[i+1:])
		default:
			return false
		}
	}
	return true
}

// isPlace tells names of values in bodies. None of the words in front of the first dot
// is one of SQL.
func isPlace(v []byte) bool {
	word, _, _ := strings.Cut(string(v[:min(8, len(v))]), ".")
	return len(word) < len(v) && (word == "json" || word == "xml" || word == "body" || word == "graphql")
}

// isName tells letters and underscores, and digits behind them.
func isName(v []byte) bool {
	for i, c := range v {
		if c != '_' && ('a' > c|0x20 || c|0x20 > 'z') && (i == 0 || !isDigit(c)) {
			return false
		}
	}
	return len(v) > 0
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }
