package ads

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"

	"github.com/outrider-mesh/outrider/identity"
	"github.com/outrider-mesh/outrider/identity/mtls"
	"github.com/outrider-mesh/outrider/proxy/config/push"
)

// A link is one connection to the control plane, whose both ends are known.
type link struct {
	conn net.Conn
	peer identity.Peer
	as   *identity.Snapshot // what it was made with, or older
}

// connect makes a connection and proves both ends of it. This is not left to gRPC,
// which would send the server's name, tell errors as text, and connect again when it
// sees fit.
func (c *Client) connect(ctx context.Context) (*link, error) {
	snap := c.opts.Source.Current()
	if err := mtls.CheckOwn(snap, time.Now()); err != nil {
		return nil, fmt.Errorf("control plane at %q: not asked: %w", c.opts.Address, err)
	}
	dialing, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	raw, err := c.opts.Dial(dialing, "tcp", c.opts.Address)
	if err != nil {
		return nil, c.unreachable(err)
	}
	config := mtls.ClientConfig(c.opts.Source, mtls.ClientOptions{Expected: c.expected, NextProtos: []string{"h2"}})
	conn := tls.Client(raw, config)
	shaking, cancel := context.WithTimeout(ctx, handshakeTimeout)
	defer cancel()
	peer, err := handshake(shaking, conn)
	if err != nil {
		_ = raw.Close() // the handshake's error is the one to report
		return nil, c.unreachable(err)
	}
	return &link{conn: conn, peer: peer, as: snap}, nil
}

func handshake(ctx context.Context, conn *tls.Conn) (identity.Peer, error) {
	if err := conn.HandshakeContext(ctx); err != nil {
		return identity.Peer{}, err
	}
	state := conn.ConnectionState()
	if state.NegotiatedProtocol != "h2" {
		return identity.Peer{}, errors.New("it does not speak HTTP/2")
	}
	return mtls.PeerOf(state)
}

// unreachable says what to do when there is no connection.
func (c *Client) unreachable(err error) error {
	remedy := "check that the control plane runs, and that the network lets this workload reach that port"
	switch {
	case errors.Is(err, mtls.ErrUnexpectedID), errors.Is(err, mtls.ErrUnknownTrustDomain):
		remedy = "check spec.policies.controlPlane: the address, and the SPIFFE ID that is expected there"
	case errors.Is(err, mtls.ErrUntrusted), errors.Is(err, mtls.ErrNotSVID):
		remedy = "whoever answers there is not of this mesh; check the address"
	case errors.Is(err, mtls.ErrExpired):
		remedy = "check the clocks of this machine and of the control plane's"
	}
	if _, ok := errors.AsType[*net.DNSError](err); ok {
		remedy = "check the name in the address, and that this workload may ask the name server"
	}
	return fmt.Errorf("control plane at %q: no answer: %s: %w", c.opts.Address, remedy, err)
}

// proven are the credentials of a connection that has had its handshake.
type proven struct{}

// ClientHandshake implements credentials.TransportCredentials.
func (proven) ClientHandshake(_ context.Context, _ string, conn net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return conn, credentials.TLSInfo{CommonAuthInfo: credentials.CommonAuthInfo{SecurityLevel: credentials.PrivacyAndIntegrity}}, nil
}

// ServerHandshake implements credentials.TransportCredentials.
func (proven) ServerHandshake(net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return nil, nil, errors.ErrUnsupported
}

// Info implements credentials.TransportCredentials.
func (proven) Info() credentials.ProtocolInfo {
	return credentials.ProtocolInfo{SecurityProtocol: "tls"}
}

// Clone implements credentials.TransportCredentials.
func (p proven) Clone() credentials.TransportCredentials { return p }

// OverrideServerName implements credentials.TransportCredentials.
func (proven) OverrideServerName(string) error { return errors.ErrUnsupported }

// client is a gRPC client of this connection and no other.
func (l *link) client() (*grpc.ClientConn, error) {
	conns := make(chan net.Conn, 1)
	conns <- l.conn
	return grpc.NewClient("passthrough:///outrider-injector",
		grpc.WithContextDialer(func(context.Context, string) (net.Conn, error) {
			select {
			case conn := <-conns:
				return conn, nil
			default:
				return nil, errors.New("the connection has ended")
			}
		}),
		grpc.WithTransportCredentials(proven{}), grpc.WithNoProxy(),
		grpc.WithDefaultCallOptions(
			grpc.ForceCodecV2(codec{}),
			grpc.MaxCallRecvMsgSize(push.MaxResponseBytes), grpc.MaxCallSendMsgSize(push.MaxRequestBytes),
		),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: keepAlive, Timeout: keepAliveTimeout}),
		grpc.WithReadBufferSize(bufferBytes), grpc.WithWriteBufferSize(bufferBytes),
		grpc.WithInitialWindowSize(windowBytes), grpc.WithInitialConnWindowSize(windowBytes),
		grpc.WithMaxHeaderListSize(headerBytes),
		grpc.WithDisableRetry(), grpc.WithDisableServiceConfig(), grpc.WithDisableHealthCheck(),
	)
}
