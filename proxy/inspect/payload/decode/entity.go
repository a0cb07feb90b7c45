package decode

import (
	"strings"

	"github.com/outrider-mesh/outrider/proxy/inspect/payload/lexicon"
)

// longestEntity is how much is looked at for one: "&#0000000000;".
const longestEntity = 16

// entities undoes numeric entities, with or without their semicolon as browsers do,
// and the named ones that stand for ASCII. What they stand for is never longer.
func entities(s string) (string, bool) {
	if strings.IndexByte(s, '&') < 0 {
		return s, false
	}
	out := make([]byte, 0, len(s))
	changed := false
	for i := 0; i < len(s); {
		if s[i] == '&' {
			if r, n := entity(s[i:min(len(s), i+longestEntity)]); n > 0 {
				out = appendRune(out, r)
				i += n
				changed = true
				continue
			}
		}
		out = append(out, s[i])
		i++
	}
	return string(out), changed
}

// entity reads the one that s begins with; n is 0 if there is none.
func entity(s string) (r rune, n int) {
	if len(s) > 2 && s[1] == '#' {
		return numericEntity(s)
	}
	end := strings.IndexByte(s, ';')
	if end < 3 {
		return 0, 0
	}
	if r, ok := named[strings.ToLower(s[1:end])]; ok {
		return r, end + 1
	}
	return 0, 0
}

func numericEntity(s string) (r rune, n int) {
	i, base := 2, rune(10)
	if s[i]|0x20 == 'x' {
		i, base = 3, 16
	}
	start := i
	for i < len(s) && (lexicon.IsDigit(s[i]) || base == 16 && lexicon.IsHex(s[i])) {
		if r = r*base + hexValue(s[i:i+1]); r > 0x10ffff {
			return 0, 0
		}
		i++
	}
	if i == start {
		return 0, 0
	}
	if i < len(s) && s[i] == ';' {
		i++
	}
	return r, i
}

// named are the entities of HTML that stand for characters of ASCII which mean
// something to a browser.
var named = map[string]rune{
	"lt": '<', "gt": '>', "amp": '&', "quot": '"', "apos": '\'', "tab": '\t', "newline": '\n', "colon": ':',
	"lpar": '(', "rpar": ')', "sol": '/', "bsol": '\\', "equals": '=', "semi": ';', "comma": ',', "period": '.',
	"excl": '!', "lsqb": '[', "lbrack": '[', "rsqb": ']', "rbrack": ']', "lcub": '{', "lbrace": '{', "rcub": '}',
	"rbrace": '}', "grave": '`', "dollar": '$', "num": '#', "percnt": '%', "nbsp": ' ', "plus": '+', "ast": '*',
}
