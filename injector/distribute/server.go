package distribute

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"time"

	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"golang.org/x/net/netutil"
	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"

	"github.com/outrider-mesh/outrider/identity"
	"github.com/outrider-mesh/outrider/injector/fair"
	"github.com/outrider-mesh/outrider/proxy/config/push"
)

// Options configure a [Server]. Every field that doesn't say otherwise is required.
type Options struct {
	// Mesh is what is served.
	Mesh Mesh
	// Source is the server's own identity, and the roots of its callers.
	Source identity.Source
	// Metrics counts what is done.
	Metrics *Metrics
	// Log gets a line for each sidecar that is refused or disconnected.
	Log *slog.Logger
	// AckTimeout is how long a sidecar may take to answer; 0 means 30 s.
	AckTimeout time.Duration
	// MaxAge is when a stream is asked to come back; 0 means an hour.
	MaxAge time.Duration
}

// A Server serves sidecars.
type Server struct {
	discovery.UnimplementedAggregatedDiscoveryServiceServer

	opts    Options
	hub     *hub
	grpc    *grpc.Server
	readers sync.WaitGroup
	done    chan struct{} // closed when every stream is to end
	stop    func()
}

// New returns a server that does not listen yet.
func New(o Options) *Server {
	o.AckTimeout = or(o.AckTimeout, ackTimeout)
	o.MaxAge = or(o.MaxAge, maxAge)
	s := &Server{opts: o, hub: newHub(o.Mesh), done: make(chan struct{})}
	s.stop = sync.OnceFunc(func() { close(s.done) })
	s.grpc = grpc.NewServer(
		grpc.Creds(newMutual(o.Source)),
		grpc.ConnectionTimeout(handshakeTimeout), grpc.WaitForHandlers(true),
		grpc.MaxRecvMsgSize(push.MaxRequestBytes),
		grpc.MaxSendMsgSize(push.MaxResponseBytes),
		grpc.MaxHeaderListSize(headerBytes),
		grpc.MaxConcurrentStreams(maxStreamsOfConnection),
		grpc.ReadBufferSize(bufferBytes), grpc.WriteBufferSize(bufferBytes),
		grpc.KeepaliveParams(keepalive.ServerParameters{MaxConnectionIdle: idleTimeout, Time: keepAlive, Timeout: keepAliveTimeout}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: leastPing, PermitWithoutStream: false}),
	)
	discovery.RegisterAggregatedDiscoveryServiceServer(s.grpc, s)
	s.grpc.RegisterService(replicas(), s)
	return s
}

func or[T comparable](v, fallback T) T {
	var zero T
	if v == zero {
		return fallback
	}
	return v
}

// Run serves the listener, which it closes, until the context ends; that is no
// error. It returns when every stream has ended, and is called once.
func (s *Server) Run(ctx context.Context, l net.Listener) error {
	swept := make(chan struct{})
	go func() {
		defer close(swept)
		s.sweep(ctx)
	}()
	closing := context.AfterFunc(ctx, func() {
		s.stop()
		s.grpc.Stop()
	})
	err := s.grpc.Serve(netutil.LimitListener(fair.Listen(l, maxPerAddress), maxConnections))
	if !closing() {
		err = nil // it was told to end
	}
	s.stop()
	s.grpc.Stop()
	s.readers.Wait()
	<-swept
	if err != nil && ctx.Err() == nil {
		return fmt.Errorf("serve sidecars at %s: %w", l.Addr(), err)
	}
	return nil
}

// DocumentsChanged tells that the documents of these workloads may have changed,
// after [Mesh] says so.
func (s *Server) DocumentsChanged(of ...Key) { s.hub.documentsChanged(of, time.Now()) }

// TargetsChanged tells that what is known of these addresses may have changed,
// after [Mesh] says so.
func (s *Server) TargetsChanged(at ...netip.Addr) { s.hub.targetsChanged(at, time.Now()) }

// Gone disconnects workloads that are no more.
func (s *Server) Gone(keys ...Key) {
	for _, m := range s.hub.find(keys) {
		m.leave(errGone)
	}
}

// Sidecars is how many are connected.
func (s *Server) Sidecars() int { return s.hub.len() }

var (
	errGone     = errors.New("the pod is no more")
	errReplaced = errors.New("the same workload has connected again")
	errAge      = errors.New("it is time to connect anew")
	errSlow     = errors.New("a response was not answered in time")
	errStopping = errors.New("this replica is stopping")
	errTooMany  = errors.New("this replica serves as many sidecars as it can")
	errHasty    = errors.New("more requests in a second than a sidecar has reason for")
)

// lifetime is drawn from the upper half of the age, so that those who came together
// don't come back together.
func (s *Server) lifetime() time.Duration {
	half := s.opts.MaxAge / 2
	return half + rand.N(half+1) //nolint:gosec // spreading load needs no secret
}
