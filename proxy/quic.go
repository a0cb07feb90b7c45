package proxy

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"runtime/debug"

	"github.com/outrider-mesh/outrider/proxy/config"
	"github.com/outrider-mesh/outrider/proxy/hop"
	"github.com/outrider-mesh/outrider/proxy/httpflow"
	"github.com/outrider-mesh/outrider/proxy/inbound"
	"github.com/outrider-mesh/outrider/proxy/quic"
	"github.com/outrider-mesh/outrider/proxy/socket"
)

// quicServer takes hops over UDP for all inbound listeners.
type quicServer struct {
	*quic.Server
	stop context.CancelFunc // ends the accepting
}

// listenQUIC opens the UDP port, if the configuration has one.
func (t *traffic) listenQUIC(c *config.Sidecar) error {
	if c.Spec.QUIC == nil {
		return nil
	}
	s, err := quic.Listen(t.base, quic.ServerOptions{
		Listen: c.Spec.QUIC.Listen, Source: t.s.source, Limits: effectiveLimits(c.Spec.Limits),
		Find:     t.findStream,
		Panicked: t.streamPanicked, Log: t.s.opts.Log,
	})
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(t.base)
	t.mu.Lock()
	t.quic = &quicServer{s, stop}
	t.mu.Unlock()
	t.ended.Go(func() {
		if err := s.Run(ctx, t.base); err != nil {
			t.s.opts.Log.Error("QUIC", "err", err)
			t.s.readiness.Set(conditionListeners, err)
		}
	})
	return nil
}

// closeQUIC ends what is left of both sides of QUIC when all hops have ended.
func (t *traffic) closeQUIC() error {
	err := t.s.quicClient.Close()
	t.attempts.Wait()
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.quic != nil {
		t.quic.stop()
		err = errors.Join(err, t.quic.Close())
	}
	return err
}

// inboundAt is the listener that a caller means by a port: that of the listener
// itself, as over TCP, or any port where the kernel redirects.
func (t *traffic) inboundAt(port uint16) *inbound.Listener {
	t.mu.Lock()
	defer t.mu.Unlock()
	var captures *inbound.Listener
	for _, l := range t.open {
		in, ok := l.server.(*inbound.Listener)
		switch spec, _ := l.spec.(config.Inbound); {
		case !ok:
		case spec.Capture:
			captures = in
		case httpflow.AddrPortOf(l.socket.Addr()).Port() == port:
			return in
		}
	}
	return captures
}

// findStream returns what takes a hop to the listener of a port.
func (t *traffic) findStream(port uint16) quic.Serve {
	in := t.inboundAt(port)
	if in == nil {
		return nil
	}
	return func(st *quic.Stream, h quic.Handshake) bool {
		made, err := hop.Over(st, st.Protocol, h.State, t.s.source, h.Before)
		if err != nil { // we have no identity any more
			socket.Abort(st)
			return true
		}
		return in.ServeHop(made, netip.AddrPortFrom(httpflow.AddrPortOf(st.LocalAddr()).Addr(), port), st.Accept)
	}
}

func (t *traffic) streamPanicked(v any) {
	t.s.metrics.Panic()
	t.s.opts.Log.Error("panic on a stream", "panic", fmt.Sprint(v), "stack", string(debug.Stack()))
}

// path decides between QUIC and TCP for one endpoint; nil where there is nothing to
// decide.
func (t *traffic) path(d config.Destination) *quic.Path {
	if d.QUIC != config.QUICAuto {
		return nil
	}
	return &quic.Path{FellBack: func(f quic.Fallback) { t.s.metrics.QUICFallback(f.String()) }, Running: &t.attempts}
}
