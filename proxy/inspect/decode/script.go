package decode

import (
	"bytes"
	"unicode/utf8"

	"golang.org/x/net/html" // it differs from the standard library's: "&#X;" stays
)

func htmlDecode(dst, src []byte) []byte {
	if bytes.IndexByte(src, '&') < 0 {
		return append(dst, src...)
	}
	return append(dst, html.UnescapeString(string(src))...)
}

func isOctal(c byte) bool { return '0' <= c && c <= '7' }

// letterEscape is what \n and its like stand for.
func letterEscape(c byte) (byte, bool) {
	switch c {
	case 'a':
		return '\a', true
	case 'b':
		return '\b', true
	case 'f':
		return '\f', true
	case 'n':
		return '\n', true
	case 'r':
		return '\r', true
	case 't':
		return '\t', true
	case 'v':
		return '\v', true
	}
	return c, false
}

// jsDecode decodes the escapes of JavaScript's strings. Of a character only the
// lower byte is taken.
func jsDecode(dst, src []byte) []byte {
	for i := 0; i < len(src); {
		if src[i] != '\\' {
			dst = append(dst, src[i])
			i++
			continue
		}
		c, size := jsEscape(src[i:])
		dst = append(dst, c)
		i += size
	}
	return dst
}

// jsEscape decodes one escape and returns its length.
func jsEscape(s []byte) (c byte, size int) {
	if len(s) == 1 {
		return '\\', 1
	}
	if s[1] == 'u' {
		if code, n := codePoint(s[2:]); n > 0 {
			return wide(code, code >= 0xff01 && code <= 0xff5e), n + 2
		}
		if code, ok := hexAt(s[2:], 4); ok {
			low := code & 0xff
			return wide(code, code>>8 == 0xff && low > 0 && low < 0x5f), 6
		}
	}
	if s[1] == 'x' {
		if code, ok := hexAt(s[2:], 2); ok {
			return byte(code), 4 //nolint:gosec // G115: two digits
		}
	}
	if isOctal(s[1]) {
		return octal(s)
	}
	c, _ = letterEscape(s[1])
	return c, 2
}

// wide is the lower byte of a code, and of the full-width forms of ASCII what
// they are forms of.
func wide(code int, full bool) byte {
	if full {
		code += 0x20
	}
	return byte(code & 0xff)
}

// codePoint reads {1F600}: up to six digits in braces. The size is 0 for what is
// none.
func codePoint(s []byte) (code, size int) {
	if len(s) == 0 || s[0] != '{' {
		return 0, 0
	}
	n := 1
	for n < len(s) && n < 7 && nibble(s[n]) >= 0 {
		code = code<<4 | nibble(s[n])
		n++
	}
	if n == 1 || n >= len(s) || s[n] != '}' {
		return 0, 0
	}
	return code, n + 1
}

// octal reads up to three digits behind a backslash, as many as fit in a byte.
func octal(s []byte) (c byte, size int) {
	n, value := 1, 0
	for n < len(s) && n < 4 && isOctal(s[n]) {
		next := value<<3 | int(s[n]-'0')
		if next > 0xff {
			break
		}
		value = next
		n++
	}
	return byte(value), n
}

// cssDecode decodes the escapes of style sheets.
func cssDecode(dst, src []byte) []byte {
	for i := 0; i < len(src); {
		if src[i] != '\\' {
			dst = append(dst, src[i])
			i++
			continue
		}
		i++
		n, code := 0, rune(0)
		for n < 6 && i+n < len(src) && nibble(src[i+n]) >= 0 {
			code = code<<4 | rune(nibble(src[i+n])) //nolint:gosec // G115: a digit
			n++
		}
		switch {
		case n > 0:
			dst = appendCode(dst, code)
			i += n
			if i < len(src) && isSpace(src[i]) {
				i++
			}
		case i < len(src) && src[i] == '\n':
			i++
		case i < len(src):
			dst = append(dst, src[i])
			i++
		}
	}
	return dst
}

func appendCode(dst []byte, code rune) []byte {
	switch {
	case code == 0:
		code = utf8.RuneError
	case code >= 0xff01 && code <= 0xff5e:
		code -= 0xfee0
	}
	return utf8.AppendRune(dst, code)
}

// escapeDecode decodes the escapes of C.
func escapeDecode(dst, src []byte) []byte {
	for i := 0; i < len(src); {
		if src[i] != '\\' || i+1 == len(src) {
			dst = append(dst, src[i])
			i++
			continue
		}
		c, size := cEscape(src[i:])
		dst = append(dst, c)
		i += size
	}
	return dst
}

func cEscape(s []byte) (c byte, size int) {
	if letter, ok := letterEscape(s[1]); ok {
		return letter, 2
	}
	if s[1] == 'x' || s[1] == 'X' {
		if code, ok := hexAt(s[2:], 2); ok {
			return byte(code), 4 //nolint:gosec // G115: two digits
		}
	}
	if !isOctal(s[1]) {
		return s[1], 2
	}
	n, value := 1, 0
	for n < len(s) && n < 4 && isOctal(s[n]) {
		value = value<<3 | int(s[n]-'0')
		n++
	}
	return byte(value & 0xff), n
}
