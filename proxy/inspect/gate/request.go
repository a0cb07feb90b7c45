package gate

import (
	"net/url"
	"strings"
)

// Fields are the header fields of a request.
type Fields interface {
	// Each calls yield with the name and value of each field, in order.
	Each(yield func(name, value string) bool)
}

// A Request is what the engine would be given.
type Request struct {
	Method, Target, Protocol string
	// Remote is the caller's address, ServerName the name it asked for.
	Remote, ServerName string
	Header             Fields
	// Host is taken for a header field where there is none of that name.
	Host string
	// Variables are those of TX that are 1 in this request.
	Variables []string
	Body      []byte
	// Partial tells that Body is only a prefix.
	Partial bool
	// Processor reads the body; empty means that the rules decide.
	Processor string
	// Stop is asked now and then, while a long body is proved, whether to end; then the
	// request is not proved. Nil means never.
	Stop func() bool
}

// A field is one header field.
type field struct{ name, value string }

// A view is a request taken apart.
type view struct {
	fields []field
	single [partCount]string
	// only restricts the fields to one; -1 for none.
	only  int
	force bool
	// parts are the header fields of a form's parts, by the part's name, and values
	// counts those of each part that only some bodies have.
	parts  []field
	values [partCount]int
}

// readHead takes the head apart; ok is false for what is not read here.
func (v *view) readHead(r *Request) (ok bool) {
	if strings.IndexByte(r.Target, '#') >= 0 {
		return false
	}
	v.single[method], v.single[protocol] = r.Method, r.Protocol
	v.single[remoteAddr], v.single[serverName] = r.Remote, r.ServerName
	v.single[bodyLength], v.single[bodyError] = "0", "0"
	v.single[filesSize] = "0"
	v.single[limitReached], v.single[parseError] = "0", "0"
	if !v.readTarget(r.Target) {
		return false
	}
	if r.Partial {
		v.single[partial] = "1"
	}
	v.single[processor] = v.processorOfType()
	return true
}

// readTarget does what the engine does to a target.
func (v *view) readTarget(target string) (ok bool) {
	v.single[uriRaw] = target
	path, rawQuery, _ := strings.Cut(target, "?")
	if plainPath(path) && (plainQuery(rawQuery) || path == target) {
		v.single[uri], v.single[filename], v.single[query] = target, path, rawQuery
	} else {
		u, err := url.ParseRequestURI(target)
		if err != nil {
			return false
		}
		v.single[uri], v.single[filename], v.single[query] = u.String(), u.Path, u.RawQuery
	}
	path = v.single[filename]
	v.single[basename] = path
	if slash := strings.LastIndexAny(path, `/\`); slash >= 0 && slash+1 < len(path) {
		v.single[basename] = path[slash+1:]
	}
	return true
}

// plainPath tells the paths of which parsing a target makes nothing else.
func plainPath(s string) bool {
	if s == "" || s[0] != '/' || strings.HasPrefix(s, "//") {
		return false
	}
	for i := range len(s) {
		if c := s[i]; !isWord(c) && strings.IndexByte("/.-~", c) < 0 {
			return false
		}
	}
	return true
}

// plainQuery leaves out what a parser of targets may object to.
func plainQuery(s string) bool {
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c >= 0x7f {
			return false
		}
	}
	return s != ""
}

func isWord(c byte) bool { return c == '_' || isDigit(c) || 'a' <= c|0x20 && c|0x20 <= 'z' }

// processorOfType is the reader of bodies that the engine chooses by itself, by the
// first content type.
func (v *view) processorOfType() string {
	for _, f := range v.fields {
		if !strings.EqualFold(f.name, "content-type") {
			continue
		}
		t := strings.TrimSpace(strings.ToLower(f.value))
		switch {
		case strings.HasPrefix(t, "application/x-www-form-urlencoded"):
			return "URLENCODED"
		case strings.HasPrefix(t, "multipart/form-data"):
			return "MULTIPART"
		}
		return ""
	}
	return ""
}

// line is REQUEST_LINE; it is put together only when a rule asks.
func (v *view) line() string {
	if v.single[line] == "" {
		v.single[line] = v.single[method] + " " + v.single[uriRaw] + " " + v.single[protocol]
	}
	return v.single[line]
}

// value of a part that has exactly one.
func (v *view) value(p part) string {
	if p == line {
		return v.line()
	}
	return v.single[p]
}
