// Package policycmd is the command lines about policies that several programs have:
// what the flags are called, what the help says and which status a process ends with.
// What the commands do is in package policytool.
package policycmd

import (
	"context"
	"flag"
	"fmt"
	"slices"
	"strings"

	"github.com/outrider-mesh/outrider/internal/cli"
	"github.com/outrider-mesh/outrider/internal/policytool"
)

// A tool is the commands within one program.
type tool struct {
	// name is what people type before a command, such as "outrider policy".
	name          string
	usage, failed cli.ExitStatus
}

// New returns the commands of a program that is called so, such as "outrider policy".
// They end with the status usage where the command line is wrong, and with failed
// where something does not hold.
func New(name string, usage, failed cli.ExitStatus) cli.Program {
	return tool{name, usage, failed}.program()
}

func (t tool) program() cli.Program {
	return cli.Program{
		Name:  t.name,
		About: "Work with access policies before they are in force. No command changes a policy.",
		Usage: t.usage, Broken: t.failed,
		Commands: []cli.Command{
			{Name: "test", Args: "FILE...", Help: "try cases, and say which come out otherwise than expected", Run: t.test},
			{Name: "replay", Args: "--with DIR LOG...", Help: "say what other policies would change for calls in an access log", Run: t.replay},
			{Name: "suggest", Args: "LOG...", Help: "write the least policy that allows the calls in an access log", Run: t.suggest},
			{Name: "import", Args: "--from MESH FILE...", Help: "translate policies of Istio or Linkerd", Run: t.translate},
		},
	}
}

// flags are those of a command, with its help text, which speaks of the command as
// "POLICY command".
func (t tool) flags(command, help string) *flag.FlagSet {
	fs := t.program().Flags(command)
	fs.Usage = func() {
		fmt.Fprint(fs.Output(), strings.ReplaceAll(help, "POLICY", t.name))
		fs.PrintDefaults()
	}
	return fs
}

// wrong reports what is wrong with a command line.
func (t tool) wrong(fs *flag.FlagSet, env cli.Environment, problem string) error {
	fmt.Fprintf(env.Stderr, "%s: %s\n", fs.Name(), problem)
	return t.usage
}

// broken reports what went wrong.
func (t tool) broken(fs *flag.FlagSet, env cli.Environment, err error) error {
	fmt.Fprintf(env.Stderr, "%s: %v\n", fs.Name(), err)
	return t.failed
}

const testHelp = `Usage: POLICY test [--policies DIR] [-o text|tap|junit] FILE...

Tries the cases of documents of kind PolicyTest with the engine that the sidecar has,
and reports those that come out otherwise than expected.

Exit status: 0 all came out as expected; 1 some did not, or a file makes no sense; 2
the command line is wrong.

`

// maxCaseFiles bounds one command line.
const maxCaseFiles = 1000

// test is the command test.
func (t tool) test(ctx context.Context, args []string, env cli.Environment) error {
	fs := t.flags("test", testHelp)
	var r policytool.TestRequest
	fs.StringVar(&r.Policies, "policies", "", "`directory` of policy documents; what each file says, if empty")
	output := fs.String("o", "text", "`format` of the report: text, tap or junit")
	files, err := t.program().Parse(fs, args, maxCaseFiles, env)
	if err != nil {
		return err
	}
	r.Files, r.Format = files, policytool.Format(*output)
	switch {
	case len(files) == 0:
		return t.wrong(fs, env, "name a file of cases")
	case !slices.Contains([]policytool.Format{policytool.FormatText, policytool.FormatTAP, policytool.FormatJUnit}, r.Format):
		return t.wrong(fs, env, "-o "+*output+" is not text, tap or junit")
	}
	passed, err := policytool.Test(ctx, r, env.Stdout)
	if err != nil {
		return t.broken(fs, env, err)
	}
	if !passed {
		return t.failed
	}
	return nil
}
