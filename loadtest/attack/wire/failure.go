package wire

import (
	"context"
	"errors"
	"io"
	"net"
	"os"

	"github.com/outrider-mesh/outrider/loadtest/target"
)

// failed sorts an error of a request that was sent, or was about to be.
func failed(ctx context.Context, err error) error {
	kind := target.Malformed
	timeout, _ := errors.AsType[net.Error](err)
	op, _ := errors.AsType[*net.OpError](err)
	switch {
	case ctx.Err() != nil:
		kind = target.Canceled
	case op != nil && op.Op == "remote error":
		// A TLS alert: with TLS 1.3 a server refuses the client's certificate only
		// after the client's side of the handshake is done.
		kind = target.Connect
	case errors.Is(err, os.ErrDeadlineExceeded), timeout != nil && timeout.Timeout():
		kind = target.Timeout
	case errors.Is(err, errTooLong), errors.Is(err, errInterim):
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.ErrClosedPipe), op != nil:
		kind = target.Closed
	}
	return &target.Failure{Kind: kind, Err: err}
}
