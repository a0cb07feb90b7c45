package lifecycle_test

import (
	"context"
	"syscall"
	"testing"

	"github.com/outrider-mesh/outrider/internal/lifecycle"
)

func raise(t *testing.T, s syscall.Signal) {
	t.Helper()
	if err := syscall.Kill(syscall.Getpid(), s); err != nil {
		t.Fatal(err)
	}
}

func TestTheFirstSignalIsGracefulAndTheSecondForces(t *testing.T) {
	stop := lifecycle.Signals(t.Context())
	defer stop.Release()

	raise(t, syscall.SIGTERM)
	<-stop.Graceful.Done()
	if got := context.Cause(stop.Graceful).Error(); got != "received signal terminated" {
		t.Errorf("cause = %q, want the signal", got)
	}
	if err := stop.Force.Err(); err != nil {
		t.Fatalf("one signal forced the end: %v", err)
	}

	raise(t, syscall.SIGINT)
	<-stop.Force.Done()
	if got := context.Cause(stop.Force).Error(); got != "received signal interrupt" {
		t.Errorf("cause = %q, want the signal", got)
	}
}

func TestTheEndOfTheContextIsGracefulOnly(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	stop := lifecycle.Signals(ctx)
	defer stop.Release()
	cancel()
	<-stop.Graceful.Done()
	if err := stop.Force.Err(); err != nil {
		t.Errorf("the end of the context forced the end: %v", err)
	}
}

func TestReleaseEndsBothContextsAndMayBeRepeated(t *testing.T) {
	stop := lifecycle.Signals(t.Context())
	stop.Release()
	stop.Release()
	if stop.Graceful.Err() == nil || stop.Force.Err() == nil {
		t.Error("a context outlives Release")
	}
}
