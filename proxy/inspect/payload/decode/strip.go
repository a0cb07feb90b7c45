package decode

import (
	"strings"

	"github.com/outrider-mesh/outrider/proxy/inspect/payload/lexicon"
)

// longestStripped is up to how many bytes a value is taken for one that was written for a
// filter; in longer ones tags within words are a page's.
const longestStripped = 512

// strip takes out of words what filters and browsers take out of a text: a tag without
// attributes, and an empty comment. Two words, at least, must have one within.
func strip(s string) (string, bool) {
	if len(s) > longestStripped || strings.IndexByte(s, '<') < 0 && !strings.Contains(s, "/**/") {
		return s, false
	}
	out, cut := make([]byte, 0, len(s)), 0
	for i := 0; i < len(s); {
		n := stripped(s[i:])
		if n > 0 && i > 0 && i+n < len(s) && lexicon.IsLetter(s[i-1]) && (lexicon.IsLetter(s[i+n]) || s[i+n] == '(') {
			cut++
			i += n
			continue
		}
		out = append(out, s[i])
		i++
	}
	return string(out), cut >= 2
}

// stripped is how long the piece is that s begins with; 0 for none.
func stripped(s string) int {
	if strings.HasPrefix(s, "/**/") {
		return len("/**/")
	}
	if s[0] != '<' {
		return 0
	}
	end := lexicon.WordEnd(s, 1)
	if end < len(s) && s[end] == '>' {
		return end + 1
	}
	return 0
}
