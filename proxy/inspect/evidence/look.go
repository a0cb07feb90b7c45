package evidence

import (
	"strings"

	"github.com/outrider-mesh/outrider/proxy/flow"
	"github.com/outrider-mesh/outrider/proxy/inspect/payload"
	"github.com/outrider-mesh/outrider/proxy/inspect/payload/clue"
)

// A Finding is one thing that was found in a request.
type Finding struct {
	Kind clue.Kind
	// Location is a variable and a name, as those of the rule set are: "ARGS:q".
	Location string
	// Decoding is how the value had to be decoded: "percent,base64"; empty for not
	// at all.
	Decoding string
	// value is the number of the value it was found in: what counts is what is found
	// in one value together.
	value int
	// bare tells that it is of what people write about, SQL or scripts, and stands in a
	// header field or in the path, where nobody writes and the rule set hardly looks.
	bare bool
}

// A Body is what is known of a request's body.
type Body struct {
	// Text are its first bytes, or all of them.
	Text []byte
	// Type is the Content-Type; empty for none.
	Type string
	// Fields yields the texts of messages in protobuf or of GraphQL; nil for any other
	// body.
	Fields func(yield func(name, value string))
	// Stop is asked now and then whether to end: then what was found so far is
	// returned. Nil means never.
	Stop func() bool
}

// pollBytes is how much is scanned before Stop is asked again.
const pollBytes = 16 << 10

// Look asks the detectors about every value of a request. It returns nothing for one in
// which nothing was found, and allocates little for it.
func Look(req *flow.Request, body Body) []Finding {
	l := looker{stop: body.Stop}
	l.head(req)
	l.body(body)
	return l.found
}

// A looker goes over the values of one request.
type looker struct {
	scanner payload.Scanner
	found   []Finding
	values  int
	// walk is the one over a document, reused.
	walk walk
	// stop is the body's, scanned how much was since it was asked, and stopped what it
	// said.
	stop    func() bool
	scanned int
	stopped bool
}

// ended tells whether to look no further, before so many more bytes.
func (l *looker) ended(bytes int) bool {
	if l.stop == nil || l.stopped {
		return l.stopped
	}
	if l.scanned += bytes; l.scanned >= pollBytes {
		l.scanned, l.stopped = 0, l.stop()
	}
	return l.stopped
}

// A place is where a value stands: a collection of the rule set and a name in it.
type place struct {
	collection, name string
	where            payload.Where
}

func (p place) String() string {
	if p.name == "" || !plainName(p.name) {
		return p.collection
	}
	return p.collection + ":" + p.name
}

// plainName tells what may stand in a log: a name is the sender's choice, too, and may
// be the payload.
func plainName(s string) bool {
	if len(s) > 128 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		ok := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("_.-[]", c) >= 0 ||
			c == '@' && i > 0 && s[i-1] == '.' // an attribute of XML
		if !ok {
			return false
		}
	}
	return true
}

// value scans one.
func (l *looker) value(value string, at place) {
	l.values++
	if l.ended(len(value)) {
		return
	}
	for _, c := range l.scanner.Scan(value, at.where) {
		l.found = append(l.found, Finding{
			Kind: c.Kind, Location: at.String(), Decoding: l.scanner.Path(c), value: l.values,
			bare: (at.where == payload.Field || at.where == payload.Target) && (c.Kind.Class() == clue.SQL || c.Kind.Class() == clue.Script),
		})
	}
}

// argument scans a value that may itself be a document.
func (l *looker) argument(value string, at place) {
	if isDocument(value) && l.document(value, at) {
		return
	}
	l.value(value, at)
}

// isDocument tells whether a value may be a document in JSON.
func isDocument(s string) bool {
	s = strings.TrimLeft(s, " \t\r\n")
	return len(s) > 1 && (s[0] == '{' || s[0] == '[') && strings.IndexByte(s, '"') > 0
}
