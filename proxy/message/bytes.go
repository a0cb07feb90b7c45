package message

// A Class marks what a byte may be part of.
type Class uint8

// The classes of bytes.
const (
	Token       Class = 1 << iota // tchar, RFC 9110 §5.6.2
	Value                         // field-vchar, SP and HTAB, RFC 9110 §5.5
	Target                        // visible ASCII without '#': RFC 9112 §3.2 has no fragment
	hostByte                      // reg-name without escapes, RFC 3986 §3.2.2
	addressByte                   // what is between the brackets of an IPv6 address
)

// classes is the class of every byte. It is computed once and never written to.
var classes = classify()

func classify() (t [256]Class) {
	for i := range t {
		b := byte(i)
		letter := b|0x20 >= 'a' && b|0x20 <= 'z'
		digit := b >= '0' && b <= '9'
		if letter || digit || in(b, "!#$%&'*+-.^_`|~") {
			t[i] |= Token
		}
		if b == '\t' || b >= ' ' && b != 0x7f {
			t[i] |= Value
		}
		if b > ' ' && b < 0x7f && b != '#' {
			t[i] |= Target
		}
		if letter || digit || in(b, "-._~!$&'()*+,;=") {
			t[i] |= hostByte
		}
		if digit || b|0x20 >= 'a' && b|0x20 <= 'f' || b == ':' || b == '.' {
			t[i] |= addressByte
		}
	}
	return t
}

func in(b byte, set string) bool {
	for i := range len(set) {
		if set[i] == b {
			return true
		}
	}
	return false
}

// Has tells whether b is of class c.
func (c Class) Has(b byte) bool { return classes[b]&c != 0 }

// All tells whether every byte of s is of class c.
func All[T Text](s T, c Class) bool {
	for i := range len(s) {
		if classes[s[i]]&c == 0 {
			return false
		}
	}
	return true
}

// Text is what both the bytes of a head and their string copy are.
type Text interface{ ~string | ~[]byte }

// lower folds an ASCII letter.
func lower(b byte) byte {
	if b >= 'A' && b <= 'Z' {
		return b + ('a' - 'A')
	}
	return b
}

// EqualFold compares ASCII without regard to case; want is lower case.
func EqualFold[T Text](s T, want string) bool {
	if len(s) != len(want) {
		return false
	}
	for i := range len(want) {
		if lower(s[i]) != want[i] {
			return false
		}
	}
	return true
}

// SameName compares two field names without regard to case.
func SameName[T Text](a, b T) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range len(a) {
		if lower(a[i]) != lower(b[i]) {
			return false
		}
	}
	return true
}

// looksLike is EqualFold that also takes '_' for '-': servers that follow CGI
// (RFC 3875 §4.1.18) cannot tell the two apart, so a name that we strip must be
// stripped in both spellings.
func looksLike[T Text](s T, want string) bool {
	if len(s) != len(want) {
		return false
	}
	for i := range len(want) {
		b := lower(s[i])
		if b == '_' {
			b = '-'
		}
		if b != want[i] {
			return false
		}
	}
	return true
}

// TrimOWS cuts optional white space (RFC 9110 §5.6.3) off both ends.
func TrimOWS[T Text](s T) T {
	for len(s) > 0 && (s[0] == ' ' || s[0] == '\t') {
		s = s[1:]
	}
	for len(s) > 0 && (s[len(s)-1] == ' ' || s[len(s)-1] == '\t') {
		s = s[:len(s)-1]
	}
	return s
}
