package quic

import (
	"context"
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
	// Find returns what serves a port; nil: nobody does.
	Find func(port uint16) Serve
	// Panicked is told of a panic of what serves, after its stream was cut off.
	Panicked func(any)
	Log      *slog.Logger
}

// Serve takes a stream, on a goroutine of the stream's own: it calls [Stream.Accept]
// before anything else, and closes it. It is false if it came too late for that, as it
// is shutting down; the other end is told to use another connection then. The
// handshake's Before is the snapshot that the peer was just verified with.
type Serve func(*Stream, Handshake) bool

// A Server takes the hops of peers.
type Server struct {
	opts      ServerOptions
	udp       *net.UDPConn
	transport *quicgo.Transport
	listener  *quicgo.Listener
	door      *door
	running   sync.WaitGroup
}

// Listen opens the socket.
func Listen(ctx context.Context, opts ServerOptions) (*Server, error) {
	udp, err := socket(ctx, opts.Listen, &bufferWarning{log: opts.Log})
	if err != nil {
		return nil, fmt.Errorf("listen for QUIC: %w", err)
	}
	d := &door{limits: opts.Limits}
	s := &Server{opts: opts, udp: udp, door: d, transport: &quicgo.Transport{
		Conn: udp, StatelessResetKey: resetKey(opts.Source.Current()),
		VerifySourceAddress: d.suspects, ConnContext: d.admit,
	}}
	s.listener, err = s.transport.Listen(mtls.ServerConfig(opts.Source, mtls.ServerOptions{NextProtos: []string{ALPN}}), serverConfig(opts.Limits))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("listen for QUIC: %w", err), udp.Close())
	}
	return s, nil
}

// Addr is where the server listens.
func (s *Server) Addr() net.Addr { return s.udp.LocalAddr() }

// Run accepts connections and their streams until ctx ends, and returns when the
// streams that are open then have ended, or base has.
func (s *Server) Run(ctx, base context.Context) error {
	defer s.running.Wait()
	for {
		qc, err := s.listener.Accept(ctx)
		switch {
		case err == nil:
			s.door.accepted(qc) //nolint:contextcheck // it counts as long as the connection lasts
			s.running.Go(func() { s.connection(ctx, base, qc) })
		case ctx.Err() != nil:
			return s.shut(ctx, base)
		default:
			return fmt.Errorf("accept a QUIC connection: %w", err)
		}
	}
}

// shut has whoever comes now learn at once that nobody is there. Who came before, and
// was not met yet, is told that we are going.
func (s *Server) shut(ctx, base context.Context) error {
	err := s.listener.Close() // waits for the handshakes that are under way
	for {
		qc, ended := s.listener.Accept(base)
		if ended != nil {
			return err
		}
		s.door.accepted(qc) //nolint:contextcheck // as above
		s.running.Go(func() { s.connection(ctx, base, qc) })
	}
}

// Close ends every connection, and waits.
func (s *Server) Close() error {
	err := errors.Join(s.listener.Close(), s.transport.Close())
	s.running.Wait()
	return errors.Join(err, s.udp.Close())
}

// connection accepts the streams of one peer until ctx ends or the peer says that it
// opens no more, and closes the connection when they have ended and the peer has read
// what there was, or base ends.
func (s *Server) connection(ctx, base context.Context, qc *quicgo.Conn) {
	accepting, stop := context.WithCancel(ctx)
	defer stop()
	var streams, beside sync.WaitGroup
	done := make(chan struct{}) // the peer has what it wanted, or is gone
	beside.Go(func() {          //nolint:contextcheck // it ends with the connection
		defer stop()
		defer close(done)
		awaitFarewell(qc)
	})
	for {
		qs, err := qc.AcceptStream(accepting)
		if err != nil {
			break
		}
		streams.Go(func() { s.stream(ctx, base, qc, qs) })
	}
	sayFarewell(qc)
	beside.Go(func() { turnAway(qc) }) //nolint:contextcheck // as above
	streams.Wait()
	s.awaitParting(base, qc, done)
	_ = qc.CloseWithError(codeClosing, "") // the peer knows, or is gone
	beside.Wait()
}

// awaitParting returns when the peer has what it wanted, or nothing is heard of it any
// more, or base ends. It may take its time to read, but it acknowledges our farewell.
func (s *Server) awaitParting(base context.Context, qc *quicgo.Conn, done <-chan struct{}) {
	most := s.opts.Limits.QUICSilence
	tick := time.NewTicker(most / 4)
	defer tick.Stop()
	var quiet silence
	for {
		select {
		case <-done:
			return
		case <-base.Done():
			return
		case now := <-tick.C:
			if quiet.look(now, qc.ConnectionStats(), most) >= most {
				return
			}
		}
	}
}

// turnAway refuses the streams that are opened on a connection that is closing, so
// that the peer takes another one.
func turnAway(qc *quicgo.Conn) {
	for {
		qs, err := qc.AcceptStream(qc.Context())
		if err != nil {
			return
		}
		refuse(qs, codeClosing)
	}
}

func refuse(qs *quicgo.Stream, code quicgo.StreamErrorCode) {
	qs.CancelRead(code)
	qs.CancelWrite(code)
}

// stream takes one from its preface on.
func (s *Server) stream(ctx, base context.Context, qc *quicgo.Conn, qs *quicgo.Stream) {
	st := &Stream{quic: qs, conn: qc}
	stop := context.AfterFunc(base, st.cutOff)
	defer stop()
	defer func() {
		if v := recover(); v != nil {
			st.cutOff()
			s.opts.Panicked(v)
		}
	}()
	h := Handshake{State: qc.ConnectionState().TLS, Before: s.opts.Source.Current()}
	serve, code, err := s.meet(ctx, st, h)
	if err != nil {
		s.opts.Log.Info("refused a stream", "peer", qc.RemoteAddr().String(), "err", err)
		refuse(qs, code)
		return
	}
	if !serve(st, h) {
		refuse(qs, codeClosing)
	}
}

var errClosing = errors.New("this end is shutting down")

// meet reads the preface and finds who serves the stream.
func (s *Server) meet(ctx context.Context, st *Stream, h Handshake) (Serve, quicgo.StreamErrorCode, error) {
	if err := st.quic.SetReadDeadline(time.Now().Add(s.opts.Limits.HandshakeTimeout)); err != nil {
		return nil, codeAborted, err
	}
	var err error
	if st.Protocol, st.Port, err = readPreface(st.quic); err != nil {
		return nil, codePreface, err
	}
	// The handshake may be long ago.
	peer, err := mtls.PeerOf(h.State)
	if err == nil {
		err = mtls.Verify(peer, h.Before, time.Now())
	}
	if err != nil {
		return nil, codeTrust, err
	}
	serve := s.opts.Find(st.Port)
	switch {
	case ctx.Err() != nil: // and the listeners are gone, or going
		return nil, codeClosing, errClosing
	case serve == nil:
		return nil, codePort, fmt.Errorf("nobody serves port %d", st.Port)
	}
	return serve, codeNone, st.quic.SetReadDeadline(time.Time{})
}
