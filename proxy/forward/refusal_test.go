package forward

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/outrider-mesh/outrider/identity/mtls"
	"github.com/outrider-mesh/outrider/proxy/flow"
	"github.com/outrider-mesh/outrider/proxy/message"
)

var endpointAddr = netip.MustParseAddrPort("10.0.0.1:8080")

func handshakeFailed(err error) error { return &HandshakeError{Addr: endpointAddr, Err: err} }

func TestWhyNoConnectionCouldBeHad(t *testing.T) {
	dial := func(err error) error { return &net.OpError{Op: "dial", Net: "tcp", Err: err} }
	cases := []struct {
		name string
		err  error
		want flow.Reason
	}{
		{"nobody listens", dial(os.NewSyscallError("connect", syscall.ECONNREFUSED)), flow.ConnectFailed},
		{"there is no route", dial(os.NewSyscallError("connect", syscall.EHOSTUNREACH)), flow.ConnectFailed},
		{"no file descriptor is left", dial(os.NewSyscallError("socket", syscall.EMFILE)), flow.ConnectFailed},
		{"an error nobody knows", errors.New("odd"), flow.ConnectFailed},
		{"the connect takes too long", dial(context.DeadlineExceeded), flow.ConnectTimeout},
		{"the connect runs into a deadline", dial(os.ErrDeadlineExceeded), flow.ConnectTimeout},
		{"the kernel gives up", dial(os.NewSyscallError("connect", syscall.ETIMEDOUT)), flow.ConnectTimeout},
		{"the handshake takes too long", handshakeFailed(context.DeadlineExceeded), flow.ConnectTimeout},
		{"a read of the handshake takes too long", handshakeFailed(os.ErrDeadlineExceeded), flow.ConnectTimeout},
		{"the server is somebody else", handshakeFailed(mtls.ErrUnexpectedID), flow.UpstreamTLSFailed},
		{"the server's chain does not verify", handshakeFailed(x509.UnknownAuthorityError{}), flow.UpstreamTLSFailed},
		{"the server closes during the handshake", handshakeFailed(io.EOF), flow.UpstreamTLSFailed},
		{"we have no SVID", handshakeFailed(mtls.ErrNoSVID), flow.NoIdentity},
		{"our SVID has expired", handshakeFailed(fmt.Errorf("of late: %w", mtls.ErrSVIDExpired)), flow.NoIdentity},
		{"the destination has all its connections in use", message.ErrUpstreamLimit, flow.Overloaded},
		{"the pool was closed by a reload", message.ErrPoolClosed, flow.Draining},
		{"everything is being shut down", dial(context.Canceled), flow.Draining},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got := connectRefusal(c.err)
			if got.Reason != c.want || !strings.Contains(got.Detail, c.err.Error()) {
				t.Errorf("%+v, want %v", got, c.want)
			}
		})
	}
	if len(cases) < 17 {
		t.Errorf("only %d cases", len(cases))
	}
}

func TestWhoseFaultAFailedExchangeIs(t *testing.T) {
	broken := func(k message.ErrorKind) error { return &message.ProtocolError{Kind: k, Rule: "some rule"} }
	alert := &net.OpError{Op: "remote error", Err: errors.New("tls: bad certificate")}
	cases := []struct {
		name string
		side message.Side
		err  error
		want flow.Reason
	}{
		{"the body is too large", message.ClientSide, broken(message.BodyTooLarge), flow.BodyTooLarge},
		{"the body's chunks are malformed", message.ClientSide, broken(message.Malformed), flow.BadRequest},
		{"the trailers are too large", message.ClientSide, broken(message.HeadTooLarge), flow.BadRequest},
		{"the client is slow", message.ClientSide, os.ErrDeadlineExceeded, flow.RequestTimeout},
		{"the client resets", message.ClientSide, syscall.ECONNRESET, flow.ClientClosed},
		{"the client ends inside of its body", message.ClientSide, message.ErrUnexpectedEnd, flow.ClientClosed},
		{"the answer is malformed", message.UpstreamSide, broken(message.Malformed), flow.UpstreamProtocol},
		{"the answer's head is too large", message.UpstreamSide, broken(message.HeadTooLarge), flow.UpstreamProtocol},
		{"the answer is announced for ever", message.UpstreamSide, message.ErrInterimLoop, flow.UpstreamProtocol},
		{"the answer does not come", message.UpstreamSide, os.ErrDeadlineExceeded, flow.UpstreamTimeout},
		{"the next hop closes", message.UpstreamSide, io.EOF, flow.UpstreamClosed},
		{"the next hop ends inside of its answer", message.UpstreamSide, message.ErrUnexpectedEnd, flow.UpstreamClosed},
		{"the next hop resets", message.UpstreamSide, syscall.ECONNRESET, flow.UpstreamClosed},
		{"the next hop refuses our certificate", message.UpstreamSide, alert, flow.UpstreamTLSFailed},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got := refusalOf(&message.Failure{Side: c.side, Err: c.err})
			if got.Reason != c.want || !strings.Contains(got.Detail, c.err.Error()) {
				t.Errorf("%+v, want %v", got, c.want)
			}
		})
	}
	if len(cases) < 14 {
		t.Errorf("only %d cases", len(cases))
	}
}

func TestHandshakeErrorSaysWithWhom(t *testing.T) {
	err := handshakeFailed(io.EOF)
	if !errors.Is(err, io.EOF) || !strings.Contains(err.Error(), endpointAddr.String()) {
		t.Errorf("%v", err)
	}
}
