package evidence

import (
	"strings"

	"github.com/outrider-mesh/outrider/proxy/flow"
	"github.com/outrider-mesh/outrider/proxy/inspect/bodies"
	"github.com/outrider-mesh/outrider/proxy/inspect/payload"
)

// head looks at the target and the header fields.
func (l *looker) head(req *flow.Request) {
	path, query, _ := strings.Cut(req.Target, "?")
	l.value(path, place{"REQUEST_FILENAME", "", payload.Target})
	l.segments(path)
	l.pairs(query, payload.Argument)
	if req.Header == nil {
		return
	}
	req.Header.Each(func(name, value string) bool {
		l.field(name, value)
		return true
	})
}

// segments looks at each segment of a path that has something to decode: services take
// their parameters from there, too.
func (l *looker) segments(path string) {
	if strings.IndexByte(path, '%') < 0 {
		return
	}
	for segment := range strings.SplitSeq(path, "/") {
		if strings.IndexByte(segment, '%') >= 0 {
			l.argument(bodies.Unescape(segment), place{"REQUEST_FILENAME", "", payload.Argument})
		}
	}
}

func (l *looker) field(name, value string) {
	switch {
	case strings.EqualFold(name, "cookie"):
		l.cookies(value)
	case !wellFormed(name, value):
		l.value(value, place{"REQUEST_HEADERS", name, payload.Field})
	}
}

// wellFormed tells fields that every request has and whose values can be recognised:
// types, languages and codings with weights. Anything else in them is looked at.
func wellFormed(name, value string) bool {
	if len(name) < 6 || !strings.EqualFold(name[:6], "accept") && !strings.EqualFold(name, "content-type") {
		return false
	}
	for i := range len(value) {
		c := value[i]
		ok := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("*/;=,.+- _\"", c) >= 0
		if !ok {
			return false
		}
	}
	return true
}

// cookies splits a field of cookies, as lenient servers do.
func (l *looker) cookies(value string) {
	for pair := range strings.SplitSeq(value, ";") {
		name, value, _ := strings.Cut(strings.TrimLeft(pair, " "), "=")
		l.name(name, "REQUEST_COOKIES_NAMES")
		l.argument(bodies.Unescape(value), place{"REQUEST_COOKIES", name, payload.Argument})
	}
}

// pairs splits a query or a form.
func (l *looker) pairs(s string, where payload.Where) {
	for s != "" {
		var pair string
		pair, s, _ = strings.Cut(s, "&")
		name, value, _ := strings.Cut(pair, "=")
		name, value = bodies.Unescape(name), bodies.Unescape(value)
		l.name(name, "ARGS_NAMES")
		l.argument(value, place{"ARGS", name, where})
	}
}

func (l *looker) name(name, collection string) {
	l.value(name, place{collection, name, payload.Name})
}
