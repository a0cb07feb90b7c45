package evidence

import (
	"strings"

	"github.com/outrider-mesh/outrider/proxy/inspect/bodies"
	"github.com/outrider-mesh/outrider/proxy/inspect/payload"
)

// multipart looks at the parts of a form (RFC 7578). What is ambiguous in it is refused
// by the base rules; here the text between two boundaries is a part, whatever it is.
func (l *looker) multipart(s, contentType string) {
	boundary := parameter(contentType, "boundary")
	if boundary == "" {
		l.text(s, "body")
		return
	}
	mark := "--" + boundary
	for i, part := range strings.Split(s, mark) {
		if i > 0 && !strings.HasPrefix(part, "--") {
			l.part(strings.TrimPrefix(strings.TrimPrefix(part, "\r"), "\n"))
		}
	}
}

func (l *looker) part(s string) {
	head, content, ok := strings.Cut(s, "\r\n\r\n")
	if !ok {
		head, content, _ = strings.Cut(s, "\n\n")
	}
	content = strings.TrimSuffix(strings.TrimSuffix(content, "\n"), "\r")
	name := parameter(head, "name")
	if file := parameter(head, "filename"); file != "" {
		l.value(file, place{"FILES", name, payload.Argument})
		l.file(content, name, fieldOf(head, "content-type"))
		return
	}
	l.name(name, "ARGS_NAMES")
	l.argument(content, place{"ARGS", name, payload.Entry})
}

// file looks at the content of a file, by what it is: value by value as rules do, and
// at bytes as in any body.
func (l *looker) file(content, name, kind string) {
	if isDocument(content) && l.document(content, place{"ARGS", name, payload.Entry}) {
		return
	}
	w := bodies.Parts{Sink: l.sink(payload.Member), Files: true}
	if !w.File(name, kind, content) {
		l.text(content, name)
	}
}

// fieldOf is the value of a part's header field; empty for none.
func fieldOf(head, name string) string {
	for line := range strings.Lines(head) {
		field, value, ok := strings.Cut(line, ":")
		if ok && strings.EqualFold(strings.TrimSpace(field), name) {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// parameter is one of a field's, such as boundary="x"; empty for none.
func parameter(field, name string) string {
	for i := 0; ; {
		n := strings.Index(field[i:], name)
		if n < 0 {
			return ""
		}
		at := i + n
		i = at + len(name)
		if at > 0 && strings.IndexByte("; \t\r\n", field[at-1]) < 0 || i >= len(field) || field[i] != '=' {
			continue
		}
		value := field[i+1:]
		if strings.HasPrefix(value, `"`) {
			value, _, _ = strings.Cut(value[1:], `"`)
			return value
		}
		if end := strings.IndexAny(value, "; \t\r\n"); end >= 0 {
			value = value[:end]
		}
		return value
	}
}
