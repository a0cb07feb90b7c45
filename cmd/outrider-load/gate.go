package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"

	"github.com/outrider-mesh/outrider/internal/cli"
	"github.com/outrider-mesh/outrider/loadtest/budget"
	"github.com/outrider-mesh/outrider/loadtest/compare"
	"github.com/outrider-mesh/outrider/loadtest/pace"
	"github.com/outrider-mesh/outrider/loadtest/report"
	"github.com/outrider-mesh/outrider/loadtest/self"
	"github.com/outrider-mesh/outrider/loadtest/target"
	"github.com/outrider-mesh/outrider/loadtest/watch"
)

// gating is what "outrider-load gate" was asked for.
type gating struct {
	file     *budget.File
	seed     uint64
	identity identityFlags
	env      cli.Environment
}

// gate is "outrider-load gate".
func gate(ctx context.Context, args []string, env cli.Environment) error {
	fs := program().Flags("gate")
	g := gating{env: env}
	var o outputFlags
	o.register(fs)
	fs.Uint64Var(&g.seed, "seed", 0, "seed of order and random arrivals (default: random)")
	check := fs.Bool("check", false, "only check the file")
	g.identity.register(fs, env.Getenv)
	rest, err := program().Parse(fs, args, 1, env)
	if err != nil {
		return err
	}
	if len(rest) != 1 {
		return errors.New("gate: name a budget file")
	}
	g.file, err = budget.Load(rest[0])
	if err := errors.Join(err, o.check(), g.identity.check()); err != nil {
		return err
	}
	if *check {
		fmt.Fprintf(env.Stdout, "%s: %d scenarios\n", g.file.Metadata.Name, len(g.file.Spec.Scenarios))
		return nil
	}
	if g.seed == 0 {
		g.seed = rand.Uint64() //nolint:gosec // chance, not secrecy
	}
	ctx, stop := untilSignal(ctx)
	defer stop()
	d := document(append([]string{fs.Name()}, args...))
	scenarios, err := g.run(ctx)
	if err != nil {
		return interrupted(ctx, err)
	}
	return publish(d, scenarios, o, env)
}

// run measures every scenario, on the file's targets or on a mesh of its own.
func (g *gating) run(ctx context.Context) (_ []report.Scenario, err error) {
	config, done, err := g.identity.open(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, done()) }()
	of, closer, err := g.subjects(ctx, config)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, closer()) }()
	// All of them before the first is run: a mistake in the last must not wait.
	plans := make([]compare.Plan, len(g.file.Spec.Scenarios))
	errs := make([]error, len(plans))
	for i := range plans {
		if plans[i], errs[i] = g.plan(&g.file.Spec.Scenarios[i], of); errs[i] != nil {
			errs[i] = fmt.Errorf("scenario %s: %w", g.file.Spec.Scenarios[i].Name, errs[i])
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	p := newProgress(g.env.Stderr)
	defer p.end()
	var all []report.Scenario
	for i, s := range g.file.Spec.Scenarios {
		bounds, err := s.Bounds()
		if err != nil {
			return nil, err
		}
		r, err := measure(ctx, s.Name, plans[i], bounds, p)
		if err != nil {
			return nil, fmt.Errorf("scenario %s: %w", s.Name, err)
		}
		all = append(all, r)
	}
	return all, nil
}

// subjects are what the file's names stand for: its targets, or the ways through a
// mesh that is started here, which closer ends.
func (g *gating) subjects(ctx context.Context, config *tls.Config) (_ subjects, closer func() error, err error) {
	targets := g.file.Spec.Targets
	encrypted := slices.ContainsFunc(slices.Collect(maps.Values(targets)), func(t budget.TargetSpec) bool { return encrypts(t.URL) })
	switch {
	case config != nil && !encrypted:
		return nil, nil, errPlaintext
	case len(targets) > 0:
		return subjectsOf(targets, config), func() error { return nil }, nil
	}
	m, err := startSelf(ctx, inspects(g.file), g.env)
	if err != nil {
		return nil, nil, err
	}
	return subjectsIn(m), m.Close, nil
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

func subjectsOf(targets map[string]budget.TargetSpec, config *tls.Config) subjects {
	return func(name string, s *budget.Scenario) (compare.Subject, error) {
		spec := targets[name]
		o := s.Options(spec.URL)
		if encrypts(spec.URL) {
			o.TLS = config
		}
		t, err := target.New(o)
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
		return selfSubject(m, name, s.Options(""), s.Path)
	}
}

// plan is a scenario's, with its targets.
func (g *gating) plan(s *budget.Scenario, of subjects) (compare.Plan, error) {
	p := compare.Plan{
		Poisson: s.Arrivals == budget.Poisson, Callers: s.Connections, Rounds: s.Rounds,
		Warmup: s.Warmup, Block: s.Block, Seed: g.seed,
	}
	var errs []error
	if s.Rate != "" {
		var err error
		p.Rate, err = pace.Parse(s.Rate)
		errs = append(errs, err)
	}
	for _, name := range []string{s.Base, s.Test} {
		subject, err := of(name, s)
		errs, p.Targets = append(errs, err), append(p.Targets, subject)
	}
	return p, errors.Join(errs...)
}
