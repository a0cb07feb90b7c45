package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/outrider-mesh/outrider/internal/buildinfo"
	"github.com/outrider-mesh/outrider/internal/cli"
	"github.com/outrider-mesh/outrider/loadtest/report"
	"github.com/outrider-mesh/outrider/loadtest/watch"
)

// outputFlags say where a report goes beside the terminal.
type outputFlags struct{ json, html, prometheus string }

func (o *outputFlags) register(fs *flag.FlagSet) {
	fs.StringVar(&o.json, "json", "", "`file` to write everything to, for programs and for \"outrider-load diff\"; - is standard output, and the table then goes to standard error")
	fs.StringVar(&o.html, "html", "", "`file` to write a page with plots to, which needs nothing but a browser")
	fs.StringVar(&o.prometheus, "prometheus", "", "`file` to write the result to as Prometheus text")
}

// write prints the table and writes the files, all that can be written.
func (o *outputFlags) write(d *report.Document, env cli.Environment) error {
	table, errs := env.Stdout, []error(nil)
	if o.json == "-" {
		table = env.Stderr
		errs = append(errs, d.WriteJSON(env.Stdout))
	}
	errs = append(errs, d.WriteTable(table))
	for _, f := range []struct {
		path  string
		write func(io.Writer) error
	}{{o.json, d.WriteJSON}, {o.html, d.WritePage}, {o.prometheus, d.WritePrometheus}} {
		if f.path != "" && f.path != "-" {
			errs = append(errs, writeFile(f.path, f.write))
		}
	}
	return errors.Join(errs...)
}

// writeFile writes a file as a whole or not at all.
func writeFile(path string, write func(io.Writer) error) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), ".outrider-load-*")
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	const mode = 0o644 // as any other file that is not secret; CreateTemp is stricter
	if err := errors.Join(write(f), f.Chmod(mode), f.Close()); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return os.Rename(f.Name(), path)
}

// document is a report without its scenarios.
func document(command []string) *report.Document {
	return &report.Document{
		Schema: report.Schema, Tool: "outrider-load " + buildinfo.Version().String(), Command: command,
		Date: time.Now().UTC().Truncate(time.Second), Machine: watch.DescribeMachine(),
	}
}

// interrupted turns the end of a run by a signal into an error that says so.
func interrupted(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("interrupted: %w", context.Cause(ctx))
	}
	return err
}
