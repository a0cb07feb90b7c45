package evidence

import (
	"strings"
	"unicode/utf8"

	"github.com/outrider-mesh/outrider/proxy/inspect/bodies"
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
	form := strings.Contains(kind, "form-urlencoded")
	if form && isDocument(begins) && strings.IndexByte(text, '=') >= 0 {
		l.pairs(strings.TrimRight(text, "\r\n"), payload.Entry) // it is what the sender says as well
	}
	switch {
	case strings.HasPrefix(kind, "multipart/"):
		l.multipart(text, b.Type)
	case isDocument(begins) || strings.Contains(kind, "json"):
		if !l.documents(text, lines(kind)) {
			l.text(text, "body")
		}
	case strings.HasPrefix(begins, "<") && (strings.Contains(kind, "xml") || strings.HasPrefix(begins, "<?xml") || strings.HasPrefix(begins, "<!DOCTYPE")):
		l.xml(text, "xml")
	case form || kind == "" && isForm(text):
		l.pairs(strings.TrimRight(text, "\r\n"), payload.Entry)
	default:
		l.text(text, "body")
	}
}

// lines tells the types of bodies that are several documents, which the reader of rules
// numbers (package bodies).
func lines(kind string) bool {
	return strings.Contains(kind, "ndjson") || strings.Contains(kind, "jsonl") || strings.Contains(kind, "json-seq")
}

// isForm tells whether a body without a type is a form.
func isForm(s string) bool {
	eq := strings.IndexByte(s, '=')
	return eq > 0 && eq < 64 && !strings.ContainsAny(s[:eq], " \n<{")
}

// text looks at a text, or at the runs of text in what is none.
func (l *looker) text(s, name string) {
	at := place{"ARGS", name, payload.Member}
	if utf8.ValidString(s) && strings.IndexByte(s, 0) < 0 {
		l.value(s, at)
		return
	}
	// As they are, bytes are only looked at for what serialized objects begin with.
	l.value(s[:min(len(s), headBytes)], at)
	for run := range bodies.Runs(s) {
		l.value(run, at)
	}
}

// headBytes is how much of a binary body is looked at as it is.
const headBytes = 64

// xml looks at a document of XML as a whole, for its declarations, and at each of its
// texts and attributes. One that is broken is a text, too.
func (l *looker) xml(s, name string) {
	l.value(s, place{"REQUEST_XML", "", payload.Markup})
	w := bodies.XML{Sink: l.sink(payload.Member)}
	if w.Document(name, s) != nil {
		l.text(s, name)
	}
}

// sink looks at what a reader takes out of a body. A name is only put together where
// there is something to tell.
func (l *looker) sink(where payload.Where) *bodies.Sink {
	return &bodies.Sink{Left: mostValues, Add: func(name []byte, value string) bool {
		before := len(l.found)
		l.value(value, place{collection: "ARGS", where: where})
		if len(l.found) > before {
			l.locate(before, place{collection: "ARGS", name: string(name)})
		}
		return true
	}}
}

// mostValues is how many values of a document are looked at. Rule 7100006 refuses a
// body with more.
const mostValues = 1000
