package http2

import (
	"errors"
	"fmt"
	"os"

	wire "golang.org/x/net/http2"

	"github.com/outrider-mesh/outrider/proxy/message"
)

// A Code says why a stream or a connection ended early (RFC 9113 §7).
type Code uint32

// The codes that we send ourselves. Others are passed on as they came.
const (
	noError          = Code(wire.ErrCodeNo)
	protocolError    = Code(wire.ErrCodeProtocol)
	internalError    = Code(wire.ErrCodeInternal)
	flowControlError = Code(wire.ErrCodeFlowControl)
	streamClosed     = Code(wire.ErrCodeStreamClosed)
	frameSizeError   = Code(wire.ErrCodeFrameSize)
	refusedStream    = Code(wire.ErrCodeRefusedStream)
	cancel           = Code(wire.ErrCodeCancel)
	compressionError = Code(wire.ErrCodeCompression)
	enhanceYourCalm  = Code(wire.ErrCodeEnhanceYourCalm)
)

// String is the code's name in RFC 9113.
func (c Code) String() string { return wire.ErrCode(c).String() }

// A ResetError tells that the other end called a stream off.
type ResetError struct{ Code Code }

// Error implements error.
func (e *ResetError) Error() string { return "stream reset: " + e.Code.String() }

// connError is what the peer did that the connection cannot go on after. The
// code is for the peer and the rule for the record.
type connError struct {
	code Code
	rule string
}

func (e *connError) Error() string { return e.rule + " (" + e.code.String() + ")" }

// Unwrap makes it a *message.ProtocolError to who asks why.
func (e *connError) Unwrap() error { return message.Violation(e.rule) }

func broken(code Code, rule string) error { return &connError{code, rule} }

// Errors that end a connection in good order, or without anybody's fault.
var (
	errClosing = errors.New("connection is closing")
	errIdle    = errors.New("idle for too long")
	errGoAway  = errors.New("the other end takes no more requests on this connection")
	errRetired = errors.New("the connection is not used any more")
	// errPanicked: the panic itself is passed on.
	errPanicked = errors.New("a goroutine of the connection has panicked")
	// errSlowPeer: windows that stay closed, or bodies that stand still.
	errSlowPeer = fmt.Errorf("inside of a message: %w", os.ErrDeadlineExceeded)
	// errAnswered: a second answer to one request.
	errAnswered = errors.New("the request was answered already")
	// errSlowFrame: a frame, or a head of several, that does not come to its end.
	errSlowFrame = fmt.Errorf("inside of a frame: %w", os.ErrDeadlineExceeded)
)

// silentError is a peer that does not answer a ping.
type silentError struct{}

// Error implements error.
func (silentError) Error() string { return "no answer to a ping" }

// Timeout makes it a timeout to who asks.
func (silentError) Timeout() bool { return true }
