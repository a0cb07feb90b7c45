// Package workload obtains this process's identity from the SPIFFE Workload
// API: SPIRE's agent, or anything else that serves it.
//
// It follows the stream of X.509 updates and never blocks its caller on it. A
// sidecar often starts some seconds before the agent knows the workload, so
// having no identity is a state to report and not a reason to stop. When the
// stream is lost, the last SVID and bundles stay in use, and the source tries
// again until it is closed.
package workload

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/spiffe/go-spiffe/v2/workloadapi"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"

	"github.com/outrider-mesh/outrider/identity"
)

// Options says where the Workload API is.
type Options struct {
	// Socket is the address of the Workload API: "unix:///path" or
	// "tcp://ip:port". The environment variable SPIFFE_ENDPOINT_SOCKET is the
	// caller's to read.
	Socket string
	// MinBackoff and MaxBackoff bound the pause between attempts, which grows
	// from one to the other; zero: half a second and ten seconds. The socket
	// is local and a new pod waits for it, so there is little to spare.
	MinBackoff, MaxBackoff time.Duration
	// Log receives changes of state; nil: nothing is logged.
	Log *slog.Logger
}

// A Source follows the Workload API. It implements [identity.Source].
type Source struct {
	identity.Publisher

	socket string
	log    *slog.Logger
	pause  pause
	client *workloadapi.Client
	cancel context.CancelFunc
	done   chan struct{} // closed when follow has returned

	closing sync.Once
	closed  error // written once by closing
}

// New starts to follow the Workload API until ctx ends or the source is closed.
// It fails only if the address cannot be one; whether anybody answers there
// shows in the snapshots.
func New(ctx context.Context, opts Options) (*Source, error) {
	if err := workloadapi.ValidateAddress(opts.Socket); err != nil {
		return nil, fmt.Errorf("workload API socket %q: want unix:///path or tcp://ip:port: %w", opts.Socket, err)
	}
	s := &Source{
		socket: opts.Socket,
		log:    opts.Log,
		pause:  newPause(opts.MinBackoff, opts.MaxBackoff),
		done:   make(chan struct{}),
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	ctx, s.cancel = context.WithCancel(ctx)
	client, err := workloadapi.New(ctx,
		workloadapi.WithAddr(opts.Socket),
		workloadapi.WithBackoffStrategy(s.pause),
		workloadapi.WithDialOptions(
			grpc.WithNoProxy(), // the socket is local, whatever HTTPS_PROXY says
			grpc.WithConnectParams(s.pause.connect()),
		))
	if err != nil {
		s.cancel()
		return nil, fmt.Errorf("workload API socket %q: %w", opts.Socket, err)
	}
	s.client = client
	s.Fail(fmt.Errorf("workload API at %q: no answer yet", opts.Socket))
	go s.follow(ctx)
	return s, nil
}

// follow watches until ctx ends. go-spiffe's watch retries by itself, except
// after the codes Canceled and InvalidArgument; but an agent that shuts down
// also answers Canceled, so only ctx decides.
func (s *Source) follow(ctx context.Context) {
	defer close(s.done)
	wait := s.pause.NewBackoff()
	for {
		_ = s.client.WatchX509Context(ctx, &watcher{source: s, ctx: ctx}) // the watcher has been told
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait.Next()):
		}
	}
}

// Close ends the stream and waits. The last snapshot stays readable. It may be
// called more than once.
func (s *Source) Close() error {
	s.closing.Do(func() {
		s.cancel()
		<-s.done
		s.closed = s.client.Close()
	})
	return s.closed
}

// pause is a backoff that doubles from lowest to highest. It is the strategy
// of the watch, and of gRPC's dialling, whose own would grow to two minutes.
type pause struct{ lowest, highest time.Duration }

func newPause(lowest, highest time.Duration) pause {
	if lowest <= 0 {
		lowest = 500 * time.Millisecond
	}
	if highest <= 0 {
		highest = 10 * time.Second
	}
	return pause{lowest: lowest, highest: max(lowest, highest)}
}

func (p pause) connect() grpc.ConnectParams {
	return grpc.ConnectParams{
		Backoff:           backoff.Config{BaseDelay: p.lowest, Multiplier: 2, Jitter: jitter, MaxDelay: p.highest},
		MinConnectTimeout: p.highest,
	}
}
