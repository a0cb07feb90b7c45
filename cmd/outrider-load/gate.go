package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"

	"github.com/outrider-mesh/outrider/internal/cli"
	"github.com/outrider-mesh/outrider/loadtest/budget"
	"github.com/outrider-mesh/outrider/loadtest/compare"
	"github.com/outrider-mesh/outrider/loadtest/pace"
	"github.com/outrider-mesh/outrider/loadtest/report"
	"github.com/outrider-mesh/outrider/loadtest/self"
	"github.com/outrider-mesh/outrider/loadtest/target"
	"github.com/outrider-mesh/outrider/loadtest/watch"
)

// gate is "outrider-load gate".
func gate(ctx context.Context, args []string, env cli.Environment) error {
	fs := program().Flags("gate")
	var o outputFlags
	o.register(fs)
	seed := fs.Uint64("seed", 0, "seed of order and random arrivals (default: random)")
	check := fs.Bool("check", false, "only check the file")
	rest, err := program().Parse(fs, args, 1, env)
	if err != nil {
		return err
	}
	if len(rest) != 1 {
		return errors.New("gate: name a budget file")
	}
	file, err := budget.Load(rest[0])
	if err != nil {
		return err
	}
	if *check {
		fmt.Fprintf(env.Stdout, "%s: %d scenarios\n", file.Metadata.Name, len(file.Spec.Scenarios))
		return nil
	}
	if *seed == 0 {
		*seed = rand.Uint64() //nolint:gosec // chance, not secrecy
	}
	ctx, stop := untilSignal(ctx)
	defer stop()
	d := document(append([]string{fs.Name()}, args...))
	scenarios, err := runScenarios(ctx, file, *seed, env)
	if err != nil {
		return interrupted(ctx, err)
	}
	return publish(d, scenarios, true, o, env)
}

// runScenarios measures every scenario, on the file's targets or on a mesh of its
// own.
func runScenarios(ctx context.Context, file *budget.File, seed uint64, env cli.Environment) (_ []report.Scenario, err error) {
	subjects := subjectsOf(file.Spec.Targets)
	if len(file.Spec.Targets) == 0 {
		m, err := startSelf(ctx, inspects(file), env)
		if err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, m.Close()) }()
		subjects = subjectsIn(m)
	}
	p := newProgress(env.Stderr)
	defer p.end()
	var all []report.Scenario
	for _, s := range file.Spec.Scenarios {
		r, err := runScenario(ctx, &s, subjects, seed, p)
		if err != nil {
			return nil, fmt.Errorf("scenario %s: %w", s.Name, err)
		}
		all = append(all, r)
	}
	return all, nil
}

// inspects tells whether a scenario needs the sidecar that inspects.
func inspects(file *budget.File) bool {
	for _, s := range file.Spec.Scenarios {
		if s.Test == budget.Inspected || s.Base == budget.Inspected {
			return true
		}
	}
	return false
}

// subjects makes the subject of a scenario out of a target's name.
type subjects func(name string, s *budget.Scenario) (compare.Subject, error)

func subjectsOf(targets map[string]budget.TargetSpec) subjects {
	return func(name string, s *budget.Scenario) (compare.Subject, error) {
		spec := targets[name]
		t, err := target.New(s.Options(spec.URL))
		subject := compare.Subject{Name: name, Target: t}
		for _, text := range spec.Watch {
			g, watchErr := watch.ParseGroup(text)
			err = errors.Join(err, watchErr)
			subject.Watch = append(subject.Watch, g)
		}
		return subject, err
	}
}

func subjectsIn(m *self.Mesh) subjects {
	return func(name string, s *budget.Scenario) (compare.Subject, error) {
		if s.Protocol != target.HTTP1 {
			return compare.Subject{}, fmt.Errorf("the mesh that is started here carries %s; name targets for %s", target.HTTP1, s.Protocol)
		}
		return selfSubject(m, name, s.Options(""), s.Path)
	}
}

func runScenario(ctx context.Context, s *budget.Scenario, of subjects, seed uint64, p *progress) (report.Scenario, error) {
	plan := compare.Plan{
		Poisson: s.Arrivals == budget.Poisson, Callers: s.Connections, Rounds: s.Rounds,
		Warmup: s.Warmup, Block: s.Block, Seed: seed,
	}
	if s.Rate != "" {
		var err error
		if plan.Rate, err = pace.Parse(s.Rate); err != nil {
			return report.Scenario{}, err
		}
	}
	for _, name := range []string{s.Base, s.Test} {
		subject, err := of(name, s)
		if err != nil {
			return report.Scenario{}, err
		}
		plan.Targets = append(plan.Targets, subject)
	}
	bounds, err := s.Bounds()
	if err != nil {
		return report.Scenario{}, err
	}
	return measure(ctx, s.Name, plan, bounds, p)
}
