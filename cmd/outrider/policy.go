package main

import (
	"context"
	"fmt"
	"slices"

	"github.com/outrider-mesh/outrider/internal/cli"
	"github.com/outrider-mesh/outrider/internal/policytool"
)

// policy is "outrider policy", which has commands of its own.
func policy(ctx context.Context, args []string, env cli.Environment) error {
	return policyProgram().Run(ctx, args, env)
}

func policyProgram() cli.Program {
	return cli.Program{
		Name:  "outrider policy",
		About: "Work with access policies before they are in force. No command changes a policy.",
		Usage: 2, Broken: failed,
		Commands: []cli.Command{
			{Name: "test", Args: "FILE...", Help: "try cases, and say which come out otherwise than expected", Run: policyTest},
			{Name: "replay", Args: "--with DIR LOG...", Help: "say what other policies would change for calls in an access log", Run: policyReplay},
			{Name: "suggest", Args: "LOG...", Help: "write the least policy that allows the calls in an access log", Run: policySuggest},
			{Name: "import", Args: "--from MESH FILE...", Help: "translate policies of Istio or Linkerd", Run: policyImport},
		},
	}
}

const policyTestHelp = `Usage: outrider policy test [--policies DIR] [-o text|tap|junit] FILE...

Tries the cases of documents of kind PolicyTest with the engine that the sidecar has,
and reports those that come out otherwise than expected.

Exit status: 0 all came out as expected; 1 some did not, or a file makes no sense; 2
the command line is wrong.

`

// maxCaseFiles bounds one command line.
const maxCaseFiles = 1000

// policyTest is "outrider policy test".
func policyTest(ctx context.Context, args []string, env cli.Environment) error {
	fs := policyProgram().Flags("test")
	fs.Usage = func() {
		fmt.Fprint(fs.Output(), policyTestHelp)
		fs.PrintDefaults()
	}
	var r policytool.TestRequest
	fs.StringVar(&r.Policies, "policies", "", "`directory` of policy documents; what each file says, if empty")
	output := fs.String("o", "text", "`format` of the report: text, tap or junit")
	files, err := policyProgram().Parse(fs, args, maxCaseFiles, env)
	if err != nil {
		return err
	}
	r.Files, r.Format = files, policytool.Format(*output)
	switch {
	case len(files) == 0:
		return wrongUsage("policy test", env, "name a file of cases")
	case !slices.Contains([]policytool.Format{policytool.FormatText, policytool.FormatTAP, policytool.FormatJUnit}, r.Format):
		return wrongUsage("policy test", env, "-o "+*output+" is not text, tap or junit")
	}
	passed, err := policytool.Test(ctx, r, env.Stdout)
	if err != nil {
		fmt.Fprintf(env.Stderr, "outrider policy test: %v\n", err)
	}
	if err != nil || !passed {
		return failed
	}
	return nil
}
