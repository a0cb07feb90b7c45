package distribute

import (
	"context"
	"errors"
	"net"
	"time"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"

	"github.com/outrider-mesh/outrider/identity"
	"github.com/outrider-mesh/outrider/identity/mtls"
)

// authenticated is what a handshake leaves: who it is, and the connection, which is
// closed on a peer that has to go and does not listen.
type authenticated struct {
	credentials.TLSInfo

	peer identity.Peer
	conn net.Conn
}

// mutual is mutual TLS, for which package mtls is responsible.
type mutual struct {
	credentials.TransportCredentials
}

func newMutual(src identity.Source) credentials.TransportCredentials {
	return mutual{credentials.NewTLS(mtls.ServerConfig(src, mtls.ServerOptions{NextProtos: []string{"h2"}}))}
}

// ServerHandshake implements credentials.TransportCredentials. Its deadline is that
// of the gRPC server.
func (m mutual) ServerHandshake(raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	conn, info, err := m.TransportCredentials.ServerHandshake(raw)
	if err != nil {
		return nil, nil, err
	}
	made, ok := info.(credentials.TLSInfo)
	if !ok {
		_ = raw.Close()
		return nil, nil, errors.New("TLS without its state")
	}
	who, err := mtls.PeerOf(made.State)
	if err != nil {
		_ = raw.Close()
		return nil, nil, err
	}
	return conn, authenticated{made, who, raw}, nil
}

// Clone implements credentials.TransportCredentials.
func (m mutual) Clone() credentials.TransportCredentials {
	return mutual{m.TransportCredentials.Clone()}
}

// callerOf is who makes a call.
func callerOf(ctx context.Context) (authenticated, error) {
	p, ok := peer.FromContext(ctx)
	if !ok {
		return authenticated{}, errors.New("a call without a peer")
	}
	who, ok := p.AuthInfo.(authenticated)
	if !ok || !who.peer.Authenticated() {
		return authenticated{}, errors.New("a call without an identity")
	}
	return who, nil
}

// trusted says why a peer has to go; nil if it may stay.
func (a authenticated) trusted(src identity.Source, now time.Time) error {
	return mtls.Verify(a.peer, src.Current(), now)
}
