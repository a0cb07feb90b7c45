package http1

import "bytes"

func indexLF(b []byte) int { return bytes.IndexByte(b, '\n') }

// span is a piece of a head, as offsets: it holds for the bytes and for their
// string copy alike.
type span struct{ from, to int32 }

func cut[T text](s T, p span) T { return s[p.from:p.to] }

// fieldKind is what a field means to a proxy; most mean nothing.
type fieldKind uint8

const (
	plainField fieldKind = iota
	hostField
	contentLengthField
	transferEncodingField
	connectionField
	upgradeField
	teField
	expectField
	traceparentField
	// hopField: ends at this hop and means nothing else to us.
	hopField
	// reservedField: only a sidecar may set it; stripped from either side.
	reservedField
	// decisionField: names the record of a refusal; it passes only if a sidecar
	// has sent it.
	decisionField
	// confusingField: a framing field spelled so that another server might
	// take it for the real one.
	confusingField
)

// field is one header field line.
type field struct {
	line, name, value span
	kind              fieldKind
}

// kindOf classifies a field name. The lengths come first, as most names differ
// in it from all of these.
func kindOf[T text](name T) fieldKind { //nolint:cyclop // one flat table
	switch len(name) { // a case that returns is shorter than ownPrefix, or has matched
	case 2:
		return kindIf(equalFold(name, "te"), teField)
	case 4:
		return kindIf(equalFold(name, "host"), hostField)
	case 6:
		return kindIf(equalFold(name, "expect"), expectField)
	case 7:
		return kindIf(equalFold(name, "upgrade"), upgradeField)
	case 10:
		if equalFold(name, "connection") {
			return connectionField
		}
		return kindIf(equalFold(name, "keep-alive"), hopField)
	case 11:
		if equalFold(name, "traceparent") {
			return traceparentField
		}
	case 14:
		if equalFold(name, "content-length") {
			return contentLengthField
		}
		if looksLike(name, "content-length") {
			return confusingField
		}
	case 16:
		if equalFold(name, "proxy-connection") {
			return hopField
		}
	case 17:
		if equalFold(name, "transfer-encoding") {
			return transferEncodingField
		}
		if looksLike(name, "transfer-encoding") {
			return confusingField
		}
	case 18:
		if equalFold(name, "proxy-authenticate") {
			return hopField
		}
	case 19:
		if equalFold(name, "proxy-authorization") {
			return hopField
		}
	case len(xfcc):
		if looksLike(name, xfcc) {
			return reservedField
		}
	}
	if len(name) >= len(ownPrefix) && looksLike(name[:len(ownPrefix)], ownPrefix) {
		if equalFold(name, decision) {
			return decisionField
		}
		return reservedField
	}
	return plainField
}

// Names that carry identity. A neighbour that sends them is lying or confused.
const (
	xfcc      = "x-forwarded-client-cert"
	ownPrefix = "x-outrider-"
	decision  = "x-outrider-decision"
)

func kindIf(is bool, kind fieldKind) fieldKind {
	if is {
		return kind
	}
	return plainField
}

// head is what a request and a response head have in common.
type head struct {
	fields []field
	// nominated are the field names that Connection lists, options apart
	// (RFC 9110 §7.6.1). Offsets into the same head.
	nominated []span

	hosts          int
	host           span
	lengths        int
	length         int64 // of Content-Length; valid if lengths is 1
	codings        int   // Transfer-Encoding fields
	chunked        bool
	closes         bool // Connection: close
	keeps          bool // Connection: keep-alive
	upgrades       bool // Connection: upgrade
	upgrade        span // value of the first Upgrade field
	upgradeFields  int
	trailersWanted bool // TE: trailers
	expects        bool // an Expect field, whatever it asks for
	expectsOther   bool // Expect: something other than 100-continue
	fromSidecar    bool // see [Dialed]
	traced         bool
	trace          span
}

func (h *head) reset() { *h = head{fields: h.fields[:0], nominated: h.nominated[:0]} }

