package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/outrider-mesh/outrider/test/peers/report"
)

// The load of the fourth part: what a service commonly has of another one.
const (
	callConnections = 4
	callStreams     = 32 // over all connections
	callSize        = 1024
)

// callsFairness says what a reader must know to believe the numbers.
func callsFairness() []string {
	return []string{
		"unary gRPC calls of a message of 1 KiB, which comes back; 32 at a time on 4 connections of the client",
		"HTTP/2 on all three legs, but that nginx has one connection to the next hop for each call under way: it does not multiplex there",
		"TLS, access logs, authorization and processors as in the first part",
	}
}

func (b *benchmark) prepareCalls(ctx context.Context) (err error) {
	b.report.Calls = &report.Calls{Absent: map[string]string{}, Fairness: callsFairness()}
	b.calling, err = b.locate(ctx, calls, b.report.Calls.Absent)
	return err
}

// callLoop is a closed loop of calls.
func (b *benchmark) callLoop() trial {
	o := b.options
	return trial{
		Load:  report.Load{Connections: callConnections, Size: callSize, Request: fmt.Sprintf("gRPC unary, %d streams", callStreams)},
		calls: callStreams, peers: names(b.calling),
		rounds: o.rounds, warmup: o.warmup, block: o.block, seed: o.seed + callsSeed,
	}
}

// measureCalls is the fourth part.
func (b *benchmark) measureCalls(ctx context.Context, s *session) (err error) {
	rep := b.report.Calls
	rep.Peers = s.describe()
	if rep.Memory, err = s.idleMemory(); err != nil {
		return err
	}
	if rep.Samples, err = s.run(ctx, b.callLoop(), b.progress); err != nil {
		return err
	}
	rep.Sum(names(b.calling))
	return s.memoryAfter(rep.Memory)
}

// serveCalls answers each gRPC call with its own message until the listener is closed.
// It costs more than the app of requests, which is nobody's: the app is not measured.
func serveCalls(ln net.Listener) error {
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	s := &http.Server{
		Handler: http.HandlerFunc(echoCall), Protocols: protocols, ReadHeaderTimeout: time.Minute,
		HTTP2: &http.HTTP2Config{MaxConcurrentStreams: 4 * callStreams},
	}
	err := s.Serve(ln)
	if errors.Is(err, net.ErrClosed) {
		return errors.Join(s.Close())
	}
	return errors.Join(err, s.Close())
}

func echoCall(w http.ResponseWriter, r *http.Request) {
	message, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxSize))
	if err != nil {
		return // who asked has gone
	}
	w.Header().Set("Content-Type", "application/grpc")
	w.Header().Set(http.TrailerPrefix+"Grpc-Status", "0")
	_, _ = w.Write(message) // who asked knows what came
}
