package evidence

import (
	"mime"
	"strings"

	"github.com/outrider-mesh/outrider/proxy/inspect/bodies"
	"github.com/outrider-mesh/outrider/proxy/inspect/payload"
)

// multipart looks at the parts of a form (RFC 7578). What is ambiguous in it is refused
// by the base rules. Of what readers may take for boundaries, only a line by itself is one:
// else a sender could cut an attack in two, or away, that they put together.
func (l *looker) multipart(s, contentType string) {
	mark := "--" + boundaryOf(contentType)
	_, rest, ok := cutPart(s, mark)
	if len(mark) == 2 || !ok {
		l.text(s, "body")
		return
	}
	for ok {
		var part string
		part, rest, ok = cutPart(rest, mark)
		l.part(part)
	}
}

// boundaryOf is that of a form; empty for none.
func boundaryOf(contentType string) string {
	if _, params, err := mime.ParseMediaType(contentType); err == nil {
		return params["boundary"]
	}
	return parameter(contentType, "boundary")
}

// cutPart cuts s at the first line that is a boundary (RFC 2046 §5.1.1), with white space
// behind it. What follows the last one belongs to no part; if there is none, before and
// after are all of s.
func cutPart(s, mark string) (before, after string, found bool) {
	end := -1 // of the part, when the last boundary was seen
	for i := 0; ; {
		n := strings.Index(s[i:], mark)
		if n < 0 {
			break
		}
		at := i + n
		i = at + len(mark)
		if at > 0 && s[at-1] != '\n' {
			continue
		}
		line, after, _ := strings.Cut(s[i:], "\n")
		line = strings.Trim(line, " \t\r")
		if end < 0 && (line == "" || line == "--") {
			end = at
		}
		if line == "" {
			return s[:end], after, true
		}
	}
	if end < 0 {
		return s, s, false
	}
	return s[:end], "", false
}

// cutHead cuts a part at its first empty line.
func cutHead(s string) (head, content string, found bool) {
	for i := 0; i < len(s); {
		line, after, _ := strings.Cut(s[i:], "\n")
		if strings.TrimSuffix(line, "\r") == "" {
			return s[:i], after, true
		}
		i += len(line) + 1
	}
	return "", s, false
}

func (l *looker) part(s string) {
	head, content, ok := cutHead(s)
	if !ok {
		l.text(s, "body")
		return
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
