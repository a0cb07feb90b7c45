package decode

import (
	"strings"
	"unicode/utf8"

	"github.com/outrider-mesh/outrider/proxy/inspect/payload/lexicon"
)

// percent undoes %XX and %uXXXX and leaves alone what is neither, as lenient
// applications do. If the text has no space, a plus stands for one.
func percent(s string) (string, bool) {
	plus := strings.IndexByte(s, '+') >= 0 && strings.IndexByte(s, ' ') < 0
	if nextPercent(s, 0) < 0 && !(plus && separates(s)) {
		return s, false
	}
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); {
		switch {
		case s[i] == '+' && plus:
			out = append(out, ' ')
			i++
		case s[i] == '%':
			var n int
			out, n = appendPercent(out, s[i:])
			i += n
		default:
			out = append(out, s[i])
			i++
		}
	}
	return string(out), true
}

// separates tells whether a plus stands between words, at least twice: that is how a
// sentence looks in a query. So does Base64, which has no other punctuation.
func separates(s string) bool {
	code := strings.TrimRight(s, "=")
	if strings.IndexFunc(code, func(r rune) bool { return r > 0x7f || codeValues[r] < 0 }) < 0 {
		return false
	}
	n := 0
	for i := 1; i+1 < len(s); i++ {
		if s[i] == '+' && lexicon.IsWord(s[i-1]) && lexicon.IsWord(s[i+1]) {
			if n++; n == 2 {
				return true
			}
		}
	}
	return false
}

// nextPercent is where the next escape stands; -1 for none.
func nextPercent(s string, from int) int {
	for i := from; i+2 < len(s); i++ {
		if s[i] != '%' {
			continue
		}
		if lexicon.IsHex(s[i+1]) && lexicon.IsHex(s[i+2]) {
			return i
		}
		if s[i+1]|0x20 == 'u' && hexDigits(s[i+2:], 4) == 4 {
			return i
		}
	}
	return -1
}

// appendPercent decodes what s begins with and says how much that was.
func appendPercent(out []byte, s string) ([]byte, int) {
	switch {
	case len(s) >= 3 && lexicon.IsHex(s[1]) && lexicon.IsHex(s[2]):
		return append(out, byte(hexValue(s[1:3])&0xff)), 3
	case len(s) >= 6 && s[1]|0x20 == 'u' && hexDigits(s[2:], 4) == 4:
		return appendRune(out, hexValue(s[2:6])), 6
	}
	return append(out, s[0]), 1
}

// appendRune adds a character; of those that look like ASCII in full width, which
// some servers take for it, the ASCII.
func appendRune(out []byte, r rune) []byte {
	if r >= 0xff01 && r <= 0xff5e {
		r -= 0xfee0
	}
	return utf8.AppendRune(out, r)
}

// hexDigits counts the hexadecimal digits that s begins with, at most most.
func hexDigits(s string, most int) int {
	n := 0
	for n < len(s) && n < most && lexicon.IsHex(s[n]) {
		n++
	}
	return n
}

func hexValue(s string) rune {
	var v rune
	for i := range len(s) {
		c := s[i]
		switch {
		case lexicon.IsDigit(c):
			v = v<<4 | rune(c-'0')
		default:
			v = v<<4 | rune(c|0x20-'a'+10)
		}
	}
	return v
}
