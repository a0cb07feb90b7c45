package decode

import (
	"strings"

	"github.com/outrider-mesh/outrider/proxy/inspect/payload/lexicon"
)

// escapes undoes those of JavaScript, which those of JSON, Java and C are among.
func escapes(s string) (string, bool) {
	if strings.IndexByte(s, '\\') < 0 {
		return s, false
	}
	out := make([]byte, 0, len(s))
	changed := false
	for i := 0; i < len(s); {
		if s[i] == '\\' {
			r, n := escape(s[i:])
			if n > 0 {
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

// escape reads the one that s begins with; n is 0 if there is none. A name's first
// letters stay: "\users" is no escape.
func escape(s string) (r rune, n int) {
	if len(s) < 2 {
		return 0, 0
	}
	switch c := s[1]; {
	case c == 'x' && hexDigits(s[2:], 2) == 2:
		return hexValue(s[2:4]), 4
	case c == 'u' && hexDigits(s[2:], 4) == 4:
		return hexValue(s[2:6]), 6
	case c == 'u' && len(s) > 3 && s[2] == '{':
		return braced(s)
	case '0' <= c && c <= '7':
		return octal(s)
	case strings.IndexByte("'\"`\\/", c) >= 0:
		return rune(c), 2
	case c == 'n':
		return '\n', 2
	case c == 'r':
		return '\r', 2
	case c == 't':
		return '\t', 2
	}
	return 0, 0
}

// braced reads \u{3c}.
func braced(s string) (r rune, n int) {
	digits := hexDigits(s[3:], 6)
	end := 3 + digits
	if digits == 0 || end >= len(s) || s[end] != '}' {
		return 0, 0
	}
	if r = hexValue(s[3:end]); r > 0x10ffff {
		return 0, 0
	}
	return r, end + 1
}

// octal reads \74, three digits at most and no more than a byte.
func octal(s string) (r rune, n int) {
	n = 1
	for n < len(s) && n < 4 && '0' <= s[n] && s[n] <= '7' {
		next := r<<3 | rune(s[n]-'0')
		if next > 0xff {
			break
		}
		r = next
		n++
	}
	return r, n
}

// join takes out what stands between two texts that are put together: "'+'", "' . '"
// and "'||'".
func join(s string) (string, bool) {
	if strings.IndexByte(s, '\'') < 0 && strings.IndexByte(s, '"') < 0 && strings.IndexByte(s, '`') < 0 {
		return s, false
	}
	out, last := []byte(nil), 0
	for i := 0; i < len(s); {
		end := seam(s, i)
		if end == i {
			i++
			continue
		}
		out = append(out, s[last:i]...)
		i, last = end, end
	}
	if last == 0 {
		return s, false
	}
	return string(append(out, s[last:]...)), true
}

// seam returns where the one ends that begins at i; i if there is none.
func seam(s string, i int) int {
	if !isQuote(s[i]) {
		return i
	}
	at := lexicon.SkipSpace(s, i+1)
	switch {
	case at >= len(s):
		return i
	case s[at] == '+' || s[at] == '.':
		at++
	case strings.HasPrefix(s[at:], "||"):
		at += 2
	default:
		return i
	}
	at = lexicon.SkipSpace(s, at)
	if at < len(s) && isQuote(s[at]) {
		return at + 1
	}
	return i
}

func isQuote(c byte) bool { return c == '\'' || c == '"' || c == '`' }
