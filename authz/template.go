package authz

import "strings"

// A template is a path pattern of whole segments.
type template struct {
	// segments are decoded; oneSegment stands for any.
	segments []string
	// rest tells that the template ends in {**}.
	rest bool
}

// The variable segments of a template. A slash cannot be part of a decoded
// segment, so no literal one is equal to them.
const (
	oneSegment  = "/*"
	anySegments = "{**}"
)

// match needs a slash before each segment. {*} takes one that is not empty,
// {**} whatever follows its slash, be it nothing.
func (t *template) match(path string) bool {
	for _, want := range t.segments {
		if !strings.HasPrefix(path, "/") { // at its end, or the path is "*"
			return false
		}
		got := path[1:]
		if i := strings.IndexByte(got, '/'); i >= 0 {
			got = got[:i]
		}
		if want == oneSegment && got == "" || want != oneSegment && !decodesTo(got, want) {
			return false
		}
		path = path[1+len(got):]
	}
	if t.rest {
		return strings.HasPrefix(path, "/")
	}
	return path == ""
}

// literal is what every path begins with that matches.
func (t *template) literal() string {
	var b strings.Builder
	b.WriteByte('/')
	for _, segment := range t.segments {
		if segment == oneSegment {
			break
		}
		b.WriteString(segment)
		b.WriteByte('/')
	}
	return b.String()
}

// parsePath reads a path pattern. Its literal parts must be in the form that
// NormalizePath returns, else no request would ever match them.
func parsePath(value string) (pattern, *flaw) {
	p, bad := pattern{}, (*flaw)(nil)
	if braced := strings.ContainsAny(value, "{}"); braced {
		p, bad = parseTemplate(value)
	} else {
		p, bad = parsePattern(value)
	}
	if bad != nil {
		return p, bad
	}
	if value[0] != '/' && value[0] != '*' {
		return p, wrong("does not start with / or *", "write the path from its root")
	}
	if bad = normalised(p, value); bad != nil {
		return p, bad
	}
	p.text = decode(p.text)
	return p, nil
}

// parseTemplate reads a path with {*} or {**}.
func parseTemplate(value string) (pattern, *flaw) {
	rest := strings.NewReplacer("{*}", "", "{**}", "").Replace(value)
	if strings.Contains(rest, "*") {
		return pattern{}, wrong("mixes * with {}", "use {*} for one segment and {**} for the rest of the path")
	}
	if strings.ContainsAny(rest, "{}") {
		return pattern{}, wrong("has a brace that is not {*} or {**}", "write a literal brace as %7B or %7D")
	}
	var t template
	for i, segment := range strings.Split(value, "/") {
		switch {
		case t.rest:
			return pattern{}, wrong("has something after {**}", "make {**} the last segment")
		case i == 0 && segment != "":
			return pattern{}, wrong("does not start with / or *", "write the path from its root")
		case i == 0:
		case segment == "{*}":
			t.segments = append(t.segments, oneSegment)
		case segment == anySegments:
			t.rest = true
		case strings.Contains(segment, "{"):
			return pattern{}, wrong("has {*} or {**} within a segment", "let it stand between slashes")
		default:
			t.segments = append(t.segments, decode(segment))
		}
	}
	return pattern{path: &t}, nil
}

// normalised checks that a literal could be part of a normalised path.
func normalised(p pattern, value string) *flaw {
	sample := p.text
	switch {
	case p.path != nil:
		sample = strings.NewReplacer("{*}", "x", anySegments, "x").Replace(value)
	case p.form == suffix:
		sample = "/x" + p.text
	case p.form == prefix:
		sample += "x" // so that a last "." is the start of a name
	case p.form == present:
		return nil
	}
	got, err := NormalizePath(sample)
	if err != nil {
		return wrong("can never match: "+err.Error(), "write the path as it is after normalisation")
	}
	if got == sample {
		return nil
	}
	remedy := "write the path as it is after normalisation"
	if p.form == exact && p.path == nil {
		remedy = "write " + got
	}
	return wrong("can never match: it is not normalised", remedy)
}

// decode returns what a normalised literal stands for.
func decode(s string) string {
	if !strings.Contains(s, "%") {
		return s
	}
	var b strings.Builder
	for s != "" {
		var c byte
		c, s = nextDecoded(s)
		b.WriteByte(c)
	}
	return b.String()
}

// nextDecoded takes one character, escaped or not, off a string that is not empty.
func nextDecoded(s string) (c byte, rest string) {
	if s[0] == '%' {
		if value, ok := unescape(s); ok {
			return value, s[3:]
		}
	}
	return s[0], s[1:]
}

// cutDecoded takes the decoded text off the start of s.
func cutDecoded(s, text string) (rest string, ok bool) {
	for i := range len(text) {
		if s == "" {
			return s, false
		}
		var c byte
		if c, s = nextDecoded(s); c != text[i] {
			return s, false
		}
	}
	return s, true
}

func decodesTo(s, text string) bool {
	rest, ok := cutDecoded(s, text)
	return ok && rest == ""
}

func decodedLen(s string) (n int) {
	for ; s != ""; n++ {
		_, s = nextDecoded(s)
	}
	return n
}
