package main

import (
	"context"
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/outrider-mesh/outrider/internal/cli"
	"github.com/outrider-mesh/outrider/loadtest/budget"
	"github.com/outrider-mesh/outrider/loadtest/compare"
	"github.com/outrider-mesh/outrider/loadtest/report"
	"github.com/outrider-mesh/outrider/loadtest/target"
)

// untilSignal ends with SIGINT, SIGTERM or SIGHUP, which is what a terminal that is
// closed sends; a second one ends the process.
func untilSignal(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	context.AfterFunc(ctx, stop)
	return ctx, stop
}

// named is a target on the command line.
type named struct{ name, url string }

func parseNamed(flag, text string) (named, error) {
	name, url, ok := strings.Cut(text, "=")
	if !ok || name == "" || url == "" || strings.ContainsAny(name, "/:") {
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
			if err == nil && slices.ContainsFunc(all, func(other named) bool { return other.name == n.name }) {
				err = fmt.Errorf("--test %q: the name %q stands there twice", text, n.name)
			}
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
			return nil, errors.New("run: name one URL")
		}
		return []named{{"target", rest[0]}}, nil
	})
}

// sending is what the flags of compare and run ask for.
type sending struct {
	load    loadFlags
	request requestFlags
	output  outputFlags

	targets []named
	options target.Options
	plan    compare.Plan
	bounds  budget.Budget
}

// sendTo reads the flags, measures what pick says, and reports. The first target
// is the base of the others.
func sendTo(ctx context.Context, fs *flag.FlagSet, args []string, most int, env cli.Environment, pick func(rest []string) ([]named, error)) (err error) {
	var s sending
	s.load.register(fs, defaultRate)
	s.load.registerShared(fs)
	s.request.register(fs, env.Getenv)
	s.output.register(fs)
	rest, err := program().Parse(fs, args, most, env)
	if err != nil {
		return err
	}
	if err := s.complete(pick, rest); err != nil {
		return err
	}
	ctx, stop := untilSignal(ctx)
	defer stop()
	config, done, err := s.request.open(ctx)
	if err != nil {
		return interrupted(ctx, err)
	}
	defer func() { err = errors.Join(err, done()) }()
	if err := s.aim(config); err != nil {
		return err
	}
	d := document(append([]string{fs.Name()}, args...))
	p := newProgress(env.Stderr)
	defer p.end()
	scenario, err := measure(ctx, "load", s.plan, s.bounds, p)
	if err != nil {
		return interrupted(ctx, err)
	}
	p.end()
	return publish(d, []report.Scenario{scenario}, s.output, env)
}

// complete reads what the flags say, and names every mistake.
func (s *sending) complete(pick func(rest []string) ([]named, error), rest []string) error {
	var errs [5]error
	s.targets, errs[0] = pick(rest)
	s.plan, s.bounds, errs[1] = s.load.plan()
	s.options, errs[2] = s.request.options(s.load.streams)
	errs[3] = s.output.check()
	errs[4] = errors.Join(s.alone(), s.aim(s.request.placeholder()))
	return distinct(errs[:]...)
}

// alone refuses what can't be judged of a target by itself.
func (s *sending) alone() error {
	var errs []error
	for _, l := range s.bounds.Latency {
		if l.Added && len(s.targets) == 1 {
			errs = append(errs, fmt.Errorf("--budget %s=+%s: there is no base to which anything could be added; write %[1]s=%[2]s, or compare", l.Name, l.Most))
		}
	}
	return errors.Join(errs...)
}

// aim makes the targets of the plan. Roots and identity are for those that are
// encrypted; there must be one.
func (s *sending) aim(config *tls.Config) error {
	groups, err := s.load.groups()
	errs, encrypted := []error{err}, 0
	s.plan.Targets = nil
	for _, n := range s.targets {
		if n.url == "" {
			continue // said already
		}
		o := s.options
		o.URL = n.url
		if encrypts(n.url) {
			o.TLS = config
			encrypted++
		}
		t, err := target.New(o)
		errs = append(errs, err)
		s.plan.Targets = append(s.plan.Targets, compare.Subject{Name: n.name, Target: t, Watch: groups})
	}
	if config != nil && encrypted == 0 && len(s.targets) > 0 {
		errs = append(errs, errPlaintext)
	}
	return errors.Join(errs...)
}

// errPlaintext: whoever asks for mutual TLS must not measure plaintext.
var errPlaintext = errors.New("roots or an identity are given, but no target is encrypted; write https:// or tls://")

func encrypts(url string) bool {
	return strings.HasPrefix(url, "https://") || strings.HasPrefix(url, "tls://")
}

// distinct joins errors and leaves out those that say the same, as of a request that
// goes to two targets.
func distinct(errs ...error) error {
	var all []error
	for _, err := range errs {
		for _, e := range budget.Apart(err) {
			if !slices.ContainsFunc(all, func(other error) bool { return other.Error() == e.Error() }) {
				all = append(all, e)
			}
		}
	}
	return errors.Join(all...)
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
func publish(d *report.Document, scenarios []report.Scenario, o outputFlags, env cli.Environment) error {
	d.Scenarios = scenarios
	var verdicts []budget.Verdict
	for _, s := range scenarios {
		for _, c := range s.Comparisons {
			if c.Verdict != "" {
				verdicts = append(verdicts, c.Verdict)
			}
		}
	}
	if len(verdicts) > 0 {
		d.Verdict = budget.Worst(verdicts...)
	}
	if err := o.write(d, env); err != nil {
		return err
	}
	return exit(d.Verdict)
}
