package main

import (
	"context"
	"strings"

	"github.com/outrider-mesh/outrider/internal/cli"
	"github.com/outrider-mesh/outrider/internal/policycmd"
)

// The statuses with which the plugin ends. They are part of its interface.
const (
	// failed: what was asked for does not hold, or could not be done.
	failed cli.ExitStatus = 1
	// usage: the command line is wrong.
	usage cli.ExitStatus = 2
	// denied: the call that was explained is, or was, denied.
	denied cli.ExitStatus = 3
)

const name = "kubectl outrider"

func program() cli.Program {
	p := cli.Program{
		Name:  name,
		About: "The kubectl plugin of Outrider.",
		Usage: usage, Broken: failed,
	}
	p.Commands = []cli.Command{
		{Name: "check", Args: "[flags]", Help: "find what is wrong, or soon will be, in the mesh of a cluster", Run: check},
		{Name: "status", Args: "[flags]", Help: "say who is in the mesh, with which policies and until when", Run: status},
		{Name: "explain", Args: "[DECISION-ID] [flags]", Help: "say what policies make of a call, why, and what would allow it", Run: explain},
		{Name: "tap", Args: "[POD...] [flags]", Help: "show what sidecars decide, as they do", Run: tapPods},
		{Name: "policy", Args: "COMMAND", Help: "test, replay, suggest and import access policies", Run: policycmd.New(name+" policy", usage, failed).Run},
		{Name: "inject", Args: "--image IMAGE [FILE]", Help: "put sidecars into the pods of manifests, without a cluster", Run: inject},
		{Name: "uninject", Args: "[FILE]", Help: "take them out again", Run: uninject},
		{Name: "bugreport", Args: "[flags]", Help: "collect what somebody needs to help, without secrets", Run: bugreport},
		{Name: "completion", Args: "bash|zsh|fish", Help: "write a script by which a shell completes command lines", Run: completion},
		p.Version(),
	}
	return p
}

// completer is the name under which kubectl looks for completions of the plugin.
const completer = "kubectl_complete-outrider"

// run is the whole program, whatever name it was started by. The words that shells and
// kubectl ask completions with are no command that people would want listed.
func run(ctx context.Context, as string, args []string, env cli.Environment) error {
	switch {
	case strings.TrimSuffix(as, ".exe") == completer:
		return complete(ctx, args, env)
	case len(args) > 0 && args[0] == "__complete":
		return complete(ctx, args[1:], env)
	case len(args) == 2 && args[0] == "help":
		args = []string{args[1], "--help"}
	}
	return program().Run(ctx, args, env)
}
