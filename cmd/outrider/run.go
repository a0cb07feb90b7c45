package main

import (
	"github.com/outrider-mesh/outrider/internal/cli"
	"github.com/outrider-mesh/outrider/internal/policycmd"
)

// failed is the status where what was asked for did not hold, usage that for a command
// line that is wrong. They are part of the command's interface.
const (
	failed cli.ExitStatus = 1
	usage  cli.ExitStatus = 2
)

func program() cli.Program {
	p := cli.Program{
		Name:  "outrider",
		About: "Outrider is a zero-trust sidecar: SPIFFE identity, mutual TLS, access policies and a WAF.",
		Usage: usage, Broken: failed,
	}
	p.Commands = []cli.Command{
		{Name: "run", Args: "--config FILE", Help: "run the sidecar", Run: runSidecar},
		{Name: "check", Args: "[--config FILE] [--policies DIR]", Help: "check a configuration and policies", Run: check},
		{Name: "explain", Args: "[DECISION-ID] [flags]", Help: "say what policies make of a call, why, and what would allow it", Run: explain},
		{Name: "policy", Args: "COMMAND", Help: "test, replay, suggest and import access policies", Run: policycmd.New("outrider policy", usage, failed).Run},
		{Name: "waf", Args: "COMMAND", Help: "try requests, suggest exclusions, measure rules", Run: waf},
		{Name: "capture", Args: "[--print|--verify|--show|--remove]", Help: "redirect the application's traffic to the sidecar", Run: captureTraffic},
		{Name: "demo", Args: "[--keep] [--no-color]", Help: "see it work: a small mesh on this machine, without root", Run: showDemo},
		p.Version(),
	}
	return p
}
