package http2

import (
	"slices"
	"strings"

	"github.com/outrider-mesh/outrider/proxy/message"
)

// A Request is a request head. What is taken from it may be kept.
type Request struct {
	head

	// Method is the method token, in the case it came.
	Method string
	// Target is :path as it came. For CONNECT it is :authority.
	Target string
	// Path is the target up to its query.
	Path string
	// Query is what follows the first '?'; HasQuery tells "/?" from "/".
	Query    string
	HasQuery bool
	// Host is :authority, or the value of the host field of a request without.
	Host string
	// Protocol is what an extended CONNECT (RFC 8441) asks for: "websocket", or
	// empty for every other request.
	Protocol string

	bodiless bool // the head ended the stream
}

// requestRules is what differs between listeners.
type requestRules struct {
	targetBytes  int
	allowConnect bool
}

// read takes a complete head, and gives its storage for it. ended tells that the
// stream ends with it.
func (r *Request) read(h *head, ended bool, rules *requestRules) *message.ProtocolError {
	r.head, *h = *h, r.head
	h.reset()
	r.bodiless = ended
	if r.broken == nil {
		r.broken = r.check(rules)
	}
	if r.broken != nil {
		r.tellMethod()
		return r.broken
	}
	r.joinCookies()
	r.Method, r.Protocol = r.pseudo[methodField], r.pseudo[protocolField]
	r.Path, r.Query, r.HasQuery = message.CutTarget(r.Target)
	return nil
}

// tellMethod has the answer to a request that is over a limit know the method: that
// of HEAD has no body, and that to a gRPC call is a status of gRPC.
func (r *Request) tellMethod() {
	if method := r.pseudo[methodField]; r.broken.Kind != message.Malformed && message.All(method, message.Token) {
		r.Method = method
	}
}

func (r *Request) reset() {
	r.head.reset()
	*r = Request{head: head{fields: r.fields}}
}

// check applies the rules that concern the head as a whole (RFC 9113 §8.3.1).
func (r *Request) check(rules *requestRules) *message.ProtocolError {
	method := r.pseudo[methodField]
	switch {
	case method == "" || !message.All(method, message.Token):
		return message.Violation("no :method, or one that is not a token")
	case r.hosts > 1:
		return message.Violation("more than one host")
	case r.seen[authorityField] && r.hosts == 1 && !sameHost(r.pseudo[authorityField], r.host):
		return message.Violation(":authority and host differ")
	}
	if r.Host = r.host; r.seen[authorityField] {
		r.Host = r.pseudo[authorityField]
	}
	if err := r.checkTarget(method, rules); err != nil {
		return err
	}
	switch {
	case r.Host == "":
		return message.Violation("neither :authority nor host")
	case !message.IsHost(r.Host):
		return message.Violation(":authority or host is malformed")
	case r.lengths == 1 && r.length > 0 && r.bodiless:
		return message.Violation("content-length of a request without a body")
	case r.expectsOther:
		return message.Violation("Expect asks for something other than 100-continue")
	}
	return nil
}

// sameHost compares hosts, whose case means nothing.
func sameHost(a, b string) bool { return message.SameName(a, b) }

// checkTarget settles which resource is meant.
func (r *Request) checkTarget(method string, rules *requestRules) *message.ProtocolError {
	connects, extended := method == "CONNECT", r.seen[protocolField]
	switch {
	case extended && !connects:
		return message.Violation(":protocol with a method other than CONNECT")
	case extended && r.pseudo[protocolField] != "websocket":
		return &message.ProtocolError{Kind: message.MethodRefused, Rule: "a protocol other than websocket"}
	case connects && !extended:
		return r.checkConnect(rules)
	case r.pseudo[schemeField] != "http" && r.pseudo[schemeField] != "https":
		return message.Violation("no :scheme, or one that is neither http nor https")
	}
	r.Target = r.pseudo[pathField]
	if len(r.Target) > rules.targetBytes {
		return &message.ProtocolError{Kind: message.TargetTooLong, Rule: "the request target is too long"}
	}
	if extended {
		method = "GET" // its target is that of the request it stands for (RFC 8441 §5)
	}
	return message.CheckTarget(method, r.Target, false)
}

// checkConnect is RFC 9113 §8.5.
func (r *Request) checkConnect(rules *requestRules) *message.ProtocolError {
	if r.seen[schemeField] || r.seen[pathField] {
		return message.Violation("CONNECT with a :scheme or a :path")
	}
	r.Target = r.pseudo[authorityField]
	if len(r.Target) > rules.targetBytes {
		return &message.ProtocolError{Kind: message.TargetTooLong, Rule: "the request target is too long"}
	}
	if !r.seen[authorityField] {
		return message.Violation("CONNECT without an :authority")
	}
	if r.lengths > 0 {
		return message.Violation("CONNECT with a content-length")
	}
	return message.CheckTarget("CONNECT", r.Target, rules.allowConnect)
}

// Get returns the value of the first field of that name, which must be in lower
// case. The host is found whichever way it came.
func (r *Request) Get(name string) (string, bool) {
	if name == "host" && r.Host != "" {
		return r.Host, true
	}
	for i := range r.fields {
		if r.fields[i].name == name {
			return r.fields[i].value, true
		}
	}
	return "", false
}

// Each calls yield with every field in order until it returns false, the host
// first if it came as :authority.
func (r *Request) Each(yield func(name, value string) bool) {
	if r.hosts == 0 && r.Host != "" && !yield("host", r.Host) {
		return
	}
	for i := range r.fields {
		if !yield(r.fields[i].name, r.fields[i].value) {
			return
		}
	}
}

// Clone returns a copy that outlives the exchange.
func (r *Request) Clone() *Request {
	c := *r
	c.fields = slices.Clone(r.fields)
	return &c
}

// Traceparent is the value of the traceparent field, or empty.
func (r *Request) Traceparent() string { return r.trace }

// HasBody tells whether a body follows the head. It may turn out to be empty.
func (r *Request) HasBody() bool { return !r.bodiless }

// ContentLength is the length the head declares; -1 when a body of unknown length
// follows.
func (r *Request) ContentLength() int64 {
	if r.lengths == 0 && !r.bodiless {
		return -1
	}
	return r.length
}

// ExpectsContinue tells whether the client waits for a 100 before its body.
func (r *Request) ExpectsContinue() bool { return r.expects && r.HasBody() }

// IsGRPC tells whether this is a gRPC call, whose answer is a status in trailers.
func (r *Request) IsGRPC() bool { return r.grpc && r.Method == "POST" }

// UpgradesTo is the protocol that the stream may be used for instead of HTTP, as
// with HTTP/1.1: "websocket", or empty.
func (r *Request) UpgradesTo() string { return r.Protocol }

// IsTunnel tells whether an answer of 2xx makes the stream one of opaque bytes.
func (r *Request) IsTunnel() bool { return r.Method == "CONNECT" }

// target is the request target after the edits.
func (r *Request) target(e *message.Edits) string {
	switch {
	case e.Path == "" || e.Path == r.Path:
		return r.Target
	case r.HasQuery:
		return strings.Join([]string{e.Path, r.Query}, "?")
	}
	return e.Path
}

// dropped tells whether a field ends at this hop. fromSidecar tells that it came
// from one of us.
func dropped(f *field, fromSidecar bool) bool {
	switch f.kind {
	case message.HopByHop, message.Reserved, message.TE, message.Connection, message.Upgrade, message.TransferEncoding:
		return true
	case message.Decision:
		return !fromSidecar
	case message.Plain, message.Host, message.ContentLength, message.Expect, message.Traceparent, message.Confusing:
	}
	return false
}
