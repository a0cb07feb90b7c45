package main

import (
	"context"
	"fmt"
	"io"

	"github.com/outrider-mesh/outrider/internal/cli"
	"github.com/outrider-mesh/outrider/loadtest/budget"
	"github.com/outrider-mesh/outrider/loadtest/self"
)

// Statuses other than success. They are part of the command's interface: a build
// that is gated on a budget must tell a budget that is exceeded from a machine too
// noisy to know, and both from a mistake.
const (
	statusExceeded  cli.ExitStatus = 1
	statusUndecided cli.ExitStatus = 2
	statusBroken    cli.ExitStatus = 3
)

func program() cli.Program {
	p := cli.Program{
		Name: "outrider-load",
		About: "outrider-load measures what a mesh adds to latency, and whether that stays within a budget.\n\n" +
			"Exit status: 0 all budgets hold; 1 one is exceeded; 2 the run cannot tell; 3 anything else.",
		Usage: statusBroken, Broken: statusBroken,
	}
	p.Commands = []cli.Command{
		{Name: "self", Args: "[flags]", Help: "measure a mesh of its own on this machine, without setting anything up", Run: measureSelf},
		{Name: "compare", Args: "--base NAME=URL --test NAME=URL [flags]", Help: "measure what one way adds to another", Run: compareTargets},
		{Name: "run", Args: "URL [flags]", Help: "send load to one target", Run: runTarget},
		{Name: "attack", Args: "DIR|FILE... --url URL [flags]", Help: "replay labelled requests and judge the WAF that they meet", Run: attackWAF},
		{Name: "gate", Args: "FILE [flags]", Help: "run every load of a budget file and judge it", Run: gate},
		{Name: "diff", Args: "OLD.json NEW.json", Help: "compare the reports of two runs", Run: diff},
		p.Version(),
	}
	return p
}

// exit is the status for a verdict; an empty one means that nothing was asked for.
func exit(v budget.Verdict) error {
	switch v {
	case budget.Exceeded:
		return statusExceeded
	case budget.Undecided:
		return statusUndecided
	case budget.Holds:
	}
	return nil
}

// part runs this executable as a part of a mesh.
func part(ctx context.Context, args []string, stderr io.Writer) int {
	if err := self.Part(ctx, args, stderr); err != nil {
		fmt.Fprintln(stderr, "outrider-load:", err)
		return int(statusBroken)
	}
	return 0
}
