package main

import "github.com/outrider-mesh/outrider/internal/cli"

func program() cli.Program {
	p := cli.Program{
		Name:  "outrider-injector",
		About: "The control plane of Outrider: puts sidecars into pods that ask for one by a label.",
		Usage: 2, Broken: 1,
	}
	p.Commands = []cli.Command{
		{Name: "serve", Args: "--image IMAGE", Help: "run the control plane", Run: serve},
		p.Version(),
	}
	return p
}
