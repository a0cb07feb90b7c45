package quic

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	quicgo "github.com/quic-go/quic-go"

	"github.com/outrider-mesh/outrider/identity"
	"github.com/outrider-mesh/outrider/identity/mtls"
	"github.com/outrider-mesh/outrider/proxy/limits"
)

// ServerOptions configure a [Server]. Every field is required.
type ServerOptions struct {
	// Listen is the "ip:port" of the UDP socket.
	Listen string
	Source identity.Source
	Limits limits.Limits
	// Serve owns the stream and closes it. It is called on a goroutine of its
	// own. Before is the snapshot that the peer was just verified with.
	Serve func(*Stream, Handshake)
	// Ports tells whether somebody serves a port.
	Ports func(port uint16) bool
	// Panicked is told of a panic of Serve, after its stream was cut off.
	Panicked func(any)
	Log      *slog.Logger
}

// A Server takes the hops of peers.
type Server struct {
	opts      ServerOptions
	udp       *net.UDPConn
	transport *quicgo.Transport
	listener  *quicgo.Listener
	running   sync.WaitGroup
}

// Listen opens the socket.
func Listen(ctx context.Context, opts ServerOptions) (*Server, error) {
	udp, err := socket(ctx, opts.Listen, &bufferWarning{log: opts.Log})
	if err != nil {
		return nil, fmt.Errorf("listen for QUIC: %w", err)
	}
	s := &Server{opts: opts, udp: udp, transport: &quicgo.Transport{Conn: udp}}
	// With a key, a peer learns at once that we were restarted (RFC 9000 §10.3).
	var key quicgo.StatelessResetKey
	_, _ = rand.Read(key[:]) // never fails, see its documentation
	s.transport.StatelessResetKey = &key
	s.listener, err = s.transport.Listen(mtls.ServerConfig(opts.Source, mtls.ServerOptions{NextProtos: []string{ALPN}}), config(opts.Limits))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("listen for QUIC: %w", err), udp.Close())
	}
	return s, nil
}

// Addr is where the server listens.
func (s *Server) Addr() net.Addr { return s.udp.LocalAddr() }

// Run accepts connections and their streams until ctx ends. Streams that are open
// then go on until base ends.
func (s *Server) Run(ctx, base context.Context) error {
	for {
		qc, err := s.listener.Accept(ctx)
		switch {
		case err == nil:
			s.running.Go(func() { s.connection(ctx, base, qc) })
		case ctx.Err() != nil:
			return nil //nolint:nilerr // Accept was woken for this
		default:
			return fmt.Errorf("accept a QUIC connection: %w", err)
		}
	}
}

// Close ends every connection, and waits.
func (s *Server) Close() error {
	err := errors.Join(s.listener.Close(), s.transport.Close())
	s.running.Wait()
	return errors.Join(err, s.udp.Close())
}

// connection accepts the streams of one peer until ctx ends, and closes the
// connection with the last of them.
func (s *Server) connection(ctx, base context.Context, qc *quicgo.Conn) {
	var streams, turned sync.WaitGroup
	for {
		qs, err := qc.AcceptStream(ctx)
		if err != nil {
			break
		}
		streams.Go(func() { s.stream(base, qc, qs) })
	}
	turned.Go(func() { turnAway(qc) }) //nolint:contextcheck // ctx has ended; this lasts as long as the connection
	streams.Wait()
	_ = qc.CloseWithError(codeClosing, "") // the peer knows, or is gone
	turned.Wait()
}

// turnAway refuses the streams that are opened on a connection that is closing, so
// that the peer takes another one.
func turnAway(qc *quicgo.Conn) {
	for {
		qs, err := qc.AcceptStream(qc.Context())
		if err != nil {
			return
		}
		qs.CancelRead(codeClosing)
		qs.CancelWrite(codeClosing)
	}
}

// stream takes one from its preface on.
func (s *Server) stream(base context.Context, qc *quicgo.Conn, qs *quicgo.Stream) {
	st := &Stream{quic: qs, conn: qc}
	stop := context.AfterFunc(base, func() {
		_ = st.SetLinger(0)
		_ = st.Close()
	})
	defer stop()
	defer func() {
		if v := recover(); v != nil {
			_ = st.SetLinger(0)
			_ = st.Close()
			s.opts.Panicked(v)
		}
	}()
	h := Handshake{State: qc.ConnectionState().TLS, Before: s.opts.Source.Current()}
	if code, err := s.accept(st, h); err != nil {
		s.opts.Log.Info("refused a stream", "peer", qc.RemoteAddr().String(), "err", err)
		qs.CancelRead(code)
		qs.CancelWrite(code)
		return
	}
	s.opts.Serve(st, h)
}

// accept reads and answers the preface.
func (s *Server) accept(st *Stream, h Handshake) (quicgo.StreamErrorCode, error) {
	if err := st.quic.SetDeadline(time.Now().Add(s.opts.Limits.HandshakeTimeout)); err != nil {
		return codeAborted, err
	}
	var err error
	if st.Protocol, st.Port, err = readPreface(st.quic); err != nil {
		return codePreface, err
	}
	if !s.opts.Ports(st.Port) {
		return codePort, fmt.Errorf("nobody serves port %d", st.Port)
	}
	// The handshake may be long ago.
	peer, err := mtls.PeerOf(h.State)
	if err == nil {
		err = mtls.Verify(peer, h.Before, time.Now())
	}
	if err != nil {
		return codeTrust, err
	}
	if _, err := st.quic.Write([]byte{accepted}); err != nil {
		return codeAborted, err
	}
	return codeNone, st.quic.SetDeadline(time.Time{})
}
