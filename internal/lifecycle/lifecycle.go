// Package lifecycle starts the long-running parts of a process together and
// stops them one after the other.
//
// Every part is an actor: a function that works until its context ends. The
// order of adding is the order of dependence: sources first, listeners last.
// They stop in the reverse order, each one only after the one before it has
// returned, so that nothing loses what it still needs while it drains.
package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
)

// A Group is a set of actors that live and die together. The zero Group is
// empty and ready for use. It is not for concurrent use, and runs once.
type Group struct {
	actors []*actor
}

type actor struct {
	name   string
	run    func(context.Context) error
	cancel context.CancelFunc
	done   chan struct{} // closed once run has returned and err is set
	err    error
}

// Add appends an actor. The name opens its errors. Run must return soon after
// its context ends; nothing else can make it.
func (g *Group) Add(name string, run func(ctx context.Context) error) {
	g.actors = append(g.actors, &actor{name: name, run: run, done: make(chan struct{})})
}

// Run starts all actors and waits until the first of them returns, for whatever
// reason, or ctx ends. Then it stops the others, the last added first, waits
// for each, and returns the first error in that order; nil when there was none.
// A panic of an actor counts as its error. That an actor returns the error of
// its own ended context is not an error.
func (g *Group) Run(ctx context.Context) error {
	// Actors must not see the end of ctx itself, or all of them would stop at
	// the same moment instead of in order.
	parent := context.WithoutCancel(ctx)
	ended := make(chan *actor, len(g.actors))
	for _, a := range g.actors {
		actorCtx, cancel := context.WithCancel(parent)
		a.cancel = cancel
		go a.work(actorCtx, ended)
	}

	var first error
	select {
	case a := <-ended:
		first = a.err
	case <-ctx.Done():
	}
	for _, a := range slices.Backward(g.actors) {
		a.cancel()
		<-a.done
		if first == nil {
			first = a.err
		}
	}
	return first
}

func (a *actor) work(ctx context.Context, ended chan<- *actor) {
	defer func() {
		close(a.done)
		ended <- a // has room for every actor
	}()
	err := a.guarded(ctx)
	if err == nil || ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return
	}
	a.err = fmt.Errorf("%s: %w", a.name, err)
}

func (a *actor) guarded(ctx context.Context) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &PanicError{Value: v, Stack: debug.Stack()}
		}
	}()
	return a.run(ctx)
}

// A PanicError is what a panicking actor returned.
type PanicError struct {
	// Value is what was passed to panic.
	Value any
	// Stack is the stack of the panicking goroutine, as runtime/debug prints it.
	Stack []byte
}

// Error gives the panic's value; the stack is for a log.
func (e *PanicError) Error() string { return fmt.Sprintf("panic: %v", e.Value) }

// Unwrap returns the panic's value if that is an error, else nil.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}
