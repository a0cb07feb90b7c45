package bodies

import "unicode/utf8"

// MinRun is the shortest run of text in a binary body that is looked at, in bytes.
// Random bytes hold few longer ones, and what fits in less is no attack.
const MinRun = 8

// IsText tells whether a body is UTF-8 without control characters.
func IsText(s string) bool { return !hasControl(s) && utf8.ValidString(s) }

func hasControl(s string) bool {
	for i := range len(s) {
		if isControl(s[i]) {
			return true
		}
	}
	return false
}

// isControl leaves white space out: vertical tab and form feed are white space to SQL
// and HTML, too, so who writes them for a space must not thereby escape.
func isControl(c byte) bool { return c < ' ' && (c < '\t' || c > '\r') || c == 0x7f }

// Runs yields the longest runs of text, MinRun bytes or more.
func Runs(s string) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		start := 0
		for i := 0; i <= len(s); {
			if n := textAt(s, i); n > 0 {
				i += n
				continue
			}
			if i-start >= MinRun && !yield(s[start:i]) {
				return
			}
			i++
			start = i
		}
	}
}

// textAt is the length of the character at i; 0 where there is none of a text.
func textAt(s string, i int) int {
	if i >= len(s) || isControl(s[i]) {
		return 0
	}
	if r, n := utf8.DecodeRuneInString(s[i:]); r != utf8.RuneError || n > 1 {
		return n
	}
	return 0
}
