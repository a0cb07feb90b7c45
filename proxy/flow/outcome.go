package flow

import "time"

// Reason is why something was refused, cut short or not inspected. It is a
// closed set: it labels metrics, so its cardinality is this list.
type Reason uint8

// The reasons. The order is not significant; the names in [Reason.String] are
// stable and documented in docs/refusals.md.
const (
	// None: nothing was refused.
	None Reason = iota
	// AccessDenied: an authorization decision.
	AccessDenied
	// RateLimited: a rule's limit was used up.
	RateLimited
	// WAFBlocked: inspection found an attack.
	WAFBlocked
	// WAFUninspected: the request is of a kind that cannot be inspected as a
	// whole, and policy says deny.
	WAFUninspected
	// WAFUnavailable: inspection failed, or found no time for the request, and
	// policy says deny.
	WAFUnavailable
	// NoIdentity: we hold no valid SVID.
	NoIdentity
	// TLSFailed: the handshake or the peer's certificate was not accepted.
	TLSFailed
	// PlaintextRefused: plaintext arrived where mutual TLS is required.
	PlaintextRefused
	// CertificateRevoked: the peer's chain no longer verifies.
	CertificateRevoked
	// CertificateExpired: the peer's certificate reached its NotAfter.
	CertificateExpired
	// NotHTTP: bytes that are not HTTP on a port with HTTP policy.
	NotHTTP
	// NotRedirected: a connection to a capture port that nobody redirected
	// there, or that leads back to the sidecar.
	NotRedirected
	// BadRequest: a message the strict parser refuses.
	BadRequest
	// HeadTooLarge: the head is over its limits.
	HeadTooLarge
	// BodyTooLarge: the body is over its limit.
	BodyTooLarge
	// MethodRefused: CONNECT where it is not configured.
	MethodRefused
	// RequestTimeout: the client was too slow.
	RequestTimeout
	// Overloaded: a limit on connections or concurrent work was reached.
	Overloaded
	// NoDestination: no endpoint is configured or usable.
	NoDestination
	// Unresolved: nobody has said yet who answers at the address.
	Unresolved
	// ConnectFailed: no connection to the next hop.
	ConnectFailed
	// ConnectTimeout: the next hop did not accept in time.
	ConnectTimeout
	// UpstreamTLSFailed: the next hop's identity was not accepted.
	UpstreamTLSFailed
	// UpstreamClosed: the next hop closed before its answer was complete.
	UpstreamClosed
	// UpstreamProtocol: the next hop's answer is not valid HTTP.
	UpstreamProtocol
	// UpstreamTimeout: the next hop did not answer in time.
	UpstreamTimeout
	// ClientClosed: the client went away before its answer was complete.
	ClientClosed
	// PolicyChanged: a policy that came later denies this open connection.
	PolicyChanged
	// Draining: the sidecar is shutting down.
	Draining
	// Internal: a panic or a broken invariant of ours.
	Internal

	reasonCount
)

var reasonNames = [reasonCount]string{
	None:               "-",
	AccessDenied:       "access_denied",
	RateLimited:        "rate_limited",
	WAFBlocked:         "waf_blocked",
	WAFUninspected:     "waf_uninspected",
	WAFUnavailable:     "waf_unavailable",
	NoIdentity:         "no_identity",
	TLSFailed:          "tls_failed",
	PlaintextRefused:   "plaintext_refused",
	CertificateRevoked: "certificate_revoked",
	CertificateExpired: "certificate_expired",
	NotHTTP:            "not_http",
	NotRedirected:      "not_redirected",
	BadRequest:         "bad_request",
	HeadTooLarge:       "head_too_large",
	BodyTooLarge:       "body_too_large",
	MethodRefused:      "method_refused",
	RequestTimeout:     "request_timeout",
	Overloaded:         "overloaded",
	NoDestination:      "no_destination",
	Unresolved:         "destination_unresolved",
	ConnectFailed:      "connect",
	ConnectTimeout:     "connect_timeout",
	UpstreamTLSFailed:  "upstream_tls_failed",
	UpstreamClosed:     "upstream_closed",
	UpstreamProtocol:   "upstream_protocol",
	UpstreamTimeout:    "upstream_timeout",
	ClientClosed:       "client_closed",
	PolicyChanged:      "policy_changed",
	Draining:           "draining",
	Internal:           "internal",
}

