package authz

import (
	"bytes"
	"errors"
	"strings"
)

// Why NormalizePath refuses a path. The texts are constant, so they may be
// counted by.
var (
	errPathForm      = errors.New("path does not start with a slash")
	errPathByte      = errors.New("path has a control, space or non-ASCII byte")
	errPathDelimiter = errors.New("path has a query or fragment delimiter")
	errPathBackslash = errors.New("path has a backslash")
	errPathEscape    = errors.New("path has an invalid percent-encoding")
	errEncodedSlash  = errors.New("path has an encoded slash or backslash")
	errEncodedNUL    = errors.New("path has an encoded NUL")
	errPathRoot      = errors.New("path has dot segments that leave the root")
	errDotParameters = errors.New("path has a dot segment with parameters")
)

// NormalizePath returns the one form of an origin-form path, without its query,
// that policies match, inspection sees and the next hop receives.
//
// Escaped unreserved characters are decoded and the hexadecimal digits of the
// other escapes made upper-case (RFC 3986 §6.2.2), then runs of slashes become
// one, then dot segments are removed (RFC 3986 §5.2.4). A path that is in this
// form already is returned as it is, without allocation.
//
// What two servers would read differently is refused with an error: an encoded
// slash, a backslash in either form, an encoded NUL, an invalid escape, bytes
// outside of visible ASCII, dot segments that leave the root, and dot segments
// with parameters ("..;x"), which some application servers strip. So is a path
// that does not start with a slash; the caller deals with "OPTIONS *".
func NormalizePath(raw string) (string, error) {
	if raw == "" || raw[0] != '/' {
		return "", errPathForm
	}
	dirty, err := checkPath(raw)
	if err != nil {
		return "", err
	}
	if dirty {
		raw = decodeUnreserved(raw)
	}
	if !dirty && cleanSegments(raw) {
		return raw, nil
	}
	return removeDotSegments(raw)
}

// checkPath refuses what no path may hold and tells whether an escape has to be
// decoded or put in upper case.
func checkPath(raw string) (dirty bool, err error) {
	for i := 0; i < len(raw); i++ {
		switch c := raw[i]; {
		case c <= ' ' || c >= 0x7f:
			return false, errPathByte
		case c == '?' || c == '#':
			return false, errPathDelimiter
		case c == '\\':
			return false, errPathBackslash
		case c == '%':
			value, ok := unescape(raw[i:])
			if !ok {
				return false, errPathEscape
			}
			switch value {
			case '/', '\\':
				return false, errEncodedSlash
			case 0:
				return false, errEncodedNUL
			}
			if unreserved(value) || isLowerHex(raw[i+1]) || isLowerHex(raw[i+2]) {
				dirty = true
			}
			i += 2
		}
	}
	return dirty, nil
}

// decodeUnreserved rewrites the escapes of a checked path.
func decodeUnreserved(path string) string {
	var b strings.Builder
	b.Grow(len(path))
	for i := 0; i < len(path); i++ {
		if path[i] != '%' {
			b.WriteByte(path[i])
			continue
		}
		if value, _ := unescape(path[i:]); unreserved(value) {
			b.WriteByte(value)
		} else {
			b.WriteString(strings.ToUpper(path[i : i+3]))
		}
		i += 2
	}
	return b.String()
}

// cleanSegments tells whether there is no empty segment but a last one, and no
// dot segment.
func cleanSegments(path string) bool {
	for rest, more := path[1:], path != "/"; more; {
		var segment string
		segment, rest, more = strings.Cut(rest, "/")
		if segment == "" && more || dots(segment) > 0 {
			return false
		}
	}
	return true
}

// removeDotSegments merges slashes and resolves dot segments. Slashes are merged
// first, as file systems, nginx and path.Clean do: /a//../b is /b.
func removeDotSegments(path string) (string, error) {
	out := make([]byte, 0, len(path))
	for rest, more := path[1:], true; more; {
		var segment string
		segment, rest, more = strings.Cut(rest, "/")
		n := dots(segment)
		switch {
		case n > 0 && len(segment) > n:
			return "", errDotParameters
		case n == 2 && len(out) == 0:
			return "", errPathRoot
		case n == 2:
			out = out[:bytes.LastIndexByte(out, '/')]
		case n == 0 && segment != "":
			out = append(append(out, '/'), segment...)
		}
		if !more && (n > 0 || segment == "") {
			out = append(out, '/') // what is left names a directory
		}
	}
	return string(out), nil
}

// dots returns 1 or 2 for a segment that is "." or "..", also one followed by
// parameters (";..."), and 0 for any other.
func dots(segment string) int {
	name, _, _ := strings.Cut(segment, ";")
	switch name {
	case ".":
		return 1
	case "..":
		return 2
	}
	return 0
}

// unescape returns the byte that the escape at the start of s stands for.
func unescape(s string) (value byte, ok bool) {
	if len(s) < 3 {
		return 0, false
	}
	hi, ok1 := unhex(s[1])
	lo, ok2 := unhex(s[2])
	return hi<<4 | lo, ok1 && ok2
}

func unhex(c byte) (value byte, ok bool) {
	switch {
	case '0' <= c && c <= '9':
		return c - '0', true
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10, true
	case isLowerHex(c):
		return c - 'a' + 10, true
	}
	return 0, false
}

func isLowerHex(c byte) bool { return 'a' <= c && c <= 'f' }

// unreserved is RFC 3986 §2.3.
func unreserved(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' ||
		c == '-' || c == '.' || c == '_' || c == '~'
}
