package distribute

import (
	"context"
	"errors"
	"net/netip"
	"time"

	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/outrider-mesh/outrider/proxy/config/push"
)

// A stream is one sidecar's. Two goroutines have it: the handler sends, a reader
// receives.
type stream struct {
	*member

	server *Server
	wire   discovery.AggregatedDiscoveryService_DeltaAggregatedResourcesServer
	who    authenticated
	until  time.Time  // when it is asked to come back
	ended  chan error // has room for one: why it has to end
	began  time.Time  // of the second in which requests are counted; the reader's
	many   int        // requests in it; the reader's
}

// DeltaAggregatedResources serves one sidecar. It implements delta xDS.
func (s *Server) DeltaAggregatedResources(wire discovery.AggregatedDiscoveryService_DeltaAggregatedResourcesServer) error {
	st, first, err := s.admit(wire)
	if err != nil {
		s.opts.Metrics.refused()
		return err
	}
	if before := s.hub.join(st.member); before != nil {
		before.leave(errReplaced)
	}
	defer s.hub.part(st.member)
	s.opts.Metrics.joined()
	defer s.opts.Metrics.parted()
	// The header tells that the claim was believed, whether or not there is
	// anything to send.
	if err := wire.SendHeader(nil); err != nil {
		return err
	}
	s.readers.Go(func() { st.leave(st.read(first)) })
	return st.send()
}

// admit believes a claim or does not.
func (s *Server) admit(wire discovery.AggregatedDiscoveryService_DeltaAggregatedResourcesServer) (*stream, *discovery.DeltaDiscoveryRequest, error) {
	who, err := callerOf(wire.Context())
	if err != nil {
		return nil, nil, status.Error(codes.Unauthenticated, err.Error())
	}
	if s.hub.len() >= maxStreams {
		return nil, nil, status.Error(codes.ResourceExhausted, errTooMany.Error())
	}
	silent := time.AfterFunc(claimTimeout, func() { _ = who.conn.Close() })
	first, err := wire.Recv()
	if !silent.Stop() || err != nil {
		return nil, nil, status.Error(codes.DeadlineExceeded, "the first request did not come")
	}
	node, err := push.ParseNode(first.GetNode())
	if err != nil {
		return nil, nil, status.Error(codes.InvalidArgument, err.Error())
	}
	key := Key{node.Namespace, node.Name}
	if err := s.opts.Mesh.Admit(who.peer.ID, key); err != nil {
		s.opts.Log.Warn("sidecar refused", "workload", key.String(), "spiffe_id", who.peer.ID.String(), "err", err)
		return nil, nil, status.Error(codes.PermissionDenied, err.Error())
	}
	now := time.Now()
	st := &stream{server: s, wire: wire, who: who, until: now.Add(s.lifetime()), ended: make(chan error, 1)}
	st.member = &member{leave: st.leave, about: About{Key: key, ID: who.peer.ID, Version: node.Version, Since: now}}
	var own *session
	own = newSession(key, func(at netip.AddrPort, on bool) { s.hub.watch(own, at, on) })
	st.member.session, st.member.stream = own, st
	return st, first, nil
}

// leave makes the handler return; the first reason counts.
func (st *stream) leave(why error) {
	select {
	case st.ended <- why:
	default:
	}
}

// read takes requests until there are no more, and returns why.
func (st *stream) read(first *discovery.DeltaDiscoveryRequest) error {
	for r := first; ; {
		now := time.Now()
		if now.Sub(st.began) >= time.Second {
			st.began, st.many = now, 0
		}
		if st.many++; st.many > requestsPerSecond {
			return errHasty
		}
		a, err := st.request(r, now)
		if a.any {
			st.server.opts.Metrics.answered(a)
		}
		if a.nack != "" {
			st.server.opts.Log.Warn("sidecar refuses what it was sent", "workload", st.key.String(), "type", r.GetTypeUrl(), "reason", a.nack)
		}
		if err != nil {
			return err
		}
		if r, err = st.wire.Recv(); err != nil {
			return err
		}
	}
}

// send sends what there is to send until the stream has to end, and returns the
// status for the sidecar.
func (st *stream) send() error {
	from := source{
		documents: func() (Set, bool) { return st.server.hub.mesh.Documents(st.key) },
		target:    st.server.hub.target,
	}
	for {
		select {
		case why := <-st.ended:
			return st.farewell(why)
		case <-st.server.done:
			return st.farewell(errStopping)
		case <-st.wake:
		}
		for r := st.next(from, time.Now()); r != nil; r = st.next(from, time.Now()) {
			size := proto.Size(r)
			if size > push.MaxResponseBytes {
				return status.Errorf(codes.ResourceExhausted, "the documents of %s have %d bytes, more than %d", st.key, size, push.MaxResponseBytes)
			}
			st.server.opts.Metrics.sent(r.GetTypeUrl(), size)
			if err := st.wire.Send(r); err != nil {
				return err
			}
		}
	}
}

// farewell is the status with which a stream ends. All but a mistake of the sidecar
// means that it may come back at once.
func (st *stream) farewell(why error) error {
	if _, ok := status.FromError(why); ok || errors.Is(why, context.Canceled) {
		return why
	}
	code := codes.Unavailable
	switch {
	case errors.Is(why, errGone):
		code = codes.PermissionDenied
	case errors.Is(why, errHasty):
		code = codes.ResourceExhausted
	}
	st.server.opts.Metrics.ended(why)
	return status.Error(code, why.Error())
}
