package policycmd

import (
	"context"
	"flag"

	"github.com/outrider-mesh/outrider/internal/cli"
	"github.com/outrider-mesh/outrider/internal/policytool"
)

const replayHelp = `Usage: POLICY replay --with DIR [--against DIR] [flags] LOG...

Reads the records of a workload's access log ("-" is standard input) and says for
which of its calls other policies would decide otherwise than the sidecar did, or
than those of --against do. Changes are grouped by caller, port, method and what
decides, with examples.

A log has no headers. Where a verdict depends on them, it can't be told, and counts as
if the call were denied. Limits are not replayed.

Exit status: 0 nothing would newly be denied; 1 something would, or it failed; 2 the
command line is wrong.

`

const suggestHelp = `Usage: POLICY suggest [--policies DIR] [flags] LOG...

Reads the records of a workload's access log ("-" is standard input) and writes the
least Allow policy that allows what was allowed and served, each rule with its
evidence. Calls that inspection took for attacks, that asked for what is not there, or
that came in plaintext are listed and left out. With --policies, entries of the
present policies that no call needed are listed.

The policy is printed and never applied. It is in mode DryRun unless --enforce is
given.

Exit status: 0 done; 1 it failed; 2 the command line is wrong.

`

// WorkloadFlag is what commands about access logs have in common.
func WorkloadFlag(fs *flag.FlagSet, workload *string) {
	fs.StringVar(workload, "workload", "", "whose log it is: `NAMESPACE/NAME`, and labels behind: shop/payments,app=payments; the namespace of its SPIFFE ID, if empty")
}

// ofWorkload puts together which logs are meant, and whose.
func ofWorkload(files []string, workload string, env cli.Environment) (policytool.LogRequest, error) {
	r := policytool.LogRequest{Files: files, Stdin: env.Stdin}
	if workload == "" {
		return r, nil
	}
	var err error
	r.Workload, err = policytool.ParseWorkload(workload)
	return r, err
}

// MaxLogs bounds one command line.
const MaxLogs = 1000

// replay is the command replay.
func (t tool) replay(ctx context.Context, args []string, env cli.Environment) error {
	fs := t.flags("replay", replayHelp)
	var r policytool.ReplayRequest
	var workload string
	WorkloadFlag(fs, &workload)
	fs.StringVar(&r.With, "with", "", "`directory` of the policies to try")
	fs.StringVar(&r.Against, "against", "", "`directory` of those to compare with; what the records say, if empty")
	fs.BoolVar(&r.Trial, "trial", false, "let policies in mode DryRun count as if they were enforced")
	allowDenied := fs.Bool("allow-denied", false, "exit with 0 though calls would newly be denied")
	allowUnknown := fs.Bool("allow-unknown", false, "exit with 0 though for some calls it can't be told")
	output := fs.String("o", "text", "`format` of the output: text or json")
	files, err := t.program().Parse(fs, args, MaxLogs, env)
	if err != nil {
		return err
	}
	r.LogRequest, err = ofWorkload(files, workload, env)
	r.JSON = *output == "json"
	switch {
	case err != nil:
		return t.wrong(fs, env, err.Error())
	case r.With == "":
		return t.wrong(fs, env, "name the policies to try with --with")
	case len(files) == 0:
		return t.wrong(fs, env, "name an access log, or - for standard input")
	case !r.JSON && *output != "text":
		return t.wrong(fs, env, "-o "+*output+" is not text or json")
	}
	result, err := policytool.Replay(ctx, r, env.Stdout)
	if err != nil {
		return t.broken(fs, env, err)
	}
	if result.Denied > 0 && !*allowDenied || result.Unknown > 0 && !*allowUnknown {
		return t.failed
	}
	return nil
}

// suggest is the command suggest.
func (t tool) suggest(ctx context.Context, args []string, env cli.Environment) error {
	fs := t.flags("suggest", suggestHelp)
	var r policytool.SuggestRequest
	var workload string
	WorkloadFlag(fs, &workload)
	fs.StringVar(&r.Policies, "policies", "", "`directory` of the present policies, of which unused entries are listed")
	fs.StringVar(&r.Name, "name", "suggested", "`name` of the policy")
	fs.BoolVar(&r.Enforce, "enforce", false, "write it in mode Enforce")
	fs.IntVar(&r.MaxValues, "values", 10, "how `many` values of one segment of a path are listed; more become {*}")
	files, err := t.program().Parse(fs, args, MaxLogs, env)
	if err != nil {
		return err
	}
	r.LogRequest, err = ofWorkload(files, workload, env)
	switch {
	case err != nil:
		return t.wrong(fs, env, err.Error())
	case len(files) == 0:
		return t.wrong(fs, env, "name an access log, or - for standard input")
	case r.MaxValues < 1:
		return t.wrong(fs, env, "--values must be at least 1")
	}
	if err := policytool.Suggest(ctx, r, env.Stdout); err != nil {
		return t.broken(fs, env, err)
	}
	return nil
}
