package bodies

import (
	"strconv"
	"strings"
)

// Unescape decodes percent signs and pluses where they can be decoded and leaves the
// rest as it is: what a strict decoder refuses, a lenient application may still read.
// Rules and detectors both look at what it makes of forms.
func Unescape(s string) string {
	if strings.IndexByte(s, '%') < 0 && strings.IndexByte(s, '+') < 0 {
		return s
	}
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case c == '+':
			c = ' '
		case c == '%' && i+2 < len(s):
			if b, err := strconv.ParseUint(s[i+1:i+3], 16, 8); err == nil {
				c = byte(b)
				i += 2
			}
		}
		out = append(out, c)
	}
	return string(out)
}
