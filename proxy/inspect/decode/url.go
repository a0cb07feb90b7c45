package decode

import (
	"strconv"
	"unicode/utf8"
)

// nibble is the value of a hexadecimal digit, or -1.
func nibble(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'a' <= c && c <= 'f':
		return int(c-'a') + 10
	case 'A' <= c && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}

// hexAt reads n hexadecimal digits; ok is false where there are fewer.
func hexAt(s []byte, n int) (value int, ok bool) {
	if len(s) < n {
		return 0, false
	}
	for _, c := range s[:n] {
		d := nibble(c)
		if d < 0 {
			return 0, false
		}
		value = value<<4 | d
	}
	return value, true
}

// urlDecode decodes %41, + and %u0041, of which a byte is made that looks like it.
// What is no escape stays.
func urlDecode(dst, src []byte) []byte {
	for i := 0; i < len(src); {
		switch c := src[i]; {
		case c == '+':
			dst = append(dst, ' ')
			i++
		case c != '%':
			dst = append(dst, c)
			i++
		case i+1 < len(src) && (src[i+1] == 'u' || src[i+1] == 'U'):
			code, ok := hexAt(src[i+2:], 4)
			if !ok {
				dst = append(dst, c, src[i+1])
				i += 2
				continue
			}
			dst = append(dst, bestFit(rune(code))) //nolint:gosec // G115: four digits
			i += 6
		default:
			code, ok := hexAt(src[i+1:], 2)
			if !ok {
				dst = append(dst, c)
				i++
				continue
			}
			dst = append(dst, byte(code)) //nolint:gosec // G115: two digits
			i += 3
		}
	}
	return dst
}

// bestFit is the byte that IIS would take for a character.
func bestFit(r rune) byte {
	if b, ok := bestFitTable()[r]; ok {
		return b
	}
	low := byte(r & 0xff)
	if r>>8 == 0xff && low > 0 && low < 0x5f {
		low += 0x20 // the full-width forms of ASCII
	}
	return low
}

// utf8ToUnicode writes every character beyond ASCII as %uXXXX.
func utf8ToUnicode(dst, src []byte) []byte {
	for len(src) > 0 {
		r, size := utf8.DecodeRune(src)
		if r < utf8.RuneSelf {
			dst = append(dst, src[0])
			src = src[1:]
			continue
		}
		dst = append(dst, "%u"...)
		for limit := rune(0x1000); limit > 0xf && r < limit; limit >>= 4 {
			dst = append(dst, '0')
		}
		dst = strconv.AppendInt(dst, int64(r), 16)
		src = src[size:]
	}
	return dst
}
