package corpus

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http/httputil"
	"strings"

	"golang.org/x/net/http/httpguts"
)

// parseRaw reads a request as somebody recorded it: lines end in CRLF or LF, and
// everything behind the empty line is the body, whatever Content-Length says. The
// head may also end with the file. A body in chunks is taken out of them, for it
// is to be framed anew.
func parseRaw(data []byte) (Sample, error) {
	p := rawParser{rest: data, lines: 1}
	line, _ := p.line()
	var s Sample
	var err error
	if s.Method, s.Target, err = requestLine(string(line)); err != nil {
		return Sample{}, fmt.Errorf("line 1: %w", err)
	}
	if s.Header, err = p.header(); err != nil {
		return Sample{}, fmt.Errorf("line %d: %w", p.lines-1, err)
	}
	s.Body = p.rest
	unchunk(&s)
	return s, nil
}

type rawParser struct {
	rest  []byte
	lines int // the number of the next line
}

// line takes the next one, without its end; ok is false at the end of the file.
func (p *rawParser) line() (line []byte, ok bool) {
	if len(p.rest) == 0 {
		return nil, false
	}
	p.lines++
	line, p.rest, _ = bytes.Cut(p.rest, []byte("\n"))
	return bytes.TrimSuffix(line, []byte("\r")), true
}

// header reads up to the empty line.
func (p *rawParser) header() ([]Field, error) {
	var fields []Field
	for n := 0; ; n++ {
		line, ok := p.line()
		if !ok || len(line) == 0 {
			return fields, nil
		}
		if n == maxFields {
			return nil, fmt.Errorf("more than %d lines of header fields", maxFields)
		}
		if line[0] == ' ' || line[0] == '\t' {
			// A folded line continues the value (RFC 9112 §5.2).
			if len(fields) == 0 {
				return nil, errors.New("a folded line before the first header field")
			}
			last := &fields[len(fields)-1]
			last.Value = trim(last.Value + " " + trim(string(line)))
			continue
		}
		name, value, found := strings.Cut(string(line), ":")
		if !found || !httpguts.ValidHeaderFieldName(name) {
			return nil, fmt.Errorf("%.40q is no header field", line)
		}
		fields = append(fields, Field{Name: name, Value: trim(value)})
	}
}

// trim takes off what RFC 9110 §5.5 allows around a value.
func trim(value string) string { return strings.Trim(value, " \t") }

// requestLine splits at the first and the last space: what is between them was
// meant to be the target, and may hold spaces that should have been escaped.
func requestLine(line string) (method, target string, err error) {
	method, rest, found := strings.Cut(line, " ")
	end := strings.LastIndexByte(rest, ' ')
	if !found || end < 0 {
		return "", "", fmt.Errorf("%.40q is no request line", line)
	}
	target = rest[:end]
	switch version := rest[end+1:]; version {
	case "HTTP/1.0", "HTTP/1.1", "HTTP/2", "HTTP/2.0": // recorders write the last two for what a browser sent
		return method, target, checkRequestLine(method, target)
	default:
		return "", "", fmt.Errorf("the request line ends in %.20q, which is no version of HTTP", version)
	}
}

func checkRequestLine(method, target string) error {
	switch {
	case !httpguts.ValidHeaderFieldName(method): // a method is a token, too
		return fmt.Errorf("method %.40q is no token", method)
	case method == "CONNECT":
		return errors.New("method CONNECT asks for a tunnel, which no replay can fill")
	case target == "":
		return errors.New("the target is empty")
	}
	return nil
}

// unchunk undoes a chunked coding that is whole, and the field that says so.
// Anything else stays: what is broken there was perhaps meant to be.
func unchunk(s *Sample) {
	at := -1
	for i, f := range s.Header {
		if strings.EqualFold(f.Name, "Transfer-Encoding") {
			if at >= 0 || !strings.EqualFold(f.Value, "chunked") {
				return
			}
			at = i
		}
	}
	if at < 0 {
		return
	}
	r := bufio.NewReader(bytes.NewReader(s.Body))
	body, err := io.ReadAll(httputil.NewChunkedReader(r))
	if err != nil {
		return
	}
	// The chunked reader stops in front of the trailer section.
	if rest, err := io.ReadAll(r); err != nil || len(rest) > 0 && string(rest) != "\r\n" {
		return
	}
	s.Body = body
	s.Header = append(s.Header[:at:at], s.Header[at+1:]...)
}
