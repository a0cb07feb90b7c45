package http1

import (
	"bytes"
	"strings"
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
func (r *Request) parse(raw []byte, ends []int32, rules requestRules) *ProtocolError {
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
func (r *Request) parseLine(line []byte, rules requestRules) *ProtocolError {
	const version = len(" HTTP/1.1")
	method := 0
	for method < len(line) && classes[line[method]]&tokenByte != 0 {
		method++
	}
	if method == 0 || method == len(line) || line[method] != ' ' {
		return malformed("the request line does not begin with a method and one space")
	}
	if len(line) < method+1+version {
		return malformed("the request line has no target or no version")
	}
	tail := line[len(line)-version:]
	if tail[0] != ' ' || string(tail[1:6]) != "HTTP/" || tail[7] != '.' {
		return malformed("the request line does not end in one space and a version")
	}
	if tail[6] != '1' || tail[8] != '0' && tail[8] != '1' {
		return &ProtocolError{Kind: UnsupportedVersion, Rule: "the version is neither HTTP/1.0 nor HTTP/1.1"}
	}
	r.Minor = int(tail[8] - '0')
	target := line[method+1 : len(line)-version]
	if len(target) > rules.targetBytes {
		return &ProtocolError{Kind: TargetTooLong, Rule: "the request target is too long"}
	}
	return checkTarget(line[:method], target, rules)
}

// checkTarget allows the forms of RFC 9112 §3.2 that make sense at a sidecar:
// origin-form, asterisk-form for OPTIONS, authority-form for CONNECT where that
// is configured. The absolute-form belongs to forward proxies.
func checkTarget(method, target []byte, rules requestRules) *ProtocolError {
	if len(target) == 0 || !all(target, targetByte) {
		return malformed("the request target holds a byte that is not allowed")
	}
	switch {
	case string(method) == "CONNECT":
		if !rules.allowConnect {
			return &ProtocolError{Kind: MethodRefused, Rule: "CONNECT is not configured here"}
		}
		if !isAuthority(target) {
			return malformed("the target of CONNECT is not host:port")
		}
	case string(target) == "*":
		if string(method) != "OPTIONS" {
			return malformed("the target * with a method other than OPTIONS")
		}
	case target[0] != '/':
		return malformed("the request target is not in origin-form")
	case !escapesHold(target):
		return malformed("the path holds a percent sign that is not an escape")
	}
	return nil
}

// escapesHold tells whether every '%' of the path begins an escape (RFC 3986
// §2.1). Queries are left alone: much that is alive sends them half-escaped.
func escapesHold(target []byte) bool {
	if bytes.IndexByte(target, '%') < 0 {
		return true
	}
	path, _, _ := bytes.Cut(target, []byte{'?'})
	for i := range path {
		if path[i] != '%' {
			continue
		}
		if len(path) < i+3 {
			return false
		}
		_, high := hexDigit(path[i+1])
		_, low := hexDigit(path[i+2])
		if !high || !low {
			return false
		}
	}
	return true
}

// isAuthority tells whether b is host ":" port (RFC 9110 §7.2).
func isAuthority(b []byte) bool {
	name, port := splitHost(b)
	return isHostName(name) && len(port) > 1 && isPort(port)
}

// isHost tells whether b can be a Host value: uri-host [ ":" port ] (RFC 9110
// §7.2), with a name, without userinfo and escapes, and without an empty port:
// who compares hosts must not have to undo any of these.
func isHost(b []byte) bool {
	name, port := splitHost(b)
	return isHostName(name) && (len(port) == 0 || isPort(port))
}

// splitHost cuts b in front of the colon that a port follows.
func splitHost(b []byte) (name, port []byte) {
	from := 0
	if len(b) > 0 && b[0] == '[' {
		from = bytes.IndexByte(b, ']') + 1
	}
	if colon := bytes.IndexByte(b[from:], ':'); colon >= 0 {
		return b[:from+colon], b[from+colon:]
	}
	return b, nil
}

// isHostName tells whether b is a reg-name, an IPv4 address or a bracketed IPv6
// address without a zone.
func isHostName(b []byte) bool {
	if len(b) > 2 && b[0] == '[' && b[len(b)-1] == ']' {
		return all(b[1:len(b)-1], addressByte)
	}
	return len(b) > 0 && all(b, hostByte)
}

// isPort tells whether b is a colon and a port number.
func isPort(b []byte) bool {
	for _, d := range b[1:] {
		if d < '0' || d > '9' {
			return false
		}
	}
	return len(b) >= 2 && len(b) <= len(":65535")
}

// check applies the rules that concern the head as a whole.
func (r *Request) check(raw []byte) *ProtocolError {
	switch {
	case r.hosts > 1:
		return malformed("more than one Host")
	case r.hosts == 0 && r.Minor == 1:
		return malformed("no Host")
	case r.hosts == 1 && !isHost(cut(raw, r.host)):
		return malformed("Host is empty or malformed")
	case r.codings > 0 && r.Minor == 0:
		return malformed("Transfer-Encoding in HTTP/1.0")
	case r.HasBody() && string(raw[:8]) == "CONNECT ":
		return malformed("CONNECT with a body")
	case r.expectsOther:
		return malformed("Expect asks for something other than 100-continue")
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
	r.Path, r.Query, r.HasQuery = strings.Cut(r.Target, "?")
	if r.hosts == 1 {
		r.Host = cut(r.text, r.host)
	}
}

// Get returns the value of the first field of that name, which must be in lower
// case.
func (r *Request) Get(name string) (string, bool) {
	for i := range r.fields {
		if equalFold(cut(r.text, r.fields[i].name), name) {
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
		equalFold(cut(r.text, r.upgrade), "websocket") {
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

// idempotent methods may be sent a second time (RFC 9110 §9.2.2).
func (r *Request) idempotent() bool {
	switch r.Method {
	case "GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE":
		return true
	}
	return false
}

// appendTo renders the head for the next hop, with the edits. continues tells
// that an expectation of the client is the next hop's to meet.
func (r *Request) appendTo(dst []byte, e *Edits, continues bool) []byte {
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
		dst = appendWithout(dst, &r.head, r.text, expectField)
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

// appendWithout is appendFields less the fields of one more kind.
func appendWithout[T text](dst []byte, h *head, src T, kind fieldKind) []byte {
	for i := range h.fields {
		if f := &h.fields[i]; f.kind != kind && !dropped(h, src, f) {
			dst = append(dst, cut(src, f.line)...)
		}
	}
	return dst
}
