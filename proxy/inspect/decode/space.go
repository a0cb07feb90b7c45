package decode

import (
	"bytes"
	"unicode"
	"unicode/utf8"
)

// isSpace is white space as C has it.
func isSpace(c byte) bool { return c == ' ' || '\t' <= c && c <= '\r' }

func lowercase(dst, src []byte) []byte {
	start := len(dst)
	for _, c := range src {
		if c >= utf8.RuneSelf {
			return append(dst[:start], bytes.ToLower(src)...)
		}
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		dst = append(dst, c)
	}
	return dst
}

func removeNulls(dst, src []byte) []byte {
	for _, c := range src {
		if c != 0 {
			dst = append(dst, c)
		}
	}
	return dst
}

// removeWhitespace removes all that Unicode calls white space. What is no UTF-8
// becomes a replacement character: that is how Go maps strings.
func removeWhitespace(dst, src []byte) []byte {
	for i := 0; i < len(src); {
		if c := src[i]; c < utf8.RuneSelf {
			if !isSpace(c) {
				dst = append(dst, c)
			}
			i++
			continue
		}
		r, size := utf8.DecodeRune(src[i:])
		switch {
		case unicode.IsSpace(r):
		case r == utf8.RuneError && size == 1:
			dst = utf8.AppendRune(dst, r)
		default:
			dst = append(dst, src[i:i+size]...)
		}
		i += size
	}
	return dst
}

// compressWhitespace makes one space of every run of white space in Latin-1. A byte
// 0xA0 that is no part of a character counts as well.
func compressWhitespace(dst, src []byte) []byte {
	inside := false
	for i := 0; i < len(src); {
		r, size := utf8.DecodeRune(src[i:])
		if isLatinSpace(r) || src[i] == 0xa0 {
			if !inside {
				dst = append(dst, ' ')
			}
			inside = true
		} else {
			inside = false
			dst = append(dst, src[i:i+size]...)
		}
		i += size
	}
	return dst
}

func isLatinSpace(r rune) bool {
	return r == ' ' || '\t' <= r && r <= '\r' || r == 0x85 || r == 0xa0
}

// commandLine makes what shells read alike look alike: quotes, carets and
// backslashes go, separators become one space, which goes before / and (.
func commandLine(dst, src []byte) []byte {
	space := false
	for _, c := range src {
		switch c {
		case '"', '\'', '\\', '^':
		case ' ', ',', ';', '\t', '\r', '\n':
			if !space {
				dst = append(dst, ' ')
			}
			space = true
		case '/', '(':
			if space {
				dst = dst[:len(dst)-1]
			}
			space = false
			dst = append(dst, c)
		default:
			if 'A' <= c && c <= 'Z' {
				c += 'a' - 'A'
			}
			space = false
			dst = append(dst, c)
		}
	}
	return dst
}

// replaceComments makes a space of every comment of C, also of one without end.
func replaceComments(dst, src []byte) []byte {
	for i := 0; i < len(src); {
		if !bytes.HasPrefix(src[i:], []byte("/*")) {
			dst = append(dst, src[i])
			i++
			continue
		}
		dst = append(dst, ' ')
		end := bytes.Index(src[i+2:], []byte("*/"))
		if end < 0 {
			return dst
		}
		i += 2 + end + 2
	}
	return dst
}

// removeCommentsChar removes what begins and ends comments.
func removeCommentsChar(dst, src []byte) []byte {
	for i := 0; i < len(src); {
		if n := commentMark(src[i:]); n > 0 {
			i += n
			continue
		}
		dst = append(dst, src[i])
		i++
	}
	return dst
}

// commentMark is how long the mark is that a text begins with; most bytes begin none.
func commentMark(s []byte) int {
	switch s[0] {
	case '#':
		return 1
	case '/', '*', '<', '-':
		return longMark(s)
	}
	return 0
}

func longMark(s []byte) int {
	for _, mark := range [...]string{"/*", "*/", "<!--", "-->", "--"} {
		if len(s) >= len(mark) && string(s[:len(mark)]) == mark {
			return len(mark)
		}
	}
	return 0
}
