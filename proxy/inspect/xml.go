package inspect

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/corazawaf/coraza/v3/experimental/plugins/plugintypes"
)

// xmlBody reads XML in place of Coraza's reader, which passes over the declaration of
// the document's type: an entity declared there is the application's to expand, and
// what it stands for would be seen by no rule. Nothing is ever fetched. That one also
// takes any number of texts, each of which every rule looks at.
type xmlBody struct{}

var (
	errXMLEntities = errors.New("the document type declares or fetches something")
	errXMLCharset  = errors.New("the document is not in UTF-8")
)

// ProcessRequest implements [plugintypes.BodyProcessor].
func (xmlBody) ProcessRequest(r io.Reader, v plugintypes.TransactionVariables, o plugintypes.BodyProcessorOptions) error {
	w := xmlWalk{left: o.ArgumentLimit}
	err := w.document(r)
	// What was read is looked at even if the rest cannot be.
	v.RequestXML().Set("//@*", w.attributes)
	v.RequestXML().Set("/*", w.texts)
	if w.full {
		return setSingle(v.ArgumentsLimitReached(), "1")
	}
	return err
}

// ProcessResponse implements [plugintypes.BodyProcessor].
func (xmlBody) ProcessResponse(io.Reader, plugintypes.TransactionVariables, plugintypes.BodyProcessorOptions) error {
	return nil
}

// An xmlWalk collects texts and the values of attributes.
type xmlWalk struct {
	left              int // more than that are not taken
	full              bool
	attributes, texts []string
}

// document reads until the end, or where it is broken. It is as lenient as readers
// of XML are, but for the end: a document cut off is no error, for that is a prefix.
func (w *xmlWalk) document(r io.Reader) error {
	d := xml.NewDecoder(r)
	d.Strict, d.AutoClose, d.Entity = false, xml.HTMLAutoClose, xml.HTMLEntity
	d.CharsetReader = func(string, io.Reader) (io.Reader, error) { return nil, errXMLCharset }
	for !w.full {
		token, err := d.RawToken()
		var syntax *xml.SyntaxError
		switch {
		case err == nil:
		case errors.Is(err, io.EOF), errors.As(err, &syntax) && syntax.Msg == "unexpected EOF":
			return nil
		default:
			return fmt.Errorf("read XML: %w", err)
		}
		if err := w.token(token); err != nil {
			return err
		}
	}
	return nil
}

func (w *xmlWalk) token(token xml.Token) error {
	switch t := token.(type) {
	case xml.StartElement:
		for _, a := range t.Attr {
			w.add(&w.attributes, a.Value)
		}
	case xml.CharData:
		w.add(&w.texts, strings.TrimSpace(string(t)))
	case xml.Directive:
		if declares(string(t)) {
			return errXMLEntities
		}
	}
	return nil
}

// declares tells whether a directive is more than the name of a type.
func declares(directive string) bool {
	upper := strings.ToUpper(directive)
	return strings.ContainsAny(upper, "[%") || strings.Contains(upper, "SYSTEM") ||
		strings.Contains(upper, "PUBLIC") || strings.Contains(upper, "ENTITY")
}

func (w *xmlWalk) add(to *[]string, value string) {
	switch {
	case value == "":
	case w.left == 0:
		w.full = true
	default:
		w.left--
		*to = append(*to, value)
	}
}
