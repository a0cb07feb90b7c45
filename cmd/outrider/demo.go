package main

import (
	"context"
	"errors"
	"flag"
	"io"
	"os"

	"github.com/outrider-mesh/outrider/internal/demo"
	"github.com/outrider-mesh/outrider/internal/lifecycle"
)

// showDemo is "outrider demo".
func showDemo(ctx context.Context, args []string, env environment) error {
	fs := flag.NewFlagSet("demo", flag.ContinueOnError)
	keep := fs.Bool("keep", false, "leave the mesh running after the last step, and print what to try")
	noColor := fs.Bool("no-color", false, "print without colours, as with NO_COLOR set or when not on a terminal")
	if err := parse(fs, args, env); err != nil {
		return err
	}
	stop := lifecycle.Signals(ctx)
	defer stop.Release()
	err := demo.Run(stop.Graceful, demo.Options{ //nolint:contextcheck // it descends from ctx, see lifecycle.Signals
		Stdout: env.stdout, Stderr: env.stderr, Keep: *keep,
		Color: !*noColor && colorful(env.getenv) && isTerminal(env.stdout),
	})
	if errors.Is(err, demo.ErrFailed) {
		return statusFailed // the page has said so
	}
	return err
}

// colorful tells whether the environment lets programs use colours: NO_COLOR is
// not set, or empty (https://no-color.org), and the terminal can show them.
func colorful(getenv func(string) string) bool {
	return getenv("NO_COLOR") == "" && getenv("TERM") != "dumb"
}

// isTerminal tells whether somebody is likely to read what is written to w as it
// comes.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
