package http2

import (
	"golang.org/x/net/http2/hpack"

	"github.com/outrider-mesh/outrider/proxy/message"
)

// field is one header field. Its strings belong to nobody else and may be kept.
type field struct {
	name, value string
	kind        message.Kind
	// sensitive: to be sent in a way that nobody on the path compresses it
	// (RFC 7541 §7.1.3).
	sensitive bool
}

// section is what a header section is of.
type section uint8

const (
	requestHead section = iota
	responseHead
	trailerSection
)

// headRules bound a section.
type headRules struct {
	of    section
	bytes int // as RFC 9113 §6.5.2 counts them for SETTINGS_MAX_HEADER_LIST_SIZE
	count int // of fields, pseudo-header fields apart
}

// pseudo-header fields, in the order of pseudoNames.
const (
	methodField = iota
	schemeField
	authorityField
	pathField
	protocolField
	statusField
	pseudoFields
)

// head is what requests, responses and trailers have in common.
type head struct {
	fields []field
	pseudo [pseudoFields]string
	seen   [pseudoFields]bool

	size  int // of the section, so far
	count int // fields, those that are not kept included
	// broken is the first rule that the section broke; nothing is kept then.
	broken *message.ProtocolError

	hosts        int
	host         string
	lengths      int
	length       int64 // of content-length; valid if lengths is 1
	cookies      int
	trailers     bool // te: trailers
	expects      bool // an Expect field, whatever it asks for
	expectsOther bool // Expect: something other than 100-continue
	trace        string
	grpc         bool // content-type is that of gRPC
	events       bool // content-type is that of server-sent events
}

func (h *head) reset() {
	clear(h.fields)
	*h = head{fields: h.fields[:0]}
}

// add takes the next field of a section. It reports whether more of them are
// wanted.
func (h *head) add(f hpack.HeaderField, rules *headRules) bool {
	h.size += len(f.Name) + len(f.Value) + 32
	switch {
	case h.broken != nil:
	case h.size > rules.bytes:
		h.broken = &message.ProtocolError{Kind: message.HeadTooLarge, Rule: "the header section is over its limit"}
	case len(f.Name) > 0 && f.Name[0] == ':':
		h.broken = h.addPseudo(f, rules.of)
	default:
		h.broken = h.addField(f, rules)
	}
	return h.broken == nil
}

func (h *head) addPseudo(f hpack.HeaderField, of section) *message.ProtocolError {
	which := pseudoField(f.Name)
	switch {
	case of == trailerSection:
		return message.Violation("a pseudo-header field in a trailer section")
	case which == pseudoFields, (which == statusField) != (of == responseHead):
		return message.Violation("a pseudo-header field that does not belong here")
	case h.count > 0:
		return message.Violation("a pseudo-header field behind another field")
	case h.seen[which]:
		return message.Violation("a pseudo-header field twice")
	}
	h.seen[which], h.pseudo[which] = true, f.Value
	return nil
}

func pseudoField(name string) int {
	switch name {
	case ":method":
		return methodField
	case ":scheme":
		return schemeField
	case ":authority":
		return authorityField
	case ":path":
		return pathField
	case ":protocol":
		return protocolField
	case ":status":
		return statusField
	}
	return pseudoFields
}

// addField checks a field by RFC 9113 §8.2.
func (h *head) addField(f hpack.HeaderField, rules *headRules) *message.ProtocolError {
	if h.count++; h.count > rules.count {
		return &message.ProtocolError{Kind: message.HeadTooLarge, Rule: "too many header fields"}
	}
	if err := checkField(f.Name, f.Value); err != nil {
		return err
	}
	one := field{name: f.Name, value: f.Value, kind: message.KindOf(f.Name), sensitive: f.Sensitive}
	if rules.of == trailerSection {
		return h.addTrailer(one)
	}
	if err := h.note(&one); err != nil {
		return err
	}
	h.fields = append(h.fields, one)
	return nil
}

