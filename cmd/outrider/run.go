package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"strconv"

	"github.com/outrider-mesh/outrider/internal/buildinfo"
)

// environment is everything a command touches of its process.
type environment struct {
	getenv         func(string) string
	stdout, stderr io.Writer
}

// exitStatus is an error that has been reported already.
type exitStatus int

// Error implements error.
func (s exitStatus) Error() string { return "exit status " + strconv.Itoa(int(s)) }

// Statuses other than success. They are part of the command's interface.
const (
	statusFailed exitStatus = 1 // what was asked for did not hold
	statusUsage  exitStatus = 2 // the command line is wrong
)

// command is one subcommand.
type command struct {
	name, args, help string
	run              func(ctx context.Context, args []string, env environment) error
}

func commands() []command {
	return []command{
		{"run", "--config FILE", "run the sidecar", runSidecar},
		{"check", "[--config FILE] [--policies DIR]", "check a configuration and policies", check},
		{"capture", "[--print|--verify|--show|--remove]", "redirect the application's traffic to the sidecar", captureTraffic},
		{"demo", "[--keep] [--no-color]", "see it work: a small mesh on this machine, without root", showDemo},
		{"version", "", "print the version", version},
	}
}

// run executes one command line.
func run(ctx context.Context, args []string, env environment) error {
	if len(args) == 0 || args[0] == "help" || args[0] == "-h" || args[0] == "--help" {
		usage(env.stdout)
		if len(args) == 0 {
			return statusUsage
		}
		return nil
	}
	for _, c := range commands() {
		if c.name == args[0] {
			return c.run(ctx, args[1:], env)
		}
	}
	fmt.Fprintf(env.stderr, "outrider: there is no command %q\n\n", args[0])
	usage(env.stderr)
	return statusUsage
}

func usage(w io.Writer) {
	fmt.Fprint(w, "Outrider is a zero-trust sidecar: SPIFFE identity, mutual TLS, access policies and a WAF.\n\nUsage:\n\n")
	for _, c := range commands() {
		fmt.Fprintf(w, "  outrider %-42s %s\n", c.name+" "+c.args, c.help)
	}
	fmt.Fprint(w, "\nEvery command explains its flags with --help.\n")
}

// parse reads the flags of a command; the error is one that was reported.
func parse(fs *flag.FlagSet, args []string, env environment) error {
	fs.SetOutput(env.stderr)
	err := fs.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return exitStatus(0)
	case err != nil:
		return statusUsage
	case fs.NArg() > 0:
		fmt.Fprintf(env.stderr, "outrider %s: unexpected argument %q\n", fs.Name(), fs.Arg(0))
		return statusUsage
	}
	return nil
}

func version(_ context.Context, args []string, env environment) error {
	if err := parse(flag.NewFlagSet("version", flag.ContinueOnError), args, env); err != nil {
		return err
	}
	fmt.Fprintln(env.stdout, "outrider", buildinfo.Version())
	return nil
}
