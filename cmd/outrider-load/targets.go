package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/outrider-mesh/outrider/internal/cli"
	"github.com/outrider-mesh/outrider/loadtest/budget"
	"github.com/outrider-mesh/outrider/loadtest/compare"
	"github.com/outrider-mesh/outrider/loadtest/report"
	"github.com/outrider-mesh/outrider/loadtest/target"
)

// untilSignal ends with SIGINT or SIGTERM; a second one ends the process.
func untilSignal(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	return ctx, stop
}

// named is a target on the command line.
type named struct{ name, url string }

func parseNamed(flag, text string) (named, error) {
	name, url, ok := strings.Cut(text, "=")
	if !ok || name == "" || strings.ContainsAny(name, "/:") {
		return named{}, fmt.Errorf("--%s %q: write NAME=URL", flag, text)
	}
	return named{name, url}, nil
}

// compareTargets is "outrider-load compare".
func compareTargets(ctx context.Context, args []string, env cli.Environment) error {
	fs := program().Flags("compare")
	base := fs.String("base", "", "what is compared with, as `NAME`=URL")
	var tests words
	fs.Var(&tests, "test", "what is compared, as `NAME`=URL; may be repeated")
	return sendTo(ctx, fs, args, 0, env, func([]string) ([]named, error) {
		if *base == "" || len(tests) == 0 {
			return nil, errors.New("name what to compare: --base direct=URL --test mesh=URL")
		}
		first, err := parseNamed("base", *base)
		errs, all := []error{err}, []named{first}
		for _, text := range tests {
			n, err := parseNamed("test", text)
			errs, all = append(errs, err), append(all, n)
		}
		return all, errors.Join(errs...)
	})
}

// runTarget is "outrider-load run".
func runTarget(ctx context.Context, args []string, env cli.Environment) error {
	fs := program().Flags("run")
	return sendTo(ctx, fs, args, 1, env, func(rest []string) ([]named, error) {
		if len(rest) != 1 {
			return nil, errors.New("name one URL")
		}
		return []named{{"target", rest[0]}}, nil
	})
}

// sendTo reads the flags, measures what pick says, and reports. The first target
// is the base of the others.
func sendTo(ctx context.Context, fs *flag.FlagSet, args []string, most int, env cli.Environment, pick func(rest []string) ([]named, error)) (err error) {
	var l loadFlags
	var r requestFlags
	var o outputFlags
	l.register(fs)
	r.register(fs, env.Getenv)
	o.register(fs)
	rest, err := program().Parse(fs, args, most, env)
	if err != nil {
		return err
	}
	targets, err := pick(rest)
	plan, bounds, planErr := l.plan()
	groups, watchErr := l.groups()
	if err := errors.Join(err, planErr, watchErr); err != nil {
		return err
	}
	ctx, stop := untilSignal(ctx)
	defer stop()
	options, done, err := r.options(ctx, l.streams)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, done()) }()
	for _, n := range targets {
		options.URL = n.url
		t, err := target.New(options)
		if err != nil {
			return err
		}
		plan.Targets = append(plan.Targets, compare.Subject{Name: n.name, Target: t, Watch: groups})
	}
	d := document(append([]string{fs.Name()}, args...))
	p := newProgress(env.Stderr)
	defer p.end()
	s, err := measure(ctx, "load", plan, bounds, p)
	if err != nil {
		return interrupted(ctx, err)
	}
	p.end()
	return publish(d, []report.Scenario{s}, l.budget != "", o, env)
}

// measure runs one scenario.
func measure(ctx context.Context, name string, plan compare.Plan, b budget.Budget, p *progress) (report.Scenario, error) {
	p.begin(name)
	plan.Progress = p.show
	measured, err := compare.Run(ctx, plan)
	if err != nil {
		return report.Scenario{}, err
	}
	return compare.Scenario(name, plan, measured, b)
}

// publish completes and writes the report, and returns the status of its verdict.
func publish(d *report.Document, scenarios []report.Scenario, judged bool, o outputFlags, env cli.Environment) error {
	d.Scenarios = scenarios
	if judged {
		var verdicts []budget.Verdict
		for _, s := range scenarios {
			for _, c := range s.Comparisons {
				verdicts = append(verdicts, c.Verdict)
			}
		}
		d.Verdict = budget.Worst(verdicts...)
	}
	if err := o.write(d, env); err != nil {
		return err
	}
	return exit(d.Verdict)
}
