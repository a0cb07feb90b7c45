package corpus

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/http/httpguts"
)

// parseLine reads one sample from a JSON line. The error joins every problem that
// was found.
//
// The decoder of encoding/json takes keys in any case and twice, and mends what is
// not UTF-8. A corpus must mean what it says, so the object is taken apart here.
func parseLine(line []byte) (Sample, error) {
	if !utf8.Valid(line) {
		return Sample{}, errors.New("not UTF-8; write bytes of a body as body_base64")
	}
	p := lineParser{seen: map[string]bool{}}
	if err := p.object(line); err != nil {
		return Sample{}, err
	}
	p.check()
	return p.sample, errors.Join(p.problems[:min(len(p.problems), maxProblems)]...)
}

type lineParser struct {
	sample   Sample
	seen     map[string]bool
	problems []error
}

func (p *lineParser) problem(format string, args ...any) {
	p.problems = append(p.problems, fmt.Errorf(format, args...))
}

// object walks over the members. Its error is one of syntax, after which nothing
// can be known.
func (p *lineParser) object(line []byte) error {
	dec := json.NewDecoder(bytes.NewReader(line))
	if open, err := dec.Token(); err != nil || open != json.Delim('{') {
		return errors.Join(errors.New("not a JSON object"), err)
	}
	for dec.More() {
		token, err := dec.Token()
		if err != nil {
			return fmt.Errorf("not JSON: %w", err)
		}
		key, _ := token.(string) // within an object it is one
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return fmt.Errorf("not JSON: %w", err)
		}
		if p.seen[key] {
			p.problem("%q stands there twice", key)
		}
		p.seen[key] = true
		p.member(key, value)
	}
	if _, err := dec.Token(); err != nil {
		return fmt.Errorf("not JSON: %w", err)
	}
	if rest := line[dec.InputOffset():]; len(bytes.TrimSpace(rest)) > 0 {
		return fmt.Errorf("%.20q follows the object; one line holds one sample", rest)
	}
	return nil
}

func (p *lineParser) member(key string, value json.RawMessage) {
	s := &p.sample
	switch key {
	case "label":
		s.Label = Label(p.text(key, value))
	case "id":
		s.ID = p.name(key, value)
	case "method":
		s.Method = p.text(key, value)
	case "target":
		s.Target = p.text(key, value)
	case "headers":
		s.Header = p.fields(value)
	case "body":
		s.Body = []byte(p.text(key, value))
	case "body_base64":
		body, err := base64.StdEncoding.Strict().DecodeString(p.text(key, value))
		if err != nil {
			p.problem("body_base64: %w", err)
		}
		s.Body = body
	case "tags":
		s.Tags = p.tags(value)
	default:
		p.problem("there is no key %.40q", key)
	}
}

// text reads a string. Half a surrogate pair, which encoding/json replaces, is
// none.
func (p *lineParser) text(key string, value json.RawMessage) string {
	var s string
	if len(value) == 0 || value[0] != '"' || json.Unmarshal(value, &s) != nil {
		p.problem("%s is no string", key)
		return ""
	}
	const replacement = string(unicode.ReplacementChar)
	raw := string(value)
	meant := strings.Count(raw, replacement) + strings.Count(strings.ToLower(raw), `\ufffd`)
	if strings.Count(s, replacement) > meant {
		p.problem("%s holds half a surrogate pair", key)
	}
	return s
}

// name reads a string that will be printed and sorted by.
func (p *lineParser) name(key string, value json.RawMessage) string {
	s := p.text(key, value)
	if err := checkName(s); err != nil {
		p.problem("%s %.40q %w", key, s, err)
	}
	return s
}

func checkName(s string) error {
	switch {
	case s == "":
		return errors.New("is empty")
	case s[0] == '#':
		return errors.New("begins with #, as comments in lists do")
	case len(s) > maxName:
		return fmt.Errorf("is longer than %d bytes", maxName)
	case !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }):
		return errors.New("holds what cannot be printed")
	}
	return nil
}

// array reads the elements of a JSON array.
func (p *lineParser) array(key string, value json.RawMessage) []json.RawMessage {
	var all []json.RawMessage
	if len(value) == 0 || value[0] != '[' || json.Unmarshal(value, &all) != nil {
		p.problem("%s is no array", key)
	}
	return all
}

func (p *lineParser) tags(value json.RawMessage) []string {
	all := p.array("tags", value)
	if len(all) > maxTags {
		p.problem("more than %d tags", maxTags)
		return nil
	}
	var tags []string
	for _, v := range all {
		tag := p.name("tag", v)
		if slices.Contains(tags, tag) {
			p.problem("tag %q stands there twice", tag)
		}
		tags = append(tags, tag)
	}
	return tags
}

func (p *lineParser) fields(value json.RawMessage) []Field {
	all := p.array("headers", value)
	if len(all) > maxFields {
		p.problem("more than %d header fields", maxFields)
		return nil
	}
	var fields []Field
	for i, v := range all {
		at := fmt.Sprintf("headers[%d]", i)
		pair := p.array(at, v)
		if len(pair) != 2 {
			p.problem(`%s: write ["name", "value"]`, at)
			continue
		}
		f := Field{Name: p.text(at, pair[0]), Value: trim(p.text(at, pair[1]))}
		if !httpguts.ValidHeaderFieldName(f.Name) {
			p.problem("%s: name %.40q is no token", at, f.Name)
		}
		if strings.ContainsAny(f.Value, "\r\n") {
			p.problem("%s: the value holds a line break, which would end the field", at)
		}
		fields = append(fields, f)
	}
	return fields
}

// check looks at what the members are together.
func (p *lineParser) check() {
	s := &p.sample
	for _, key := range []string{"label", "method", "target"} {
		if !p.seen[key] {
			p.problem("%s is missing", key)
		}
	}
	if p.seen["label"] && s.Label != Attack && s.Label != Benign {
		p.problem("label is %.20q, neither attack nor benign", s.Label)
	}
	if p.seen["body"] && p.seen["body_base64"] {
		p.problem("body and body_base64 exclude each other")
	}
	if p.seen["method"] && p.seen["target"] {
		if err := checkRequestLine(s.Method, s.Target); err != nil {
			p.problems = append(p.problems, err)
		}
	}
	if len(s.Body) > maxSample {
		p.problem("the body is longer than %d bytes", maxSample)
	}
}
