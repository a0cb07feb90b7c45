package main

import (
	"context"
	"errors"

	"github.com/outrider-mesh/outrider/internal/cli"
	"github.com/outrider-mesh/outrider/internal/demo"
	"github.com/outrider-mesh/outrider/internal/lifecycle"
)

// showDemo is "outrider demo".
func showDemo(ctx context.Context, args []string, env cli.Environment) error {
	fs := program().Flags("demo")
	keep := fs.Bool("keep", false, "leave the mesh running after the last step, and print what to try")
	noColor := fs.Bool("no-color", false, "print without colours, as with NO_COLOR set or when not on a terminal")
	if _, err := program().Parse(fs, args, 0, env); err != nil {
		return err
	}
	stop := lifecycle.Signals(ctx)
	defer stop.Release()
	err := demo.Run(stop.Graceful, demo.Options{ //nolint:contextcheck // it descends from ctx, see lifecycle.Signals
		Stdout: env.Stdout, Stderr: env.Stderr, Keep: *keep,
		Color: !*noColor && env.Colorful(env.Stdout),
	})
	if errors.Is(err, demo.ErrFailed) {
		return failed // the page has said so
	}
	return err
}
