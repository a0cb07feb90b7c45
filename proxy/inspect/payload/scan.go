package payload

import (
	"github.com/outrider-mesh/outrider/proxy/inspect/payload/clue"
	"github.com/outrider-mesh/outrider/proxy/inspect/payload/code"
	"github.com/outrider-mesh/outrider/proxy/inspect/payload/control"
	"github.com/outrider-mesh/outrider/proxy/inspect/payload/decode"
	"github.com/outrider-mesh/outrider/proxy/inspect/payload/dialect"
	"github.com/outrider-mesh/outrider/proxy/inspect/payload/lexicon"
	"github.com/outrider-mesh/outrider/proxy/inspect/payload/object"
	"github.com/outrider-mesh/outrider/proxy/inspect/payload/resource"
	"github.com/outrider-mesh/outrider/proxy/inspect/payload/script"
	"github.com/outrider-mesh/outrider/proxy/inspect/payload/shell"
	"github.com/outrider-mesh/outrider/proxy/inspect/payload/sql"
	"github.com/outrider-mesh/outrider/proxy/inspect/payload/template"
)

// Where a value stands decides what can be in it.
type Where uint8

// The places.
const (
	// Argument is a value of the query or a cookie.
	Argument Where = iota
	// Entry is a value of a form.
	Entry
	// Member is a value of a document, or a body that is one text.
	Member
	// Name is the name of an argument or a member.
	Name
	// Target is the path of the request.
	Target
	// Field is the value of a header field.
	Field
	// Markup is a whole document of XML, whose texts are looked at by themselves.
	Markup
)

// A Scanner looks at values. The zero value is ready; it is for one goroutine. It keeps
// its buffers from one value to the next.
type Scanner struct {
	forms []decode.Form
	found clue.List
	work  int
	// value and form are what is being looked at, here so that nothing is allocated.
	value, form lexicon.Text
}

// Scan looks at a value. What it returns holds until the next value; it is empty for a
// value that is clean.
func (s *Scanner) Scan(value string, where Where) []clue.Clue {
	s.found.Reset()
	s.forms = s.forms[:0]
	if value == "" {
		return nil
	}
	s.value = lexicon.Read(value)
	s.value.Written = where == Member || where == Entry
	s.value.Entered = where == Argument || where == Entry || where == Field
	s.work += len(value)
	if inert(&s.value) {
		return nil
	}
	s.forms = append(s.forms, decode.Form{Text: value})
	s.look(&s.value, where)
	if where != Markup && !s.value.Binary() {
		s.decoded(where)
	}
	return s.found.All()
}

// inert tells a value that no detector can find anything in: it is made of letters,
// digits and what joins them to names, dates and numbers, has no word of an attack in
// it, and is too short to be the code of one.
func inert(t *lexicon.Text) bool {
	const harmless = lexicon.Letter | lexicon.Digit | lexicon.Space | lexicon.Dot | lexicon.Minus | lexicon.Underscore |
		lexicon.Colon | lexicon.High
	return t.Bytes&^harmless == 0 && t.Words == 0 && len(t.S) < shortestCode
}

// shortestCode is from how many bytes on a value may be the code of something.
const shortestCode = 12

// decoded looks at what a value is when its encodings are undone.
func (s *Scanner) decoded(where Where) {
	s.forms = decode.Forms(s.forms, s.value.S)
	for n := 1; n < len(s.forms); n++ {
		s.form = lexicon.Read(s.forms[n].Text)
		s.form.Written, s.form.Entered = s.value.Written, s.value.Entered
		s.work += len(s.form.S)
		s.found.Form = n
		s.look(&s.form, where)
	}
}

// look asks the detectors about one form. The order is of no matter.
func (s *Scanner) look(t *lexicon.Text, where Where) {
	s.found.Size = len(t.S)
	object.Find(t, &s.found)
	if t.Binary() {
		return
	}
	if where == Markup {
		resource.XML(t, &s.found)
		return
	}
	control.Find(t, where != Member && where != Name, &s.found)
	control.Lines(t, &s.found)
	resource.Paths(t, where == Target, &s.found)
	resource.XML(t, &s.found)
	resource.URLs(t, where == Target, &s.found)
	if where == Name {
		dialect.Name(t, &s.found)
	}
	sql.Find(t, &s.found)
	script.Find(t, &s.found)
	template.Find(t, &s.found)
	code.Find(t, &s.found)
	shell.Find(t, &s.found)
	dialect.Find(t, &s.found)
}

// Path is the decoding that leads to the form a clue was found in; empty for the value
// itself. It is for clues of the last value.
func (s *Scanner) Path(c clue.Clue) string {
	if c.Form >= len(s.forms) {
		return ""
	}
	return s.forms[c.Form].Path.String()
}

// Form is the text that a clue was found in, for tests.
func (s *Scanner) Form(c clue.Clue) string {
	if c.Form >= len(s.forms) {
		return ""
	}
	return s.forms[c.Form].Text
}

// Work is how many bytes have been looked at since the Scanner was made, forms
// included.
func (s *Scanner) Work() int { return s.work }
