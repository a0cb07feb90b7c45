package main

import (
	"context"
	"fmt"
	"io"
	"strconv"

	"github.com/outrider-mesh/outrider/internal/buildinfo"
)

// environment is everything a command touches of its process.
type environment struct {
	Getenv         func(string) string
	Stdout, Stderr io.Writer
}

// exitStatus is an error that has been reported already.
type exitStatus int

// Error implements error.
func (s exitStatus) Error() string { return "exit status " + strconv.Itoa(int(s)) }

// statusBroken is that of a wrong command line, and of an error that no command
// has an own status for.
const statusBroken exitStatus = 3

// command is one subcommand.
type command struct {
	name, args, help string
	run              func(ctx context.Context, args []string, env environment) error
}

func commands() []command {
	return []command{
		{"attack", "DIR|FILE... --url URL [flags]", "replay labelled requests and judge the WAF that they meet", attackCommand},
		{"version", "", "print the version", version},
	}
}

// run executes one command line.
func run(ctx context.Context, args []string, env environment) error {
	if len(args) == 0 || args[0] == "help" || args[0] == "-h" || args[0] == "--help" {
		usage(env.Stdout)
		if len(args) == 0 {
			return statusBroken
		}
		return nil
	}
	for _, c := range commands() {
		if c.name == args[0] {
			return c.run(ctx, args[1:], env)
		}
	}
	fmt.Fprintf(env.Stderr, "outrider-load: there is no command %q\n\n", args[0])
	usage(env.Stderr)
	return statusBroken
}

func usage(w io.Writer) {
	fmt.Fprint(w, "outrider-load measures what stands in front of a service.\n\nUsage:\n\n")
	for _, c := range commands() {
		fmt.Fprintf(w, "  outrider-load %-38s %s\n", c.name+" "+c.args, c.help)
	}
	fmt.Fprint(w, "\nEvery command explains its flags with --help.\n")
}

func version(_ context.Context, args []string, env environment) error {
	if len(args) > 0 {
		fmt.Fprintf(env.Stderr, "outrider-load version: unexpected argument %q\n", args[0])
		return statusBroken
	}
	fmt.Fprintln(env.Stdout, "outrider-load", buildinfo.Version())
	return nil
}
