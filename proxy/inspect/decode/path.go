package decode

import (
	"bytes"
	"path"
	"strings"
)

// normalisePath resolves dots and doubled slashes.
func normalisePath(dst, src []byte) []byte {
	if len(src) == 0 {
		return dst
	}
	if isClean(src) {
		return append(dst, src...)
	}
	clean := path.Clean(string(src))
	if clean == "." {
		return dst
	}
	dst = append(dst, clean...)
	if src[len(src)-1] == '/' {
		dst = append(dst, '/')
	}
	return dst
}

// isClean tells of most values at a glance that nothing can be resolved: there is
// no slash, and it is not ".".
func isClean(src []byte) bool {
	return bytes.IndexByte(src, '/') < 0 && string(src) != "."
}

// normalisePathWin is the same as Windows does it: backslashes separate, streams
// are cut off, and so are the dots and spaces that a name ends with.
func normalisePathWin(dst, src []byte) []byte {
	if len(src) == 0 {
		return dst
	}
	start := len(dst)
	for _, c := range src {
		if c == '\\' {
			c = '/'
		}
		dst = append(dst, c)
	}
	if plainName(dst[start:]) {
		return dst
	}
	clean := string(normalisePath(nil, dst[start:]))
	return append(dst[:start], trimNames(cutStream(clean))...)
}

// plainName tells of most values that nothing would become of them.
func plainName(s []byte) bool {
	last := s[len(s)-1]
	return last != '.' && last != ' ' && bytes.IndexByte(s, '/') < 0 && bytes.IndexByte(s, ':') < 0
}

// cutStream cuts the name of a stream off the last part: "file:stream".
func cutStream(s string) string {
	drive := ""
	if len(s) >= 2 && s[1] == ':' && isLetter(s[0]) {
		drive, s = s[:2], s[2:]
	}
	s, slash := strings.CutSuffix(s, "/")
	last := strings.LastIndexByte(s, '/') + 1
	if i := strings.IndexByte(s[last:], ':'); i >= 0 {
		s = s[:last+i]
	}
	if slash {
		s += "/"
	}
	return drive + s
}

func isLetter(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }

// trimNames removes the dots and spaces at the end of each part that is not dots
// alone. Where there are none, nothing is touched.
func trimNames(s string) string {
	parts := strings.Split(s, "/")
	kept, found := parts[:0:0], false
	for _, p := range parts {
		trimmed := p
		if strings.Trim(p, ".") != "" {
			trimmed = strings.TrimRight(p, ". ")
			found = found || trimmed != p
			if trimmed == "" {
				continue
			}
		}
		kept = append(kept, trimmed)
	}
	if !found {
		return s
	}
	return strings.Join(kept, "/")
}
