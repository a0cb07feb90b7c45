package message

import (
	"errors"
	"fmt"
)

// ErrorKind is which rule a message broke. It decides the status of the answer.
type ErrorKind uint8

// The kinds of a [ProtocolError].
const (
	// Malformed: the message is not HTTP as its RFC wants it.
	Malformed ErrorKind = iota + 1
	// HeadTooLarge: the head is over its byte or field limit.
	HeadTooLarge
	// TargetTooLong: the request target is over its limit.
	TargetTooLong
	// BodyTooLarge: the body is over its limit.
	BodyTooLarge
	// UnsupportedVersion: not HTTP/1.0 or HTTP/1.1.
	UnsupportedVersion
	// UnsupportedCoding: a transfer coding other than chunked.
	UnsupportedCoding
	// MethodRefused: CONNECT, where it is not allowed.
	MethodRefused
)

// A ProtocolError says which rule a message broke. Its text names the rule and
// never quotes the message.
type ProtocolError struct {
	Kind ErrorKind
	Rule string
}

// Error implements error.
func (e *ProtocolError) Error() string { return e.Rule }

// Violation is a ProtocolError of kind Malformed.
func Violation(rule string) *ProtocolError { return &ProtocolError{Kind: Malformed, Rule: rule} }

// Side is which neighbour of the proxy a failure belongs to.
type Side uint8

// The two sides.
const (
	// ClientSide: whoever sent the request.
	ClientSide Side = iota + 1
	// UpstreamSide: whoever should answer it.
	UpstreamSide
)

// A Failure is why an exchange ended early.
type Failure struct {
	Side Side
	// Unsent tells that no byte of a final response reached the client, so
	// that an answer of our own still can.
	Unsent bool
	// Stale tells that the upstream connection had been used before and ended
	// without one byte of an answer.
	Stale bool
	// Unprocessed tells that the other end promised not to have begun, in
	// whichever way its protocol has for that.
	Unprocessed bool
	Err         error
}

// Error implements error.
func (f *Failure) Error() string {
	who := "client"
	if f.Side == UpstreamSide {
		who = "upstream"
	}
	return fmt.Sprintf("%s: %v", who, f.Err)
}

// Unwrap gives the cause.
func (f *Failure) Unwrap() error { return f.Err }

// Idempotent tells whether a request of that method may be sent a second time
// (RFC 9110 §9.2.2).
func Idempotent(method string) bool {
	switch method {
	case "GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE":
		return true
	}
	return false
}

// Errors of an exchange that are not about syntax.
var (
	// ErrUnexpectedEnd: the connection ended inside of a message.
	ErrUnexpectedEnd = errors.New("connection closed inside of a message")
	// ErrDeclined: the answer was not passed on, so that the request can be sent
	// again.
	ErrDeclined = errors.New("the answer was declined")
	// ErrInterimLoop: more 1xx responses than the limit allows.
	ErrInterimLoop = errors.New("too many interim responses")
	// ErrUpstreamLimit: the destination has all its connections in use.
	ErrUpstreamLimit = errors.New("all connections to the destination are in use")
	// ErrClientGone: the client closed its connection before its answer came.
	ErrClientGone = errors.New("closed before the answer")
	// ErrPoolClosed: the pool was closed.
	ErrPoolClosed = errors.New("upstream pool is closed")
	// ErrEdits: a value of ours would have split the request.
	ErrEdits = errors.New("the changes to the request are malformed")
)
