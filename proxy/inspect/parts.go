package inspect

import (
	"bytes"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"strings"

	"github.com/corazawaf/coraza/v3/experimental/plugins/plugintypes"

	"github.com/outrider-mesh/outrider/proxy/flow"
)

// Coraza's reader of multipart bodies keeps any number of parts, each of which every
// rule looks at, and nothing of a part that has the name of a file, even if it is
// JSON, which is how clients send an object beside a file. So the parts are gone
// through once more before.

// A partWalk looks at the parts of a body.
type partWalk struct {
	left int // more parts than that are not taken
	full bool
	add  func(name, value string)
}

// partsOf returns the boundary of a multipart form; empty for anything else. What is
// wrong with its type Coraza's reader finds, and refuses.
func partsOf(h flow.Header) string {
	value, _ := h.Get("content-type")
	t, params, err := mime.ParseMediaType(value)
	if err != nil || t != "multipart/form-data" {
		return ""
	}
	return params["boundary"]
}

// readParts adds what the engine would pass over in a multipart form.
func (in input) readParts(v plugintypes.TransactionVariables) error {
	w := partWalk{left: maxArguments, add: v.ArgsPost().Add}
	w.parts(multipart.NewReader(bytes.NewReader(in.body), in.boundary))
	if w.full {
		return setSingle(v.ArgumentsLimitReached(), "1")
	}
	return nil
}

// parts stops where the body is broken: the engine's reader does as well, and
// refuses.
func (w *partWalk) parts(r *multipart.Reader) {
	for !w.full {
		p, err := r.NextRawPart()
		if err != nil {
			return
		}
		if w.left--; w.left < 0 {
			w.full = true
			return
		}
		if t := p.Header.Get("Content-Type"); p.FileName() != "" && (isJSON(t) || isPlainJSON(t)) {
			w.object(p)
		}
	}
}

// object adds the values of a part that is JSON, named by the part and their place.
func (w *partWalk) object(p *multipart.Part) {
	var text strings.Builder
	if _, err := io.Copy(&text, p); err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		return
	}
	j := jsonWalk{left: w.left, add: w.add}
	j.document(p.FormName(), text.String())
	w.left, w.full = j.left, j.full
}

// isPlainJSON tells JSON without a suffix.
func isPlainJSON(contentType string) bool {
	t, _, _ := strings.Cut(contentType, ";")
	t = strings.TrimSpace(t)
	return strings.EqualFold(t, "application/json") || strings.EqualFold(t, "text/json")
}
