package inspect

import (
	"strings"

	"github.com/outrider-mesh/outrider/proxy/flow"
)

// foreignCharset tells whether the head names a charset in which ASCII is not what
// the rules take it for: then an application that decodes it reads what no rule has
// seen. UTF-7 and the EBCDIC code pages are the known ones; so a charset must be one
// of those that are known to be harmless. Where it is named twice, each counts.
func foreignCharset(h flow.Header) bool {
	foreign := false
	h.Each(func(name, value string) bool {
		if strings.EqualFold(name, "content-type") {
			foreign = foreign || foreignIn(value)
		}
		return !foreign
	})
	return foreign
}

func foreignIn(contentType string) bool {
	const param = "charset"
	rest := strings.ToLower(contentType)
	for {
		i := strings.Index(rest, param)
		if i < 0 {
			return false
		}
		rest = strings.TrimLeft(rest[i+len(param):], " \t*") // charset*= is RFC 5987's
		value, ok := strings.CutPrefix(rest, "=")
		if ok && !asciiBased(charsetName(value)) {
			return true
		}
	}
}

// charsetName is the first word of a parameter's value.
func charsetName(value string) string {
	value = strings.TrimLeft(value, " \t\"'")
	if end := strings.IndexAny(value, "\"'; \t,"); end >= 0 {
		value = value[:end]
	}
	return value
}

// asciiBased lists charsets of which the lower half is ASCII and no other sequence
// decodes to ASCII. Those of East Asia are not among them: in some the second byte of
// a character is ASCII.
func asciiBased(name string) bool {
	switch name {
	case "utf-8", "utf8", "us-ascii", "ascii", "iso-8859-1", "iso-8859-15", "latin1", "windows-1252":
		return true
	}
	return false
}