// String returns the stable snake_case name used in logs, metrics and
// Proxy-Status; "-" for None.
func (r Reason) String() string {
	if r >= reasonCount {
		return "unknown"
	}
	return reasonNames[r]
}

// Reasons returns every reason, None included.
func Reasons() []Reason {
	all := make([]Reason, reasonCount)
	for i := range all {
		all[i] = Reason(i)
	}
	return all
}

// A Refusal is an answer that is ours and not the next hop's. The zero Refusal
// means that there was none.
type Refusal struct {
	Reason Reason
	// Detail is for our own log: it may name policies and rules and is never
	// sent to the caller.
	Detail string
	// RetryAfter is in how long the same call may succeed; 0 where that is not
	// known.
	RetryAfter time.Duration
}

// Outcome of an inspection.
type Outcome uint8

// The outcomes. An error never becomes one of the first three.
const (
	// InspectionOff: no policy asks for inspection here.
	InspectionOff Outcome = iota
	// Clean: inspected, nothing found.
	Clean
	// Detected: an attack was found and the mode is Detect.
	Detected
	// Blocked: an attack was found and the mode is Block.
	Blocked
	// NotInspected: see Inspection.Uninspected for why.
	NotInspected
)

// String returns the name used in logs and metrics.
func (o Outcome) String() string {
	switch o {
	case InspectionOff:
		return "off"
	case Clean:
		return "clean"
	case Detected:
		return "detected"
	case Blocked:
		return "blocked"
	case NotInspected:
		return "not_inspected"
	}
	return "unknown"
}

// Uninspected is why a request, or the rest of its body, was not inspected.
type Uninspected uint8

// The reasons; a closed set, as it labels a metric.
const (
	// Inspected: it was.
	Inspected Uninspected = iota
	// EngineError: the engine failed.
	EngineError
	// EngineTimeout: inspection took longer than its budget.
	EngineTimeout
	// EngineOverload: no inspection slot was free in time.
	EngineOverload
	// BodyOverCap: the body is longer than inspectBytes.
	BodyOverCap
	// Encoding: a content coding we don't decode.
	Encoding
	// Stream: an upgrade or another endless body; only the head was inspected.
	Stream
	// Arguments: there are more than are inspected.
	Arguments
	// Unfinished: the exchange ended before all of the body had come that would
	// have been inspected. Only where it was not held back.
	Unfinished
)

// UninspectedCount is how many reasons there are, Inspected included.
const UninspectedCount = int(Unfinished) + 1

// String returns the name used in logs and metrics.
func (u Uninspected) String() string {
	switch u {
	case Inspected:
		return "-"
	case EngineError:
		return "error"
	case EngineTimeout:
		return "timeout"
	case EngineOverload:
		return "overload"
	case BodyOverCap:
		return "body_over_cap"
	case Encoding:
		return "encoding"
	case Stream:
		return "stream"
	case Arguments:
		return "arguments"
	case Unfinished:
		return "unfinished"
	}
	return "unknown"
}

// A Match is a place in which a rule of inspection found something.
type Match struct {
	Rule int
	// Location is a variable and, where it looks like a name, the name in it:
	// "ARGS:json.items.3.name".
	Location string
	// Decoded are the transformations through which the rule looked, in their
	// order and separated by commas: "urlDecodeUni,lowercase". Empty for none.
	Decoded string
}

// An Inspection is what the WAF concluded about one request.
type Inspection struct {
	Outcome     Outcome
	Uninspected Uninspected
	// Policy is the "namespace/name" of the InspectionPolicy that applied.
	Policy string
	// Refuse tells that the request must not be forwarded: an attack in mode
	// Block, or something uninspected that policy denies.
	Refuse bool
	// Score is the inbound anomaly score.
	Score int
	// Rules are the ids of the rules that contributed to the score, in order
	// of evaluation, not the id of the rule that compares the score.
	Rules []int
	// Message and Location belong to the gravest contributing rule: what it
	// says and where it matched first, such as "ARGS:q". Never the payload.
	Message, Location string
	// Matches are the places where contributing rules matched, each once, in
	// order of evaluation; not all of them where there are very many. Never the
	// payload.
	Matches []Match
	// Bytes is how much of the body was inspected, as it was after decompression.
	Bytes int64
	// Trial is what a policy that is only tried says of the same request; nil where
	// none was.
	Trial *Inspection
	// Err is the cause of EngineError, for the log.
	Err error
}
