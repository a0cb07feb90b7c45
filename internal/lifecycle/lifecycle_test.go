package lifecycle_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/outrider-mesh/outrider/internal/lifecycle"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A journal records events in order.
type journal struct {
	mu     sync.Mutex
	events []string
}

func (j *journal) note(event string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.events = append(j.events, event)
}

// untilStopped returns an actor that takes long to stop, so that a group which
// stops two at a time is seen to.
func (j *journal) untilStopped(name string, result error) func(context.Context) error {
	return func(ctx context.Context) error {
		<-ctx.Done()
		j.note(name + " stopping")
		<-time.After(time.Second) // of the bubble, so it takes no time
		j.note(name + " stopped")
		return result
	}
}

var stoppedInReverse = []string{
	"listener stopping", "listener stopped", "policy stopping", "policy stopped",
	"identity stopping", "identity stopped",
}

func TestTheEndOfTheContextStopsActorsInReverseOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		var g lifecycle.Group
		for _, name := range []string{"identity", "policy", "listener"} {
			g.Add(name, j.untilStopped(name, nil))
		}
		ctx, cancel := context.WithCancelCause(t.Context())
		result := make(chan error)
		go func() { result <- g.Run(ctx) }()
		synctest.Wait()
		cancel(errors.New("received signal terminated"))
		if err := <-result; err != nil {
			t.Errorf("Run = %v, want nil", err)
		}
		if diff := cmp.Diff(stoppedInReverse, j.events); diff != "" {
			t.Errorf("events (-want +got):\n%s", diff)
		}
	})
}

func TestTheFirstReturnStopsTheOthers(t *testing.T) {
	broken := errors.New("address in use")
	panicked := errors.New("index out of range")
	cases := map[string]struct {
		run  func(context.Context) error
		want error
		text string
	}{
		"an error is returned with the name of its actor": {
			func(context.Context) error { return broken }, broken, "admin: address in use",
		},
		"a return without an error stops the group without one": {
			func(context.Context) error { return nil }, nil, "",
		},
		"a panic is an error that keeps its cause": {
			func(context.Context) error { panic(panicked) }, panicked, "admin: panic: index out of range",
		},
		"a cancellation that the group did not ask for is an error": {
			func(context.Context) error { return context.Canceled }, context.Canceled, "admin: context canceled",
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var j journal
				var g lifecycle.Group
				g.Add("identity", j.untilStopped("identity", nil))
				g.Add("admin", c.run)
				g.Add("policy", j.untilStopped("policy", context.Canceled))
				g.Add("listener", j.untilStopped("listener", nil))
				err := g.Run(t.Context())
				if !errors.Is(err, c.want) {
					t.Errorf("Run = %v, want %v", err, c.want)
				}
				if err != nil && err.Error() != c.text {
					t.Errorf("Run = %q, want %q", err, c.text)
				}
				if diff := cmp.Diff(stoppedInReverse, j.events); diff != "" {
					t.Errorf("events (-want +got):\n%s", diff)
				}
			})
		})
	}
}

func TestAnErrorWhileStoppingIsReturned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		var g lifecycle.Group
		late, later := errors.New("flush"), errors.New("sync")
		g.Add("identity", j.untilStopped("identity", later))
		g.Add("log", j.untilStopped("log", late))
		g.Add("admin", func(context.Context) error { return nil })
		if err := g.Run(t.Context()); !errors.Is(err, late) || errors.Is(err, later) {
			t.Errorf("Run = %v, want the first of the errors, %v", err, late)
		}
	})
}

func TestAPanicKeepsItsStack(t *testing.T) {
	var g lifecycle.Group
	g.Add("engine", explode)
	var p *lifecycle.PanicError
	if err := g.Run(t.Context()); !errors.As(err, &p) {
		t.Fatalf("Run = %v, want a PanicError", err)
	}
	if !strings.Contains(string(p.Stack), "explode") || p.Value != "boom" || p.Unwrap() != nil {
		t.Errorf("value %v, cause %v, stack:\n%s", p.Value, p.Unwrap(), p.Stack)
	}
}

func explode(context.Context) error { panic("boom") }

func TestAnEmptyGroupWaitsForItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var g lifecycle.Group
	if err := g.Run(ctx); err != nil {
		t.Errorf("Run = %v, want nil", err)
	}
}
