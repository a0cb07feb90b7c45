package authz

import (
	"slices"
	"strings"
)

// form is how a pattern compares.
type form uint8

const (
	exact form = iota
	prefix
	suffix
	// present is "*": anything but nothing.
	present
)

// A pattern is one value of a policy. text is without the star.
type pattern struct {
	form form
	text string
	// port is the port of a host pattern that has one.
	port string
	// path is set for a path template instead of text.
	path *template
}

// parsePattern reads a value that may have one star, first or last.
func parsePattern(value string) (pattern, *flaw) {
	switch i := strings.IndexByte(value, '*'); {
	case value == "":
		return pattern{}, wrong("is empty", "remove it, or name a value")
	case value == "*":
		return pattern{form: present}, nil
	case i < 0:
		return pattern{form: exact, text: value}, nil
	case i == len(value)-1:
		return pattern{form: prefix, text: value[:i]}, nil
	case i == 0 && strings.Count(value, "*") == 1:
		return pattern{form: suffix, text: value[1:]}, nil
	}
	return pattern{}, wrong("has a * in the middle or more than one", "use one * as the first or the last character")
}

// match compares s; a suffix is sought in tail, which is s or the part of it
// that the suffix must not reach beyond.
func (p *pattern) match(s, tail string) bool {
	if p.path != nil {
		return p.path.match(s)
	}
	switch p.form {
	case exact:
		return s == p.text
	case prefix:
		return strings.HasPrefix(s, p.text)
	case suffix:
		return strings.HasSuffix(tail, p.text)
	default: // present
	}
	return s != ""
}

// matchHost compares without regard to the case of ASCII letters; the
// pattern's text is lower-case.
func (p *pattern) matchHost(host, port string) bool {
	if p.port != "" && p.port != port {
		return false
	}
	extra := len(host) - len(p.text)
	switch p.form {
	case exact:
		return extra == 0 && equalFold(host, p.text)
	case prefix:
		return extra >= 0 && equalFold(host[:len(p.text)], p.text)
	case suffix:
		return extra >= 0 && equalFold(host[extra:], p.text)
	default: // present
	}
	return host != ""
}

// equalFold is strings.EqualFold for ASCII alone, where no other letter is
// equal to one of a to z (U+212A folds to k). The lengths are equal.
func equalFold(s, lower string) bool {
	for i := range len(s) {
		c := s[i]
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}

// matchPath compares a normalised path that holds escapes, by what they stand
// for; the pattern's text is decoded.
func (p *pattern) matchPath(path string) bool {
	switch {
	case p.path != nil:
		return p.path.match(path)
	case p.form == exact:
		return decodesTo(path, p.text)
	case p.form == prefix:
		_, ok := cutDecoded(path, p.text)
		return ok
	case p.form == suffix:
		skip := decodedLen(path) - len(p.text)
		for ; skip > 0; skip-- {
			_, path = nextDecoded(path)
		}
		return skip == 0 && decodesTo(path, p.text)
	}
	return path != ""
}

// mapped is from how many exact values on a hash beats comparing each.
const mapped = 8

// values are the alternatives of one field.
type values struct {
	// list holds the patterns with a star or a template first, then the exact ones.
	list  []pattern
	globs int
	// exact holds the exact values again once there are many.
	exact map[string]struct{}
}

func newValues(list []pattern) values {
	isGlob := func(p pattern) bool { return p.form != exact || p.path != nil }
	slices.SortStableFunc(list, func(a, b pattern) int { return rank(isGlob(b)) - rank(isGlob(a)) })
	v := values{list: list}
	for v.globs < len(list) && isGlob(list[v.globs]) {
		v.globs++
	}
	if len(list)-v.globs > mapped {
		v.exact = make(map[string]struct{}, len(list)-v.globs)
		for _, p := range list[v.globs:] {
			v.exact[p.text] = struct{}{}
		}
	}
	return v
}

func rank(first bool) int {
	if first {
		return 1
	}
	return 0
}

// match tells whether one of the values matches; none matches the empty string.
func (v *values) match(s, tail string) bool {
	list := v.list
	if v.exact != nil {
		if _, ok := v.exact[s]; ok {
			return true
		}
		list = list[:v.globs]
	}
	for i := range list {
		if list[i].match(s, tail) {
			return true
		}
	}
	return false
}

func (v *values) matchHost(host, port string) bool {
	for i := range v.list {
		if v.list[i].matchHost(host, port) {
			return true
		}
	}
	return false
}

// matchPath is match for a path, by what it stands for where it is escaped.
func (v *values) matchPath(path string, escaped bool) bool {
	if !escaped {
		return v.match(path, path)
	}
	return v.position(path, escaped) >= 0
}

// position is the index of the first value that matches a path; -1 if none does.
func (v *values) position(path string, escaped bool) int {
	for i := range v.list {
		if escaped && v.list[i].matchPath(path) || !escaped && v.list[i].match(path, path) {
			return i
		}
	}
	return -1
}
