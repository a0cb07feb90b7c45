package message

// A Kind is what a field means to a proxy; most mean nothing.
type Kind uint8

// The kinds of fields.
const (
	Plain Kind = iota
	Host
	ContentLength
	TransferEncoding
	Connection
	Upgrade
	TE
	Expect
	Traceparent
	// HopByHop: ends at this hop and means nothing else to us.
	HopByHop
	// Reserved: only a sidecar may set it; stripped from either side.
	Reserved
	// Decision: names the record of a refusal; it passes only if a sidecar has
	// sent it.
	Decision
	// Confusing: a framing field spelled so that another server might take it
	// for the real one.
	Confusing
)

// Names that carry identity. A neighbour that sends them is lying or confused.
const (
	xfcc      = "x-forwarded-client-cert"
	ownPrefix = "x-outrider-"
	decision  = "x-outrider-decision"
)

// KindOf classifies a field name. The lengths come first, as most names differ
// in it from all of these.
func KindOf[T Text](name T) Kind { //nolint:cyclop // one flat table
	switch len(name) { // a case that returns is shorter than ownPrefix, or has matched
	case 2:
		return kindIf(EqualFold(name, "te"), TE)
	case 4:
		return kindIf(EqualFold(name, "host"), Host)
	case 6:
		return kindIf(EqualFold(name, "expect"), Expect)
	case 7:
		return kindIf(EqualFold(name, "upgrade"), Upgrade)
	case 10:
		if EqualFold(name, "connection") {
			return Connection
		}
		return kindIf(EqualFold(name, "keep-alive"), HopByHop)
	case 11:
		if EqualFold(name, "traceparent") {
			return Traceparent
		}
	case 14:
		if EqualFold(name, "content-length") {
			return ContentLength
		}
		if looksLike(name, "content-length") {
			return Confusing
		}
	case 16:
		if EqualFold(name, "proxy-connection") {
			return HopByHop
		}
	case 17:
		if EqualFold(name, "transfer-encoding") {
			return TransferEncoding
		}
		if looksLike(name, "transfer-encoding") {
			return Confusing
		}
	case 18:
		if EqualFold(name, "proxy-authenticate") {
			return HopByHop
		}
	case 19:
		if EqualFold(name, "proxy-authorization") {
			return HopByHop
		}
	case len(xfcc):
		if looksLike(name, xfcc) {
			return Reserved
		}
	}
	if len(name) >= len(ownPrefix) && looksLike(name[:len(ownPrefix)], ownPrefix) {
		if EqualFold(name, decision) {
			return Decision
		}
		return Reserved
	}
	return Plain
}

func kindIf(is bool, kind Kind) Kind {
	if is {
		return kind
	}
	return Plain
}

// ForbiddenTrailer names the fields that must not come in a trailer section:
// those that decide about routing, authentication or how to read the content
// (RFC 9110 §6.5.1). They are dropped. The framing fields have kinds of their own.
func ForbiddenTrailer[T Text](name T) bool {
	for _, forbidden := range [...]string{
		"authorization", "cookie", "set-cookie", "content-encoding", "content-type",
		"content-range", "trailer", "cache-control", "www-authenticate", "max-forwards",
	} {
		if EqualFold(name, forbidden) {
			return true
		}
	}
	return false
}
