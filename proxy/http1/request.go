package http1

import (
	"slices"
	"strings"

	"github.com/outrider-mesh/outrider/proxy/message"
)

// A Request is a request head. It is a view of one immutable string, so what is
// taken from it may be kept.
type Request struct {
	head
	text string

	// Method is the method token, in the case it came.
	Method string
	// Target is the request target as it came.
	Target string
	// Path is the target up to its query. For CONNECT it is the target.
	Path string
	// Query is what follows the first '?'; HasQuery tells "/?" from "/".
	Query    string
	HasQuery bool
	// Host is the value of the Host field; empty only in HTTP/1.0.
	Host string
	// Minor is the minor version: 0 or 1.
	Minor int
}

// parse reads a complete head. raw is copied once; nothing keeps it.
func (r *Request) parse(raw []byte, ends []int32, rules requestRules) *message.ProtocolError {
	r.reset()
	first := raw[:ends[0]-2]
	if err := r.parseLine(first, rules); err != nil {
		return err
	}
	if err := r.parseFields(raw, ends, 1); err != nil {
		return err
	}
	if err := r.check(raw); err != nil {
		return err
	}
	r.intern(raw)
	return nil
}

func (r *Request) reset() { *r = Request{head: head{fields: r.fields[:0], nominated: r.nominated[:0]}} }

// requestRules is what differs between listeners.
type requestRules struct {
	targetBytes  int
	allowConnect bool
}

// parseLine checks the request line; intern cuts it up later.
func (r *Request) parseLine(line []byte, rules requestRules) *message.ProtocolError {
	const version = len(" HTTP/1.1")
	method := 0
	for method < len(line) && message.Token.Has(line[method]) {
		method++
	}
	if method == 0 || method == len(line) || line[method] != ' ' {
		return message.Violation("the request line does not begin with a method and one space")
	}
	if len(line) < method+1+version {
		return message.Violation("the request line has no target or no version")
	}
	tail := line[len(line)-version:]
	if tail[0] != ' ' || string(tail[1:6]) != "HTTP/" || tail[7] != '.' {
		return message.Violation("the request line does not end in one space and a version")
	}
	if tail[6] != '1' || tail[8] != '0' && tail[8] != '1' {
		return &message.ProtocolError{Kind: message.UnsupportedVersion, Rule: "the version is neither HTTP/1.0 nor HTTP/1.1"}
	}
	r.Minor = int(tail[8] - '0')
	target := line[method+1 : len(line)-version]
	if len(target) > rules.targetBytes {
		return &message.ProtocolError{Kind: message.TargetTooLong, Rule: "the request target is too long"}
	}
	return message.CheckTarget(line[:method], target, rules.allowConnect)
}

// check applies the rules that concern the head as a whole.
func (r *Request) check(raw []byte) *message.ProtocolError {
	switch {
	case r.hosts > 1:
		return message.Violation("more than one Host")
	case r.hosts == 0 && r.Minor == 1:
		return message.Violation("no Host")
	case r.hosts == 1 && !message.IsHost(cut(raw, r.host)):
		return message.Violation("Host is empty or malformed")
	case r.codings > 0 && r.Minor == 0:
		return message.Violation("Transfer-Encoding in HTTP/1.0")
	case r.HasBody() && string(raw[:8]) == "CONNECT ":
		return message.Violation("CONNECT with a body")
	case r.expectsOther:
		return message.Violation("Expect asks for something other than 100-continue")
	}
	return r.framing()
}

// intern makes the one string that everything else is cut from.
func (r *Request) intern(raw []byte) {
	r.text = string(raw)
	method := strings.IndexByte(r.text, ' ')
	r.Method = r.text[:method]
	line := r.text[method+1:]
	r.Target = line[:strings.IndexByte(line, ' ')]
	r.Path, r.Query, r.HasQuery = message.CutTarget(r.Target)
	if r.hosts == 1 {
		r.Host = cut(r.text, r.host)
	}
}

// Get returns the value of the first field of that name, which must be in lower
// case.
func (r *Request) Get(name string) (string, bool) {
	for i := range r.fields {
		if message.EqualFold(cut(r.text, r.fields[i].name), name) {
			return cut(r.text, r.fields[i].value), true
		}
	}
	return "", false
}

// Each calls yield with every field in order until it returns false.
func (r *Request) Each(yield func(name, value string) bool) {
	for i := range r.fields {
		if !yield(cut(r.text, r.fields[i].name), cut(r.text, r.fields[i].value)) {
			return
		}
	}
}

// Clone returns a copy that outlives the exchange. It shares the string.
func (r *Request) Clone() *Request {
	c := *r
	c.fields, c.nominated = slices.Clone(r.fields), nil
	return &c
}

// Traceparent is the value of the traceparent field, or empty.
func (r *Request) Traceparent() string {
	if !r.traced {
		return ""
	}
	return cut(r.text, r.trace)
}

// HasBody tells whether a body follows the head.
func (r *Request) HasBody() bool { return r.codings > 0 || r.length > 0 }

// ContentLength is the length the head declares; -1 when the body is chunked.
func (r *Request) ContentLength() int64 {
	if r.codings > 0 {
		return -1
	}
	return r.length
}

// ExpectsContinue tells whether the client waits for a 100 before its body.
// In HTTP/1.0 it can't (RFC 9110 §10.1.1).
func (r *Request) ExpectsContinue() bool { return r.expects && r.Minor == 1 && r.HasBody() }

// UpgradesTo is the protocol that the request may be upgraded to: "websocket",
// or empty. Other protocols are not passed on: after "h2c", say, requests would
// flow that nobody authorizes or inspects.
func (r *Request) UpgradesTo() string {
	if r.upgrades && r.upgradeFields == 1 && r.Minor == 1 && !r.HasBody() &&
		message.EqualFold(cut(r.text, r.upgrade), "websocket") {
		return "websocket"
	}
	return ""
}

// persistent tells whether the client wants to send another request.
func (r *Request) persistent() bool {
	if r.Minor == 0 {
		return r.keeps && !r.closes
	}
	return !r.closes
}

// appendTo renders the head for the next hop, with the edits. continues tells
// that an expectation of the client is the next hop's to meet.
func (r *Request) appendTo(dst []byte, e *message.Edits, continues bool) []byte {
	dst = append(dst, r.Method...)
	dst = append(dst, ' ')
	if e.Path == "" || e.Path == r.Path {
		dst = append(dst, r.Target...)
	} else {
		dst = append(dst, e.Path...)
		if r.HasQuery {
			dst = append(dst, '?')
			dst = append(dst, r.Query...)
		}
	}
	dst = append(dst, " HTTP/1.1\r\n"...)
	if r.hosts == 0 {
		dst = append(dst, "host: "...)
		dst = append(dst, e.DefaultHost...)
		dst = append(dst, "\r\n"...)
	}
	if r.expects && !(continues && r.ExpectsContinue()) {
		dst = appendWithout(dst, &r.head, r.text, message.Expect)
	} else {
		dst = appendFields(dst, &r.head, r.text)
	}
	if r.codings > 0 {
		dst = append(dst, "transfer-encoding: chunked\r\n"...)
	}
	if up := r.UpgradesTo(); up != "" {
		dst = append(dst, "connection: upgrade\r\nupgrade: "...)
		dst = append(dst, up...)
		dst = append(dst, "\r\n"...)
	} else if r.trailersWanted {
		dst = append(dst, "te: trailers\r\nconnection: te\r\n"...)
	}
	for _, extra := range e.Fields {
		dst = append(dst, extra...)
	}
	return append(dst, "\r\n"...)
}
