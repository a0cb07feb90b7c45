package bodies

import (
	"bytes"
	"io"
	"mime/multipart"
	"strings"
	"unicode/utf8"
)

// A Parts goes through the parts of a multipart form (RFC 7578) for what the engine's
// reader passes over: it keeps nothing of a part that has the name of a file, although
// clients send objects that way, and takes any number of parts.
type Parts struct {
	*Sink
	// Files tells to read all files that are not binary; else only what says that it
	// is JSON.
	Files bool
}

// Read stops where the body is broken: the engine's reader does as well, and refuses.
func (w *Parts) Read(body []byte, boundary string) {
	r := multipart.NewReader(bytes.NewReader(body), boundary)
	for !w.Ended() {
		p, err := r.NextRawPart()
		if err != nil {
			return
		}
		if w.Left--; w.Left < 0 {
			w.Full = true
			return
		}
		if IsFile(p) {
			content, err := io.ReadAll(p)
			w.File(p.FormName(), p.Header.Get("Content-Type"), string(content))
			if err != nil {
				return
			}
		}
	}
}

// IsFile tells whether somebody may take a part for a file, in whatever way its name
// is written.
func IsFile(p *multipart.Part) bool {
	return strings.Contains(strings.ToLower(p.Header.Get("Content-Disposition")), "filename")
}

// File takes the content of a file: documents value by value, named by the part and
// their place in it, a text as one value. Bytes are passed over: then it is false.
func (w *Parts) File(name, contentType, content string) bool {
	t := mediaType(contentType)
	if !w.Files {
		return isJSON(t) && w.document(name, content)
	}
	begins := strings.TrimLeft(content, "\ufeff \t\r\n")
	switch {
	case isJSON(t) || strings.HasPrefix(begins, "{") || strings.HasPrefix(begins, "["):
		if w.document(name, content) {
			return true
		}
	case isXML(t) || strings.HasPrefix(begins, "<?xml"):
		if w.markup(name, content) {
			return true
		}
	case t == "application/x-www-form-urlencoded":
		return w.form(name, content)
	}
	if !utf8.ValidString(content) && !strings.HasPrefix(t, "text/") || hasControl(content) || content == "" {
		return false
	}
	return w.put([]byte(name), content)
}

func (w *Parts) document(name, content string) bool {
	j := JSON{Sink: w.Sink}
	return j.Document(name, strings.TrimPrefix(content, "\ufeff")) || w.Ended()
}

// markup takes XML. One that is broken, or that has a document type of its own as
// drawings do, is looked at as a text, too.
func (w *Parts) markup(name, content string) bool {
	x := XML{Sink: w.Sink}
	return x.Document(name, content) == nil || w.Ended()
}

func (w *Parts) form(name, content string) bool {
	for pair := range strings.SplitSeq(strings.TrimRight(content, "\r\n"), "&") {
		key, value, _ := strings.Cut(pair, "=")
		if pair != "" && !w.put([]byte(name+"."+Unescape(key)), Unescape(value)) {
			break
		}
	}
	return true
}

// mediaType is a type without its parameters, in lower case.
func mediaType(contentType string) string {
	t, _, _ := strings.Cut(contentType, ";")
	return strings.ToLower(strings.TrimSpace(t))
}

func isJSON(t string) bool {
	return t == "application/json" || t == "text/json" || strings.HasSuffix(t, "+json")
}

func isXML(t string) bool {
	return t == "application/xml" || t == "text/xml" || strings.HasSuffix(t, "+xml")
}
