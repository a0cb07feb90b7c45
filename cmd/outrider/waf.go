package main

import (
	"context"
	"flag"
	"fmt"
	"slices"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"

	"github.com/outrider-mesh/outrider/internal/cli"
	"github.com/outrider-mesh/outrider/internal/policycmd"
	"github.com/outrider-mesh/outrider/internal/policytool"
	"github.com/outrider-mesh/outrider/internal/waftool"
)

// waf is "outrider waf", which has commands of its own.
func waf(ctx context.Context, args []string, env cli.Environment) error {
	return wafProgram().Run(ctx, args, env)
}

func wafProgram() cli.Program {
	return cli.Program{
		Name:  "outrider waf",
		About: "Work with inspection policies. No command changes a policy.",
		Usage: 2, Broken: failed,
		Commands: []cli.Command{
			{Name: "test", Args: "FILE...", Help: "inspect recorded requests offline", Run: wafTest},
			{Name: "suggest", Args: "LOG...", Help: "propose the narrowest exclusions for what an access log says was detected", Run: wafSuggest},
			{Name: "bench", Args: "[FILE...]", Help: "measure what groups of rules cost", Run: wafBench},
		},
	}
}

const wafTestHelp = `Usage: outrider waf test [--policies DIR] [flags] FILE...

Inspects requests as they went over the wire ("-" is standard input) with the engine
that the sidecar has, and prints for each the outcome, the score, and the rules with
the places where they matched. Without --policies that of a policy which says nothing.

Exit status: 0 done; 1 a request has another outcome than --want, or a file makes no
sense; 2 the command line is wrong.

`

const wafSuggestHelp = `Usage: outrider waf suggest [--attacks LOG] [flags] LOG...

Reads the records of a workload's access log ("-" is standard input) and writes, for
what inspection detected of verified callers, the narrowest exclusions: one rule, for
one parameter, on one path, for one caller, until a day; each with its evidence. What
is detected in the same place of callers without identity, or in a log of known
attacks, gets none.

The policy is printed and never applied.

Exit status: 0 done; 1 it failed; 2 the command line is wrong.

`

const wafBenchHelp = `Usage: outrider waf bench [--rounds N] [FILE...]

Measures what each group of rules costs for recorded requests; for a small GET and 1 KB
of JSON, if none are given. The figures are medians, in microseconds, of this machine
as it is: compare those of one run only.

Exit status: 0 done; 1 it failed; 2 the command line is wrong.

`

// maxRequests bounds one command line.
const maxRequests = 10_000

// logFlags are what commands about requests of a workload have in common.
func logFlags(fs *flag.FlagSet, help string, workload *string) {
	fs.Usage = func() {
		fmt.Fprint(fs.Output(), help)
		fs.PrintDefaults()
	}
	policycmd.WorkloadFlag(fs, workload)
}

// wafTest is "outrider waf test".
func wafTest(ctx context.Context, args []string, env cli.Environment) error {
	fs := wafProgram().Flags("test")
	r := waftool.TestRequest{Stdin: env.Stdin}
	var workload string
	logFlags(fs, wafTestHelp, &workload)
	fs.StringVar(&r.Policies, "policies", "", "`directory` of policy documents; one that says nothing, if empty")
	fs.StringVar(&r.Caller, "caller", "", "the verified caller's SPIFFE `ID`; none, if empty")
	fs.StringVar(&r.Want, "want", "", "the `outcome` that every request must have: clean, detected, blocked or not_inspected")
	files, err := wafProgram().Parse(fs, args, maxRequests, env)
	if err != nil {
		return err
	}
	r.Files = files
	if workload != "" {
		r.Workload, err = policytool.ParseWorkload(workload)
	}
	if err == nil && r.Caller != "" {
		_, err = spiffeid.FromString(r.Caller)
	}
	switch {
	case err != nil:
		return wrongUsage("waf test", env, err.Error())
	case len(files) == 0:
		return wrongUsage("waf test", env, "name a file of a request, or - for standard input")
	case r.Want != "" && !slices.Contains([]string{"clean", "detected", "blocked", "not_inspected"}, r.Want):
		return wrongUsage("waf test", env, "--want "+r.Want+" is not clean, detected, blocked or not_inspected")
	}
	ok, err := waftool.Test(ctx, r, env.Stdout)
	if err != nil {
		fmt.Fprintf(env.Stderr, "outrider waf test: %v\n", err)
	}
	if err != nil || !ok {
		return failed
	}
	return nil
}

// suggestedDays is how long an exclusion lasts that was suggested.
const suggestedDays = 90

// wafSuggest is "outrider waf suggest".
func wafSuggest(_ context.Context, args []string, env cli.Environment) error {
	fs := wafProgram().Flags("suggest")
	r := waftool.SuggestRequest{Stdin: env.Stdin}
	var workload string
	logFlags(fs, wafSuggestHelp, &workload)
	fs.Func("attacks", "an access `log` in which every detection was right; may be given more than once", func(name string) error {
		r.Attacks = append(r.Attacks, name)
		return nil
	})
	fs.StringVar(&r.Name, "name", "suggested", "`name` of the policy")
	fs.IntVar(&r.MinHits, "min-hits", 10, "how `many` requests of a caller must have been detected in a place")
	fs.IntVar(&r.MinDays, "min-days", 2, "on how `many` days")
	expires := fs.String("expires", "", "the `day` on which the exclusions end, such as 2027-01-31; in 90 days, if empty")
	files, err := wafProgram().Parse(fs, args, policycmd.MaxLogs, env)
	if err != nil {
		return err
	}
	r.Files = files
	r.Expires = time.Now().UTC().Truncate(24*time.Hour).AddDate(0, 0, suggestedDays)
	if *expires != "" {
		r.Expires, err = time.Parse(time.DateOnly, *expires)
	}
	if err == nil && workload != "" {
		r.Workload, err = policytool.ParseWorkload(workload)
	}
	switch {
	case err != nil:
		return wrongUsage("waf suggest", env, err.Error())
	case len(files) == 0:
		return wrongUsage("waf suggest", env, "name an access log, or - for standard input")
	}
	if err := waftool.Suggest(r, env.Stdout); err != nil {
		fmt.Fprintf(env.Stderr, "outrider waf suggest: %v\n", err)
		return failed
	}
	return nil
}

// wafBench is "outrider waf bench".
func wafBench(ctx context.Context, args []string, env cli.Environment) error {
	fs := wafProgram().Flags("bench")
	r := waftool.BenchRequest{Stdin: env.Stdin}
	fs.Usage = func() {
		fmt.Fprint(fs.Output(), wafBenchHelp)
		fs.PrintDefaults()
	}
	fs.IntVar(&r.Rounds, "rounds", 21, "how `often` each group is measured")
	files, err := wafProgram().Parse(fs, args, maxRequests, env)
	if err != nil {
		return err
	}
	if r.Files = files; r.Rounds < 1 {
		return wrongUsage("waf bench", env, "--rounds must be at least 1")
	}
	if err := waftool.Bench(ctx, r, env.Stdout); err != nil {
		fmt.Fprintf(env.Stderr, "outrider waf bench: %v\n", err)
		return failed
	}
	return nil
}
