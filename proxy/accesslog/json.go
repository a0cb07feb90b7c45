package accesslog

import (
	"net/netip"
	"strconv"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// An object writes one JSON object into a buffer. Its methods are those of an
// appender rather than of an encoder by reflection: a record is written for
// every request, and costs no allocation.
type object struct {
	buf   []byte
	empty bool // no member has been written since the last brace
}

func (o *object) open() {
	o.buf = append(o.buf, '{')
	o.empty = true
}

func (o *object) close() {
	o.buf = append(o.buf, '}')
	o.empty = false
}

// name must be ASCII that needs no escape; all names are constants of this package.
func (o *object) name(name string) {
	if !o.empty {
		o.buf = append(o.buf, ',')
	}
	o.empty = false
	o.buf = append(o.buf, '"')
	o.buf = append(o.buf, name...)
	o.buf = append(o.buf, '"', ':')
}

// nested opens an object as a member.
func (o *object) nested(name string) {
	o.name(name)
	o.open()
}

// array opens an array as a member.
func (o *object) array(name string) {
	o.name(name)
	o.buf = append(o.buf, '[')
	o.empty = true
}

// element separates what is written next from the element before it.
func (o *object) element() {
	if !o.empty {
		o.buf = append(o.buf, ',')
	}
}

// end closes an array.
func (o *object) end() {
	o.buf = append(o.buf, ']')
	o.empty = false
}

// text writes a member unless value is empty. More than limit bytes are cut,
// with an ellipsis in their place.
func (o *object) text(name, value string, limit int) {
	if value == "" {
		return
	}
	o.name(name)
	o.buf = append(o.buf, '"')
	if len(value) > limit {
		o.buf = appendEscaped(o.buf, cut(value, limit))
		o.buf = append(o.buf, "…"...)
	} else {
		o.buf = appendEscaped(o.buf, value)
	}
	o.buf = append(o.buf, '"')
}

// word writes a member whose value is one of our own constants.
func (o *object) word(name, value string) {
	o.name(name)
	o.buf = append(o.buf, '"')
	o.buf = append(o.buf, value...)
	o.buf = append(o.buf, '"')
}

func (o *object) number(name string, value int64) {
	o.name(name)
	o.buf = strconv.AppendInt(o.buf, value, 10)
}

// yes writes a member that is true, or nothing.
func (o *object) yes(name string, value bool) {
	if value {
		o.name(name)
		o.buf = append(o.buf, "true"...)
	}
}

// address writes a member unless value is zero.
func (o *object) address(name string, value netip.AddrPort) {
	if !value.IsValid() {
		return
	}
	o.name(name)
	o.buf = append(o.buf, '"')
	if value.Addr().Zone() == "" {
		o.buf = value.AppendTo(o.buf)
	} else { // a zone is a foreign string
		o.buf = appendEscaped(o.buf, value.String())
	}
	o.buf = append(o.buf, '"')
}

// numbers writes an array of at most limit values, or nothing when there are none.
func (o *object) numbers(name string, values []int, limit int) {
	if len(values) == 0 {
		return
	}
	o.name(name)
	o.buf = append(o.buf, '[')
	for i, v := range values[:min(len(values), limit)] {
		if i > 0 {
			o.buf = append(o.buf, ',')
		}
		o.buf = strconv.AppendInt(o.buf, int64(v), 10)
	}
	o.buf = append(o.buf, ']')
}

// cut shortens s to at most limit bytes without splitting a character.
func cut(s string, limit int) string {
	for i := limit; i > limit-utf8.UTFMax && i > 0; i-- {
		if utf8.RuneStart(s[i]) {
			return s[:i]
		}
	}
	return s[:limit] // not UTF-8 anyway
}

// plain tells which bytes stand for themselves inside a JSON string.
var plain = func() (t [256]bool) {
	for b := 0x20; b < 0x7f; b++ {
		t[b] = b != '"' && b != '\\'
	}
	return t
}()

// appendEscaped appends s as the inside of a JSON string (RFC 8259 §7). What is
// not UTF-8 becomes U+FFFD. What cannot be printed is escaped even where JSON
// would allow it: paths come from strangers, and a log is read in terminals
// that obey C1 controls and turn text around at bidirectional marks.
func appendEscaped(dst []byte, s string) []byte {
	start := 0
	for i := 0; i < len(s); {
		if plain[s[i]] {
			i++
			continue
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		if r >= utf8.RuneSelf && unicode.IsPrint(r) && (r != utf8.RuneError || size > 1) {
			i += size
			continue
		}
		dst = append(dst, s[start:i]...)
		dst = appendEscape(dst, r)
		i += size
		start = i
	}
	return append(dst, s[start:]...)
}

func appendEscape(dst []byte, r rune) []byte {
	switch {
	case r == '"' || r == '\\':
		return append(dst, '\\', byte(r))
	case r == '\n':
		return append(dst, '\\', 'n')
	case r == '\r':
		return append(dst, '\\', 'r')
	case r == '\t':
		return append(dst, '\\', 't')
	case r > 0xffff:
		high, low := utf16.EncodeRune(r)
		return appendUnit(appendUnit(dst, high), low)
	}
	return appendUnit(dst, r)
}

func appendUnit(dst []byte, unit rune) []byte {
	const hex = "0123456789abcdef"
	return append(dst, '\\', 'u', hex[unit>>12&15], hex[unit>>8&15], hex[unit>>4&15], hex[unit&15])
}
