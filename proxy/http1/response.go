package http1

import "github.com/outrider-mesh/outrider/proxy/message"

// A response is a response head. Unlike a [Request] it is a view of the read
// buffer, valid until the next read: it is rendered at once and not kept.
type response struct {
	head
	raw    []byte
	Status int
	minor  int
	line   span // the status line behind its version: " 200 OK\r\n"
}

// parse reads a complete head.
func (r *response) parse(raw []byte, ends []int32) *message.ProtocolError {
	*r = response{head: head{fields: r.fields[:0], nominated: r.nominated[:0], fromSidecar: r.fromSidecar}, raw: raw}
	if err := r.parseLine(raw[:ends[0]-2]); err != nil {
		return err
	}
	r.line = span{int32(len("HTTP/1.1")), ends[0]}
	if err := r.parseFields(raw, ends, 1); err != nil {
		return err
	}
	return r.check()
}

// parseLine checks the status line: version, three digits, reason (RFC 9112 §4).
func (r *response) parseLine(line []byte) *message.ProtocolError {
	const least = len("HTTP/1.1 200")
	if len(line) < least || string(line[:7]) != "HTTP/1." || line[7] != '0' && line[7] != '1' || line[8] != ' ' {
		return message.Violation("the status line does not begin with HTTP/1.1 and one space")
	}
	r.minor = int(line[7] - '0')
	code := line[9:12]
	for _, d := range code {
		if d < '0' || d > '9' {
			return message.Violation("the status code is not three digits")
		}
		r.Status = r.Status*10 + int(d-'0')
	}
	if r.Status < 100 || r.Status > 599 {
		return message.Violation("the status code is out of range")
	}
	if len(line) > least && (line[12] != ' ' || !message.All(line[13:], message.Value)) {
		return message.Violation("the reason phrase is malformed")
	}
	return nil
}

func (r *response) check() *message.ProtocolError {
	if r.codings > 0 {
		switch {
		case r.minor == 0:
			return message.Violation("Transfer-Encoding in HTTP/1.0")
		case r.Status < 200 || r.Status == 204:
			return message.Violation("Transfer-Encoding in a response without a body")
		}
	}
	if (r.Status < 200 || r.Status == 204) && r.lengths > 0 && r.length != 0 {
		return message.Violation("Content-Length in a response without a body")
	}
	return r.framing()
}

// interim tells whether a final response is still to come.
func (r *response) interim() bool { return r.Status < 200 && r.Status != 101 }

// body tells how the body of an answer to method ends (RFC 9112 §6.3).
func (r *response) body(method string) (bodyKind, int64) {
	switch {
	case method == "HEAD" || r.Status < 200 || r.Status == 204 || r.Status == 304:
		return noBody, 0
	case r.chunked:
		return chunkedBody, 0
	case r.lengths == 1:
		return lengthBody, r.length
	}
	return closeBody, 0
}

// isEventStream tells whether the body is made of events that come when they
// happen.
func (r *response) isEventStream() bool {
	const contentType = "content-type"
	for i := range r.fields {
		if name := cut(r.raw, r.fields[i].name); len(name) == len(contentType) && message.EqualFold(name, contentType) {
			return message.IsEventStream(cut(r.raw, r.fields[i].value))
		}
	}
	return false
}

// persistent tells whether the upstream keeps the connection.
func (r *response) persistent() bool {
	if r.minor == 0 {
		return r.keeps && !r.closes
	}
	return !r.closes
}

// upgrade returns the protocol a 101 switches to.
func (r *response) switchesTo() []byte {
	if r.Status != 101 || !r.upgrades || r.upgradeFields != 1 {
		return nil
	}
	return cut(r.raw, r.upgrade)
}

// appendTo renders the head for the client, without the framing and connection
// fields, which depend on both sides, and without the empty line. withoutLength
// drops a Content-Length that the status forbids (RFC 9110 §8.6).
func (r *response) appendTo(dst []byte, withoutLength bool) []byte {
	dst = append(dst, "HTTP/1.1"...)
	if r.line.to-r.line.from == int32(len(" 200\r\n")) {
		// The space behind the code may not be left out (RFC 9112 §4).
		dst = append(dst, cut(r.raw, span{r.line.from, r.line.to - 2})...)
		dst = append(dst, " \r\n"...)
	} else {
		dst = append(dst, cut(r.raw, r.line)...)
	}
	if r.lengths > 0 && withoutLength {
		return appendWithout(dst, &r.head, r.raw, message.ContentLength)
	}
	return appendFields(dst, &r.head, r.raw)
}
