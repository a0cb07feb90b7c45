package script

import (
	"strings"

	"github.com/outrider-mesh/outrider/proxy/inspect/payload/lexicon"
)

// longestTag bounds how far a tag is read: attributes of real ones hold long URLs and
// styles, and a tag without an end must not be read again from each of its bytes.
const longestTag = 2048

// A tag is one of HTML, and its attributes as far as they are of interest.
type tag struct {
	name    string // in lower case
	at, end int
	rest    string // what is behind the name, up to >
	closed  bool   // there is a >
}

// nextTag finds the first tag from i on.
func nextTag(s, lower string, i int) (t tag, ok bool) {
	for ; i < len(s); i++ {
		next := strings.IndexByte(s[i:], '<')
		if next < 0 {
			return tag{}, false
		}
		i += next
		if t, ok := readTag(s, lower, i); ok {
			return t, true
		}
	}
	return tag{}, false
}

// readTag reads the one that begins at i. Browsers want a letter behind <, and some
// servers drop what stands in front of it; a / is the end of another.
func readTag(s, lower string, i int) (tag, bool) {
	start := i + 1
	for start < len(s) && start < i+8 && (s[start] == 0 || lexicon.IsSpace(s[start]) || s[start] == '/') {
		start++
	}
	end := start
	for end < len(s) && (lexicon.IsWord(s[end]) || s[end] == ':' || s[end] == '-' || s[end] == '!') {
		end++
	}
	if end == start {
		return tag{}, false
	}
	if start > i+1 && s[i+1] != '/' && !knownTag(lower[start:end]) {
		return tag{}, false // "a < b"
	}
	name := lower[start:end]
	if n := strings.LastIndexByte(name, ':'); n >= 0 {
		name = name[n+1:] // svg:script
	}
	last := tagEnd(s, end)
	return tag{name: name, at: i, end: last, rest: s[end:last], closed: last < len(s) && s[last] == '>'}, true
}

// tagEnd is where a tag ends: at > outside of quotes, or where another one seems to
// begin, which keeps many tags without an end from being read again and again.
func tagEnd(s string, i int) int {
	last := min(len(s), i+longestTag)
	quote := byte(0)
	for n := i; n < last; n++ {
		switch c := s[n]; {
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case (c == '"' || c == '\'') && n > 0 && s[lexicon.BackSpace(s, n)-1] == '=':
			quote = c
		case c == '>' || c == '<':
			return n
		}
	}
	if quote != 0 { // an attribute without an end: take the first > instead
		if n := strings.IndexByte(s[i:last], '>'); n >= 0 {
			return i + n
		}
	}
	return last
}

// knownTag tells the tags that attacks use, which is when a space in front of the
// name does not make it a comparison.
func knownTag(name string) bool {
	switch name {
	case "script", "svg", "img", "iframe", "object", "embed", "body", "input", "video", "audio", "details", "marquee",
		"math", "style", "link", "meta", "base", "form", "isindex", "applet", "frame", "frameset", "a":
		return true
	}
	return false
}

// An attribute is a name, in lower case, and a value without its quotes.
type attribute struct{ name, value string }

// attributes yields those of a tag.
func attributes(s string, yield func(attribute) bool) {
	for i := 0; i < len(s); {
		for i < len(s) && (lexicon.IsSpace(s[i]) || s[i] == '/' || s[i] == '"' || s[i] == '\'' || s[i] == 0) {
			i++
		}
		start := i
		for i < len(s) && !lexicon.IsSpace(s[i]) && s[i] != '=' && s[i] != '/' && s[i] != '"' && s[i] != '\'' {
			i++
		}
		a := attribute{name: lexicon.FoldASCII(s[start:i])}
		at := lexicon.SkipSpace(s, i)
		if at < len(s) && s[at] == '=' {
			a.value, i = attributeValue(s, lexicon.SkipSpace(s, at+1))
		}
		if i == start {
			i++
		}
		if a.name != "" && !yield(a) {
			return
		}
	}
}

func attributeValue(s string, i int) (value string, end int) {
	if i >= len(s) {
		return "", i
	}
	if q := s[i]; q == '"' || q == '\'' || q == '`' {
		if n := strings.IndexByte(s[i+1:], q); n >= 0 {
			return s[i+1 : i+1+n], i + n + 2
		}
		return s[i+1:], len(s)
	}
	start := i
	for i < len(s) && !lexicon.IsSpace(s[i]) {
		i++
	}
	return s[start:i], i
}