// checkField allows lower-case tokens for names, and for values what HTTP/1.1
// does, white space around them apart (RFC 9113 §8.2.1).
func checkField(name, value string) *message.ProtocolError {
	if name == "" || !message.All(name, message.Token) {
		return message.Violation("a header field name is not a token")
	}
	for i := range len(name) {
		if name[i] >= 'A' && name[i] <= 'Z' {
			return message.Violation("a header field name is not in lower case")
		}
	}
	if !message.All(value, message.Value) {
		return message.Violation("a header field value holds a control byte")
	}
	if message.TrimOWS(value) != value {
		return message.Violation("white space around a header field value")
	}
	return nil
}

// note keeps what a field means for the message.
func (h *head) note(f *field) *message.ProtocolError {
	switch f.kind {
	case message.Host:
		h.hosts++
		h.host = f.value
	case message.ContentLength:
		return h.noteLength(f.value)
	case message.Connection, message.TransferEncoding, message.Upgrade:
		return message.Violation("a field that belongs to a connection of HTTP/1.1")
	case message.HopByHop:
		if f.name == "keep-alive" || f.name == "proxy-connection" {
			return message.Violation("a field that belongs to a connection of HTTP/1.1")
		}
	case message.TE:
		if f.value != "trailers" {
			return message.Violation("te asks for something other than trailers")
		}
		h.trailers = true
	case message.Expect:
		h.expects = true
		h.expectsOther = h.expectsOther || !message.EqualFold(f.value, "100-continue")
	case message.Traceparent:
		h.trace = f.value
	case message.Confusing:
		return message.Violation("a framing field is spelled with an underscore")
	case message.Plain:
		switch f.name {
		case "cookie":
			h.cookies++
		case "content-type":
			h.grpc, h.events = isGRPC(f.value), message.IsEventStream(f.value)
		}
	case message.Reserved, message.Decision:
	}
	return nil
}

func (h *head) noteLength(value string) *message.ProtocolError {
	n, ok := message.ParseLength(value)
	if !ok {
		return message.Violation("content-length is not a number")
	}
	if h.lengths++; h.lengths > 1 {
		return message.Violation("more than one content-length")
	}
	h.length = n
	return nil
}

// addTrailer keeps a trailer that may be passed on. The others are dropped, as in
// HTTP/1.1.
func (h *head) addTrailer(f field) *message.ProtocolError {
	switch f.kind {
	case message.Confusing:
		return message.Violation("a framing field is spelled with an underscore")
	case message.Connection, message.TransferEncoding, message.Upgrade:
		return message.Violation("a field that belongs to a connection of HTTP/1.1")
	case message.Plain:
		if !message.ForbiddenTrailer(f.name) {
			h.fields = append(h.fields, f)
		}
	default: // means nothing behind a body
	}
	return nil
}

// isGRPC tells the media type of gRPC from that of gRPC-Web and others.
func isGRPC(contentType string) bool {
	const grpc = "application/grpc"
	if len(contentType) < len(grpc) || !message.EqualFold(contentType[:len(grpc)], grpc) {
		return false
	}
	return len(contentType) == len(grpc) || contentType[len(grpc)] == '+' || contentType[len(grpc)] == ';'
}

// joinCookies makes one cookie field of several: HTTP/2 may split it, and nobody
// behind us shall have to know that (RFC 9113 §8.2.3).
func (h *head) joinCookies() {
	if h.cookies < 2 {
		return
	}
	joined, first, kept := make([]byte, 0, 256), -1, h.fields[:0]
	for _, f := range h.fields {
		if f.name != "cookie" {
			kept = append(kept, f)
			continue
		}
		if first < 0 {
			first = len(kept)
			kept = append(kept, f)
		} else {
			joined = append(joined, "; "...)
			kept[first].sensitive = kept[first].sensitive || f.sensitive
		}
		joined = append(joined, f.value...)
	}
	clear(h.fields[len(kept):])
	h.fields, h.cookies = kept, 1
	h.fields[first].value = string(joined)
}
