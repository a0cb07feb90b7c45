package bodies

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// An XML reads a document of XML: the texts and the values of attributes, named by the
// elements that lead to them, "xml.order.item.3.@id". Prefixes of names are left out,
// since their sender chooses them. Of elements of one name in another, the first has no
// number and the fourth has a 3, so that a place is called the same whether there are
// others or not.
//
// What stands in an element is one value, whatever comments and sections it is cut up
// by; what stands between elements is also a value by itself.
//
// Nothing is ever fetched, and no entity expanded but those of HTML. A document type
// that declares or fetches something is an error: what its entities stand for would be
// seen by nobody here, and by the application.
type XML struct {
	// Sink takes the values by their place; one without Add takes none.
	*Sink
	// Raw takes them as the variable XML of rules has them, RawLeft at most: by TextKey
	// and AttributeKey, cut up by comments. It tells whether to go on; nil for nobody.
	Raw     func(key, value string) bool
	RawLeft int

	name  []byte
	stack []element
}

// The keys of the variable XML.
const (
	TextKey      = "/*"
	AttributeKey = "//@*"
)

// ErrDeclares is about a document type that declares or fetches something.
var ErrDeclares = errors.New("the document type declares or fetches something")

var (
	errXMLCharset = errors.New("the document is not in UTF-8")
	errXMLDepth   = errors.New("the document is nested too deep")
)

// An element has begun and not ended.
type element struct {
	name string
	// place is how long the name is outside of it.
	place int
	// piece is the text since the last child, all what there was before, if any.
	piece, all []byte
	pieces     int
	// children counts those of one name.
	children map[string]int
}

// Document reads until the end, or where it is broken. It is as lenient as readers of
// XML are. What it does not get to is one value.
func (w *XML) Document(name, text string) error {
	w.name = append(w.name[:0], name...)
	w.stack = append(w.stack[:0], element{place: len(w.name)})
	d := xml.NewDecoder(strings.NewReader(text))
	d.Strict, d.AutoClose, d.Entity = false, xml.HTMLAutoClose, xml.HTMLEntity
	d.CharsetReader = func(string, io.Reader) (io.Reader, error) { return nil, errXMLCharset }
	for !w.Ended() {
		start := d.InputOffset()
		token, err := d.RawToken()
		if err == nil {
			err = w.token(token)
		}
		if err != nil {
			w.close(0)
			return w.rest(name, text[min(start, int64(len(text))):], err)
		}
	}
	return nil
}

// rest takes what is left behind an error. A document that is cut off is no error.
func (w *XML) rest(name, text string, err error) error {
	if w.Add != nil && strings.TrimSpace(text) != "" && !w.Ended() {
		w.put([]byte(name), text)
	}
	var syntax *xml.SyntaxError
	if errors.Is(err, io.EOF) || errors.As(err, &syntax) && syntax.Msg == "unexpected EOF" {
		return nil
	}
	return fmt.Errorf("read XML: %w", err)
}

func (w *XML) token(token xml.Token) error {
	switch t := token.(type) {
	case xml.StartElement:
		return w.begin(t)
	case xml.EndElement:
		w.end(t.Name.Local)
	case xml.CharData:
		if w.Raw != nil {
			w.raw(TextKey, strings.TrimSpace(string(t)))
		}
		w.text(t)
	case xml.ProcInst:
		if t.Target != "xml" {
			w.text([]byte("<?" + t.Target + " " + string(t.Inst) + "?>"))
		}
	case xml.Directive:
		if declares(string(t)) {
			return ErrDeclares
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

func (w *XML) raw(key, value string) {
	if value == "" || w.Raw == nil || w.Full {
		return
	}
	if w.RawLeft--; w.RawLeft < 0 {
		w.Full = true
		return
	}
	w.over = w.over || !w.Raw(key, value)
}

func (w *XML) begin(t xml.StartElement) error {
	for _, a := range t.Attr {
		w.raw(AttributeKey, a.Value)
	}
	if w.Add == nil {
		return nil
	}
	if len(w.stack) > maxDepth {
		return errXMLDepth
	}
	w.descend(t.Name.Local)
	before := len(w.name)
	for _, a := range t.Attr {
		if a.Value == "" || w.Ended() {
			continue
		}
		w.step("@" + attribute(a.Name))
		w.put(w.name, a.Value)
		w.name = w.name[:before]
	}
	return nil
}

// attribute names one. Declarations of prefixes are all called the same, and not as they
// are written: rules against scripts look for that word in names.
func attribute(n xml.Name) string {
	if n.Space == "xmlns" || n.Local == "xmlns" {
		return "ns"
	}
	return n.Local
}

// descend begins an element in the one that is open.
func (w *XML) descend(name string) {
	parent := &w.stack[len(w.stack)-1]
	w.flush(parent)
	n := parent.children[name]
	if parent.children == nil {
		parent.children = map[string]int{}
	}
	parent.children[name] = n + 1
	e := w.push()
	e.name, e.place = name, len(w.name)
	w.step(name)
	if n > 0 {
		w.step(strconv.Itoa(n))
	}
}

// push adds an element, with the memory of one that was there before.
func (w *XML) push() *element {
	n := len(w.stack)
	if n == cap(w.stack) {
		w.stack = append(w.stack, element{})
	}
	w.stack = w.stack[:n+1]
	e := &w.stack[n]
	*e = element{piece: e.piece[:0], all: e.all[:0]}
	return e
}

// step goes one down in the name, while there is room for it.
func (w *XML) step(name string) {
	if len(w.name)+len(name) < maxPlace {
		w.name = append(append(w.name, '.'), name...)
	}
}

// end closes the element of a name and those in it that were left open. An end
// without a beginning is passed over.
func (w *XML) end(name string) {
	for n := len(w.stack) - 1; n > 0; n-- {
		if w.stack[n].name == name {
			w.close(n)
			return
		}
	}
}

// close closes all elements down to one.
func (w *XML) close(to int) {
	for n := len(w.stack) - 1; n >= to && w.Add != nil; n-- {
		e := &w.stack[n]
		w.flush(e)
		if e.pieces > 1 && !w.Ended() {
			w.put(w.name, string(e.all))
		}
		w.name = w.name[:e.place]
		if n > 0 {
			w.stack = w.stack[:n]
		}
	}
}

func (w *XML) text(b []byte) {
	if w.Add != nil {
		e := &w.stack[len(w.stack)-1]
		e.piece = append(e.piece, b...)
	}
}

// flush takes the text of an element up to where another begins or it ends.
func (w *XML) flush(e *element) {
	if text := bytes.TrimSpace(e.piece); len(text) > 0 && !w.Ended() {
		e.pieces++
		w.put(w.name, string(text))
		e.all = append(e.all, e.piece...)
	}
	e.piece = e.piece[:0]
}
