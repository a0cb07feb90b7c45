package decode

import (
	"crypto/sha1" //nolint:gosec // G505: what a rule asks for, no protection
	"encoding/hex"
	"strconv"
)

// base64Decode decodes up to the first byte that does not belong there. Line ends
// are left out.
func base64Decode(dst, src []byte) []byte {
	n, bits := 0, 0
	for _, c := range src {
		if c == '\r' || c == '\n' {
			continue
		}
		d := sextet(c)
		if d < 0 {
			break
		}
		bits = bits<<6 | d
		if n++; n == 4 {
			dst = append(dst, byte(bits>>16), byte(bits>>8), byte(bits)) //nolint:gosec // G115: 24 bits
			n, bits = 0, 0
		}
	}
	switch n {
	case 2:
		dst = append(dst, byte(bits>>4))
	case 3:
		dst = append(dst, byte(bits>>10), byte(bits>>2))
	}
	return dst
}

func sextet(c byte) int {
	switch {
	case 'A' <= c && c <= 'Z':
		return int(c - 'A')
	case 'a' <= c && c <= 'z':
		return int(c-'a') + 26
	case '0' <= c && c <= '9':
		return int(c-'0') + 52
	case c == '+':
		return 62
	case c == '/':
		return 63
	}
	return -1
}

func length(dst, src []byte) []byte { return strconv.AppendInt(dst, int64(len(src)), 10) }

func hexEncode(dst, src []byte) []byte { return hex.AppendEncode(dst, src) }

func hash(dst, src []byte) []byte {
	sum := sha1.Sum(src) //nolint:gosec // G401: what a rule asks for, no protection
	return append(dst, sum[:]...)
}
