package target

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
)

// Kind sorts what can go wrong.
type Kind string

// The kinds.
const (
	Connect   Kind = "connect"  // no connection could be had
	Timeout   Kind = "timeout"  // no complete answer in time
	Status    Kind = "status"   // an answer, but not the right one
	Closed    Kind = "closed"   // the connection ended before the answer did
	Malformed Kind = "protocol" // what came back is no valid answer
	Canceled  Kind = "canceled" // we gave up ourselves
)

// A Failure is why a request did not succeed.
type Failure struct {
	Kind Kind
	Err  error
}

// Error implements error.
func (f *Failure) Error() string { return string(f.Kind) + ": " + f.Err.Error() }

// Unwrap gives the cause.
func (f *Failure) Unwrap() error { return f.Err }

// failed sorts an error of a request that was sent.
func failed(ctx context.Context, err error) error {
	if f, ok := errors.AsType[*Failure](err); ok {
		return f
	}
	var timeout net.Error
	switch {
	case ctx.Err() != nil && errors.Is(context.Cause(ctx), context.Canceled):
		return &Failure{Kind: Canceled, Err: err}
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded),
		errors.As(err, &timeout) && timeout.Timeout():
		return &Failure{Kind: Timeout, Err: err}
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.As(err, new(*net.OpError)):
		return &Failure{Kind: Closed, Err: err}
	}
	return &Failure{Kind: Malformed, Err: err}
}
