package inspect

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// A pattern is a principal or a path as an AccessPolicy writes them.
type pattern struct {
	form form
	text string
	// segments are those of a path template.
	segments []string
}

type form uint8

const (
	exact form = iota
	prefix
	suffix
	anything
	template
)

var (
	errPatternEmpty = errors.New("is empty")
	errPatternStar  = errors.New("has a * that is neither its first nor its last character")
	errPatternPath  = errors.New("does not start with / or *")
	errPatternID    = errors.New("is neither a SPIFFE ID nor a pattern of one")
	errPatternBrace = errors.New("has a {…} that is not a whole segment of a path, or {**} that is not the last")
)

// parsePrincipals reads SPIFFE IDs: exact, with a final star, a suffix of the
// path in any trust domain, or "*" for any authenticated caller. An error
// begins with the index of the value.
func parsePrincipals(values []string) ([]pattern, error) {
	if len(values) == 0 {
		return nil, errors.New(": names nobody")
	}
	return parseAll(values, func(v string) (pattern, error) {
		if !strings.HasPrefix(v, "spiffe://") && !strings.HasPrefix(v, "*") {
			return pattern{}, errPatternID
		}
		return parsePattern(v)
	})
}

// parsePaths reads paths: exact, "/prefix*", "*suffix", "*", or a template with
// "{*}" and "{**}" segments.
func parsePaths(values []string) ([]pattern, error) { return parseAll(values, parsePath) }

func parsePath(v string) (pattern, error) {
	if v != "" && v[0] != '/' && v[0] != '*' {
		return pattern{}, errPatternPath
	}
	if !strings.ContainsAny(v, "{}") {
		return parsePattern(v)
	}
	if v[0] != '/' {
		return pattern{}, errPatternBrace
	}
	segments := strings.Split(v, "/")[1:]
	for i, s := range segments {
		if strings.ContainsAny(s, "{}*") && s != "{*}" && (s != "{**}" || i != len(segments)-1) {
			return pattern{}, errPatternBrace
		}
	}
	return pattern{form: template, segments: segments}, nil
}

func parseAll(values []string, parse func(string) (pattern, error)) ([]pattern, error) {
	patterns := make([]pattern, 0, len(values))
	for i, v := range values {
		p, err := parse(v)
		if err != nil {
			return nil, fmt.Errorf("[%d]: %q %w", i, v, err)
		}
		patterns = append(patterns, p)
	}
	return patterns, nil
}

func parsePattern(v string) (pattern, error) {
	switch star := strings.IndexByte(v, '*'); {
	case v == "":
		return pattern{}, errPatternEmpty
	case v == "*":
		return pattern{form: anything}, nil
	case star < 0:
		return pattern{form: exact, text: v}, nil
	case star == len(v)-1:
		return pattern{form: prefix, text: v[:star]}, nil
	case star == 0 && strings.Count(v, "*") == 1:
		return pattern{form: suffix, text: v[1:]}, nil
	}
	return pattern{}, errPatternStar
}

// match compares s; a suffix is sought in tail, which is s or the part of it
// that the suffix must not reach beyond.
func (p *pattern) match(s, tail string) bool {
	switch p.form {
	case exact:
		return s == p.text
	case prefix:
		return strings.HasPrefix(s, p.text)
	case suffix:
		return strings.HasSuffix(tail, p.text)
	case template:
		return p.matchSegments(s)
	case anything:
	}
	return s != ""
}

func (p *pattern) matchSegments(path string) bool {
	path, ok := strings.CutPrefix(path, "/")
	if !ok {
		return false
	}
	for i, want := range p.segments {
		if want == "{**}" {
			return path != ""
		}
		segment, rest, more := strings.Cut(path, "/")
		if (want == "{*}" && segment == "") || (want != "{*}" && want != segment) {
			return false
		}
		if last := i == len(p.segments)-1; last || !more {
			return last && !more
		}
		path = rest
	}
	return false
}

func matchAny(patterns []pattern, s, tail string) bool {
	for i := range patterns {
		if patterns[i].match(s, tail) {
			return true
		}
	}
	return false
}

// matchPath compares a normalised path, and what its escapes stand for.
func matchPath(patterns []pattern, path string) bool {
	if matchAny(patterns, path, path) {
		return true
	}
	if strings.IndexByte(path, '%') < 0 {
		return false
	}
	decoded, err := url.PathUnescape(path)
	return err == nil && matchAny(patterns, decoded, decoded)
}

// pathOfID is what follows the trust domain of a SPIFFE ID.
func pathOfID(id string) string {
	rest, ok := strings.CutPrefix(id, "spiffe://")
	if !ok {
		return ""
	}
	if i := strings.IndexByte(rest, '/'); i >= 0 {
		return rest[i:]
	}
	return ""
}
