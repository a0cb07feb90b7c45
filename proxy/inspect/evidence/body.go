package evidence

import (
	"strings"
	"unicode/utf8"

	"github.com/outrider-mesh/outrider/proxy/inspect/payload"
)

// body looks at a body by what it is. The type is only the sender's word, so what looks
// like a document is read as one, whatever it is said to be.
func (l *looker) body(b Body) {
	if b.Fields != nil {
		b.Fields(func(name, value string) { l.value(value, place{"ARGS", name, payload.Member}) })
		return
	}
	if len(b.Text) == 0 {
		return
	}
	text := string(b.Text)
	kind := strings.ToLower(b.Type)
	begins := strings.TrimLeft(text, "\ufeff \t\r\n")
	switch {
	case strings.HasPrefix(kind, "multipart/"):
		l.multipart(text, b.Type)
	case isDocument(begins) || strings.Contains(kind, "json"):
		if !l.documents(text) {
			l.text(text)
		}
	case strings.HasPrefix(begins, "<") && (strings.Contains(kind, "xml") || strings.HasPrefix(begins, "<?xml") || strings.HasPrefix(begins, "<!DOCTYPE")):
		l.xml(text)
	case strings.Contains(kind, "form-urlencoded") || kind == "" && isForm(text):
		l.pairs(strings.TrimRight(text, "\r\n"), payload.Entry)
	default:
		l.text(text)
	}
}

// isForm tells whether a body without a type is a form.
func isForm(s string) bool {
	eq := strings.IndexByte(s, '=')
	return eq > 0 && eq < 64 && !strings.ContainsAny(s[:eq], " \n<{")
}

// text looks at a body that is one text, or at the runs of text in one that is not.
func (l *looker) text(s string) {
	if utf8.ValidString(s) && strings.IndexByte(s, 0) < 0 {
		l.value(s, place{"ARGS", "body", payload.Member})
		return
	}
	// As they are, bytes are only looked at for what serialized objects begin with.
	l.value(s[:min(len(s), headBytes)], place{"ARGS", "body", payload.Member})
	for run := range runs(s) {
		l.value(run, place{"ARGS", "body", payload.Member})
	}
}

const (
	// headBytes is how much of a binary body is looked at as it is.
	headBytes = 64
	// shortestRun is the shortest run of text in a binary body that is looked at, as
	// for the rule set (bodies.go of package inspect).
	shortestRun = 8
)

// runs yields runs of text: UTF-8 without control characters but white space.
func runs(s string) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		start := 0
		for i := 0; i <= len(s); {
			size := 0
			if i < len(s) {
				r, n := utf8.DecodeRuneInString(s[i:])
				if (r != utf8.RuneError || n > 1) && (s[i] >= ' ' && s[i] != 0x7f || s[i] == '\t' || s[i] == '\n' || s[i] == '\r') {
					size = n
				}
			}
			if size > 0 {
				i += size
				continue
			}
			if i-start >= shortestRun && !yield(s[start:i]) {
				return
			}
			i++
			start = i
		}
	}
}

// xml looks at a document of XML as a whole, for its declarations, and at each of its
// texts and attributes.
func (l *looker) xml(s string) {
	l.value(s, place{"REQUEST_XML", "", payload.Markup})
	for s != "" {
		open := strings.IndexByte(s, '<')
		if open < 0 {
			open = len(s)
		}
		if text := strings.TrimSpace(s[:open]); text != "" {
			l.value(text, place{"REQUEST_XML", "", payload.Member})
		}
		s = s[open:]
		s = l.xmlTag(s)
	}
}

// xmlTag looks at the attributes of the tag that s begins with, or at a section of
// character data, and returns what is behind it.
func (l *looker) xmlTag(s string) string {
	const cdata = "<![CDATA["
	if strings.HasPrefix(s, cdata) {
		text, rest, _ := strings.Cut(s[len(cdata):], "]]>")
		l.value(text, place{"REQUEST_XML", "", payload.Member})
		return rest
	}
	end := strings.IndexByte(s, '>')
	if end < 0 {
		end = len(s)
	}
	tag := s[:end]
	for !strings.HasPrefix(tag, "<!") {
		q := strings.IndexAny(tag, `"'`)
		if q < 0 {
			break
		}
		n := strings.IndexByte(tag[q+1:], tag[q])
		if n < 0 {
			break
		}
		l.value(tag[q+1:q+1+n], place{"REQUEST_XML", "", payload.Member})
		tag = tag[q+n+2:]
	}
	return s[min(len(s), end+1):]
}
