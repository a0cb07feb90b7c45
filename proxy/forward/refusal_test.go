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
	"github.com/outrider-mesh/outrider/proxy/http1"
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
		{"the destination has all its connections in use", http1.ErrUpstreamLimit, flow.Overloaded},
		{"the pool was closed by a reload", http1.ErrPoolClosed, flow.Draining},
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
	broken := func(k http1.ErrorKind) error { return &http1.ProtocolError{Kind: k, Rule: "some rule"} }
	alert := &net.OpError{Op: "remote error", Err: errors.New("tls: bad certificate")}
	cases := []struct {
		name string
		side http1.Side
		err  error
		want flow.Reason
	}{
		{"the body is too large", http1.ClientSide, broken(http1.BodyTooLarge), flow.BodyTooLarge},
		{"the body's chunks are malformed", http1.ClientSide, broken(http1.Malformed), flow.BadRequest},
		{"the trailers are too large", http1.ClientSide, broken(http1.HeadTooLarge), flow.BadRequest},
		{"the client is slow", http1.ClientSide, os.ErrDeadlineExceeded, flow.RequestTimeout},
		{"the client resets", http1.ClientSide, syscall.ECONNRESET, flow.ClientClosed},
		{"the client ends inside of its body", http1.ClientSide, http1.ErrUnexpectedEnd, flow.ClientClosed},
		{"the answer is malformed", http1.UpstreamSide, broken(http1.Malformed), flow.UpstreamProtocol},
		{"the answer's head is too large", http1.UpstreamSide, broken(http1.HeadTooLarge), flow.UpstreamProtocol},
		{"the answer is announced for ever", http1.UpstreamSide, http1.ErrInterimLoop, flow.UpstreamProtocol},
		{"the answer does not come", http1.UpstreamSide, os.ErrDeadlineExceeded, flow.UpstreamTimeout},
		{"the next hop closes", http1.UpstreamSide, io.EOF, flow.UpstreamClosed},
		{"the next hop ends inside of its answer", http1.UpstreamSide, http1.ErrUnexpectedEnd, flow.UpstreamClosed},
		{"the next hop resets", http1.UpstreamSide, syscall.ECONNRESET, flow.UpstreamClosed},
		{"the next hop refuses our certificate", http1.UpstreamSide, alert, flow.UpstreamTLSFailed},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got := refusalOf(&http1.Failure{Side: c.side, Err: c.err})
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
