package inspect

import (
	"bytes"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"strconv"
	"strings"

	"github.com/outrider-mesh/outrider/proxy/inspect/bodies"
	"github.com/outrider-mesh/outrider/proxy/inspect/gate"
)

// formParts reads multipart forms for the gate: what Coraza's reader makes of one, and
// what ours adds to that, by the same package. Only parts whose header is as clients
// write it are read, for which both, and applications, agree about the names; of all
// others nothing is proved.
type formParts struct{ files bool }

func (p formParts) arguments(body []byte, to *gate.Arguments) bool {
	to.Unsized()
	boundary := boundaryOf(to.Type())
	if boundary == "" {
		return false
	}
	f := formProof{to: to, extra: bodies.Parts{Sink: gateSink(to), Files: p.files}}
	f.extra.Left = maxArguments
	return f.read(multipart.NewReader(bytes.NewReader(body), boundary))
}

// A formProof goes through one form.
type formProof struct {
	to    *gate.Arguments
	extra bodies.Parts
	size  int
}

func (f *formProof) read(r *multipart.Reader) bool {
	for {
		p, err := r.NextRawPart()
		switch {
		case err == io.EOF, f.to.Partial() && errors.Is(err, io.EOF): //nolint:errorlint // as Coraza's reader does: what wraps it is another end
			return true
		case err != nil:
			return false
		}
		content, err := io.ReadAll(p)
		cut := errors.Is(err, io.ErrUnexpectedEOF) && f.to.Partial()
		if err != nil && !cut || !f.part(p, string(content)) {
			return false
		}
		if cut {
			return true
		}
	}
}

func (f *formProof) part(p *multipart.Part, content string) bool {
	header, ok := plainHeader(p)
	if !ok {
		return false
	}
	_, params, err := mime.ParseMediaType(p.Header.Get("Content-Disposition"))
	if err != nil {
		return false
	}
	if f.extra.Left--; f.extra.Left < 0 {
		return false
	}
	name, file := p.FormName(), params["filename"]
	f.size += len(content)
	f.to.FilesSize(strconv.Itoa(f.size))
	if !f.to.Part(gate.Part{Name: name, File: file, Header: header, Size: strconv.Itoa(len(content))}) {
		return false
	}
	if bodies.IsFile(p) {
		f.extra.File(name, p.Header.Get("Content-Type"), content)
	}
	if f.extra.Full {
		return false
	}
	return file != "" || f.to.Add(name, content)
}

// plainHeader returns the fields of a part that has at most one of each that clients
// send, without an extended parameter (RFC 5987), and nothing else.
func plainHeader(p *multipart.Part) (fields []string, ok bool) {
	for name, values := range p.Header {
		known := name == "Content-Disposition" || name == "Content-Type"
		if !known || len(values) != 1 || strings.Contains(values[0], "*") {
			return nil, false
		}
		fields = append(fields, name+": "+values[0])
	}
	return fields, true
}
