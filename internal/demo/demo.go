package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"
)

// ErrFailed means that the demo ran and that some step did not hold. What was
// seen instead has been printed.
var ErrFailed = errors.New("a step of the demo did not hold")

// Options say how the demo is shown.
type Options struct {
	// Stdout receives what is shown, Stderr the warning that the certificate
	// authority is not for production; both are required.
	Stdout, Stderr io.Writer
	// Keep leaves the mesh running after the last step, until the context ends.
	Keep bool
	// Color marks what holds and what does not with ANSI colours.
	Color bool
}

// Run starts the mesh, takes the steps and cleans up, whatever happened. The
// error is ErrFailed if a step did not hold, and the context's if it ended
// before the last step.
func Run(ctx context.Context, opts Options) error {
	return show(ctx, opts, asShipped())
}

// A plan is what is shown. Tests spoil it, to see that the demo notices.
type plan struct {
	// policies are the documents the mesh starts with, by file name.
	policies map[string]string
	// edited is what takes the place of the payments policy while it is
	// edited, and mistyped is the file that must be refused.
	edited, mistyped string
	// rotate gives every workload a new certificate.
	rotate func(context.Context, *mesh) error
	// patience is how long a condition may take to come true; it only decides
	// how late a failure is noticed.
	patience time.Duration
	// startPatience is how long the mesh may take to be ready.
	startPatience time.Duration
	steps         []step
}

func asShipped() plan {
	return plan{
		policies: shopPolicies(),
		edited:   paymentsPolicy("GET, POST, DELETE"),
		mistyped: mistypedPolicy,
		rotate: func(_ context.Context, m *mesh) error {
			m.ca.Rotate()
			return nil
		},
		startPatience: 15 * time.Second, patience: 15 * time.Second,
		steps: allSteps(),
	}
}

// A step is one thing that is shown.
type step struct {
	// title is its heading, name and expected its place in the summary.
	title, name, expected string
	// run returns what was seen, in a few words. Its error means that the step
	// could not be taken to its end.
	run func(ctx context.Context, s *scene) (seen string, err error)
}

func allSteps() []step {
	return []step{allowedStep(), plaintextStep(), intruderStep(), injectionStep(), rotationStep(), editStep(), mistakeStep()}
}

// A scene is what a step has at hand.
type scene struct {
	*page
	*mesh
	plan plan
}

func show(ctx context.Context, opts Options, p plan) (err error) {
	started := time.Now()
	pg := &page{w: opts.Stdout, color: opts.Color}
	pg.title()
	m, err := startMesh(ctx, pg, meshOptions{policies: p.policies, warn: opts.Stderr, patience: p.startPatience})
	if err != nil {
		return fmt.Errorf("start the mesh: %w", err)
	}
	defer func() { err = errors.Join(err, m.stop(ctx)) }()

	s := &scene{page: pg, mesh: m, plan: p}
	var results []result
	for i, st := range p.steps {
		r, err := s.take(ctx, i+1, st)
		if err != nil {
			return err
		}
		results = append(results, r)
	}
	held := pg.summary(results, time.Since(started))
	if opts.Keep {
		s.keep(ctx)
	}
	if !held {
		return ErrFailed
	}
	return nil
}

// A result is what became of a step.
type result struct {
	step step
	seen string
	held bool
}

// take takes one step. The error is that of a context that ended.
func (s *scene) take(ctx context.Context, n int, st step) (result, error) {
	s.begin(n, st.title)
	seen, err := st.run(ctx, s)
	if ctx.Err() != nil {
		return result{}, fmt.Errorf("interrupted in step %d: %w", n, context.Cause(ctx))
	}
	if err != nil {
		s.holds(false, "%v", err)
		seen = err.Error()
	}
	return result{step: st, seen: seen, held: s.held}, nil
}
