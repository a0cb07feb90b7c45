package main

import (
	"context"
	"errors"
	"flag"
	"fmt"

	"github.com/outrider-mesh/outrider/internal/cli"
	"github.com/outrider-mesh/outrider/proxy"
	"github.com/outrider-mesh/outrider/proxy/capture"
	"github.com/outrider-mesh/outrider/proxy/config"
)

// Statuses of "outrider capture" beside those of every command.
const (
	statusBypassed     cli.ExitStatus = 3 // traffic does not pass the sidecar
	statusNotPermitted cli.ExitStatus = 4 // the process, or the system, can't redirect
)

const captureHelp = `Usage: outrider capture [flags]

Redirects the TCP traffic of this network namespace to the sidecar, and proves that
it passes. It needs the capability NET_ADMIN and nothing else. Without --config the
flags below say what is redirected.

With one of --print, --verify, --show and --remove it does only that.

Exit status: 0 done; 1 it failed; 2 the command line is wrong; 3 traffic does not pass
the sidecar; 4 not permitted, or not on this system.

`

// captureFlags are the command line of "outrider capture".
type captureFlags struct {
	set    *flag.FlagSet
	config string

	print, verify, show, remove, unverified bool

	uid               uint
	inbound, outbound uint
	own               list[uint16]
	inboundPorts      list[uint16]
	sources           list[string]
	outboundPorts     list[uint16]
	destinations      list[string]
	uids              list[uint32]
}

func newCaptureFlags() *captureFlags {
	f := &captureFlags{set: program().Flags("capture"), own: list[uint16]{values: []uint16{15000, 15020, 15021}}}
	fs := f.set
	fs.Usage = func() {
		fmt.Fprint(fs.Output(), captureHelp)
		fs.PrintDefaults()
	}
	fs.StringVar(&f.config, "config", "", "the sidecar's `file`, which says what is redirected; or env:NAME")
	fs.BoolVar(&f.print, "print", false, "print the rules as nft reads them, and change nothing")
	fs.BoolVar(&f.verify, "verify", false, "prove that traffic passes, before the sidecar starts, and change nothing")
	fs.BoolVar(&f.show, "show", false, "print the rules in force with what each has counted, and change nothing")
	fs.BoolVar(&f.remove, "remove", false, "remove the rules")
	fs.BoolVar(&f.unverified, "no-verify", false, "install the rules and prove nothing; for when the sidecar runs already")
	fs.UintVar(&f.uid, "uid", config.DefaultCaptureUID, "the sidecar's `user`, whose own calls are left alone")
	fs.UintVar(&f.inbound, "inbound-port", config.DefaultInboundPort, "`port` that takes the calls of others; 0 leaves them alone")
	fs.UintVar(&f.outbound, "outbound-port", config.DefaultOutboundPort, "`port` that takes the application's calls; 0 leaves them alone")
	fs.Var(&f.own, "own-ports", "`ports` of the sidecar that are called directly")
	fs.Var(&f.inboundPorts, "exclude-inbound-ports", "`ports` of the application that are left alone")
	fs.Var(&f.sources, "exclude-inbound-sources", "`networks` whose calls are left alone")
	fs.Var(&f.outboundPorts, "exclude-outbound-ports", "`ports` that are called directly")
	fs.Var(&f.destinations, "exclude-outbound-destinations", "`networks` that are called directly")
	fs.Var(&f.uids, "exclude-uids", "`users` whose calls are left alone")
	return f
}

// captureTraffic is "outrider capture".
func captureTraffic(ctx context.Context, args []string, env cli.Environment) error {
	f := newCaptureFlags()
	if _, err := program().Parse(f.set, args, 0, env); err != nil {
		return err
	}
	if problem := f.contradiction(); problem != "" {
		fmt.Fprintln(env.Stderr, "outrider capture:", problem)
		return program().Usage
	}
	return reported(f.run(ctx, env), env)
}

// errFlags is about flags that can be read and make no sense.
var errFlags = errors.New("the command line is wrong")

// reported prints an error, and says with which status the process ends.
func reported(err error, env cli.Environment) error {
	if err == nil {
		return nil
	}
	fmt.Fprintln(env.Stderr, "outrider capture:", err)
	switch {
	case errors.Is(err, capture.ErrBypassed):
		return statusBypassed
	case errors.Is(err, capture.ErrNotPermitted), errors.Is(err, capture.ErrUnsupported):
		return statusNotPermitted
	case errors.Is(err, errFlags):
		return program().Usage
	}
	return failed
}

// contradiction says what of the command line can't be meant together.
func (f *captureFlags) contradiction() string {
	action, rule := "", ""
	problem := ""
	f.set.Visit(func(fl *flag.Flag) {
		switch fl.Name {
		case "config":
		case "print", "verify", "show", "remove", "no-verify":
			if action != "" {
				problem = "--" + action + " and --" + fl.Name + " are two different things to do"
			}
			action = fl.Name
		default:
			rule = fl.Name
		}
	})
	if problem == "" && rule != "" && f.config != "" {
		problem = "--" + rule + " and --config both say what is redirected; write it into the file"
	}
	return problem
}

func (f *captureFlags) run(ctx context.Context, env cli.Environment) error {
	if f.remove {
		return remove(env)
	}
	plan, err := f.plan()
	if err != nil {
		return err
	}
	switch {
	case f.print:
		fmt.Fprint(env.Stdout, plan)
		return nil
	case f.show:
		text, err := plan.InForce()
		fmt.Fprint(env.Stdout, text)
		return err
	case f.verify:
		return verify(ctx, plan, env)
	}
	if err := plan.Apply(); err != nil {
		return err
	}
	fmt.Fprintf(env.Stdout, "the rules are installed: table inet %s\n", capture.Table)
	if f.unverified {
		return nil
	}
	return verify(ctx, plan, env)
}

func remove(env cli.Environment) error {
	removed, err := capture.Remove()
	switch {
	case err != nil:
		return err
	case removed:
		fmt.Fprintln(env.Stdout, "the rules are removed")
	default:
		fmt.Fprintln(env.Stdout, "there were no rules")
	}
	return nil
}

// verify leaves the rules where they are if they don't hold: an application whose
// calls fail is found sooner than one whose calls pass by its sidecar.
func verify(ctx context.Context, plan *capture.Plan, env cli.Environment) error {
	proofs, err := plan.Verify(ctx)
	for _, p := range proofs {
		if p.Err == nil {
			fmt.Fprintln(env.Stdout, p)
		}
	}
	return err
}

// plan is what the file says, or the flags.
func (f *captureFlags) plan() (*capture.Plan, error) {
	if f.config != "" {
		return planOf(f.config)
	}
	options, err := f.options()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errFlags, err)
	}
	plan, err := capture.New(options)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errFlags, err)
	}
	return plan, nil
}

// planOf is what a file says.
func planOf(file string) (*capture.Plan, error) {
	c, _, err := config.LoadSidecar(file)
	if err != nil {
		return nil, err
	}
	if in, out := c.Spec.Captures(); !in && !out {
		return nil, fmt.Errorf("%s: no listener captures, so redirected traffic would go nowhere; set capture: true on an inbound or outbound listener", file)
	}
	return capture.New(proxy.CaptureOptions(c))
}