// parseFields reads the field lines of raw: those between the first line of a
// head and its empty line. skip is 1 for a head and 0 for a trailer section.
func (h *head) parseFields(raw []byte, ends []int32, skip int) *ProtocolError {
	start := int32(0)
	if skip == 1 {
		start = ends[0]
	}
	for _, end := range ends[skip : len(ends)-1] {
		f, err := parseField(raw, span{start, end})
		if err != nil {
			return err
		}
		if err := h.note(raw, &f); err != nil {
			return err
		}
		h.fields = append(h.fields, f)
		start = end
	}
	return nil
}

// parseField reads one line, CRLF included.
func parseField(raw []byte, line span) (field, *ProtocolError) {
	b := raw[line.from : line.to-2]
	if b[0] == ' ' || b[0] == '\t' {
		return field{}, malformed("a header line starts with white space (obs-fold)")
	}
	colon := 0
	for colon < len(b) && classes[b[colon]]&tokenByte != 0 {
		colon++
	}
	switch {
	case colon == len(b):
		return field{}, malformed("a header line has no colon")
	case b[colon] == ' ' || b[colon] == '\t':
		return field{}, malformed("white space before the colon of a header field")
	case b[colon] != ':' || colon == 0:
		return field{}, malformed("a header field name is not a token")
	}
	value := b[colon+1:]
	if !all(value, valueByte) {
		return field{}, malformed("a header field value holds a control byte")
	}
	from := colon + 1
	for from < len(b) && (b[from] == ' ' || b[from] == '\t') {
		from++
	}
	to := len(b)
	for to > from && (b[to-1] == ' ' || b[to-1] == '\t') {
		to--
	}
	at := func(i int) int32 { return line.from + int32(i) } //nolint:gosec // within the line
	return field{
		line: line, name: span{line.from, at(colon)}, value: span{at(from), at(to)},
		kind: kindOf(b[:colon]),
	}, nil
}

// note keeps what a field means for framing and for the connection.
func (h *head) note(raw []byte, f *field) *ProtocolError {
	value := cut(raw, f.value)
	switch f.kind {
	case hostField:
		h.hosts++
		h.host = f.value
	case contentLengthField:
		h.lengths++
		n, ok := parseLength(value)
		if !ok {
			return malformed("Content-Length is not a number")
		}
		h.length = n
	case transferEncodingField:
		h.codings++
		h.chunked = equalFold(value, "chunked")
	case connectionField:
		return h.noteConnection(raw, f.value)
	case upgradeField:
		h.upgradeFields++
		h.upgrade = f.value
	case teField:
		h.trailersWanted = h.trailersWanted || equalFold(value, "trailers")
	case expectField:
		h.expects = true
		h.expectsOther = h.expectsOther || !equalFold(value, "100-continue")
	case traceparentField:
		h.traced = true
		h.trace = f.value
	case confusingField:
		return malformed("a framing field is spelled with an underscore")
	case plainField, hopField, reservedField, decisionField:
	}
	return nil
}

// parseLength reads 1*DIGIT that fits an int64.
func parseLength[T text](s T) (int64, bool) {
	if len(s) == 0 || len(s) > 18 { // 18 digits always fit
		return 0, false
	}
	var n int64
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
		n = n*10 + int64(s[i]-'0')
	}
	return n, true
}

// framing checks the rules on message length that requests and responses share
// (RFC 9112 §6.1, §6.3).
func (h *head) framing() *ProtocolError {
	switch {
	case h.codings > 0 && h.lengths > 0:
		return malformed("both Content-Length and Transfer-Encoding")
	case h.lengths > 1:
		return malformed("more than one Content-Length")
	case h.codings > 1:
		return malformed("more than one Transfer-Encoding")
	case h.codings == 1 && !h.chunked:
		return &ProtocolError{Kind: UnsupportedCoding, Rule: "a transfer coding other than chunked"}
	}
	return nil
}
