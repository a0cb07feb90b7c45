package workload

import (
	"context"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	api "github.com/spiffe/go-spiffe/v2/proto/spiffe/workload"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// A moodyAgent answers each of its codes once, in order, and the last for ever.
type moodyAgent struct {
	api.UnimplementedSpiffeWorkloadAPIServer

	codes []codes.Code
	calls atomic.Int64
}

func (a *moodyAgent) FetchX509SVID(*api.X509SVIDRequest, grpc.ServerStreamingServer[api.X509SVIDResponse]) error {
	n := min(int(a.calls.Add(1)), len(a.codes))
	return status.Error(a.codes[n-1], "in a mood")
}

func (a *moodyAgent) listen(t *testing.T) (addr string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	api.RegisterSpiffeWorkloadAPIServer(server, a)
	done := make(chan error, 1)
	go func() { done <- server.Serve(ln) }()
	t.Cleanup(func() {
		server.Stop()
		<-done
	})
	return "tcp://" + ln.Addr().String()
}

// go-spiffe's watch ends for good after Canceled and InvalidArgument, which an
// agent may answer while it stops or starts.
func TestNoAnswerEndsTheSource(t *testing.T) {
	agent := &moodyAgent{codes: []codes.Code{codes.Canceled, codes.InvalidArgument, codes.Internal, codes.Unimplemented}}
	s, err := New(t.Context(), Options{Socket: agent.listen(t), MinBackoff: time.Millisecond, MaxBackoff: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	deadline := time.After(20 * time.Second)
	for {
		snap := s.Current()
		if strings.Contains(snap.Err.Error(), "does not serve X.509 SVIDs") {
			return
		}
		select {
		case <-snap.Superseded():
		case <-deadline:
			t.Fatalf("after %d calls the source gave up with %v", agent.calls.Load(), snap.Err)
		}
	}
}

// A lingerer is a log handler that holds up the goroutine that logs, for a
// moment in which a Close that does not wait would return.
type lingerer struct {
	slog.Handler

	t               *testing.T
	entered, closed chan struct{}
}

func (l lingerer) Handle(context.Context, slog.Record) error {
	close(l.entered)
	select {
	case <-l.closed:
		l.t.Error("the source still follows after Close")
	case <-time.After(50 * time.Millisecond):
	}
	return nil
}

func TestCloseWaits(t *testing.T) {
	agent := &moodyAgent{codes: []codes.Code{codes.Internal}}
	l := lingerer{Handler: slog.NewTextHandler(io.Discard, nil), t: t, entered: make(chan struct{}), closed: make(chan struct{})}
	s, err := New(t.Context(), Options{Socket: agent.listen(t), Log: slog.New(l)})
	if err != nil {
		t.Fatal(err)
	}
	<-l.entered
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	close(l.closed)
	<-s.done
}
